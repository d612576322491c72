"""Pictures for the classifier: windows, bands, outline, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.errors import GridMismatchError
from groundglass.systems.identification_severity.pictures import (
    OUTLINE_VALUE,
    ClassificationConfig,
    classification_pictures,
    lung_outline,
    window_of,
)

SIZE = 96
ONE = ClassificationConfig(short_reach=0)


def chest(slices: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and lungs: a ground-glass disk with a normal core, a dense dot, in each slice."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    lungs = np.zeros((slices, SIZE, SIZE), np.uint8)
    for label, middle in ((1, 28), (2, 68)):
        lungs[:, ((y - 48) / 34) ** 2 + ((x - middle) / 16) ** 2 < 1] = label
    hu = np.where(lungs > 0, -850.0, 40.0)
    away = np.hypot(y - 50, x - 68)
    hu[:, (away < 9) & (away > 3)] = -450
    hu[:, 30:33, 26:29] = 80
    hu += generator.normal(0, 20, hu.shape)
    return np.rint(hu).astype(np.int16), lungs


def test_windows_round_the_middle_as_in_training() -> None:
    # 1-based: 100 slices, middle 50, 10 to 90; 60 slices, middle 30, 10 to 50.
    assert window_of(100) == range(9, 90)
    assert window_of(60) == range(9, 50)
    assert window_of(80) == range(19, 60)
    assert window_of(81) == range(80)
    assert window_of(12) == range(12)
    assert len(window_of(1)) == 1


def test_picture_keeps_dense_lung_and_blackens_the_rest() -> None:
    hu, lungs = chest()
    found = classification_pictures(hu, lungs, ONE)
    assert found.index.tolist() == [0]
    one = found.values[0]
    assert (one.min(), one.max()) == (0, 255)
    assert one[48, 28] == 0
    assert one[50, 68 + 6] > 0
    assert one[2, 2] == 0
    assert not found.pooled.any()


def test_holes_and_outline_can_be_left_out_for_the_ablation() -> None:
    hu, lungs = chest()
    names = {}
    for fill in (True, False):
        for line in (True, False):
            config = ClassificationConfig(fill_holes=fill, outline=line, short_reach=0)
            names[config.name] = classification_pictures(hu, lungs, config).values[0]
    assert set(names) == {"GMM", "GMM+MO", "GMM+B", "GMM+MO+B"}
    assert names["GMM"][50, 68] == 0
    assert names["GMM+MO"][50, 68] > 0
    border = lung_outline(lungs[0] > 0)
    assert (names["GMM+B"][border] > 0).all()
    assert (names["GMM"][border] > 0).mean() < 0.2


def test_outline_is_closed_thin_and_on_the_border() -> None:
    lung = chest()[1][0] > 0
    line = lung_outline(lung)
    from scipy import ndimage

    border = ndimage.binary_dilation(lung, iterations=2) & ~ndimage.binary_erosion(
        lung, iterations=2
    )
    assert not (line & ~border).any()
    filled = ndimage.binary_fill_holes(line)
    assert (filled & lung).sum() > 0.98 * lung.sum()
    assert line.sum() < 3 * (lung & ~ndimage.binary_erosion(lung)).sum()


def test_outline_adds_to_what_lies_under_it() -> None:
    hu, lungs = chest()
    hu[:, 40:60, 78:86] = np.where(lungs[:, 40:60, 78:86] > 0, -100, hu[:, 40:60, 78:86])
    one = classification_pictures(hu, lungs, ONE).values[0]
    line = lung_outline(lungs[0] > 0)
    bare = classification_pictures(hu, lungs, ClassificationConfig(outline=False, short_reach=0))
    both = line & (bare.values[0] > 0)
    assert both.any()
    assert one[both].max() == 255
    assert one[line & ~both].max() < 255
    assert OUTLINE_VALUE == 950


def test_slices_without_soft_tissue_in_the_lung_are_left_out() -> None:
    hu, lungs = chest(5)
    hu[1] = np.minimum(hu[1], -10)
    lungs[3] = 0
    found = classification_pictures(hu, lungs)
    assert found.index.tolist() == [0, 2, 4]


def test_left_counts_as_right_and_a_failed_mixture_takes_the_volumes() -> None:
    hu, lungs = chest()
    np.testing.assert_array_equal(
        classification_pictures(hu, lungs).values,
        classification_pictures(hu, (lungs > 0).astype(np.uint8)).values,
    )
    inside = lungs[1] > 0
    hu[1][inside] = -850
    hu[1, 30:33, 26:29] = 80
    found = classification_pictures(hu, lungs)
    assert found.pooled.tolist() == [False, True, False]
    hu[:] = np.where(lungs > 0, 80, 40)
    assert classification_pictures(hu, lungs).values.shape == (0, SIZE, SIZE)


def test_other_shapes_are_refused() -> None:
    hu, lungs = chest()
    with pytest.raises(GridMismatchError, match="need lungs of the same"):
        classification_pictures(hu, lungs[1:])
