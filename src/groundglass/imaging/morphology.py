"""Erosion, dilation and closing by balls given in mm, several masks at once.

A mask is held as bits of a uint8 array, so that up to eight nested or separate masks are treated
in one pass. A ball is the set of voxel offsets whose centres lie within the radius, so eroding
by it equals thresholding the Euclidean distance map at the radius, at a fraction of its time for
the radii used here. On anisotropic grids the ball is an ellipsoid of voxels, a disc in one slice
when slices are farther apart than the radius.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Spacing = tuple[float, float, float]


def ball_runs(radius_mm: float, spacing_mm: Spacing) -> list[tuple[int, int, int]]:
    """Return the rows of voxels of a ball as (half length, slice offset, row offset), short first.

    The row at a given slice and row offset spans columns ``-half .. +half``.
    """
    slack = radius_mm * 1e-6
    reach = [int((radius_mm + slack) / mm) for mm in spacing_mm]
    runs = []
    for dz in range(-reach[0], reach[0] + 1):
        for dr in range(-reach[1], reach[1] + 1):
            rest = (radius_mm + slack) ** 2 - (dz * spacing_mm[0]) ** 2 - (dr * spacing_mm[1]) ** 2
            if rest >= 0:
                runs.append((int(np.sqrt(rest) / spacing_mm[2]), dz, dr))
    return sorted(runs)


def _shifted(offset: int, size: int) -> tuple[slice, slice]:
    """Return target and source ranges of a shift by an offset along an axis."""
    if offset >= 0:
        return slice(offset, size), slice(0, size - offset)
    return slice(0, size + offset), slice(-offset, size)


def _row_dilations(bits: Bits, runs: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, Bits]]:
    """Yield slice offset, row offset and the bits dilated along columns by the run's length."""
    spread, done, width = bits.copy(), 0, bits.shape[2]
    for half, dz, dr in runs:
        while done < half:
            done += 1
            if done < width:
                for offset in (done, -done):
                    target, source = _shifted(offset, width)
                    spread[:, :, target] |= bits[:, :, source]
        yield dz, dr, spread


def dilate(bits: Bits, radius_mm: float, spacing_mm: Spacing) -> Bits:
    """Return bits set wherever a set voxel lies within the radius; outside the array is empty.

    Parameters
    ----------
    bits : array of uint8, shape (slices, rows, columns)
    radius_mm : float
        At least 0; below the voxel size along an axis nothing moves along that axis.
    spacing_mm : tuple of float

    Returns
    -------
    array of uint8, same shape
    """
    out = np.zeros_like(bits)
    slices, rows, _ = bits.shape
    for dz, dr, spread in _row_dilations(bits, ball_runs(radius_mm, spacing_mm)):
        if abs(dz) < slices and abs(dr) < rows:
            to_z, from_z = _shifted(dz, slices)
            to_r, from_r = _shifted(dr, rows)
            out[to_z, to_r] |= spread[from_z, from_r]
    return out


def erode(bits: Bits, radius_mm: float, spacing_mm: Spacing, *, outside: bool = True) -> Bits:
    """Return bits set where all voxels within the radius are set.

    Parameters
    ----------
    bits : array of uint8, shape (slices, rows, columns)
    radius_mm : float
    spacing_mm : tuple of float
    outside : bool
        Whether voxels beyond the array count as set (an object cut by the border keeps its cut
        face) or as empty.

    Returns
    -------
    array of uint8, same shape
    """
    if outside:
        return ~dilate(~bits, radius_mm, spacing_mm)
    reach = [min(int(radius_mm / mm) + 1, 64) for mm in spacing_mm]
    padded = np.pad(~bits, [(n, n) for n in reach], constant_values=255)
    inner = tuple(slice(n, -n) for n in reach)
    return ~dilate(padded, radius_mm, spacing_mm)[inner]


def close(bits: Bits, radius_mm: float, spacing_mm: Spacing) -> Bits:
    """Return the closing by a ball: gaps that no ball fits into are filled, nothing is lost."""
    return erode(dilate(bits, radius_mm, spacing_mm), radius_mm, spacing_mm)


def as_bits(mask: NDArray[np.bool_]) -> Bits:
    """Return a boolean mask as a uint8 array of 0 and 1 (a view where memory allows)."""
    return np.ascontiguousarray(mask).view(np.uint8)


def contact(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the share of the voxels just outside an object that belong to another; 0 if none."""
    rim = dilate(as_bits(one), 1.0, (1.0, 1.0, 1.0)).view(np.bool_) & ~one
    return float(other[rim].mean()) if rim.any() else 0.0
