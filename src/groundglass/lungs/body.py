"""Air that can be lung: enclosed by tissue, apart from the air round the patient.

Every slice is decided on its own, so a slice that opens to the outside (skin thinner than a voxel,
an arm cut by the frame) cannot empty its neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid, block_mean, repeat_to, working_grid
from groundglass.lungs.config import LungConfig
from groundglass.lungs.gas import foreign_gas

Mask = NDArray[np.bool_]

COARSE_MM = 3.0
"""Block side on which the outside is told from the body: skin of 1 mm still closes a block."""

TISSUE_ABOVE_HU = -300
"""Denser blocks are tissue."""

IN_PLANE_STEP = (9.0, 1.0, 1.0)
"""Spacing that makes a ball of radius 1 the four in-plane neighbours."""

WALLS_NEEDED = 3
"""Directions of four (front, back, right, left) in which enclosed air meets tissue."""


@dataclass(frozen=True, eq=False)
class Enclosed:
    """Enclosed air of a scan and where the body's middle lies."""

    hu: NDArray[np.int16]
    """Block means on the working grid."""

    air: Mask
    """Air voxels inside the body on the working grid."""

    gas: Mask
    """Gas that is no lung, soft edge included: airway, bowel, pockets at the skin."""

    walls: NDArray[np.uint8]
    """In how many of the four in-plane directions each voxel meets tissue, 0 to 4."""

    midline_column: float
    """Column of the body's middle on the working grid; the grid's middle for an empty scan."""


def enclosed_air(hu: NDArray[np.int16], grid: WorkingGrid, config: LungConfig) -> Enclosed:
    """Return air surrounded by tissue in each slice.

    Air counts as outside if it is as thin as room air and connected with the slice's frame through
    gaps wider than about 6 mm. What is left must meet tissue in three of the four in-plane
    directions, so one wall may be missing where the field of view cuts the body. Room air in the
    hollow of a table or between clothes fails that test.

    Parameters
    ----------
    hu : array of int16, shape ``grid.shape``
        Block means on the working grid.
    grid : WorkingGrid
    config : LungConfig
    """
    coarse = _coarse_grid(grid)
    means = block_mean(hu, coarse)
    outside = _outside(means, config)
    tissue = _thick_tissue(means, coarse)
    walls = _walls(tissue)
    inside = (walls >= WALLS_NEEDED) & ~outside
    body = inside | tissue
    weight = body.sum(axis=(0, 1), dtype=np.float64)
    middle = (
        (float(weight @ np.arange(weight.size)) / weight.sum() + 0.5) * coarse.factors[2] - 0.5
        if weight.any()
        else (grid.shape[2] - 1) / 2
    )
    # Soft edges of the skin hold single air voxels in tissue blocks; only the neighbours of a block
    # of air are looked at.
    blocks = inside & (means < TISSUE_ABOVE_HU)
    near = morphology.dilate(morphology.as_bits(blocks), 1.5, IN_PLANE_STEP).view(np.bool_)
    air = (hu < config.air_below_hu) & repeat_to(near & inside, coarse)
    gas = foreign_gas(means, inside, walls, coarse)
    gas = morphology.dilate(morphology.as_bits(gas), 1.5, IN_PLANE_STEP).view(np.bool_)
    return Enclosed(
        hu=hu,
        air=_bridge_slices(air, hu < config.air_below_hu, grid, config),
        gas=repeat_to(gas, coarse),
        walls=repeat_to(walls, coarse),
        midline_column=middle,
    )


def _coarse_grid(grid: WorkingGrid) -> WorkingGrid:
    """Return blocks of about 3 mm in plane, slices kept."""
    plane = working_grid(grid.shape, (1e6, *grid.spacing_mm[1:]), COARSE_MM)
    return WorkingGrid(grid.shape, plane.factors, (grid.spacing_mm[0], *plane.spacing_mm[1:]))


def _outside(means: NDArray[np.int16], config: LungConfig) -> Mask:
    """Return thin air joined with the frame, widened over its soft edge but not through skin."""
    thin = means < config.outside_below_hu
    # One block of erosion keeps the outside from entering through a narrow gap in the skin; the
    # frame itself must stay a possible start.
    core = morphology.erode(morphology.as_bits(thin), 1.0, IN_PLANE_STEP).view(np.bool_)
    labels, counts = components.label(core, in_plane=True)
    joined = np.zeros(counts.size, np.bool_)
    joined[components.touching_frame(labels)] = True
    joined[0] = False
    outside = joined[labels]
    reach = outside
    for _ in range(2):
        wider = morphology.dilate(morphology.as_bits(reach), 1.0, IN_PLANE_STEP)
        reach = wider.view(np.bool_) & (means < TISSUE_ABOVE_HU)
    return reach


def _thick_tissue(means: NDArray[np.int16], coarse: WorkingGrid) -> Mask:
    """Return tissue without sheets of one block: table tops, blankets, tubes."""
    tissue = morphology.as_bits(means > TISSUE_ABOVE_HU)
    step = max(coarse.spacing_mm[1:])
    if step > 1.5 * COARSE_MM:
        return tissue.view(np.bool_)
    core = morphology.erode(tissue, 1.0, IN_PLANE_STEP)
    return morphology.dilate(core, 1.0, IN_PLANE_STEP).view(np.bool_)


def _walls(tissue: Mask) -> NDArray[np.uint8]:
    """Return in how many of the four in-plane directions a voxel meets tissue, 0 to 4."""
    count = np.zeros(tissue.shape, np.uint8)
    for axis in (1, 2):
        count += np.logical_or.accumulate(tissue, axis=axis)
        count += np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis=axis), axis)
    return count


def _bridge_slices(air: Mask, any_air: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return enclosed air with short gaps along the body filled by the air found in them."""
    reach = int(config.z_gap_mm / grid.spacing_mm[0])
    if reach < 1 or air.shape[0] < 3:
        return air
    above, below = np.zeros_like(air), np.zeros_like(air)
    for step in range(1, min(reach, air.shape[0] - 1) + 1):
        above[step:] |= air[:-step]
        below[:-step] |= air[step:]
    above &= below
    above &= any_air
    above |= air
    return above
