"""Masks from a network's probabilities and the infected percentage a radiologist read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class WeakMaskConfig:
    """How far a read percentage may move the threshold, and when a picture is left out."""

    thresholds: tuple[float, float] = (0.12, 0.6)
    """Lowest and highest threshold. Readings are coarse and mostly above the area of a mask, so
    they only choose within this range."""
    sure: float = 0.5
    """Probability from which a pixel counts as lung even where the lung mask lacks it."""
    area_ratio: tuple[float, float] = (0.35, 2.5)
    """Range of mask area against read area within which a picture is used."""
    smallest_lung_px: int = 2000
    """Least lung area in pixels."""


def mask_from_percent(
    probabilities: NDArray[np.floating], lungs: Mask, percent: float, config: WeakMaskConfig
) -> Mask | None:
    """Return the mask whose area comes nearest to a read percentage of the lungs.

    Parameters
    ----------
    probabilities : ndarray
        (rows, columns) probability of infection.
    lungs : ndarray
        (rows, columns) lung mask.
    percent : float
        Infected share of the lungs, 0 to 100; at 0 the mask is empty.
    config : WeakMaskConfig

    Returns
    -------
    ndarray or None
        ``None`` if there is too little lung, or mask and reading disagree.
    """
    region = lungs | (probabilities > config.sure)
    pixels = int(region.sum())
    if pixels < config.smallest_lung_px:
        return None
    if percent <= 0:
        return np.zeros(region.shape, bool)
    wanted = percent / 100 * pixels
    values = np.sort(probabilities[region])
    rank = min(max(round(wanted), 1), pixels - 1)
    threshold = float(np.clip(values[-rank], *config.thresholds))
    mask = (probabilities >= threshold) & region
    low, high = config.area_ratio
    return np.asarray(mask) if low * wanted <= mask.sum() <= high * wanted + 60 else None
