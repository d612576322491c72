"""Masks of one slice, in pixels: small parts, small holes, closing by a disk, depth, box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def drop_small_parts(mask: Mask, smallest_px: float) -> Mask:
    """Return the mask without objects of fewer pixels, neighbours over corners connected."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=int(count) + 1) >= smallest_px
    keep[0] = False
    return np.asarray(keep[labels])


def fill_small_holes(mask: Mask, largest_share: float) -> Mask:
    """Return the mask with its holes of up to a share of its area filled."""
    holes = np.asarray(ndimage.binary_fill_holes(mask)) & ~mask
    labels, count = ndimage.label(holes)
    fill = np.bincount(labels.ravel(), minlength=int(count) + 1) <= largest_share * mask.sum()
    fill[0] = False
    return np.asarray(mask | fill[labels])


def disk_closing(mask: Mask, radius_px: float) -> Mask:
    """Return the closing by a disk; the picture's border does not erode it."""
    if radius_px < 1 or not mask.any():
        return mask
    margin = int(radius_px) + 2
    padded = np.pad(mask, margin)
    wide = ndimage.distance_transform_edt(~padded) <= radius_px
    closed = ndimage.distance_transform_edt(wide) > radius_px
    return mask | closed[margin:-margin, margin:-margin]


def depth_inside(mask: Mask) -> NDArray[np.float64]:
    """Return the distance in pixels to the nearest pixel outside; the frame is no border."""
    padded = np.pad(mask, 1, mode="edge")
    return np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1]


def box_of(mask: Mask, margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of the box round a mask, widened; all of it for an empty mask."""
    edges = []
    for axis in (1, 0):
        held = np.flatnonzero(mask.any(axis=axis))
        first, last = (int(held[0]), int(held[-1])) if held.size else (0, mask.shape[1 - axis] - 1)
        edges.append(slice(max(0, first - margin), last + 1 + margin))
    return edges[0], edges[1]
