"""Burden: volumes from real gaps, shares, intervals, zones, what cannot be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.results import (
    LOBES,
    Burden,
    InfectionMask,
    LobeMask,
    LungMask,
    SliceSelection,
)
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError
from groundglass.scoring.burden import measure_burden, zone_of_slices
from groundglass.scoring.counts import count_voxels, floored_percent

SHAPE = (6, 10, 20)
GRID = Geometry.from_spacing(SHAPE, (5.0, 2.0, 1.0))


def selection(slices: int, threshold: float | None = 1.0) -> SliceSelection:
    """Return a choice that keeps the first slice."""
    return SliceSelection("test", np.arange(slices) == 0, np.zeros(slices), threshold, "test")


def lungs_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Return right lung at columns 0 to 7 and left at 10 to 17, all rows."""
    lungs = np.zeros(shape, dtype=np.uint8)
    lungs[:, :, :8] = 1
    lungs[:, :, 10:18] = 2
    return lungs


def measured(  # noqa: PLR0917
    extent: np.ndarray,
    labels: np.ndarray | None = None,
    geometry: Geometry = GRID,
    lungs: np.ndarray | None = None,
    lobes: np.ndarray | None = None,
    intensity: Intensity = Intensity.HU,
    *,
    sides_known: bool = True,
) -> Burden:
    """Return the burden of an extent on a scan of -800 HU."""
    voxels = np.full(geometry.shape, -800 if intensity is Intensity.HU else 50, dtype=np.int16)
    scan = Scan(voxels, geometry, intensity)
    labels = np.where(extent >= 2, 1, 0) if labels is None else labels
    mask = LungMask(
        lungs_of(geometry.shape) if lungs is None else lungs, geometry, "test", sides_known
    )
    infection = InfectionMask(labels.astype(np.uint8), extent, geometry, "test")
    lobe_mask = None if lobes is None else LobeMask(lobes, geometry, "test")
    count = geometry.shape[0]
    return measure_burden(
        scan, mask, infection, lobe_mask, selection(count), selection(count, None)
    )


def test_ml_percent_and_density_by_hand() -> None:
    extent = np.zeros(SHAPE, dtype=np.uint8)
    extent[1, :, :4] = 2
    found = measured(extent).regions
    assert found["total"].lung_ml.value == pytest.approx(6 * 10 * 16 * 10 / 1000)
    assert found["total"].infected_ml.value == pytest.approx(40 * 10 / 1000)
    assert found["total"].percent.value == pytest.approx(100 * 40 / 960)
    assert found["right"].percent.value == pytest.approx(100 * 40 / 480)
    assert found["left"].percent.value == 0
    assert found["total"].mean_hu == -800
    assert found["upper"].percent.value == pytest.approx(100 * 40 / 320)
    assert found["lower"].percent.value == 0


def test_interval_comes_from_the_extent() -> None:
    extent = np.zeros(SHAPE, dtype=np.uint8)
    extent[0, :3, 0], extent[0, 3:5, 0], extent[0, 5, 0] = 1, 2, 3
    percent = measured(extent).regions["total"].percent
    assert (percent.low, percent.value, percent.high) == pytest.approx(
        (100 / 960, 300 / 960, 600 / 960)
    )


def test_ground_glass_and_consolidation_add_up() -> None:
    extent = np.zeros(SHAPE, dtype=np.uint8)
    extent[0, :, :2] = 2
    labels = np.where(extent > 0, 1, 0)
    labels[0, :, 0] = 2
    total = measured(extent, labels).regions["total"]
    assert total.percent.value is not None
    assert total.ground_glass_percent == pytest.approx(total.percent.value / 2)
    assert total.consolidation_percent == pytest.approx(total.percent.value / 2)


def test_infection_outside_the_lungs_is_not_counted() -> None:
    extent = np.full(SHAPE, 3, dtype=np.uint8)
    assert measured(extent).regions["total"].percent.value == 100


def test_uneven_slices_weigh_by_their_gaps() -> None:
    origins = np.zeros((3, 3))
    origins[:, 2] = [0, -2, -12]
    geometry = replace(Geometry.from_spacing((3, 10, 20), (2.0, 1.0, 1.0)), origins_mm=origins)
    extent = np.zeros((3, 10, 20), dtype=np.uint8)
    extent[2] = 3
    found = measured(extent, geometry=geometry).regions["total"]
    assert found.lung_ml.value == pytest.approx(160 * (2 + 6 + 10) / 1000)
    assert found.percent.value == pytest.approx(100 * 10 / 18)


def test_a_picture_has_percent_but_no_ml_sides_or_zones() -> None:
    geometry = Geometry.from_spacing((1, 10, 20), (1.0, 1.0, 1.0), spacing_known=False)
    extent = np.zeros((1, 10, 20), dtype=np.uint8)
    extent[0, :, :4] = 2
    found = measured(extent, geometry=geometry, intensity=Intensity.DISPLAY, sides_known=False)
    total = found.regions["total"]
    assert total.percent.value == 25
    assert total.lung_ml.value is None
    assert total.lung_ml.reason is not None
    assert "size of a pixel" in total.lung_ml.reason
    assert total.mean_hu is None
    for name in ("right", "left", "upper", "middle", "lower"):
        assert found.regions[name].percent.value is None
        assert found.regions[name].percent.reason
    assert found.slices[0].position_mm is None
    assert found.slices[0].lung_area_mm2 is None
    assert found.slices[0].infected_percent == 25


def test_a_missing_lung_is_null_with_a_reason() -> None:
    lungs = lungs_of()
    lungs[lungs == 2] = 0
    found = measured(np.zeros(SHAPE, dtype=np.uint8), lungs=lungs).regions
    assert found["left"].percent.value is None
    assert found["left"].percent.reason == "no lung in this region"
    assert found["right"].percent.value == 0


def test_slices_without_lung_are_null_and_slivers_are_floored() -> None:
    lungs = lungs_of()
    lungs[0] = 0
    lungs[1] = 0
    lungs[1, 0, :4] = 1
    extent = np.where(lungs > 0, 2, 0).astype(np.uint8)
    slices = measured(extent, lungs=lungs).slices
    assert slices[0].infected_percent is None
    assert slices[0].infected_percent_plain is None
    assert slices[1].infected_percent_plain == 100
    assert slices[1].infected_percent == pytest.approx(100 * 4 / (0.3 * 160))
    assert slices[2].infected_percent == 100
    assert slices[2].lung_area_mm2 == 160 * 2
    assert [s.position_mm for s in slices[:2]] == [0, -5]
    assert slices[0].selected
    assert not slices[1].selected
    assert slices[0].selected_ctset is None


def test_lobes_are_measured_where_given() -> None:
    lobes = np.zeros(SHAPE, dtype=np.uint8)
    lobes[:3, :, 10:18], lobes[3:, :, 10:18] = 1, 2
    lobes[:2, :, :8], lobes[2:4, :, :8], lobes[4:, :, :8] = 3, 4, 5
    extent = np.where(lobes == 4, 2, 0).astype(np.uint8)
    found = measured(extent, lobes=lobes).regions
    assert [found[name].percent.value for name in LOBES] == [0, 0, 0, 100, 0]


def test_masks_of_another_grid_are_refused() -> None:
    scan = Scan.from_array(np.full((2, 4, 4), -800), (1.0, 1.0, 1.0))
    other = Geometry.from_spacing((3, 4, 4), (1.0, 1.0, 1.0))
    nothing = np.zeros((3, 4, 4), dtype=np.uint8)
    lungs, ill = LungMask(nothing, other, "t"), InfectionMask(nothing, nothing, other, "t")
    with pytest.raises(GridMismatchError, match="does not fit the scan"):
        measure_burden(scan, lungs, ill, None, selection(2), selection(2))


def test_zones_are_thirds_of_the_height_not_of_the_slices() -> None:
    even = zone_of_slices(np.ones(9), -2.0 * np.arange(9))
    assert even is not None
    assert even.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    lung = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    outer = zone_of_slices(lung, np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert outer is not None
    assert outer.tolist() == [-1, 0, 1, 2, -1]
    uneven = zone_of_slices(np.ones(4), np.array([0.0, 1.0, 2.0, 9.0]))
    assert uneven is not None
    assert uneven.tolist() == [0, 0, 0, 2]
    assert zone_of_slices(np.array([0, 1, 1]), np.arange(3.0)) is None


def test_floored_percent_of_nothing() -> None:
    assert np.isnan(floored_percent(np.zeros(3), np.zeros(3))).all()


def test_counts_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    shape = (3, 6, 7)
    regions = rng.integers(0, 3, shape).astype(np.uint8)
    extent = rng.integers(0, 4, shape).astype(np.uint8)
    labels = np.where(extent >= 2, rng.integers(1, 3, shape), 0).astype(np.uint8)
    hu = rng.integers(-1000, 100, shape).astype(np.int16)
    found = count_voxels(regions, labels, extent, hu)
    assert found.hu_sum is not None
    for index in range(3):
        for label in (1, 2):
            here = regions[index] == label
            assert found.voxels[index, label] == here.sum()
            assert found.ground_glass[index, label] == (labels[index][here] == 1).sum()
            assert found.consolidation[index, label] == (labels[index][here] == 2).sum()
            assert found.hu_sum[index, label] == hu[index][here].sum()
            for level in (1, 2, 3):
                assert found.infected(level)[index, label] == (extent[index][here] >= level).sum()


def test_display_values_with_a_scale_have_percent_but_no_ml() -> None:
    extent = np.zeros(SHAPE, dtype=np.uint8)
    extent[:, :, :4] = 2
    found = measured(extent, intensity=Intensity.DISPLAY).regions["total"]
    assert found.percent.value is not None
    assert found.lung_ml.value is None
    assert found.infected_ml.value is None
    assert (
        found.lung_ml.reason == "grey values of a picture outline the lungs too loosely for volumes"
    )


def test_one_slice_of_unknown_thickness_says_that_the_thickness_is_missing() -> None:
    geometry = replace(Geometry.from_spacing((1, 10, 20), (1.0, 1.0, 1.0)), slice_width_mm=None)
    found = measured(np.full((1, 10, 20), 2, dtype=np.uint8), geometry=geometry).regions["total"]
    assert found.lung_ml.value is None
    assert found.lung_ml.reason is not None
    assert "thickness" in found.lung_ml.reason
