"""Turning a volume so that slices run head to feet, rows front to back, columns right to left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry


def to_canonical(voxels: NDArray[Any], geometry: Geometry) -> tuple[NDArray[Any], Geometry]:
    """Return voxels and grid in the nearest canonical orientation, without resampling.

    Slice 0 is the most cranial, row 0 the most anterior, column 0 at the patient's right. Volumes
    whose slices are not axial are transposed where the grid is regular; an irregular one keeps its
    slices and only they are put in order, since its other axes have no common step.

    Parameters
    ----------
    voxels : ndarray
        Array of shape (slices, rows, columns).
    geometry : Geometry
        Its grid.

    Returns
    -------
    voxels : ndarray
        A view where possible.
    geometry : Geometry
        The grid of the view; every voxel keeps its place in the patient.
    """
    axes = _closest_axes(geometry)
    if axes[0] != 0 and not geometry.is_regular:
        axes = (0, 1, 2)
    voxels, geometry = _transpose(voxels, geometry, axes)
    for axis, (direction, wanted) in enumerate(zip(_directions(geometry), _WANTED, strict=True)):
        if float(direction @ wanted) < 0:
            voxels, geometry = _flip(voxels, geometry, axis)
    return voxels, geometry


_WANTED = (np.array([0, 0, -1.0]), np.array([0, 1.0, 0]), np.array([1.0, 0, 0]))


def _directions(geometry: Geometry) -> tuple[NDArray[np.float64], ...]:
    affine = geometry.affine
    return tuple(affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in range(3))


def _closest_axes(geometry: Geometry) -> tuple[int, int, int]:
    """Return which array axis runs along z, y and x best, as a permutation."""
    if geometry.shape[0] == 1:
        rows_to_y = abs(geometry.row_step_mm[1]) >= abs(geometry.column_step_mm[1])
        return (0, 1, 2) if rows_to_y else (0, 2, 1)
    match = np.abs(np.stack([[d @ w for d in _directions(geometry)] for w in _WANTED]))
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return max(
        orders, key=lambda order: sum(match[world, axis] for world, axis in enumerate(order))
    )


def _transpose(
    voxels: NDArray[Any], geometry: Geometry, axes: tuple[int, int, int]
) -> tuple[NDArray[Any], Geometry]:
    if axes == (0, 1, 2):
        return voxels, geometry
    voxels = voxels.transpose(axes)
    if axes[0] == 0:
        turned = replace(
            geometry,
            shape=(voxels.shape[0], voxels.shape[1], voxels.shape[2]),
            row_step_mm=geometry.column_step_mm,
            column_step_mm=geometry.row_step_mm,
        )
        return voxels, turned
    affine = geometry.affine[:, [*axes, 3]]
    moved = Geometry.from_affine((voxels.shape[0], voxels.shape[1], voxels.shape[2]), affine)
    return voxels, replace(
        moved, spacing_known=geometry.spacing_known, frame_of_reference=geometry.frame_of_reference
    )


def _flip(voxels: NDArray[Any], geometry: Geometry, axis: int) -> tuple[NDArray[Any], Geometry]:
    voxels = np.flip(voxels, axis)
    if axis == 0:
        return voxels, replace(geometry, origins_mm=geometry.origins_mm[::-1])
    step = geometry.row_step_mm if axis == 1 else geometry.column_step_mm
    origins = geometry.origins_mm + step * (geometry.shape[axis] - 1)
    if axis == 1:
        return voxels, replace(geometry, origins_mm=origins, row_step_mm=-step)
    return voxels, replace(geometry, origins_mm=origins, column_step_mm=-step)
