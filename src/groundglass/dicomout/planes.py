"""Image planes of written objects found again on the scan's grid, by their place in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from groundglass.core.geometry import Geometry

OFF_GRID = 0.05
"""Part of a voxel by which a pixel may miss its voxel: files round positions."""
_PARALLEL = 1e-3
_OFF = "a plane does not lie on the scan's grid"


@dataclass(frozen=True, eq=False)
class Plane:
    """One image plane in the patient."""

    origin_mm: NDArray[np.float64]
    """LPS position of its first pixel."""
    row_step_mm: NDArray[np.float64]
    """From one row to the next."""
    column_step_mm: NDArray[np.float64]
    """From one column to the next."""


@dataclass(frozen=True, eq=False)
class Window:
    """Voxels of a grid that form an image plane."""

    index: tuple[Any, ...]
    """One number and two arrays: along slices, rows and columns of the grid."""
    is_transposed: bool
    """Whether the plane's rows run along a later axis of the grid than its columns."""

    def of(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return the plane's pixels out of an array on the grid."""
        cut = volume[np.ix_(*(np.atleast_1d(part) for part in self.index))]
        across = next(axis for axis, part in enumerate(self.index) if isinstance(part, int))
        flat = np.take(cut, 0, axis=across)
        return np.asarray(flat.swapaxes(0, 1) if self.is_transposed else flat)

    def put(self, volume: NDArray[Any], pixels: NDArray[Any]) -> None:
        """Set the plane's pixels in an array on the grid."""
        across = next(axis for axis, part in enumerate(self.index) if isinstance(part, int))
        turned = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        volume[np.ix_(*(np.atleast_1d(part) for part in self.index))] = np.expand_dims(
            turned, across
        )


def plane_of(dataset: Dataset, groups: Sequence[Dataset] = ()) -> Plane:
    """Return where a plane lies, from functional groups (the frame's first) or from the root."""

    def find(sequence: str, keyword: str) -> Any:
        for group in groups:
            if sequence in group and keyword in group[sequence][0]:
                return group[sequence][0][keyword].value
        return dataset[keyword].value

    position = find("PlanePositionSequence", "ImagePositionPatient")
    way = np.array(find("PlaneOrientationSequence", "ImageOrientationPatient"), dtype=np.float64)
    spacing = find("PixelMeasuresSequence", "PixelSpacing")
    return Plane(
        np.array(position, dtype=np.float64),
        way[3:] * float(spacing[0]),
        way[:3] * float(spacing[1]),
    )


def on_grid(plane: Plane, shape: tuple[int, int], grid: Geometry) -> Window:
    """Return which voxels of a grid the pixels of a plane are.

    Goes by positions in the patient alone, whatever the order of any array.

    Parameters
    ----------
    plane : Plane
        Where the plane lies.
    shape : tuple of int
        Its rows and columns.
    grid : Geometry
        The grid of the scan.

    Raises
    ------
    ValueError
        If the pixels do not fall on voxels of the grid one by one.
    """
    inverse = np.linalg.inv(_affine_for(plane, grid))
    corner = (inverse @ np.append(plane.origin_mm, 1.0))[:3]
    first = np.rint(corner)
    index: list[Any] = [int(part) for part in first]
    miss = float(np.abs(corner - first).max())
    axes = []
    for step, count in zip((plane.row_step_mm, plane.column_step_mm), shape, strict=True):
        voxels = inverse[:3, :3] @ step
        axis = int(np.abs(voxels).argmax())
        way = np.sign(voxels[axis])
        miss = max(miss, float(np.abs(voxels - way * np.eye(3)[axis]).max()) * (count - 1))
        index[axis] = int(first[axis]) + int(way) * np.arange(count)
        axes.append(axis)
    within = all(
        np.min(part) >= 0 and np.max(part) < size
        for part, size in zip(index, grid.shape, strict=True)
    )
    if miss > OFF_GRID or axes[0] == axes[1] or not within:
        raise ValueError(_OFF)
    return Window(tuple(index), axes[0] > axes[1])


def _affine_for(plane: Plane, grid: Geometry) -> NDArray[np.float64]:
    """Return index to mm: exact for the slice the plane lies in, the grid's affine across slices.

    For a plane along the slices the first index counts mm from the nearest slice, so that uneven
    steps and gantry tilt do not matter.
    """
    normal = np.cross(plane.column_step_mm, plane.row_step_mm)
    normal = normal / np.linalg.norm(normal)
    if np.linalg.norm(np.cross(normal, grid.normal)) > _PARALLEL:
        return grid.affine
    nearest = int(np.abs(grid.positions_mm - plane.origin_mm @ grid.normal).argmin())
    matrix = grid.affine
    matrix[:3, 0] = grid.normal
    matrix[:3, 3] = grid.origins_mm[nearest] - nearest * grid.normal
    return matrix
