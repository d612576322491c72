"""Geometry verdicts told in ml: the numbers must be those of the gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.results import InfectionMask, LungMask
from groundglass.core.verdict import Status, Verdict
from groundglass.scoring.effects import state_effects


def _masks(positions: list[float]) -> tuple[LungMask, InfectionMask]:
    """Return lungs of 100 mm² in every slice, all infected in the upper half of the slices."""
    count = len(positions)
    geometry = Geometry.from_spacing((count, 20, 20), (1.0, 1.0, 1.0))
    origins = np.zeros((count, 3))
    origins[:, 2] = positions
    geometry = replace(geometry, origins_mm=origins)
    lungs = np.zeros((count, 20, 20), np.uint8)
    lungs[:, :10, :10] = 1
    ill = lungs.copy()
    ill[count // 2 :] = 0
    return LungMask(lungs, geometry, "test"), InfectionMask(ill, ill * 3, geometry, "test")


def _said(check: str, positions: list[float]) -> str:
    lungs, infection = _masks(positions)
    verdict = Verdict(check, Status.WARNING, "found", "done", "effect.")
    (told,) = state_effects((verdict,), lungs, infection)
    return told.effect


def test_gap_holds_the_volume_between_its_slices() -> None:
    effect = _said("slice_gaps", [0, -10, -20, -50, -60])
    # 100 mm² over 30 mm instead of 10: 2 ml beyond the step, of 7 ml (70 mm)
    assert effect == (
        "effect. 2 ml of the 7 ml of lung (28.6 %) lie in the gaps and are "
        "interpolated from the slices beside them"
    )


def test_uneven_steps_tell_what_one_mean_step_would_have_given() -> None:
    effect = _said("slice_spacing", [0, -10, -20, -30, -80, -130])
    # real widths 10 10 10 30 50 50 = 160 mm, infected 30 mm; mean step 26 mm, 6 slices
    assert "16 ml instead of 16 ml" in effect
    assert "50.0 % infected instead of 18.8 %" in effect


def test_other_verdicts_stay_as_they_are() -> None:
    assert _said("contrast", [0, -10, -20]) == "effect."


@pytest.mark.parametrize("check", ["slice_gaps", "slice_spacing"])
def test_without_a_scale_nothing_is_told_in_ml(check: str) -> None:
    lungs, infection = _masks([0, -10, -30])
    bare = replace(lungs.geometry, spacing_known=False)
    lungs = LungMask(lungs.labels, bare, "test")
    verdict = Verdict(check, Status.WARNING, "found", "done", "effect")
    assert state_effects((verdict,), lungs, infection) == (verdict,)
