"""Making probabilities fit frequencies: one temperature for all logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

RANGE = (0.05, 20.0)
"""Temperatures tried."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature at which the labels are most likely.

    Parameters
    ----------
    logits : ndarray
        (pictures, labels), of pictures that were not trained on.
    labels : ndarray
        (pictures,) number of the right label of each.

    Raises
    ------
    ValueError
        If there are no pictures, or one label alone.

    References
    ----------
    .. [1] Guo et al. "On Calibration of Modern Neural Networks." ICML 2017. arXiv 1706.04599
    """
    if len(set(labels.tolist())) < 2:
        msg = "a temperature needs pictures of two labels at least"
        raise ValueError(msg)
    values = np.asarray(logits, np.float64)

    def unlikelihood(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        top = scaled.max(1, keepdims=True)
        total = np.log(np.exp(scaled - top).sum(1)) + top[:, 0]
        return float((total - scaled[np.arange(len(scaled)), labels]).mean())

    low, high = np.log(RANGE)
    found = minimize_scalar(unlikelihood, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))
