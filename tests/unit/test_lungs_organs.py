"""Organs beside consolidation: told by their density and by what they lie against."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.imaging.morphology import contact
from groundglass.imaging.resample import working_grid
from groundglass.lungs.config import LungConfig
from groundglass.lungs.organs import find_organs

SHAPE, MM = (60, 50, 50), 2.0
GRID = working_grid(SHAPE, (MM, MM, MM), MM)
LUNG, CONSOLIDATION, ORGAN = slice(0, 20), slice(20, 34), slice(34, 56)
Mask = NDArray[np.bool_]


def pile(organ_hu: float, noise_hu: float = 15.0) -> tuple[NDArray[np.int16], Mask, Mask]:
    """Return densities, dense tissue and lung: lung above consolidation above an organ."""
    generator = np.random.default_rng(0)
    hu = np.full(SHAPE, -850.0)
    hu[CONSOLIDATION], hu[ORGAN] = 35.0, organ_hu
    lung, dense = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    lung[LUNG, 5:45, 5:45] = True
    dense[CONSOLIDATION.start : ORGAN.stop, 5:45, 5:45] = True
    return np.rint(hu + noise_hu * generator.standard_normal(SHAPE)).astype(np.int16), dense, lung


@pytest.mark.parametrize("organ_hu", [57.0, 75.0, 150.0])
def test_the_liver_below_a_consolidated_base_is_told_apart(organ_hu: float) -> None:
    hu, dense, lung = pile(organ_hu)
    found = find_organs(hu, dense, lung, GRID, LungConfig())
    assert not (found & ~dense).any()
    assert found[ORGAN][dense[ORGAN]].mean() > 0.97
    assert found[CONSOLIDATION][dense[CONSOLIDATION]].mean() < 0.05


@pytest.mark.parametrize("organ_hu", [35.0, 40.0])
def test_what_is_as_dense_as_the_consolidation_is_not(organ_hu: float) -> None:
    hu, dense, lung = pile(organ_hu)
    assert not find_organs(hu, dense, lung, GRID, LungConfig()).any()


def test_a_denser_consolidation_against_lung_stays() -> None:
    hu, dense, lung = pile(60.0)
    lung[ORGAN.stop :] = True
    lung[CONSOLIDATION.start :, :5] = True
    assert not find_organs(hu, dense, lung, GRID, LungConfig()).any()


def test_consolidation_beside_fat_is_no_organ() -> None:
    hu, dense, lung = pile(40.0)
    hu[CONSOLIDATION] = -20
    assert not find_organs(hu, dense, lung, GRID, LungConfig()).any()


def test_a_small_dense_part_is_no_organ() -> None:
    hu, dense, lung = pile(35.0)
    hu[40:50, 20:30, 20:30] = 80
    assert not find_organs(hu, dense, lung, GRID, LungConfig()).any()


def test_nothing_dense_holds_no_organ() -> None:
    hu, dense, lung = pile(57.0)
    assert not find_organs(hu, dense & False, lung, GRID, LungConfig()).any()


def test_contact_is_the_share_of_the_surface() -> None:
    one, other = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    assert contact(one, other) == 0.0
    one[3:6, 3:6, 3:6] = True
    assert contact(one, other) == 0.0
    other[6:] = True
    assert contact(one, other) == pytest.approx(1 / 6)
