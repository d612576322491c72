"""Organs beside consolidation: denser than it, and hardly anywhere against aerated lung."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.imaging.tone import otsu_threshold
from groundglass.lungs.config import LungConfig
from groundglass.lungs.effusion import tissue_mean

Mask = NDArray[np.bool_]

SMALLEST_ML = 40.0
"""Smaller parts are no organ."""
LEVELS = 64
"""Classes of density in which the best cut is looked for."""


def find_organs(
    hu: NDArray[Any], dense: Mask, lungs: Mask, grid: WorkingGrid, config: LungConfig
) -> Mask:
    """Return the parts of dense tissue that are an organ which a consolidation lies against.

    Liver, spleen and muscle are some 10 to 20 HU denser than consolidation, more with contrast
    medium. Where one piece of dense tissue falls into two densities, the thinner one denser than
    fluid, and the denser part hardly touches lung, that part is left out. A consolidation as dense
    as the organ is not told apart.

    Parameters
    ----------
    hu : array, shape (slices, rows, columns)
        Densities.
    dense : array of bool, same shape
        What is taken for lung without air.
    lungs : array of bool, same shape
        Lung that is known.
    grid : WorkingGrid
        Gives the spacing of these arrays.
    config : LungConfig

    Returns
    -------
    array of bool, same shape
    """
    organs = np.zeros(dense.shape, np.bool_)
    least = SMALLEST_ML / grid.voxel_ml
    objects, counts = components.label(dense)
    boxes = components.boxes_of(objects, margin=(1, 1, 1))
    for number in np.flatnonzero(counts[1:] > 2 * least) + 1:
        box = boxes[number - 1]
        denser = _denser(hu[box], objects[box] == number, grid, config)
        parts, sizes = components.label(denser)
        for part in np.flatnonzero(sizes[1:] > least) + 1:
            one = parts == part
            if morphology.contact(one, lungs[box]) < config.network_contact:
                organs[box] |= one
    return organs


def _denser(hu: NDArray[Any], one: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the denser part of an object of two densities, nothing of one density."""
    mean = tissue_mean(hu, one, grid)
    values = mean[one]
    cut = otsu_threshold(np.clip(values, *np.percentile(values, (1, 99))), LEVELS)
    above = values > cut
    if (~above).sum() * grid.voxel_ml < SMALLEST_ML or not above.any():
        return np.zeros_like(one)
    thinner, denser = (float(np.median(values[part])) for part in (~above, above))
    told = thinner > config.fluid_hu[1] and denser - thinner >= config.organ_gap_hu
    return one & (mean > cut) if told else np.zeros_like(one)
