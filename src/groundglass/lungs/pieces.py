"""Which objects of enclosed air are lung: large or near, walled, and neither gas nor stool."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.body import Enclosed
from groundglass.lungs.config import LungConfig

Mask = NDArray[np.bool_]
Shares = NDArray[np.float64]

GAS_SHARE = 0.6
GAS_SHARE_SMALL = 0.4
"""An object with more than this share of its voxels as thin as gas is gas; the second number is for
objects that are small beside the largest, as emphysema is seldom worse in a small piece."""
LUNGLIKE_HU = (-945, -500)
LUNGLIKE_SHARE = 0.6
"""A detached piece of lung has at least this share of its voxels in that range; stool has not."""
SECOND_LUNG = 0.02
"""Objects above this share of the largest are lung wherever they lie."""
SECOND_LUNG_OPEN = 0.2
"""The same for objects that lack a wall, as lungs cut by the frame do."""
PIECE_WALLS = 3.6
"""Mean number of walls of four of a piece of lung."""
SMALLEST_SECTION_MM2 = 400.0
"""Smallest largest cross-section of a lung."""
SHELL_MM = 2.5
SHELL_REACH_MM = 8.0
"""Air within that reach of foreign gas stays only where a ball of the first radius fits in."""


@dataclass(frozen=True, eq=False)
class _Objects:
    """Objects of enclosed air that are large enough to count, numbered from 1."""

    labels: NDArray[np.uint16]
    """Numbers on the working grid, 0 elsewhere."""

    counts: Shares
    """Voxels of each number; 0 for number 0."""

    gas: Shares
    """Share of voxels as thin as gas."""

    lunglike: Shares
    """Share of voxels of lung density."""

    walls: Shares
    """Mean number of walls of four."""

    section_mm2: Shares
    """Largest cross-section."""


def lung_pieces(enclosed: Enclosed, airway: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the enclosed air that is lung, airway and its wall left out.

    Parameters
    ----------
    enclosed : Enclosed
    airway : array of bool, shape ``grid.shape``
    grid : WorkingGrid
    config : LungConfig

    Returns
    -------
    array of bool, same shape
        Empty if no object is as large as a lung.
    """
    air = _without_gas(enclosed, grid)
    if airway.any():
        wall = morphology.dilate(morphology.as_bits(airway), config.airway_wall_mm, grid.spacing_mm)
        air &= ~wall.view(np.bool_)
    found = _measure(air, enclosed, grid, config)
    fits = (found.counts > 0) & (found.gas <= GAS_SHARE)
    small = found.counts < SECOND_LUNG_OPEN * np.max(found.counts, where=fits, initial=0.0)
    fits &= ~small | (found.gas <= GAS_SHARE_SMALL)
    wide = fits & (found.section_mm2 >= SMALLEST_SECTION_MM2)
    if not wide.any():
        return np.zeros_like(air)
    largest = found.counts[fits].max()
    closed = found.walls >= PIECE_WALLS
    main = wide & (found.counts >= np.where(closed, SECOND_LUNG, SECOND_LUNG_OPEN) * largest)
    lungs: Mask = main[found.labels]
    rest: Mask = (fits & closed & ~main & (found.lunglike >= LUNGLIKE_SHARE))[found.labels]
    lungs |= _near(rest, lungs, found, grid, config.piece_reach_mm)
    return lungs


def _measure(air: Mask, enclosed: Enclosed, grid: WorkingGrid, config: LungConfig) -> _Objects:
    """Return the objects of a mask above the smallest volume, with what tells lung from other."""
    every, sizes = components.label(air)
    large = sizes * grid.voxel_ml >= config.smallest_piece_ml
    large[0] = False
    numbers = np.where(large, np.cumsum(large), 0).astype(np.uint16)
    labels: NDArray[np.uint16] = numbers[every]
    where = np.nonzero(labels)
    which, hu = labels[where], enclosed.hu[where]
    bins = int(large.sum()) + 1
    counts = np.bincount(which, minlength=bins)
    size = np.maximum(counts, 1)
    slices = labels.shape[0]
    places = which.astype(np.int64) * slices + where[0]
    sections = np.bincount(places, minlength=bins * slices).reshape(bins, slices)
    like = (hu > LUNGLIKE_HU[0]) & (hu < LUNGLIKE_HU[1])
    return _Objects(
        labels=labels,
        counts=counts.astype(np.float64),
        gas=np.bincount(which[hu < config.gas_below_hu], minlength=bins) / size,
        lunglike=np.bincount(which[like], minlength=bins) / size,
        walls=np.bincount(which, enclosed.walls[where], bins) / size,
        section_mm2=sections.max(axis=1) * (grid.spacing_mm[1] * grid.spacing_mm[2]),
    )


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


def _near(rest: Mask, lungs: Mask, found: _Objects, grid: WorkingGrid, reach_mm: float) -> Mask:
    """Return the objects of a part of those found that come within reach of the lungs."""
    near = np.zeros(rest.shape, np.bool_)
    box = components.bounding_box(rest, [int(reach_mm / mm) + 1 for mm in grid.spacing_mm])
    if box is None:
        return near
    reach = morphology.dilate(morphology.as_bits(lungs[box]), reach_mm, grid.spacing_mm)
    part = np.where(rest[box], found.labels[box], 0)
    numbers = np.unique(part[reach > 0])
    near[box] = np.isin(part, numbers[numbers > 0])
    return near
