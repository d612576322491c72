"""Turning to canonical orientation where no law of all grids can be told."""

from __future__ import annotations

import numpy as np

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical

IDENTITY = np.eye(3)


def grid(shape: tuple[int, int, int], *axes: list[float]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes).T
    return Geometry.from_affine(shape, affine)


def test_a_canonical_volume_is_not_copied() -> None:
    geometry = Geometry.from_spacing((3, 4, 5), (2.0, 1.0, 1.0))
    voxels = np.zeros(geometry.shape, dtype=np.int16)
    same, kept = to_canonical(voxels, geometry)
    assert same is voxels
    assert kept is geometry


def test_a_single_slice_is_turned_in_its_plane() -> None:
    geometry = grid((1, 4, 5), [0, 0, 1.0], [-1.0, 0, 0], [0, -1.0, 0])
    voxels = np.arange(20).reshape(1, 4, 5)
    flat, turned = to_canonical(voxels, geometry)
    assert turned.shape == (1, 5, 4)
    assert turned.row_step_mm[1] > 0
    assert turned.column_step_mm[0] > 0
    np.testing.assert_array_equal(flat[0], voxels[0].T[::-1, ::-1])


def test_a_coronal_volume_becomes_axial() -> None:
    geometry = grid((3, 4, 5), [0, 2.0, 0], [0, 0, -1.0], [1.0, 0, 0])
    voxels = np.arange(60).reshape(3, 4, 5)
    flat, turned = to_canonical(voxels, geometry)
    np.testing.assert_array_equal(flat, voxels.transpose(1, 0, 2))
    assert turned.spacing_mm == (1.0, 2.0, 1.0)
    assert turned.slice_width_mm == 1.0


def test_an_uneven_coronal_volume_keeps_its_slices() -> None:
    origins = np.zeros((3, 3))
    origins[:, 1] = [0, -2, -7]
    geometry = Geometry((3, 4, 5), origins, np.array([0, 0, -1.0]), np.array([1.0, 0, 0]))
    flat, turned = to_canonical(np.zeros((3, 4, 5)), geometry)
    assert flat.shape == (3, 4, 5)
    np.testing.assert_allclose(turned.steps_mm, geometry.steps_mm)


def test_what_the_grid_knows_survives_a_turn() -> None:
    geometry = Geometry.from_affine(
        (3, 4, 5), np.diag([1.0, -1.0, 3.0, 1.0])[[1, 0, 2, 3]][:, [2, 1, 0, 3]]
    )
    named = Geometry(
        geometry.shape,
        geometry.origins_mm,
        geometry.row_step_mm,
        geometry.column_step_mm,
        geometry.slice_width_mm,
        spacing_known=False,
        frame_of_reference="1.2.3",
    )
    _, turned = to_canonical(np.zeros(named.shape), named)
    assert turned.frame_of_reference == "1.2.3"
    assert not turned.spacing_known
