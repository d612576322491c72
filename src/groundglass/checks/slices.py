"""Single slices that do not belong to the others: blank, shifted or wrongly decoded ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.verdict import Status, Verdict

STEADY_SHARE = 0.8
"""Share of slices that must agree on their darkest values before one that does not is odd."""
STEADY_SPREAD = 0.05
"""How near the darkest values must be to agree, as share of the usual range of values."""
ODD_SHARE = 0.3
"""How far the darkest values of an odd slice lie off, as share of the usual range."""
FLAT_SHARE = 0.35
"""Range of the values of an odd slice inside the scan, as share of the usual range."""
_STRIDE = 7


def odd_slices(voxels: NDArray[Any]) -> Iterator[Verdict]:
    """Yield a verdict on slices that are blank or whose values are unlike all others'.

    Nothing is said of slices at the ends that hold little, as they may lie beyond the body.

    Parameters
    ----------
    voxels : ndarray
        (slices, rows, columns) in any unit.
    """
    thin = voxels[:, ::_STRIDE, ::_STRIDE].reshape(len(voxels), -1)
    blank = thin.max(axis=1) == thin.min(axis=1)
    low, high = np.quantile(thin, (0.02, 0.98), axis=1)
    middle, spread = np.median(low), np.median(high - low)
    shifted = np.abs(low - middle)
    steady = float((shifted <= STEADY_SPREAD * spread).mean()) >= STEADY_SHARE
    odd = (shifted > ODD_SHARE * spread) & steady
    odd |= _inside(high - low < FLAT_SHARE * spread)
    for mask, words in ((blank, "are blank"), (odd & ~blank, "have values unlike those of others")):
        if 0 < mask.sum() < len(voxels):
            yield Verdict(
                "pixel_integrity",
                Status.WARNING,
                f"{mask.sum()} of {len(voxels)} slices {words}",
                "They were kept as they are",
                "Where they lie in the chest, lung and infection are wrong",
            )


def _inside(flat: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return flat slices but those in a run that reaches an end of the scan."""
    full = np.flatnonzero(~flat)
    result = flat.copy()
    if full.size:
        result[: full[0]] = False
        result[full[-1] + 1 :] = False
    return result
