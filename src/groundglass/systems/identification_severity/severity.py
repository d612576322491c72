"""The published CT severity score: points of front-to-back bands, averaged over slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.scoring.bands import BANDS, band_points, count_rows
from groundglass.systems.identification_severity.infection import published_infection
from groundglass.systems.identification_severity.presets import CTSS, VOLUME

__all__ = ["BANDS", "PublishedScore", "published_ctss", "published_percent"]


@dataclass(frozen=True)
class PublishedScore:
    """The two scores of the published code."""

    mean: int | None
    """Sum over five bands of the rounded mean points, 0 to 25; the reported score."""
    worst: int | None
    """Sum over five bands of the highest points, 0 to 25."""
    points: dict[str, int]
    """Rounded mean points of each band; empty where no slice qualifies."""


def published_ctss(hu: NDArray[np.integer], lungs: NDArray[np.uint8]) -> PublishedScore:
    """Return the severity score as the published code draws it, with its own infection mask.

    The code calls its bands lobes; they are bands of image rows, from front to back, within each
    slice.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns) in HU, canonical.
    lungs : ndarray
        Same shape: 0 outside, 1 right, 2 left.

    Returns
    -------
    PublishedScore
        ``None`` where no slice holds lung on 6 % of its pixels within index 6 to n - 6.
    """
    infected = published_infection(hu, lungs, CTSS).mask
    counts = count_rows(lungs, infected * np.uint8(3))
    mean, worst = band_points(counts), band_points(counts, worst=True)
    if mean is None or worst is None:
        return PublishedScore(None, None, {})
    return PublishedScore(sum(mean.values()), sum(worst.values()), mean)


def published_percent(hu: NDArray[np.integer], lungs: NDArray[np.uint8]) -> float | None:
    """Return the infected percent of a patient as the published code for volumes draws it.

    It is the mean of area of mask over area of lung over the slices whose mask is not empty, so
    healthy slices do not lower it, and the mask may leave the lungs. The code never clears its list
    between patients; here every patient has a list of his own.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns) in HU, canonical.
    lungs : ndarray
        Same shape, non-zero inside.

    Returns
    -------
    float or None
        ``None`` where no slice has a mask.
    """
    infected = published_infection(hu, lungs, VOLUME).mask.sum(axis=(1, 2))
    held = infected > 0
    if not held.any():
        return None
    return float(100 * (infected[held] / (lungs > 0).sum(axis=(1, 2))[held]).mean())
