"""Lungs of a chest CT: thresholds, connected objects, distances, closing; a network if wanted.

The order of the steps: block means on a working grid; air enclosed by tissue in each slice
(:mod:`groundglass.lungs.body`); the airway grown and taken out (:mod:`~groundglass.lungs.airway`);
gas and far pieces dropped (:mod:`~groundglass.lungs.pieces`); right and left told apart
(:mod:`~groundglass.lungs.split`); vessels and lesions closed into each lung
(:mod:`~groundglass.lungs.repair`); parts as dense as the chest wall added where a network finds
them (:mod:`~groundglass.lungs.completion`); masks interpolated back to the full grid.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging.resample import WorkingGrid, block_mean, smooth_to, working_grid
from groundglass.lungs.airway import find_airway
from groundglass.lungs.body import enclosed_air
from groundglass.lungs.completion import LungMap, find_missing
from groundglass.lungs.config import LungConfig
from groundglass.lungs.pieces import lung_pieces
from groundglass.lungs.repair import Repair, repair_lungs
from groundglass.lungs.split import Split, split_lungs

Mask = NDArray[np.bool_]


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
    completed_ml: float = 0.0
    """Volume that a network found missing and that was added."""
    fluid_ml: float = 0.0
    """Volume that was left out as effusion."""

    @property
    def empty(self) -> bool:
        """Whether no lung was found."""
        return self.split_method == "none"


def segment_lungs(
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    config: LungConfig | None = None,
    network: LungMap | None = None,
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
    network : LungMap, optional
        Completes the lungs where opacity is as dense as the chest wall.

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
    lung = lung_pieces(enclosed, airway, grid, config)
    split = split_lungs(small, lung, enclosed.midline_column, grid, config)
    complete = None
    if network is not None:
        complete = partial(find_missing, enclosed, airway, grid, config, network)
    repair = repair_lungs(enclosed, split.labels, airway, grid, config, complete)
    return _on_full_grid(split, repair, airway, grid)


def _on_full_grid(split: Split, repair: Repair, airway: Mask, grid: WorkingGrid) -> LungLabels:
    """Return the result on the full grid."""
    labels = np.zeros(grid.full_shape, np.uint8)
    both = smooth_to(repair.labels > 0, grid)
    left = smooth_to(repair.labels == LEFT, grid)
    labels[both] = RIGHT
    labels[both & left] = LEFT
    return LungLabels(
        labels=labels,
        aerated_ml=float((split.labels > 0).sum()) * grid.voxel_ml,
        airway_ml=float(airway.sum()) * grid.voxel_ml,
        split_method=split.method,
        repaired_ml=repair.repaired_ml,
        suspected_ml=repair.suspected_ml,
        completed_ml=repair.completed_ml,
        fluid_ml=repair.fluid_ml,
        z_gaps=gaps_between(labels),
    )


def gaps_between(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the slices without lung that lie between slices with lung."""
    filled = np.flatnonzero(labels.any(axis=(1, 2)))
    if not filled.size:
        return ()
    gaps = np.setdiff1d(np.arange(filled[0], filled[-1] + 1), filled)
    return tuple(int(index) for index in gaps)
