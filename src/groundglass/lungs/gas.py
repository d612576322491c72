"""Gas that is not lung: bowel beside the diaphragm, pockets of room air at the skin."""

import numpy as np
from numpy.typing import NDArray

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid

Mask = NDArray[np.bool_]

THIN_BELOW_HU = -940
"""Blocks of gas; well aerated lung lies around -870."""
MEAN_BELOW_HU = -950
"""Mean of a gas object; emphysema is seldom as thin."""
SIZE_ML = (0.2, 300.0)
"""Smaller objects do no harm; larger ones are stomachs, apart from the lungs anyway, or lungs."""
MOST_OBJECTS = 150
"""Objects looked at, largest first."""
WALLED = 0.57
"""Share of an object's rim that is tissue: bowel and airway above, bullae and cysts below."""
OPEN_BELOW = 3.3
OPEN_MEAN_BELOW_HU = -960
OPEN_FROM_ML = 1.0
"""Mean number of walls of four below which an object of that density and volume is a pocket of room
air."""


def foreign_gas(
    means: NDArray[np.int16], inside: Mask, walls: NDArray[np.uint8], grid: WorkingGrid
) -> Mask:
    """Return gas objects inside the body region whose rim is tissue, or that lie open.

    The airway belongs to them. Bullae and cavities in lung do not: their rim is lung.

    Parameters
    ----------
    means : array of int16
        Block means on a grid of about 3 mm.
    inside : array of bool, same shape
        Where air counts as enclosed.
    walls : array of uint8, same shape
        In how many in-plane directions tissue is met.
    grid : WorkingGrid
        The grid of these arrays.

    Returns
    -------
    array of bool, same shape
        Objects without their soft edge.
    """
    gas = np.zeros(means.shape, np.bool_)
    labels, counts = components.label(inside & (means < THIN_BELOW_HU))
    counts[0] = 0
    ml = counts * grid.voxel_ml
    fits = (ml >= SIZE_ML[0]) & (ml <= SIZE_ML[1])
    numbers = np.flatnonzero(fits)
    numbers = numbers[np.argsort(counts[numbers])[::-1][:MOST_OBJECTS]]
    boxes = components.boxes_of(labels, margin=(3, 3, 3))
    for number in numbers:
        box = boxes[number - 1]
        one = labels[box] == number
        density = means[box][one].mean()
        is_open = density < OPEN_MEAN_BELOW_HU and ml[number] >= OPEN_FROM_ML
        is_open = is_open and walls[box][one].mean() < OPEN_BELOW
        if is_open or (density < MEAN_BELOW_HU and _walled(one, means[box], grid)):
            gas[box] |= one
    return gas


def _walled(one: Mask, means: NDArray[np.int16], grid: WorkingGrid) -> bool:
    """Whether the second shell of blocks round an object is mostly tissue."""
    step = 1.1 * max(grid.spacing_mm[1:])
    bits = morphology.as_bits(one)
    edge = morphology.dilate(bits, step, grid.spacing_mm)
    ring = (morphology.dilate(bits, 2 * step, grid.spacing_mm) & ~edge).view(np.bool_)
    return bool(ring.any() and (means[ring] > -500).mean() >= WALLED)
