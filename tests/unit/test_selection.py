"""Choosing slices: by lung area, and as COVID-CTset does."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.systems.area_selection import AreaSelectionConfig, select_by_area
from groundglass.systems.covid_ctset.selection import count_dark, keep_open, select_slices


@pytest.mark.parametrize(
    ("counts", "threshold", "kept"),
    [
        ((30, 500, 1980, 1981, 3000), 1980, (3, 4)),
        ((7, 7, 7), 0, (0, 1, 2)),
        ((0, 0, 0), 0, ()),
        ((12,), 0, (0,)),
    ],
)
def test_published_rule(counts: tuple[int, ...], threshold: float, kept: tuple[int, ...]) -> None:
    found, open_ = keep_open(np.array(counts))
    assert found == pytest.approx(threshold)
    assert tuple(np.flatnonzero(open_)) == kept


def test_region_lies_across_not_along() -> None:
    stored = np.full((1, 512, 512), 1000, dtype=np.uint16)
    stored[0, 240:340, 120:370] = 299
    assert count_dark(stored).tolist() == [25000]
    assert count_dark(stored.transpose(0, 2, 1)).tolist() == [10000]
    assert count_dark(np.full((1, 512, 512), 300)).tolist() == [0]


def test_other_sizes_use_the_same_share() -> None:
    dark = np.zeros((1, 256, 256), dtype=np.uint16)
    assert count_dark(dark).tolist() == [50 * 125]


def test_scan_is_judged_in_hu() -> None:
    hu = np.full((3, 512, 512), 40, dtype=np.int16)
    hu[1, 250:300, 150:350] = -725
    hu[2, 250:300, 150:350] = -724
    found = select_slices(Scan.from_array(hu, (1.0, 1.0, 1.0)))
    assert found.kept.tolist() == [False, True, False]
    assert found.values.tolist() == [0, 10000, 0]
    assert found.threshold == pytest.approx(10000 / 1.5)
    assert "-724 HU" in found.rule


def test_pictures_are_not_judged() -> None:
    picture = Scan.from_array(np.zeros((2, 20, 20)), intensity=Intensity.DISPLAY)
    found = select_slices(picture)
    assert found.threshold is None
    assert not found.kept.any()


def lungs(areas: tuple[int, ...], *, known: bool = True) -> LungMask:
    """Return a mask with so many pixels in each slice."""
    labels = np.zeros((len(areas), 10, 10), dtype=np.uint8)
    for index, area in enumerate(areas):
        labels[index].ravel()[:area] = 1
    grid = Geometry.from_spacing(labels.shape, (1.0, 2.0, 1.0), spacing_known=known)
    return LungMask(labels, grid, "test")


def test_slices_of_enough_area_are_kept() -> None:
    found = select_by_area(lungs((0, 29, 30, 100, 5)))
    assert found.kept.tolist() == [False, False, True, True, False]
    assert found.values.tolist() == [0, 58, 60, 200, 10]
    assert found.threshold == pytest.approx(60)
    assert "mm²" in found.rule
    half = select_by_area(lungs((40, 100)), AreaSelectionConfig(least_share=0.5))
    assert half.kept.tolist() == [False, True]


def test_without_spacing_areas_are_pixels_and_without_lung_nothing_is_kept() -> None:
    assert "pixels" in select_by_area(lungs((3, 10), known=False)).rule
    assert not select_by_area(lungs((0, 0))).kept.any()
