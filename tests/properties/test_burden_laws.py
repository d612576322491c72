"""Laws of the numbers: within range, unchanged by how a scan lies, growing with disease."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import Burden, InfectionMask, LungMask, SliceSelection
from groundglass.core.scan import Scan
from groundglass.scoring.burden import measure_burden
from groundglass.scoring.severity import score_severity

Labels = NDArray[np.uint8]

SHAPE = (6, 4, 5)
lungs = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 2))
extents = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
kinds = hnp.arrays(np.uint8, SHAPE, elements=st.integers(1, 2))
steps = st.lists(st.floats(0.5, 8.0), min_size=SHAPE[0] - 1, max_size=SHAPE[0] - 1)
EVEN = [2.0] * (SHAPE[0] - 1)


def grid(gaps: list[float]) -> Geometry:
    even = Geometry.from_spacing(SHAPE, (1.0, 0.8, 0.7))
    origins = np.zeros((SHAPE[0], 3))
    origins[1:, 2] = -np.cumsum(gaps)
    return replace(even, origins_mm=origins)


def none_kept() -> SliceSelection:
    return SliceSelection("none", np.zeros(SHAPE[0], bool), np.zeros(SHAPE[0]), 1.0, "nothing")


def burden(lung: Labels, extent: Labels, kind: Labels, geometry: Geometry) -> Burden:
    scan = Scan.from_array(np.full(SHAPE, -800, dtype=np.int16))
    scan = replace(scan, geometry=geometry)
    labels = np.where(extent >= 2, kind, 0).astype(np.uint8)
    return measure_burden(
        scan,
        LungMask(lung, geometry, "test"),
        InfectionMask(labels, extent, geometry, "test"),
        None,
        none_kept(),
        none_kept(),
    )


@given(lungs, extents, kinds, steps)
def test_every_percent_lies_in_range_and_in_its_interval(
    lung: Labels, extent: Labels, kind: Labels, gaps: list[float]
) -> None:
    found = burden(lung, extent, kind, grid(gaps))
    for region in found.regions.values():
        percent = region.percent
        if percent.value is None:
            assert percent.reason
            continue
        assert percent.low is not None
        assert percent.high is not None
        assert 0 <= percent.low <= percent.value <= percent.high <= 100 + 1e-9
        assert region.ground_glass_percent is not None
        assert region.consolidation_percent is not None
        both = region.ground_glass_percent + region.consolidation_percent
        assert both == pytest.approx(percent.value)
    for row in found.slices:
        if row.infected_percent is not None:
            assert 0 <= row.infected_percent <= 100


@given(lungs, extents, kinds, steps)
def test_parts_add_up_to_the_whole(
    lung: Labels, extent: Labels, kind: Labels, gaps: list[float]
) -> None:
    found = burden(lung, extent, kind, grid(gaps)).regions
    assume(found["total"].lung_ml.value is not None)
    for parts in (("right", "left"), ("upper", "middle", "lower")):
        known = [found[name] for name in parts]
        if all(part.lung_ml.reason == known[0].lung_ml.reason is not None for part in known):
            continue
        for pick in ("lung_ml", "infected_ml"):
            amounts = [getattr(part, pick).value or 0.0 for part in known]
            assert sum(amounts) == pytest.approx(getattr(found["total"], pick).value)


@given(lungs, extents, kinds, st.sampled_from([0, 1, 2]))
def test_totals_do_not_depend_on_how_the_array_lies(
    lung: Labels, extent: Labels, kind: Labels, axis: int
) -> None:
    straight = burden(lung, extent, kind, grid(EVEN)).regions["total"]
    lung, extent, kind = (np.flip(array, axis) for array in (lung, extent, kind))
    turned = burden(lung, extent, kind, grid(EVEN)).regions["total"]
    for pick in ("lung_ml", "infected_ml", "percent"):
        one, other = getattr(straight, pick), getattr(turned, pick)
        assert (one.value is None) == (other.value is None)
        if one.value is not None:
            assert (other.value, other.low, other.high) == pytest.approx(
                (one.value, one.low, one.high)
            )


@given(lungs, extents, kinds, steps, st.integers(0, 119))
def test_more_disease_never_lowers_a_number(
    lung: Labels, extent: Labels, kind: Labels, gaps: list[float], where: int
) -> None:
    worse = extent.copy()
    worse.flat[where] = 3
    before = burden(lung, extent, kind, grid(gaps)).regions["total"].percent
    after = burden(lung, worse, kind, grid(gaps)).regions["total"].percent
    assume(before.value is not None)
    assert after.value is not None
    assert before.value is not None
    assert after.value >= before.value - 1e-9


@given(lungs, extents, kinds)
def test_infection_outside_the_lungs_is_not_counted(
    lung: Labels, extent: Labels, kind: Labels
) -> None:
    inside = np.where(lung > 0, extent, 0).astype(np.uint8)
    all_of_it = burden(lung, extent, kind, grid(EVEN)).regions
    lung_only = burden(lung, inside, kind, grid(EVEN)).regions
    assert {n: r.percent for n, r in all_of_it.items()} == {
        n: r.percent for n, r in lung_only.items()
    }


@given(lungs, extents, kinds, st.floats(0.5, 3.0))
def test_volumes_scale_and_percentages_do_not(
    lung: Labels, extent: Labels, kind: Labels, scale: float
) -> None:
    small = burden(lung, extent, kind, grid(EVEN)).regions["total"]
    large = burden(lung, extent, kind, grid([step * scale for step in EVEN])).regions["total"]
    assume(small.lung_ml.value is not None)
    assert small.lung_ml.value is not None
    assert large.lung_ml.value == pytest.approx(small.lung_ml.value * scale)
    assert large.percent.value == pytest.approx(small.percent.value)


@given(lungs, extents, kinds)
def test_scores_lie_in_range_and_in_their_interval(
    lung: Labels, extent: Labels, kind: Labels
) -> None:
    geometry = grid(EVEN)
    labels = np.where(extent >= 2, kind, 0).astype(np.uint8)
    severity = score_severity(
        burden(lung, extent, kind, geometry),
        LungMask(lung, geometry, "test"),
        InfectionMask(labels, extent, geometry, "test"),
        None,
    )
    for score, most in ((severity.ctss25, 25), (severity.tss20, 20), (severity.ct_grade, 4)):
        if score.value is None:
            assert score.reason
            continue
        assert score.low is not None
        assert score.high is not None
        assert 0 <= score.low <= score.value <= score.high <= most
        assert sum(score.points.values()) == score.value or not score.points
