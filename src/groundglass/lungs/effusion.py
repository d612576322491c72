"""Fluid in the room of a lung: as a mass it has the density of water, consolidation is denser."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.config import LungConfig

Mask = NDArray[np.bool_]

SMOOTH_MM = 4.0
"""Standard deviation of the mean of the neighbourhood."""
TISSUE_FROM_HU = -60
"""Thinner voxels, half air, do not count in that mean."""
CORE_MM = 5.0
"""Fluid holds a ball of this radius."""
SMALLEST_ML = 5.0


def find_fluid(hu: NDArray[Any], dense: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the parts of dense tissue that have the density of water.

    Parameters
    ----------
    hu : array, shape (slices, rows, columns)
        Densities.
    dense : array of bool, same shape
        Where lung should be, without air.
    grid : WorkingGrid
        Gives the spacing of these arrays.
    config : LungConfig

    Returns
    -------
    array of bool, same shape
    """
    fluid = np.zeros(dense.shape, np.bool_)
    box = components.bounding_box(dense, [int(2 * SMOOTH_MM / mm) + 1 for mm in grid.spacing_mm])
    if box is None:
        return fluid
    part, mean = dense[box], tissue_mean(hu[box], dense[box], grid)
    watery = part & (mean > config.fluid_hu[0]) & (mean < config.fluid_hu[1])
    core = morphology.erode(morphology.as_bits(watery), CORE_MM, grid.spacing_mm)
    wide = morphology.dilate(core, 1.5 * CORE_MM, grid.spacing_mm).view(np.bool_) & watery
    fluid[box] = components.drop_small(wide, SMALLEST_ML / grid.voxel_ml)
    return fluid


def tissue_mean(hu: NDArray[Any], part: Mask, grid: WorkingGrid) -> NDArray[np.float32]:
    """Return the mean density of the tissue of a part round each voxel, air in it left out.

    Parameters
    ----------
    hu : array, shape (slices, rows, columns)
        Densities.
    part : array of bool, same shape
    grid : WorkingGrid
        Gives the spacing of these arrays.

    Returns
    -------
    array of float32, same shape
        1000 where there is no tissue of the part near.
    """
    values = hu.astype(np.float32)
    sigma = [SMOOTH_MM / mm for mm in grid.spacing_mm]
    counted = (part & (values > TISSUE_FROM_HU)).astype(np.float32)
    weight = ndimage.gaussian_filter(counted, sigma, truncate=2.5)
    total = ndimage.gaussian_filter(counted * values, sigma, truncate=2.5)
    return np.divide(total, weight, out=np.full_like(total, 1e3), where=weight > 1e-3)
