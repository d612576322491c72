"""One look for Hounsfield units and pictures: the darkest tones 0, soft tissue 0.85."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SOFT_TISSUE = 0.85
"""Tone of soft tissue."""
BRIGHTEST = 1.275
"""Largest tone; 255 / 200, so that tones times 200 fit a byte."""
AIR_HU, TISSUE_HU = -1000.0, 40.0
DARK_PERCENTILE = 1.0
LEAST_CONTRAST = 20.0

Tones = NDArray[np.float32]


def align_hu(hu: NDArray[Any]) -> Tones:
    """Return tones of Hounsfield units: -1000 HU becomes 0, 40 HU 0.85, all cut to 0..1.275.

    Parameters
    ----------
    hu : ndarray
        Any shape.
    """
    tones = (hu.astype(np.float32) - AIR_HU) * (SOFT_TISSUE / (TISSUE_HU - AIR_HU))
    return np.asarray(np.clip(tones, 0, BRIGHTEST), np.float32)


def align_picture(values: NDArray[Any]) -> Tones:
    """Return tones of a picture whose window is not known.

    The first percentile becomes 0 and the most frequent bright tone 0.85, bright by Otsu's
    threshold.

    Parameters
    ----------
    values : ndarray
        (rows, columns) display values in 0..255.
    """
    values = values.astype(np.float32)
    low = float(np.percentile(values, DARK_PERCENTILE))
    counts = np.histogram(values, 256, (0, 256))[0].astype(np.float64)
    smooth = np.convolve(counts, np.ones(5) / 5, "same")
    smooth[: otsu_bin(counts) + 1] = 0
    high = max(float(np.argmax(smooth)) + 0.5, low + LEAST_CONTRAST)
    tones = (values - low) * (SOFT_TISSUE / (high - low))
    return np.asarray(np.clip(tones, 0, BRIGHTEST), np.float32)


def otsu_bin(counts: NDArray[np.float64]) -> int:
    """Return the last bin of the dark class that splits a histogram best; 0 for one tone."""
    tones = np.arange(counts.size) + 0.5
    weight, moment = np.cumsum(counts), np.cumsum(counts * tones)
    other = weight[-1] - weight
    apart = (moment[-1] * weight - moment * weight[-1]) ** 2
    between = np.divide(apart, weight * other, out=np.zeros_like(apart), where=weight * other > 0)
    return int(np.argmax(between))


def otsu_threshold(values: NDArray[Any], bins: int) -> float:
    """Return the value that parts values into two classes of the least variance (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins)
    return float(edges[otsu_bin(counts.astype(np.float64)) + 1])


def resized(values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a slice at another size, linearly, averaging where it shrinks.

    Parameters
    ----------
    values : ndarray
        (rows, columns).
    size : tuple of int
        Rows and columns wanted.
    """
    if values.shape == size:
        return values.astype(np.float32)
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    turned = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(turned, np.float32)
