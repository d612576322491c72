"""Severity scores: limits, intervals, what stands in for lobes, what is null."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.results import (
    LOBES,
    Burden,
    Estimate,
    InfectionMask,
    LobeMask,
    LungMask,
    RegionBurden,
    Severity,
)
from groundglass.scoring.severity import (
    CTSS_LIMITS,
    HEIGHTS,
    QUARTERS,
    ct_grade,
    grade_points,
    score_severity,
)

SHAPE = (18, 30, 20)
GRID = Geometry.from_spacing(SHAPE, (5.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("percent", "ctss", "quarter"),
    [
        (0.0, 0, 0),
        (0.49, 0, 0),
        (0.5, 1, 1),
        (5.0, 1, 1),
        (5.1, 2, 1),
        (25.0, 2, 1),
        (25.1, 3, 2),
        (50.0, 3, 2),
        (50.1, 4, 3),
        (75.1, 5, 4),
        (100.0, 5, 4),
    ],
)
def test_limits(percent: float, ctss: int, quarter: int) -> None:
    assert grade_points(percent, CTSS_LIMITS) == ctss
    assert grade_points(percent, QUARTERS) == quarter


def test_grade_has_an_interval_and_a_rule() -> None:
    grade = ct_grade(Estimate(26.0, 24.0, 80.0))
    assert (grade.value, grade.low, grade.high) == (2, 1, 4)
    assert grade.rule.startswith("CT grade by infected percent")
    unknown = ct_grade(Estimate.unknown("no lung"))
    assert (unknown.value, unknown.low, unknown.reason) == (None, None, "no lung")


def region(name: str, percent: Estimate) -> RegionBurden:
    """Return a region with a percent alone."""
    return RegionBurden(name, Estimate(1.0), Estimate(1.0), percent, None, None, None)


def scored(
    extent: np.ndarray,
    lungs: np.ndarray,
    burden: Burden,
    lobes: np.ndarray | None = None,
    *,
    sides_known: bool = True,
    geometry: Geometry = GRID,
) -> Severity:
    """Return the scores of plain masks."""
    labels = np.where(extent >= 2, 1, 0).astype(np.uint8)
    return score_severity(
        burden,
        LungMask(lungs, geometry, "test", sides_known),
        InfectionMask(labels, extent, geometry, "test"),
        None if lobes is None else LobeMask(lobes, geometry, "test"),
    )


def lungs_of(slices: int = 18) -> np.ndarray:
    """Return right and left lung over all slices."""
    lungs = np.zeros((slices, *SHAPE[1:]), dtype=np.uint8)
    lungs[:, 5:25, 1:9] = 1
    lungs[:, 5:25, 11:19] = 2
    return lungs


TOTAL = {"total": region("total", Estimate(10.0, 5.0, 30.0))}


def test_lobes_are_used_where_given() -> None:
    percents = (Estimate(0.0, 0.0, 1.0), Estimate(5.0), Estimate(30.0, 25.0, 30.0), Estimate(80.0))
    regions = {name: region(name, p) for name, p in zip(LOBES, percents, strict=False)}
    regions[LOBES[4]] = region(LOBES[4], Estimate.unknown("no lung in this region"))
    nothing = np.zeros(SHAPE, dtype=np.uint8)
    found = scored(nothing, lungs_of(), Burden({**TOTAL, **regions}, ()), nothing)
    assert found.ctss25.value == 0 + 1 + 3 + 5
    assert found.tss20.value == 0 + 1 + 2 + 4
    assert set(found.ctss25.points) == set(LOBES[:4])
    assert "five lobes" in found.ctss25.rule
    empty = {name: region(name, Estimate.unknown("none")) for name in LOBES}
    unknown = scored(nothing, lungs_of(), Burden({**TOTAL, **empty}, ()), nothing)
    assert unknown.ctss25.value is None
    assert unknown.tss20.reason == "no region holds lung"


def test_bands_and_heights_stand_in_without_lobes() -> None:
    lungs = lungs_of()
    extent = np.zeros(SHAPE, dtype=np.uint8)
    extent[12:, :, :10] = 3  # the lower third of the right lung, wholly
    extent[:9, :, 10:] = 1  # the upper half of the left, at the loose limit only
    found = scored(extent, lungs, Burden(TOTAL, ()))
    assert found.tss20.points == dict(zip(HEIGHTS, (0, 0, 4, 0, 0), strict=True))
    assert (found.tss20.low, found.tss20.value, found.tss20.high) == (4, 4, 8)
    assert "approximate" in found.tss20.rule
    # Slices 6 to 12 count in the published rule: one of seven is wholly ill, 5 / 7 points round to
    # 1.
    assert found.ctss25.points["right_front"] == 1
    assert found.ctss25.value == 3
    assert found.ctss25.low == 3
    assert found.ctss25.high is not None
    assert found.ctss25.high > 3
    assert "not by lobes" in found.ctss25.rule
    assert found.ct_grade.value == 1


def test_a_picture_has_a_grade_but_no_sums() -> None:
    lungs = lungs_of()
    found = scored(np.zeros(SHAPE, dtype=np.uint8), lungs, Burden(TOTAL, ()), sides_known=False)
    assert found.ctss25.value is None
    assert found.tss20.value is None
    assert found.ctss25.reason is not None
    assert "right from left" in found.ctss25.reason
    assert found.ct_grade.value == 1


def test_too_few_slices_give_null_with_a_reason() -> None:
    for slices, reason in ((2, "fewer than three slices"), (8, "no slice with enough lung")):
        geometry = Geometry.from_spacing((slices, *SHAPE[1:]), (5.0, 2.0, 2.0))
        nothing = np.zeros(geometry.shape, dtype=np.uint8)
        found = scored(nothing, lungs_of(slices), Burden(TOTAL, ()), geometry=geometry)
        assert found.ctss25.value is None
        assert found.ctss25.reason is not None
        assert reason in found.ctss25.reason


def test_one_lung_alone_is_scored_by_height() -> None:
    lungs = lungs_of()
    lungs[lungs == 2] = 0
    found = scored(np.where(lungs > 0, 3, 0).astype(np.uint8), lungs, Burden(TOTAL, ()))
    assert found.tss20.value == 12
    assert set(found.tss20.points) == set(HEIGHTS[:3])
