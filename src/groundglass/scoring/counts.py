"""Voxel counts by slice and region: what every number is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import Estimate

Float = NDArray[np.float64]

LOW, DEFAULT, HIGH = 3, 2, 1
"""Extent from which a voxel is infected at the tight, default and loose thresholds."""
NO_LUNG = "no lung in this region"
"""Why a region has no numbers."""
FLOOR_SHARE = 0.3
"""Least denominator of a slice's infected share, as a share of the largest lung area."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Voxels of every slice by region label; column 0 (outside) is empty."""

    voxels: Float
    """(slices, labels): voxels of the region."""
    ground_glass: Float
    """(slices, labels): of these, ground glass."""
    consolidation: Float
    """(slices, labels): of these, consolidation."""
    extent: Float
    """(slices, labels, 4): of these, voxels with each extent."""
    hu_sum: Float | None
    """(slices, labels): sum of their HU; ``None`` where the values are not HU."""

    def infected(self, level: int = DEFAULT) -> Float:
        """Return (slices, labels) voxels whose extent is at least ``level``."""
        return np.asarray(self.extent[:, :, level:].sum(axis=2))


def count_voxels(
    regions: NDArray[np.uint8],
    infection: NDArray[np.uint8],
    extent: NDArray[np.uint8],
    hu: NDArray[np.int16] | None = None,
    labels: int = 3,
) -> Counts:
    """Count infected voxels inside regions; infection outside every region is not counted.

    Parameters
    ----------
    regions : ndarray
        (slices, rows, columns), 0 outside, region labels from 1.
    infection : ndarray
        Same shape: 0 none, 1 ground glass, 2 consolidation.
    extent : ndarray
        Same shape, 0 to 3, see ``InfectionMask``.
    hu : ndarray, optional
        Same shape, Hounsfield units.
    labels : int
        Number of region labels, with 0.
    """
    slices = regions.shape[0]
    table = np.zeros((slices, labels, 16))
    sums = None if hu is None else np.zeros((slices, labels))
    for index in range(slices):
        inside = np.flatnonzero(regions[index])
        region = regions[index].ravel()[inside].astype(np.intp)
        ill = infection[index].ravel()[inside].astype(np.intp)
        code = region * 16 + ill * 4 + extent[index].ravel()[inside]
        table[index] = np.bincount(code, minlength=labels * 16).reshape(labels, 16)
        if sums is not None and hu is not None:
            values = hu[index].ravel()[inside]
            sums[index] = np.bincount(region, weights=values, minlength=labels)
    by_kind = table.reshape(slices, labels, 4, 4)
    return Counts(
        table.sum(axis=2), by_kind[:, :, 1].sum(2), by_kind[:, :, 2].sum(2), by_kind.sum(2), sums
    )


def share_percent(part: float, whole: float) -> float | None:
    """Return 100 part / whole, ``None`` for an empty whole."""
    return 100 * part / whole if whole > 0 else None


def percent_of(parts: Sequence[float], whole: float) -> Estimate:
    """Return the infected percent of a region from its infected amount: value, low and high."""
    if whole <= 0:
        return Estimate.unknown(NO_LUNG)
    value, low, high = (100 * part / whole for part in parts)
    return Estimate(value, low, high)


def floored_percent(infected: Float, lung: Float, floor_share: float = FLOOR_SHARE) -> Float:
    """Return the infected percent of every slice over at least a share of the largest lung area.

    Thin slivers of lung at apex and base would otherwise give shares that jump.

    Parameters
    ----------
    infected, lung : ndarray
        (slices,) areas in one unit.
    floor_share : float
        Least denominator as a share of the largest lung area; 0 for the plain percent.

    Returns
    -------
    ndarray
        (slices,) percent in [0, 100]; NaN where a slice holds no lung.
    """
    least = floor_share * float(lung.max(initial=0))
    below = np.maximum(lung, least)
    return np.where(lung > 0, 100 * infected / np.where(below > 0, below, 1), np.nan)
