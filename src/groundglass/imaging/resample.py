"""Block means down to a working grid, and linear masks back up to the full grid."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

LOWEST_HU = -1024
"""Values below (padding outside the reconstruction circle) count as air."""

HIGHEST_HU = 3071
"""Values above (metal) are clipped, so that a block mean stays meaningful."""


@dataclass(frozen=True)
class WorkingGrid:
    """A coarser grid made of whole blocks of voxels.

    The last block of an axis may reach past the end of the full grid; it is filled with the
    edge voxels.
    """

    full_shape: tuple[int, int, int]
    """Voxels of the full grid: slices, rows, columns."""

    factors: tuple[int, int, int]
    """Voxels of the full grid per block along each axis, at least 1."""

    spacing_mm: tuple[float, float, float]
    """Block size in mm: slice, row, column."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Blocks along each axis."""
        slices, rows, columns = (
            -(-size // factor) for size, factor in zip(self.full_shape, self.factors, strict=True)
        )
        return slices, rows, columns

    @property
    def voxel_ml(self) -> float:
        """Volume of one block in ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def working_grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], target_mm: float
) -> WorkingGrid:
    """Return the grid of whole blocks whose sides come nearest to a wanted size.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns of the full grid, each at least 1.
    spacing_mm : tuple of float
        Voxel size of the full grid in mm, positive.
    target_mm : float
        Wanted block side in mm. Axes that are already coarser keep their voxels.

    Raises
    ------
    ValueError
        If a size is not positive or not finite.
    """
    if len(shape) != 3 or min(shape) < 1:  # type: ignore[redundant-expr]
        msg = f"a volume needs three axes of at least one voxel, found shape {tuple(shape)}"
        raise ValueError(msg)
    if not all(np.isfinite(mm) and mm > 0 for mm in (*spacing_mm, target_mm)):
        msg = f"spacing and target must be positive mm, found {tuple(spacing_mm)} and {target_mm}"
        raise ValueError(msg)
    factors = [max(1, round(target_mm / mm)) for mm in spacing_mm]
    blocks = [float(mm) * factor for mm, factor in zip(spacing_mm, factors, strict=True)]
    return WorkingGrid(
        (int(shape[0]), int(shape[1]), int(shape[2])),
        (factors[0], factors[1], factors[2]),
        (blocks[0], blocks[1], blocks[2]),
    )


def block_mean(volume: NDArray[np.int16], grid: WorkingGrid) -> NDArray[np.int16]:
    """Return the mean of each block, clipped to [-1024, 3071] before averaging.

    Works slab by slab, so that no second array of full size exists.

    Parameters
    ----------
    volume : array of int16, shape ``grid.full_shape``
        Hounsfield units.
    grid : WorkingGrid
        Target grid.

    Returns
    -------
    array of int16, shape ``grid.shape``
    """
    step_z, step_r, step_c = grid.factors
    slices, rows, columns = grid.shape
    means = np.empty(grid.shape, np.int16)
    for index in range(slices):
        slab = np.clip(volume[index * step_z : (index + 1) * step_z], LOWEST_HU, HIGHEST_HU)
        depth = slab.shape[0]
        plane = slab[0] if depth == 1 else slab.sum(axis=0, dtype=np.int32)
        pad = (rows * step_r - plane.shape[0], columns * step_c - plane.shape[1])
        if any(pad):
            plane = np.pad(plane, ((0, pad[0]), (0, pad[1])), mode="edge")
        total = np.zeros((rows, columns), np.int32)
        for row in range(step_r):
            for column in range(step_c):
                total += plane[row::step_r, column::step_c]
        count = depth * step_r * step_c
        means[index] = (total + count // 2) // count
    return means


def repeat_to(values: NDArray[T], grid: WorkingGrid) -> NDArray[T]:
    """Return values of the grid's blocks, each repeated over its voxels (nearest neighbour)."""
    out = values
    for axis, factor in enumerate(grid.factors):
        if factor > 1:
            out = np.repeat(out, factor, axis=axis)
    slices, rows, columns = grid.full_shape
    return out[:slices, :rows, :columns]


def _taps(size: int, blocks: int, factor: int) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    """Return for each voxel its lower block and the weight (of 16) of the block above it."""
    position = (np.arange(size) + 0.5) / factor - 0.5
    position = np.clip(position, 0, max(blocks - 1, 0))
    lower = np.minimum(np.floor(position).astype(np.intp), max(blocks - 2, 0))
    weight = np.rint((position - lower) * 16).astype(np.uint16)
    return lower, weight


def smooth_to(mask: NDArray[np.bool_], grid: WorkingGrid) -> NDArray[np.bool_]:
    """Return a mask on the full grid where its linear interpolation reaches one half.

    Interpolation is monotone, so nested masks stay nested. Only the box round the mask is
    touched. An empty mask gives an empty mask.

    Parameters
    ----------
    mask : array of bool, shape ``grid.shape``
    grid : WorkingGrid

    Returns
    -------
    array of bool, shape ``grid.full_shape``
    """
    out = np.zeros(grid.full_shape, np.bool_)
    if not mask.any():
        return out
    taps = [
        _taps(size, blocks, factor)
        for size, blocks, factor in zip(grid.full_shape, grid.shape, grid.factors, strict=True)
    ]
    rows = _reach(np.asarray(mask.any(axis=(0, 2))), taps[1][0])
    columns = _reach(np.asarray(mask.any(axis=(0, 1))), taps[2][0])
    low_r, weight_r = taps[1][0][rows], taps[1][1][rows][:, None]
    low_c, weight_c = taps[2][0][columns], taps[2][1][columns][None, :]
    filled = np.asarray(mask.any(axis=(1, 2)))
    for index, (low, weight) in enumerate(zip(*taps[0], strict=True)):
        high = min(int(low) + 1, grid.shape[0] - 1)
        if not (filled[low] or filled[high]):
            continue
        plane = mask[low].astype(np.uint16)
        plane *= np.uint16(16) - weight
        plane += mask[high].astype(np.uint16) * weight
        high_r = np.minimum(low_r + 1, grid.shape[1] - 1)
        wide = plane[low_r] * (np.uint16(16) - weight_r) + plane[high_r] * weight_r
        high_c = np.minimum(low_c + 1, grid.shape[2] - 1)
        # 16 * 16 * 16 = 4096 at full weight, so the sums fit 16 bits.
        value = wide[:, low_c] * (np.uint16(16) - weight_c) + wide[:, high_c] * weight_c
        out[index, rows, columns] = value >= 2048
    return out


def _reach(filled: NDArray[np.bool_], lower: NDArray[np.intp]) -> slice:
    """Return the voxels along one axis that a filled block can reach."""
    blocks = np.flatnonzero(filled)
    inside = np.flatnonzero((lower >= blocks[0] - 1) & (lower <= blocks[-1]))
    return slice(int(inside[0]), int(inside[-1]) + 1)
