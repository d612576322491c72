"""Upper, middle and lower thirds of the lungs by height; no anatomical lobes."""

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry

UPPER, MIDDLE, LOWER = 1, 2, 3
ZONES = ("upper", "middle", "lower")
"""Names of zone labels 1 to 3."""
SHORTEST_MM = 60.0
"""Lungs shorter than this in the scan are only a part of the lungs and have no thirds."""


def lung_zones(labels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Return the zone of every slice: thirds of the height that both lungs span together.

    Heights are measured along the slice normal by the real slice positions, from the outer face of
    the first slice with lung to that of the last; a slice belongs where its centre lies.

    Parameters
    ----------
    labels : array of uint8, shape (slices, rows, columns)
        Lung labels, 0 outside.
    geometry : Geometry
        The grid, canonical: slice 0 nearest the head.

    Returns
    -------
    array of uint8, shape (slices,)
        0 no lung or not known, 1 upper, 2 middle, 3 lower. All 0 if slices have no known position
        or the lungs span less than 60 mm.
    """
    zones = np.zeros(labels.shape[0], np.uint8)
    filled = np.flatnonzero(labels.any(axis=(1, 2)))
    widths = geometry.widths_mm
    if filled.size == 0 or widths is None:
        return zones
    down = np.abs(geometry.positions_mm - geometry.positions_mm[0])
    top = down[filled[0]] - widths[filled[0]] / 2
    height = down[filled[-1]] + widths[filled[-1]] / 2 - top
    if height < SHORTEST_MM:
        return zones
    # A centre on the border between two thirds belongs to the upper one.
    third = np.ceil((down - top) / height * 3 - 1e-6)
    inside = slice(filled[0], filled[-1] + 1)
    zones[inside] = np.clip(third[inside], UPPER, LOWER).astype(np.uint8)
    return zones
