"""The phantom is what its truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import CONSOLIDATION, GROUND_GLASS, LEFT, RIGHT
from groundglass.phantom import Chest, Ellipsoid, Lung
from tests.phantoms import FINE, SMALL, phantom


def ml(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    assert geometry.slice_volumes_mm3 is not None
    return float(np.count_nonzero(mask, axis=(1, 2)) @ geometry.slice_volumes_mm3) / 1000


def filled_ml(lung: Lung, step_mm: float = 1.5) -> float:
    """Return the volume of a lung by counting points inside its ellipsoid and outside its dome."""
    reach = np.array(lung.body.radii_mm) * 1.1
    axes = [np.arange(-half, half, step_mm) for half in reach]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) + lung.body.centre_mm

    def inside(solid: Ellipsoid) -> NDArray[np.bool_]:
        scaled = (grid - solid.centre_mm) / np.array(solid.radii_mm)
        return np.asarray((scaled**2).sum(axis=-1) <= 1)

    return float(np.count_nonzero(inside(lung.body) & ~inside(lung.dome))) * step_mm**3 / 1000


@pytest.mark.parametrize("dome", [(0.75, 1.2), (0.6, 1.1), (0.9, 1.5)])
def test_the_volume_of_a_lung_above_its_diaphragm(dome: tuple[float, float]) -> None:
    lung = Lung(Ellipsoid((70.0, 5.0, -10.0), (50.0, 80.0, 130.0)), *dome)
    assert lung.volume_ml == pytest.approx(filled_ml(lung), rel=0.002)


@pytest.mark.parametrize("chest", [SMALL, FINE], ids=["small", "fine"])
def test_voxels_add_up_to_the_closed_form(chest: Chest) -> None:
    drawn = phantom(chest)
    grid = drawn.scan.geometry
    assert ml(drawn.lungs == RIGHT, grid) == pytest.approx(drawn.truth["right_ml"], rel=0.005)
    assert ml(drawn.lungs == LEFT, grid) == pytest.approx(drawn.truth["left_ml"], rel=0.005)
    for label, name in ((GROUND_GLASS, "ground_glass_ml"), (CONSOLIDATION, "consolidation_ml")):
        assert ml(drawn.infection == label, grid) == pytest.approx(drawn.truth[name], rel=0.03)


def test_lesions_lie_inside_the_lungs_and_show_their_density() -> None:
    drawn = phantom(replace(FINE, noise_hu=0.0))
    assert (drawn.lungs[drawn.infection > 0] > 0).all()
    hu = drawn.scan.hu()
    assert np.median(hu[drawn.infection == GROUND_GLASS]) == pytest.approx(-520, abs=5)
    assert np.median(hu[drawn.infection == CONSOLIDATION]) == pytest.approx(30, abs=5)
    assert np.median(hu[(drawn.lungs > 0) & (drawn.infection == 0)]) == pytest.approx(-860, abs=5)


def test_the_right_lung_lies_at_small_columns_and_the_larger_one_is_right() -> None:
    drawn = phantom()
    columns = np.arange(drawn.lungs.shape[2])
    middle = {side: (drawn.lungs == side).sum(axis=(0, 1)) @ columns for side in (RIGHT, LEFT)}
    count = {side: np.count_nonzero(drawn.lungs == side) for side in (RIGHT, LEFT)}
    assert middle[RIGHT] / count[RIGHT] < middle[LEFT] / count[LEFT]
    assert drawn.truth["right_ml"] > drawn.truth["left_ml"]


def test_a_healthy_chest_has_no_lesion() -> None:
    drawn = phantom(healthy=True)
    assert not drawn.infection.any()
    assert drawn.truth["infected_percent"] == 0


def test_missing_slices_leave_the_volume_nearly_as_it_was() -> None:
    kept = [index for index in range(SMALL.shape[0]) if index not in (30, 31, 45)]
    drawn = phantom(keep=kept)
    assert not drawn.scan.geometry.is_even
    measured = ml(drawn.lungs > 0, drawn.scan.geometry)
    assert measured == pytest.approx(drawn.truth["lungs_ml"], rel=0.01)


def test_a_tilted_chest_shrinks_by_the_cosine() -> None:
    drawn = phantom(tilt_degrees=20)
    assert drawn.scan.geometry.drift == pytest.approx(np.tan(np.deg2rad(20)), rel=1e-6)
    measured = ml(drawn.lungs > 0, drawn.scan.geometry)
    assert measured == pytest.approx(drawn.truth["lungs_ml"], rel=0.005)
    assert drawn.truth["lungs_ml"] < phantom().truth["lungs_ml"]


def test_the_same_seed_draws_the_same_chest() -> None:
    assert np.array_equal(phantom(seed=3).scan.voxels, phantom(seed=3).scan.voxels)
    assert not np.array_equal(phantom(seed=3).scan.voxels, phantom(seed=4).scan.voxels)
