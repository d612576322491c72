"""The slice selection of COVID-CTset: slices whose middle holds many dark pixels are open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import SliceSelection
from groundglass.core.scan import Intensity, Scan

ROI_ROWS = (240 / 512, 340 / 512)
"""Rows of the region looked at, as shares of the picture's height: 240 to 339 of 512."""
ROI_COLUMNS = (120 / 512, 370 / 512)
"""Columns of the region looked at, as shares of the picture's width: 120 to 369 of 512."""
DARK_BELOW = 300
"""Stored value (HU + 1024) below which a pixel counts as dark."""
STORED_OFFSET = 1024
"""What stored values have more than HU."""
RANGE_DIVISOR = 1.5
"""The threshold is the range of counts divided by this."""


def count_dark(values: NDArray[np.integer], dark_below: int = DARK_BELOW) -> NDArray[np.int64]:
    """Count the dark pixels of every slice inside the region looked at.

    Parameters
    ----------
    values : ndarray
        (slices, rows, columns) of stored values, HU + 1024. Sizes other than 512 use the same share
        of rows and columns.
    dark_below : int
        Limit in the unit of ``values``; pixels strictly below it are dark.

    Returns
    -------
    ndarray
        (slices,) counts, at most 25000 for 512 x 512.
    """
    rows, columns = (
        slice(round(share[0] * size), round(share[1] * size))
        for share, size in zip((ROI_ROWS, ROI_COLUMNS), values.shape[1:], strict=True)
    )
    dark = values[:, rows, columns] < dark_below
    return np.asarray(np.count_nonzero(dark, axis=(1, 2)), dtype=np.int64)


def keep_open(counts: NDArray[np.integer]) -> tuple[float, NDArray[np.bool_]]:
    """Return the threshold, and which slices have more dark pixels than it.

    The threshold is (largest - smallest) / 1.5, without the smallest added: equal positive counts
    are all kept, and where every count is 0 nothing is.

    Parameters
    ----------
    counts : ndarray
        (slices,) dark pixels, at least one slice.

    References
    ----------
    .. [1] Rahimzadeh, Attar, Sakhaei. "A fully automated deep learning-based network for detecting
       COVID-19 from a new and large lung CT scan dataset." Biomedical Signal Processing and Control
       68, 2021. doi 10.1016/j.bspc.2021.102588
    """
    threshold = float(counts.max() - counts.min()) / RANGE_DIVISOR
    return threshold, np.asarray(counts > threshold)


def select_slices(scan: Scan) -> SliceSelection:
    """Apply the published rule to a scan.

    Parameters
    ----------
    scan : Scan
        A scan in HU. The region is fixed in the picture, so the rule depends on how the patient
        lies and on the field of view; and as diseased lung is not dark, it drops ill slices first.

    Returns
    -------
    SliceSelection
        ``values`` are counts of dark pixels. For values that are not HU the rule cannot be applied:
        the threshold is ``None`` and nothing is kept.
    """
    if scan.intensity is not Intensity.HU:
        nothing = np.zeros(scan.shape[0], dtype=bool)
        rule = "not applied: the rule needs Hounsfield units"
        return SliceSelection("covid-ctset", nothing, np.zeros(scan.shape[0]), None, rule)
    limit_hu = DARK_BELOW - STORED_OFFSET
    counts = count_dark(scan.hu(), limit_hu)
    threshold, kept = keep_open(counts)
    rule = (
        f"more than {threshold:.0f} pixels below {limit_hu} HU between 47-66 % of the rows "
        f"and 23-72 % of the columns: (largest - smallest count) / {RANGE_DIVISOR:g}"
    )
    return SliceSelection("covid-ctset", kept, counts.astype(np.float64), threshold, rule)
