"""Lungs of a chest CT without a network: thresholds, connected objects, distances, closing.

The order of the steps: block means on a working grid; air enclosed by tissue in each slice
(:mod:`groundglass.lungs.body`); the airway grown and taken out (:mod:`~groundglass.lungs.airway`);
gas and far pieces dropped; right and left told apart (:mod:`~groundglass.lungs.split`); vessels
and lesions closed into each lung (:mod:`~groundglass.lungs.repair`); masks interpolated back to
the full grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid, block_mean, smooth_to, working_grid
from groundglass.lungs.airway import find_airway
from groundglass.lungs.body import Enclosed, enclosed_air
from groundglass.lungs.config import LungConfig
from groundglass.lungs.repair import Repair, repair_lungs
from groundglass.lungs.split import Split, split_lungs

Mask = NDArray[np.bool_]

LARGEST_GAS_SHARE = 0.6
"""An object with more than this share of its voxels as thin as gas is gas."""
SECOND_LUNG = 0.02
"""Objects above this share of the largest are lung wherever they lie."""
SECOND_LUNG_OPEN = 0.2
"""The same for objects that lack a wall, as lungs cut by the frame do."""
PIECE_WALLS = 3.6
"""Mean number of walls of four of a piece of lung."""
SHELL_MM = 2.5
SHELL_REACH_MM = 8.0
"""Air within that reach of foreign gas stays only where a ball of the first radius fits in."""
LUNGLIKE_HU = (-945, -500)
LUNGLIKE_SHARE = 0.6
"""A detached piece of lung has at least this share of its voxels in that range; stool has not."""
SMALLEST_SECTION_MM2 = 400.0
"""Smallest cross-section of a lung."""


@dataclass(frozen=True, eq=False)
class LungLabels:
    """Both lungs on the full grid, with what was noticed on the way."""

    labels: NDArray[np.uint8]
    """(slices, rows, columns): 0 outside, 1 right, 2 left."""
    aerated_ml: float
    """Lung volume before vessels and lesions were closed in."""
    airway_ml: float
    """Trachea and bronchi found and left out, without walls; 0 if no trachea was found."""
    split_method: str
    """How right and left were told apart; ``none`` if there is no lung."""
    repaired_ml: float
    """Volume of dents of the rib-side surface taken for lesions and filled."""
    suspected_ml: float
    """Volume of dents too wide to fill: possible effusion or consolidation left out."""
    z_gaps: tuple[int, ...]
    """Slices without lung that lie between slices with lung."""

    @property
    def empty(self) -> bool:
        """Whether no lung was found."""
        return self.split_method == "none"


def segment_lungs(
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    config: LungConfig | None = None,
) -> LungLabels:
    """Return the lungs of a chest CT.

    Parameters
    ----------
    hu : array of int16, shape (slices, rows, columns)
        Hounsfield units, canonical: slice 0 nearest the head, row 0 at the front, column 0 at the
        patient's right.
    spacing_mm : tuple of float
        Slice, row and column spacing in mm (the median step for uneven slices).
    config : LungConfig, optional

    Returns
    -------
    LungLabels
        Empty labels and ``split_method`` ``none`` if there is no lung.

    Raises
    ------
    ValueError
        If the array has no voxels or three axes, or a spacing is not positive.
    """
    config = config or LungConfig()
    grid = working_grid(hu.shape, spacing_mm, config.grid_mm)
    small = block_mean(hu, grid)
    enclosed = enclosed_air(small, grid, config)
    airway = find_airway(small, enclosed.air, enclosed.midline_column, grid, config)
    lung = _lung_pieces(enclosed, airway, grid, config)
    split = split_lungs(small, lung, enclosed.midline_column, grid, config)
    repair = repair_lungs(enclosed, split.labels, airway, grid, config)
    return _on_full_grid(split, repair, airway, grid)


def _lung_pieces(enclosed: Enclosed, airway: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the objects of enclosed air that are lung: large or near, and not gas."""
    air = _without_gas(enclosed, grid)
    if airway.any():
        wall = morphology.dilate(morphology.as_bits(airway), config.airway_wall_mm, grid.spacing_mm)
        air &= ~wall.view(np.bool_)
    hu = enclosed.hu
    labels, counts = components.label(air)
    keep = counts * grid.voxel_ml >= config.smallest_piece_ml
    keep[0] = False
    gas = np.bincount(labels[hu < config.gas_below_hu].ravel(), minlength=counts.size)
    keep &= gas <= LARGEST_GAS_SHARE * counts
    lunglike = (hu > LUNGLIKE_HU[0]) & (hu < LUNGLIKE_HU[1])
    like = np.bincount(labels[lunglike].ravel(), minlength=counts.size)
    sections = np.stack([np.bincount(plane.ravel(), minlength=counts.size) for plane in labels])
    section_mm2 = sections.max(axis=0) * grid.spacing_mm[1] * grid.spacing_mm[2]
    if not (keep & (section_mm2 >= SMALLEST_SECTION_MM2)).any():
        return np.zeros_like(air)
    walls = np.bincount(labels.ravel(), enclosed.walls.ravel(), counts.size)
    closed = walls >= PIECE_WALLS * counts
    main = keep & (counts >= SECOND_LUNG * counts[keep].max())
    main &= closed | (counts >= SECOND_LUNG_OPEN * counts[keep].max())
    main &= section_mm2 >= SMALLEST_SECTION_MM2
    lungs: Mask = main[labels]
    rest: Mask = (keep & closed & ~main & (like >= LUNGLIKE_SHARE * counts))[labels]
    if rest.any():
        lungs |= _near(rest, lungs, grid, config)
    return lungs


def _without_gas(enclosed: Enclosed, grid: WorkingGrid) -> Mask:
    """Return enclosed air without foreign gas and the thin shells of air left round it."""
    air = enclosed.air & ~enclosed.gas
    reach = [int(SHELL_REACH_MM / mm) + 1 for mm in grid.spacing_mm]
    box = components.bounding_box(enclosed.gas, reach)
    if box is None:
        return air
    part = morphology.as_bits(air[box])
    shell = max(SHELL_MM, 1.01 * max(grid.spacing_mm[1:]))
    core = morphology.erode(part, shell, grid.spacing_mm)
    core = morphology.dilate(core, shell, grid.spacing_mm)
    near = morphology.dilate(morphology.as_bits(enclosed.gas[box]), SHELL_REACH_MM, grid.spacing_mm)
    air[box] &= (core > 0) | (near == 0)
    return air


def _near(rest: Mask, lungs: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the objects of a mask that come within reach of the lungs."""
    reach = morphology.dilate(morphology.as_bits(lungs), config.piece_reach_mm, grid.spacing_mm)
    labels, counts = components.label(rest)
    near = np.zeros(counts.size, np.bool_)
    near[np.unique(labels[reach.view(np.bool_)])] = True
    near[0] = False
    found: Mask = near[labels]
    return found


def _on_full_grid(split: Split, repair: Repair, airway: Mask, grid: WorkingGrid) -> LungLabels:
    """Return the result on the full grid."""
    labels = np.zeros(grid.full_shape, np.uint8)
    both = smooth_to(repair.labels > 0, grid)
    left = smooth_to(repair.labels == LEFT, grid)
    labels[both] = RIGHT
    labels[both & left] = LEFT
    filled = np.flatnonzero(labels.any(axis=(1, 2)))
    gaps = np.setdiff1d(np.arange(filled[0], filled[-1] + 1), filled) if filled.size else filled
    return LungLabels(
        labels=labels,
        aerated_ml=float((split.labels > 0).sum()) * grid.voxel_ml,
        airway_ml=float(airway.sum()) * grid.voxel_ml,
        split_method=split.method,
        repaired_ml=repair.repaired_ml,
        suspected_ml=repair.suspected_ml,
        z_gaps=tuple(int(index) for index in gaps),
    )
