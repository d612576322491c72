"""Front-to-back bands of the lungs and their points, as the published severity code has them.

The code calls the bands lobes; rows of an axial slice run from front to back, so they are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.scoring.counts import DEFAULT

BANDS = ("right_front", "right_middle", "right_back", "left_front", "left_back")
"""The five bands: thirds of the right lung and halves of the left, by image row."""
POINT_LIMITS = (0, 5, 25, 50, 75)
"""Whole percent above which a region gets one point more."""


@dataclass(frozen=True)
class BandSlices:
    """Which slices the published score looks at."""

    lung_share: float = 0.06
    """Least lung area as a share of the slice's pixels."""
    skip_first: int = 6
    """Slices left out at the head end."""
    skip_last: int = 5
    """Slices left out at the feet end."""


def points(share: ArrayLike) -> NDArray[np.int64]:
    """Return the published 0 to 5 points of infected shares.

    The share is rounded up to whole percent: 0, 1-5, 6-25, 26-50, 51-75, 76-100 give 0 to 5 points.

    Parameters
    ----------
    share : array_like
        Infected shares in [0, 1].
    """
    # Rounded first, so that 0.05 * 100 = 5.000000000000001 stays 5 percent.
    percent = np.ceil(np.round(100 * np.asarray(share, dtype=np.float64), 9))
    return np.asarray(np.searchsorted(POINT_LIMITS, percent, side="left"), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class RowCounts:
    """Lung pixels of every slice by side, image row and extent of infection."""

    table: NDArray[np.float64]
    """(slices, 3, rows, 4): index 0 of the second axis is empty, then right and left."""
    slice_pixels: int
    """Pixels of one slice."""

    def lung(self, side: int) -> NDArray[np.float64]:
        """Return (slices, rows) lung pixels of a side."""
        return np.asarray(self.table[:, side].sum(axis=2))

    def infected(self, side: int, level: int) -> NDArray[np.float64]:
        """Return (slices, rows) lung pixels of a side with an extent of at least ``level``."""
        return np.asarray(self.table[:, side, :, level:].sum(axis=2))


def count_rows(lungs: NDArray[np.uint8], extent: NDArray[np.uint8]) -> RowCounts:
    """Count lung pixels by row, in one pass.

    Parameters
    ----------
    lungs : ndarray
        (slices, rows, columns), canonical: 0 outside, 1 right, 2 left.
    extent : ndarray
        Same shape, 0 to 3, see ``InfectionMask``. A mask that is infected or not uses 0 and 3.
    """
    slices, rows, columns = lungs.shape
    table = np.zeros((slices, 3, rows, 4))
    for index in range(slices):
        inside = np.flatnonzero(lungs[index])
        side = lungs[index].ravel()[inside].astype(np.intp)
        code = (side * rows + inside // columns) * 4 + extent[index].ravel()[inside]
        table[index] = np.bincount(code, minlength=12 * rows).reshape(3, rows, 4)
    return RowCounts(table, rows * columns)


def band_shares(
    counts: RowCounts, level: int = DEFAULT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the infected share of every band in every slice, and each slice's lung pixels.

    First and last row are those of the lungs over the whole volume; rows at which two bands meet
    count in both, as coded.

    Parameters
    ----------
    counts : RowCounts
        Pixels by row.
    level : int
        Extent from which a pixel is infected.

    Returns
    -------
    shares : ndarray
        (slices, 5) in [0, 1]; 0 where a band holds no lung.
    lung : ndarray
        (slices,) lung pixels.
    """
    lung = {side: counts.lung(side) for side in (RIGHT, LEFT)}
    ill = {side: counts.infected(side, level) for side in (RIGHT, LEFT)}
    total = lung[RIGHT] + lung[LEFT]
    rows = np.flatnonzero(total.any(axis=0))
    shares = np.zeros((total.shape[0], len(BANDS)))
    if rows.size:
        for number, (side, start, stop) in enumerate(_limits(int(rows[0]), int(rows[-1]))):
            part = lung[side][:, start : stop + 1].sum(axis=1)
            hit = ill[side][:, start : stop + 1].sum(axis=1)
            shares[:, number] = hit / np.maximum(part, 1)
    return shares, np.asarray(total.sum(axis=1))


def _limits(first: int, last: int) -> tuple[tuple[int, int, int], ...]:
    third, half = math.ceil((last - first) / 3), math.ceil((last - first) / 2)
    return (
        (RIGHT, first, first + third),
        (RIGHT, first + third, last - third),
        (RIGHT, last - third, last),
        (LEFT, first, first + half),
        (LEFT, first + half, last),
    )


def band_points(
    counts: RowCounts,
    level: int = DEFAULT,
    slices: BandSlices | None = None,
    *,
    worst: bool = False,
) -> dict[str, int] | None:
    """Return the published points of every band, 0 to 5; their sum is the published CTSS.

    Parameters
    ----------
    counts : RowCounts
        Pixels by row.
    level : int
        Extent from which a pixel is infected.
    slices : BandSlices, optional
        Which slices count.
    worst : bool
        The highest points over the slices, the code's second value, instead of the rounded mean.

    Returns
    -------
    dict or None
        Points by name of band; ``None`` where no slice qualifies.
    """
    rule = slices or BandSlices()
    shares, lung = band_shares(counts, level)
    index = np.arange(lung.size)
    counted = (index >= rule.skip_first) & (index < lung.size - rule.skip_last)
    counted &= lung >= rule.lung_share * counts.slice_pixels
    if not counted.any():
        return None
    by_slice = points(shares[counted])
    # Halves are rounded away from zero, as MATLAB does.
    value = by_slice.max(axis=0) if worst else np.floor(by_slice.mean(axis=0) + 0.5)
    return dict(zip(BANDS, (int(v) for v in value), strict=True))
