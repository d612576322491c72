"""Which slices of a volume a network is shown, and how its answers become those of all slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

SLACK = 1.001
"""Steps may exceed the wanted one by this factor: positions are stored with few digits."""


def chosen_slices(positions_mm: Float, step_mm: float) -> NDArray[np.intp]:
    """Return indices of slices at most a step apart, first and last included.

    Slices that lie farther apart than the step are all taken.

    Parameters
    ----------
    positions_mm : ndarray
        (slices,) rising or falling; at least one.
    step_mm : float
        Wanted step; 0 for all slices.
    """
    depth = np.abs(positions_mm - positions_mm[0])
    chosen = [0]
    while chosen[-1] < depth.size - 1:
        within = int(np.searchsorted(depth, depth[chosen[-1]] + step_mm * SLACK, "right")) - 1
        chosen.append(max(within, chosen[-1] + 1))
    return np.array(chosen, np.intp)


def blend_weights(positions_mm: Float, chosen: NDArray[np.intp], sigma_mm: float) -> Float:
    """Return how much every chosen slice counts in every slice: a Gaussian of their distance.

    Parameters
    ----------
    positions_mm : ndarray
        (slices,).
    chosen : ndarray
        Indices of the slices that were looked at.
    sigma_mm : float
        Standard deviation; 0 for the nearest slice alone.

    Returns
    -------
    ndarray
        (slices, chosen), rows sum to one. A slice far from all is given its nearest one.
    """
    apart = (positions_mm[:, None] - positions_mm[chosen][None]) ** 2
    beyond = apart - apart.min(axis=1, keepdims=True)
    weights = np.exp(-beyond / (2 * max(sigma_mm, 1e-6) ** 2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def blended(weights: Float, maps: NDArray[Any]) -> NDArray[np.float32]:
    """Return the weighted mean of maps (chosen, rows, columns), leaving out weights near 0."""
    used = np.flatnonzero(weights > 1e-4)
    mean = np.tensordot(weights[used].astype(np.float32), maps[used], 1)
    return np.asarray(mean / np.float32(weights[used].sum()), np.float32)
