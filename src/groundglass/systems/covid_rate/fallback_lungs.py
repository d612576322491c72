"""Lungs of one slice in HU by threshold, where nothing better is at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_BELOW_HU = -320
LEAST_SHARE = 0.01
CLOSING_PX = 7
METHOD = "threshold fallback: below -320 HU, not touching the border, two largest, closed"


def fallback_lungs(hu: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the lungs of a slice: dark objects inside the body, closed by a disk, filled.

    Parameters
    ----------
    hu : ndarray
        (rows, columns) Hounsfield units; the body must surround the lungs.

    Returns
    -------
    ndarray
        At most two objects, each at least 1 % of the slice; empty where there is none.
    """
    labels, count = ndimage.label(hu < AIR_BELOW_HU)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[np.unique(border)] = 0
    sizes[0] = 0
    large = [int(i) for i in np.argsort(sizes)[::-1][:2] if sizes[i] >= LEAST_SHARE * hu.size]
    mask = np.isin(labels, large) if large else np.zeros(hu.shape, bool)
    rows, columns = np.ogrid[-CLOSING_PX : CLOSING_PX + 1, -CLOSING_PX : CLOSING_PX + 1]
    disk = rows**2 + columns**2 <= CLOSING_PX**2
    padded = np.pad(mask, CLOSING_PX)
    closed = ndimage.binary_closing(padded, disk)[CLOSING_PX:-CLOSING_PX, CLOSING_PX:-CLOSING_PX]
    return np.asarray(ndimage.binary_fill_holes(closed))
