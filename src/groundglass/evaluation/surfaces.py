"""Distances between the outlines of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = tuple[float, float]


def outline(mask: Mask) -> Mask:
    """Return the pixels of a mask that touch its outside; the frame counts as outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def outline_distances(
    mask: Mask, reference: Mask, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance of each outline pixel of one mask to the outline of the other, both ways.

    Parameters
    ----------
    mask, reference : ndarray
        (rows, columns), neither empty.
    spacing : tuple of float
        Row and column spacing; distances come in its unit.
    """
    edges = outline(mask), outline(reference)
    to_mask, to_reference = (
        ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges
    )
    return to_reference[edges[0]], to_mask[edges[1]]


def hd95(mask: Mask, reference: Mask, spacing: Spacing) -> float | None:
    """Return the 95th percentile of the distances between two outlines, both ways together.

    Returns
    -------
    float or None
        In the unit of ``spacing``; 0 where both masks are empty, ``None`` where one alone is.
    """
    if not mask.any() or not reference.any():
        return None if mask.any() or reference.any() else 0.0
    return float(np.percentile(np.concatenate(outline_distances(mask, reference, spacing)), 95))


def normalised_surface_dice(
    mask: Mask, reference: Mask, spacing: Spacing, tolerance: float
) -> float:
    """Return the share of both outlines that lies within a tolerance of the other.

    Returns
    -------
    float
        In 0..1; 1 where both masks are empty, 0 where one alone is.
    """
    if not mask.any() or not reference.any():
        return 0.0 if mask.any() or reference.any() else 1.0
    distances = np.concatenate(outline_distances(mask, reference, spacing))
    return float((distances <= tolerance).mean())
