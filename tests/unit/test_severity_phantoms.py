"""Scores of every phantom against those of its closed form: caps, lesions, whole lungs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from groundglass.core.results import InfectionMask, LobeMask, LungMask, Severity
from groundglass.core.scan import Scan
from groundglass.phantom import Chest, Ellipsoid, true_labels
from groundglass.scoring.burden import measure_burden
from groundglass.scoring.severity import CTSS_LIMITS, QUARTERS, grade_points, score_severity
from groundglass.systems.area_selection import select_by_area
from groundglass.systems.covid_ctset.selection import select_slices
from tests.lobed import CHEST, LEFT_OBLIQUE, LUNG_L, LUNG_R, RIGHT_OBLIQUE, lobed
from tests.phantoms import FINE, SMALL, phantom
from tests.unit.test_followup import EARLY, LATE

CASES = {
    "small": SMALL,
    "fine": FINE,
    "usual": Chest(),
    "early": EARLY,
    "late": LATE,
    "healthy": replace(SMALL, ground_glass=(), consolidation=()),
}


def scored(
    scan: Scan, lungs: np.ndarray, ill: np.ndarray, lobes: np.ndarray | None = None
) -> tuple[Severity, float]:
    """Return the scores of masks as drawn, and the infected percent."""
    grid = scan.geometry
    mask = LungMask(lungs, grid, "true")
    infection = InfectionMask(ill, (ill > 0) * np.uint8(2), grid, "true")
    parts = None if lobes is None else LobeMask(lobes, grid, "true")
    rules = select_by_area(mask), select_slices(scan)
    burden = measure_burden(scan, mask, infection, parts, *rules)
    percent = burden.regions["total"].percent.value
    assert percent is not None
    return score_severity(burden, mask, infection, parts), percent


@pytest.mark.parametrize("chest", CASES.values(), ids=CASES)
def test_grade_is_that_of_the_true_percent(chest: Chest) -> None:
    drawn = phantom(chest)
    found, percent = scored(drawn.scan, drawn.lungs, drawn.infection)
    truth = drawn.truth["infected_percent"]
    assert percent == pytest.approx(truth, rel=0.03)
    assert found.ct_grade.value == grade_points(truth, QUARTERS)
    if not truth:
        scores = (found.ctss25, found.tss20, found.ct_grade, found.ctss25_published)
        assert [score.value for score in scores] == [0, 0, 0, 0]


@cache
def cut_chest() -> tuple[Scan, np.ndarray, np.ndarray]:
    return lobed(fissures=False)


def inner(solid: Ellipsoid, scale: float) -> Ellipsoid:
    x, y, z = solid.radii_mm
    return replace(solid, radii_mm=(x * scale, y * scale, z * scale))


def lobe_percents(scale: float) -> dict[str, float]:
    """Return the closed form of lobes that lie on one side of one plane."""
    found = {}
    for plane, lung, names in (
        (LEFT_OBLIQUE, LUNG_L.body, ("left_upper", "left_lower")),
        (RIGHT_OBLIQUE, LUNG_R.body, (None, "right_lower")),
    ):
        ill, share = inner(lung, scale), plane.share_above(lung)
        above = plane.share_above(ill)
        for name, lobe, part in zip(names, (share, 1 - share), (above, 1 - above), strict=True):
            if name is not None:
                found[name] = 100 * part * ill.volume_ml / (lobe * lung.volume_ml)
    return found


SCALES = (0.25, 0.5, 0.72, 0.85, 0.97)


@pytest.mark.parametrize("scale", SCALES)
def test_points_are_those_of_an_inner_chest_cut_by_the_same_fissures(scale: float) -> None:
    """Infection is an ellipsoid inside each lung, so what of it is in a lobe is a cap as well."""
    lesions = tuple(inner(lung.body, scale) for lung in (LUNG_R, LUNG_L))
    scan, lungs, lobes = cut_chest()
    ill = true_labels(replace(CHEST, ground_glass=lesions))[1]
    found, percent = scored(scan, lungs, ill, lobes)
    assert percent == pytest.approx(100 * scale**3, rel=0.02)
    truth = lobe_percents(scale)
    for name, wanted in truth.items():
        assert found.ctss25.points[name] == grade_points(wanted, CTSS_LIMITS), (name, wanted)
        assert found.tss20.points[name] == grade_points(wanted, QUARTERS), (name, wanted)
    assert found.ct_grade.value == grade_points(100 * scale**3, QUARTERS)
    assert found.ctss25.value == sum(found.ctss25.points.values())
    assert len(found.ctss25.points) == 5
    if scale == SCALES[-1]:
        assert (found.ctss25.value, found.tss20.value, found.ct_grade.value) == (25, 20, 4)


def test_inner_chests_reach_every_number_of_points() -> None:
    """The cases above would mean little if all gave the same points."""
    reached = {grade_points(p, CTSS_LIMITS) for s in SCALES for p in lobe_percents(s).values()}
    assert reached == {1, 2, 3, 4, 5}
    rising = [sum(lobe_percents(scale).values()) for scale in SCALES]
    assert all(low < high for low, high in pairwise(rising))
