"""What a scan shows is said with what it limits; what is no chest is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.checks.content import check_content
from groundglass.core.results import LEFT, RIGHT, LungMask
from groundglass.core.scan import Acquisition, Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError
from tests.phantoms import SMALL, Phantom, phantom

CHEST = phantom()
"""64 slices of 5 mm, 96 x 96 pixels of 3.75 mm; lungs of 4.7 l, whole."""


def found(scan: Scan, labels: NDArray[Any], **mask: Any) -> dict[str, Verdict]:
    """Return the verdicts by check; each appears once."""
    verdicts = check_content(scan, LungMask(labels, scan.geometry, "truth", **mask))
    by_check = {verdict.check: verdict for verdict in verdicts}
    assert len(by_check) == len(verdicts)
    return by_check


def part(chosen: Any, source: Phantom = CHEST) -> dict[str, Verdict]:
    """Return the verdicts on some of the slices, or on a box of the chest."""
    scan = Scan.from_array(source.scan.hu()[chosen], SMALL.spacing_mm)
    return found(scan, source.lungs[chosen])


def test_a_whole_chest_of_thin_slices_gets_no_complaint() -> None:
    scan = Scan.from_array(CHEST.scan.hu(), (2.5, 3.75, 3.75))
    wide = found(scan, CHEST.lungs)
    assert wide == {}


# Coverage


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (np.s_[20:], "the top of the scan"),
        (np.s_[:40], "the bottom of the scan"),
        (np.s_[20:40], "the top of the scan and the bottom"),
        (np.s_[:, 45:], "its front side"),
        (np.s_[:, :50], "its back side"),
        (np.s_[:, :, 24:], "its right side"),
        (np.s_[:, :, :72], "its left side"),
    ],
)
def test_lungs_cut_at_a_side_are_said_with_the_side(chosen: Any, words: str) -> None:
    verdict = part(chosen)["coverage"]
    assert verdict.status is Status.WARNING
    assert words in verdict.found
    assert "cm²" in verdict.found
    assert "lower bounds" in verdict.effect


def test_a_field_of_view_that_cuts_only_the_body_is_a_note() -> None:
    verdict = part(np.s_[:, 20:77, 9:86])["coverage"]
    assert verdict.status is Status.NOTE
    assert "not the lungs" in verdict.found


# Slices


@pytest.mark.parametrize(
    ("step", "status"),
    [(1.0, None), (3.0, None), (3.01, Status.NOTE), (5.0, Status.NOTE), (5.1, Status.WARNING)],
)
def test_thick_slices(step: float, status: Status | None) -> None:
    scan = Scan.from_array(CHEST.scan.hu(), (step, 3.75, 3.75))
    verdict = found(scan, CHEST.lungs).get("slice_thickness")
    assert (verdict.status if verdict else None) is status


def test_a_gap_between_thin_slices_counts_as_thick() -> None:
    scan = Scan.from_array(CHEST.scan.hu(), (10.0, 3.75, 3.75))
    scan = replace(scan, geometry=replace(scan.geometry, slice_width_mm=1.0))
    assert "10 mm thick or apart" in found(scan, CHEST.lungs)["slice_thickness"].found


def test_one_slice_is_said_once() -> None:
    verdicts = part(np.s_[30:31])
    assert "Percentages are those of this slice" in verdicts["single_slice"].effect
    assert "coverage" not in verdicts
    assert "lung_plausibility" not in verdicts
    told = Verdict("single_slice", Status.WARNING, "One slice", "", "")
    scan = Scan.from_array(CHEST.scan.hu()[30], SMALL.spacing_mm).told(told)
    assert "single_slice" not in found(scan, CHEST.lungs[30:31])


# Contrast and position


def test_contrast_agent_in_the_header_or_in_the_heart() -> None:
    scan = replace(CHEST.scan, acquisition=Acquisition(contrast_agent=True))
    assert "header names a contrast agent" in found(scan, CHEST.lungs)["contrast"].found
    assert "contrast" not in found(CHEST.scan, CHEST.lungs)
    hu = CHEST.scan.hu().copy()
    middle = hu[:, 20:60, 40:56]
    middle[(middle > 0) & (middle < 100)] += 250
    bright = Scan.from_array(hu, SMALL.spacing_mm)
    assert "vessels are bright" in found(bright, CHEST.lungs)["contrast"].found


def test_noise_is_no_contrast_agent() -> None:
    noise = np.random.default_rng(0).normal(0, 90, CHEST.scan.shape)
    scan = Scan.from_array(CHEST.scan.hu() + noise, SMALL.spacing_mm)
    assert "contrast" not in found(scan, CHEST.lungs)


@pytest.mark.parametrize(
    ("position", "words"),
    [("HFS", ()), ("FFS", ("feet first",)), ("HFP", ("on the belly",)), (None, ()), ("ODD", ())],
)
def test_positions(position: str | None, words: tuple[str, ...]) -> None:
    scan = replace(CHEST.scan, acquisition=Acquisition(patient_position=position))
    verdict = found(scan, CHEST.lungs).get("patient_position")
    assert (verdict is not None) == bool(words)
    assert all(word in verdict.found for word in words if verdict)


# Plausibility


def test_lungs_of_odd_size_or_shape() -> None:
    small = Scan.from_array(CHEST.scan.hu(), (2.5, 2.0, 2.0))
    assert "less than an adult's 1500 ml" in found(small, CHEST.lungs)["lung_plausibility"].found
    large = Scan.from_array(CHEST.scan.hu(), (5, 6.0, 6.0))
    assert "more than an adult's 9000 ml" in found(large, CHEST.lungs)["lung_plausibility"].found
    scan = Scan.from_array(CHEST.scan.hu(), (5, 3.75, 3.75))
    shrunken = CHEST.lungs.copy()
    shrunken[(CHEST.lungs == LEFT) & (np.indices(scan.shape)[0] > 25)] = 0
    words = found(scan, shrunken)["lung_plausibility"].found
    assert "times as large as the left" in words
    assert "the left lung ends" in words
    assert "lower bound" in found(scan, shrunken)["lung_plausibility"].effect


@pytest.mark.parametrize(("side", "word"), [(RIGHT, "only a right"), (LEFT, "only a left")])
def test_a_missing_lung(side: int, word: str) -> None:
    alone = np.where(CHEST.lungs == side, side, 0)
    assert word in found(CHEST.scan, alone)["lung_plausibility"].found


def test_cut_lungs_are_not_blamed_for_their_volume() -> None:
    assert "lung_plausibility" not in part(np.s_[28:34])


# Not a chest


def test_too_little_lung_is_refused() -> None:
    bubble = np.zeros(CHEST.scan.shape, np.uint8)
    bubble[30:33, 40:46, 24:30] = RIGHT
    with pytest.raises(NotAnalyzableError, match="chest is needed; what looks like lung") as error:
        found(CHEST.scan, bubble)
    assert error.value.verdicts[0].check == "body_region"
    assert error.value.verdicts[0].status is Status.REFUSED


def test_gas_without_tissue_is_refused() -> None:
    hu = np.where(CHEST.lungs > 0, -995, CHEST.scan.hu())
    with pytest.raises(NotAnalyzableError, match="gas of -995 HU without tissue"):
        found(Scan.from_array(hu, SMALL.spacing_mm), CHEST.lungs)


def test_emphysema_is_no_gas() -> None:
    hu = np.where(CHEST.lungs > 0, -945, CHEST.scan.hu())
    assert "body_region" not in found(Scan.from_array(hu, SMALL.spacing_mm), CHEST.lungs)


@pytest.mark.parametrize(("region", "said"), [("HEAD", True), ("CHEST", False), (None, False)])
def test_another_body_part_in_the_header_is_a_note(region: str | None, said: bool) -> None:
    scan = replace(CHEST.scan, acquisition=Acquisition(body_part=region))
    assert ("body_region" in found(scan, CHEST.lungs)) is said


# Pictures


def test_pictures_are_not_judged_by_density_or_size() -> None:
    grey = np.clip((CHEST.scan.hu() + 1000) / 6, 0, 255)[30:31]
    scan = Scan.from_array(grey, intensity=Intensity.DISPLAY)
    one = np.where(CHEST.lungs[30:31] > 0, RIGHT, 0)
    assert found(scan, one, sides_known=False) == {}


def test_no_ml_where_the_scale_is_unknown() -> None:
    scan = Scan.from_array(CHEST.scan.hu())
    verdicts = found(scan, CHEST.lungs)
    assert "slice_thickness" not in verdicts
    cut = found(Scan.from_array(CHEST.scan.hu()[20:]), CHEST.lungs[20:])["coverage"]
    assert "cm²" not in cut.found
