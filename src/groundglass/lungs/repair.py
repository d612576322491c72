"""Vessels, lesions and dents put back into each lung."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.body import Enclosed
from groundglass.lungs.completion import Missing
from groundglass.lungs.config import LungConfig
from groundglass.lungs.dents import find_dents
from groundglass.lungs.split import spread_sides

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

DOME_SECTION_MM2 = 300.0
"""Holes with a smaller largest section are vessels, bronchi or lesions."""
DOME_OPEN = 0.4
"""Share of a hole's largest section that goes on below as outside tissue in a dome."""
SURROUNDED = 0.9
"""Share of a gas object within the repaired lungs from which on it is a cavity of the lung."""


@dataclass(frozen=True, eq=False)
class Repair:
    """Lungs with vessels and lesions closed in."""

    labels: Labels
    """0 outside, 1 right, 2 left on the working grid."""

    repaired_ml: float
    """Volume of rib-side dents filled."""

    suspected_ml: float
    """Volume of rib-side dents too wide to fill."""

    completed_ml: float = 0.0
    """Volume of lung that ``complete`` found missing."""

    fluid_ml: float = 0.0
    """Volume that it left out as effusion."""


def repair_lungs(  # noqa: PLR0913, PLR0917 - what is known of a scan
    enclosed: Enclosed,
    labels: Labels,
    airway: Mask,
    grid: WorkingGrid,
    config: LungConfig,
    complete: Callable[[Labels], Missing] | None = None,
) -> Repair:
    """Return each lung closed by a ball, its holes and rib-side dents filled.

    Parameters
    ----------
    enclosed : Enclosed
        Densities, and gas that is no lung: it stays out unless lung surrounds it.
    labels : array of uint8, shape ``grid.shape``
        Aerated lung: 0 outside, 1 right, 2 left.
    airway : array of bool, same shape
        Trachea and bronchi, which stay out.
    grid : WorkingGrid
    config : LungConfig
    complete : callable, optional
        Takes the closed lungs and returns the parts they lack by side, before dents are looked for.
    """
    out = np.zeros_like(labels)
    reach = [int(config.closing_mm / mm) + 1 for mm in grid.spacing_mm]
    box = components.bounding_box(labels, reach)
    if box is None:
        return Repair(out, 0.0, 0.0)
    part = np.ascontiguousarray(labels[box])
    sides = _close(part, airway[box], enclosed.gas[box], grid, config)
    out[box] = sides
    keep_out = airway | enclosed.gas
    completed = fluid = 0.0
    if complete is not None:
        missing = complete(out)
        completed, fluid = _fill(out, missing.labels, keep_out, grid, config), missing.fluid_ml
    if config.dent_ball_mm <= 0:
        return Repair(out, 0.0, 0.0, completed, fluid)
    dents = find_dents(enclosed.hu, out, grid, config)
    hollow = np.where((out == 0) & (enclosed.hu > config.air_below_hu), dents.labels, 0)
    repaired = _fill(out, hollow.astype(np.uint8), keep_out, grid, config)
    return Repair(out, repaired, dents.suspected_ml, completed, fluid)


def _fill(
    lungs: Labels, hollow: Labels, keep_out: Mask, grid: WorkingGrid, config: LungConfig
) -> float:
    """Put parts into the lungs in place and close the seams; return the ml that came in."""
    box = components.bounding_box(
        hollow, [int(2 * config.closing_mm / mm) + 1 for mm in grid.spacing_mm]
    )
    if box is None:
        return 0.0
    before = np.count_nonzero(lungs[box])
    part = np.ascontiguousarray(lungs[box] | hollow[box])
    closed = morphology.close(part, config.closing_mm, grid.spacing_mm)
    closed[keep_out[box]] = 0
    lungs[box] = _settle((closed & RIGHT) > 0, (closed & LEFT) > 0, part)
    return float(np.count_nonzero(lungs[box]) - before) * grid.voxel_ml


def _close(part: Labels, airway: Mask, gas: Mask, grid: WorkingGrid, config: LungConfig) -> Labels:
    """Return both lungs closed by a ball, holes filled, without airway and foreign gas."""
    # Bit 0 holds the right lung and bit 1 the left: labels 1 and 2 are their own bits.
    closed = morphology.close(part, config.closing_mm, grid.spacing_mm)
    whole = [_fill_holes((closed & side) > 0, grid) for side in (RIGHT, LEFT)]
    keep_out = airway | _foreign(gas, whole[0] | whole[1])
    return _settle(whole[0] & ~keep_out, whole[1] & ~keep_out, part)


def _settle(right: Mask, left: Mask, sure: Labels) -> Labels:
    """Return one label a voxel: what is sure, then the only claim, then the nearer lung."""
    sides = right * np.uint8(RIGHT) + left * np.uint8(LEFT)
    claimed = sides > 0
    sides = np.where(claimed & (sure > 0), sure, sides)
    disputed = sides == RIGHT + LEFT
    if disputed.any():
        sides[disputed] = 0
        sides = spread_sides(sides, disputed)
    return sides


def _fill_holes(mask: Mask, grid: WorkingGrid) -> Mask:
    """Return a lung with its in-plane holes filled, but for domes of the diaphragm.

    A hole that goes on downwards as tissue outside the lung over most of its largest section is a
    dome of liver or stomach; so is one that is largest where the scan ends.
    """
    filled = components.fill_holes_in_plane(mask)
    holes = filled & ~mask
    labels, counts = components.label(holes)
    where = np.nonzero(labels)
    which = labels[where]
    slices = mask.shape[0]
    order = which.astype(np.int64) * slices + where[0]
    sections = np.bincount(order, minlength=counts.size * slices).reshape(-1, slices)
    largest = sections.max(axis=1)
    below = np.minimum(where[0] + 1, slices - 1)
    open_below = ~filled[below, where[1], where[2]] | (where[0] == slices - 1)
    leaving = np.bincount(which[open_below], minlength=counts.size)
    dome = largest * grid.spacing_mm[1] * grid.spacing_mm[2] > DOME_SECTION_MM2
    dome &= leaving > DOME_OPEN * largest
    kept: Mask = filled & ~dome[labels]
    return kept


def _foreign(gas: Mask, lungs: Mask) -> Mask:
    """Return gas objects that the repaired lungs do not surround."""
    labels, counts = components.label(gas)
    inside = np.bincount(labels[lungs], minlength=counts.size)
    outside = inside < SURROUNDED * counts
    outside[0] = False
    found: Mask = outside[labels]
    return found
