"""Jerman's vesselness for single slices: bright ridges on a darker ground."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32 = NDArray[np.float32]

SCALES_PX = (0.5, 1.0, 1.5, 2.0, 2.5)
"""Gaussian scales of the published rule, in pixels."""
_FLAT = 1e-4
"""Second derivative below which a pixel counts as flat."""
_FAINT = 0.01
"""Response below which it is set to 0."""


def vesselness(image: NDArray[np.floating], scales_px: tuple[float, ...] = SCALES_PX) -> Float32:
    """Return how ridge-like every pixel of a slice is, relative to the strongest ridge in it.

    At each scale the Hessian is built of twice applied central differences of the Gaussian-smoothed
    slice, times the squared scale. Of its eigenvalue of larger magnitude, where that is negative,
    the size is set against the largest one of the slice (Jerman's tau is 1) and the maximum over
    scales taken.

    Parameters
    ----------
    image : ndarray
        One slice of shape (rows, columns), at least 2 x 2, finite; any unit.
    scales_px : tuple of float
        Standard deviations of the Gaussians in pixels.

    Returns
    -------
    ndarray
        float32 in [0, 1], same shape; all 0 for a slice without a bright ridge. 0.65 and more means
        a second derivative of at least 0.2507 of the slice's strongest one, at one of the scales.

    Raises
    ------
    ValueError
        If the image is not a slice of at least 2 x 2 pixels.

    References
    ----------
    .. [1] Jerman, Pernus, Likar, Spiclin. "Enhancement of vascular structures in 3D and 2D
       angiographic images." IEEE Transactions on Medical Imaging 35(9), 2016. doi
       10.1109/TMI.2016.2550102
    """
    slice_ = np.ascontiguousarray(image, dtype=np.float32)
    if slice_.ndim != 2 or min(slice_.shape) < 2:
        msg = f"vesselness needs one slice of at least 2 x 2 pixels, found shape {np.shape(image)}"
        raise ValueError(msg)
    best = np.zeros(slice_.shape, dtype=np.float32)
    for scale in scales_px:
        ridge = _ridge_strength(slice_, scale)
        np.maximum(best, ridge_response(ridge, float(ridge.max())), out=best)
    top = float(best.max())
    if top > 0:
        best /= top
    best[best < _FAINT] = 0
    return best


def ridge_response(ridge: NDArray[np.floating], strongest: float) -> Float32:
    """Return Jerman's response to the negated main eigenvalue, at tau = 1.

    Parameters
    ----------
    ridge : ndarray
        Negated eigenvalue of larger magnitude, 0 where there is no bright ridge.
    strongest : float
        Its maximum over the slice.

    Returns
    -------
    ndarray
        float32: 0 for no ridge, 1 from half of ``strongest`` on, between them
        27 l² (R - l) / (l + R)³.
    """
    size = np.maximum(np.asarray(ridge, dtype=np.float32), 0)
    if strongest <= 0:
        return np.zeros(size.shape, dtype=np.float32)
    share = size / np.float32(strongest)
    response = 27 * share * share * (1 - share) / (1 + share) ** 3
    return np.where(share >= 0.5, np.float32(1), response)


def _ridge_strength(slice_: Float32, scale: float) -> Float32:
    """Return the negated main eigenvalue of the Hessian where it is negative, else 0."""
    radius = math.ceil(3 * scale)
    smooth = ndimage.gaussian_filter(slice_, scale, mode="nearest", radius=radius)
    down, across = np.gradient(smooth)
    rows = np.gradient(down, axis=0)
    columns = np.gradient(across, axis=1)
    mixed = np.gradient(down, axis=1)
    half_trace = (rows + columns) / 2
    spread = np.sqrt(((rows - columns) / 2) ** 2 + mixed * mixed)
    # With a trace of 0 or less the eigenvalue of larger magnitude is trace / 2 - spread, never
    # positive.
    ridge = np.where(
        half_trace <= 0, (spread - half_trace) * np.float32(scale * scale), np.float32(0)
    )
    ridge[ridge < _FLAT] = 0
    return np.asarray(ridge, dtype=np.float32)
