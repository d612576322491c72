"""Infection in a volume without a network: balls of opacity that no vessel can hold.

A voxel is infected if it lies near a small ball wholly of ground-glass density or a larger ball
wholly of consolidation density. Vessels of the lung periphery are thinner than either ball, so they
drop out by size and need no filter of their own. Vessels of the lung root hold balls of the second
kind; they are told by their place (:mod:`groundglass.infection.hilum`).

Balls and margins are in mm on a working grid; the mask is interpolated back to the full grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT,
    RIGHT,
    InfectionMask,
    LungMask,
)
from groundglass.core.scan import Scan
from groundglass.errors import GridMismatchError
from groundglass.imaging import components, morphology
from groundglass.imaging.morphology import Bits
from groundglass.imaging.resample import WorkingGrid, block_mean, smooth_to, working_grid
from groundglass.infection.hilum import root_vessels

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

LOOSE, DEFAULT, TIGHT = 1, 2, 4
"""Bits of the three threshold sets in one array, widest first."""

DISK_FACTOR = 1.4
"""Where slices lie further apart than a ball reaches, only its disk in one slice is left, which
holds vessels that the ball would not; so it is widened by this. Chosen between 1.3 and 1.5, tried
on two ill patients and a healthy one with slices of 2 mm averaged to 4, 6 and 10 mm; 1.4 itself was
tried with slices left out only."""
RUN_FACTOR = 1.5
"""A step that differs from its neighbours by more than this starts another run of slices."""


@dataclass(frozen=True)
class VolumeInfectionConfig:
    """Settings of the training-free infection mask of a volume; lengths in mm, densities in HU."""

    grid_mm: float = 1.4
    """Wanted voxel side of the working grid. 3 mm is too coarse: vessels blur into ground glass."""

    smoothing_mm: float = 0.6
    """Standard deviation of the in-plane Gauss filter before thresholds."""

    ground_glass_hu: tuple[float, float] = (-750.0, -250.0)
    """Densities of ground glass."""

    ground_glass_ball_mm: float = 2.6
    """Radius of the ball that must be wholly of ground-glass density."""

    consolidation_hu: tuple[float, float] = (-300.0, 150.0)
    """Densities of consolidation."""

    consolidation_ball_mm: float = 4.5
    """Radius of the ball that must be wholly of consolidation density."""

    margin_mm: float = 3.0
    """Ball centres lie at least this deep inside the lung, as its soft edge looks like ground
    glass; where slices are farther apart, the next slice above and below must show lung too."""

    regrow: float = 1.4
    """Balls are widened to this multiple of their radius, as far as the density stays above the
    lower limit."""

    bridge_mm: float = 2.0
    """Gaps that a ball of this radius does not fit into are bridged: noise, air bronchograms."""

    core_mm: float = 6.0
    """Dense tissue that ground glass surrounds within this distance is the core of the lesion and
    counts as consolidation, though no ball of consolidation fits into it."""

    smallest_mm3: float = 300.0
    """Objects below this volume are dropped."""

    spread_hu: float = 30.0
    """The interval comes from moving the lower limit of both densities by this much either way:
    about the difference between reconstruction kernels, and between a deep and a shallow
    breath."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring slices at about equal steps."""

    slices: slice
    """Which slices."""
    spacing_mm: tuple[float, float, float]
    """Their step, and the pixel's sides."""


def even_runs(steps_mm: NDArray[np.float64], spacing_mm: tuple[float, float, float]) -> list[Run]:
    """Return slices cut into runs wherever the step changes by more than ``RUN_FACTOR``.

    A slice between two unlike steps goes with the nearer neighbour.

    Parameters
    ----------
    steps_mm : array, shape (slices - 1,)
        Distance from each slice to the next.
    spacing_mm : tuple of float
        Its last two numbers are kept; the first is the step of a slice without neighbours.
    """
    runs: list[Run] = []
    start, count = 0, steps_mm.size + 1
    while start < count:
        stop = start + 1
        step = float(steps_mm[start]) if start < steps_mm.size else spacing_mm[0]
        while stop < count and step / RUN_FACTOR <= steps_mm[stop - 1] <= step * RUN_FACTOR:
            stop += 1
        nearer_beyond = stop < count and steps_mm[stop - 1] < step and stop - start > 1
        if nearer_beyond:
            stop -= 1
        runs.append(Run(slice(start, stop), (step, *spacing_mm[1:])))
        start = stop
    return runs


def segment_infection(
    hu: NDArray[np.int16],
    lungs: Labels,
    spacing_mm: tuple[float, float, float],
    config: VolumeInfectionConfig | None = None,
    steps_mm: NDArray[np.float64] | None = None,
) -> tuple[Labels, Labels]:
    """Return infected lung, ground glass and consolidation apart, and its extent.

    Parameters
    ----------
    hu : array of int16, shape (slices, rows, columns)
        Hounsfield units.
    lungs : array of uint8, same shape
        Lung labels, 0 outside. Without lung both results are empty.
    spacing_mm : tuple of float
        Slice, row and column spacing in mm.
    config : VolumeInfectionConfig, optional
    steps_mm : array, shape (slices - 1,), optional
        Distance from each slice to the next, where they differ: no ball reaches across a gap.

    Returns
    -------
    labels : array of uint8
        0 none, 1 ground glass, 2 consolidation; never outside the lungs.
    extent : array of uint8
        0 none, 1 only at the loose thresholds, 2 also at the default ones, 3 also at the tight
        ones; ``labels > 0`` exactly where ``extent >= 2``.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or a spacing is not positive.
    """
    config = config or VolumeInfectionConfig()
    if hu.shape != lungs.shape:
        msg = f"lung labels of shape {lungs.shape} do not fit a volume of shape {hu.shape}"
        raise ValueError(msg)
    labels, extent = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    box = components.bounding_box(lungs)
    if box is None:
        return labels, extent
    inner = lungs[box] > 0
    part = hu[box]
    if steps_mm is None:
        grid = working_grid(part.shape, spacing_mm, config.grid_mm)
        runs = [Run(slice(None), grid.spacing_mm)]
    else:
        grid = working_grid(part.shape, (config.grid_mm, *spacing_mm[1:]), config.grid_mm)
        grid = replace(grid, spacing_mm=(spacing_mm[0], *grid.spacing_mm[1:]))
        runs = even_runs(steps_mm[box[0].start : box[0].stop - 1], grid.spacing_mm)
    sides = _on_grid(lungs[box], grid)
    density = _smoothed(block_mean(part, grid), grid, config)
    nested, solid = _infected(density, sides, grid, runs, config)
    box_extent = extent[box]
    for bit in (LOOSE, DEFAULT, TIGHT):
        box_extent += smooth_to((nested & bit) > 0, grid) & inner
    box_labels = labels[box]
    box_labels[box_extent >= 2] = GROUND_GLASS
    box_labels[(box_extent >= 2) & smooth_to(solid, grid)] = CONSOLIDATION
    return labels, extent


def _on_grid(lungs: Labels, grid: WorkingGrid) -> Labels:
    """Return lung labels of blocks that lie at least half in the lungs."""
    inside = block_mean((lungs > 0).astype(np.int16) * 100, grid) >= 50
    left = block_mean((lungs == LEFT).astype(np.int16) * 100, grid) >= 50
    return np.where(inside, np.where(left, LEFT, RIGHT), 0).astype(np.uint8)


def _smoothed(
    hu: NDArray[np.int16], grid: WorkingGrid, config: VolumeInfectionConfig
) -> NDArray[np.float32]:
    """Return densities after a light in-plane Gauss filter."""
    sigma = (0.0, *(config.smoothing_mm / mm for mm in grid.spacing_mm[1:]))
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(
        hu.astype(np.float32), sigma, truncate=3.0
    )
    return smoothed


def _infected(
    density: NDArray[np.float32],
    sides: Labels,
    grid: WorkingGrid,
    runs: list[Run],
    config: VolumeInfectionConfig,
) -> tuple[Bits, Mask]:
    """Return infected voxels as nested bits, and which of them are consolidation."""
    voxel_mm = max(grid.spacing_mm[1:])
    margin = max(config.margin_mm, 1.01 * voxel_mm)
    lung = sides > 0
    deep = morphology.erode(morphology.as_bits(lung), margin, grid.spacing_mm).view(np.bool_)
    if grid.spacing_mm[0] > margin:
        deep[1:] &= lung[:-1]
        deep[:-1] &= lung[1:]
    hazy = _near_balls(
        _bands(density, config.ground_glass_hu, config.spread_hu),
        deep,
        config.ground_glass_ball_mm,
        runs,
        config,
    )
    solid = _near_balls(
        _bands(density, config.consolidation_hu, config.spread_hu),
        deep,
        config.consolidation_ball_mm,
        runs,
        config,
    )
    solid[~lung] = 0
    solid |= _cores(hazy, density, runs, config)
    # Objects at the loose limit decide for all three, so that the masks stay nested.
    solid[root_vessels((solid & LOOSE) > 0, sides, grid)] = 0
    nested = hazy | solid
    nested[~lung] = 0
    smallest = config.smallest_mm3 / (grid.voxel_ml * 1000.0)
    for bit in (LOOSE, DEFAULT, TIGHT):
        kept = components.drop_small((nested & bit) > 0, smallest)
        nested[~kept] &= np.uint8(7 - bit)
    dense = ((solid & DEFAULT) > 0) & (density > config.ground_glass_hu[1])
    return nested, dense


def _cores(
    hazy: Bits, density: NDArray[np.float32], runs: list[Run], config: VolumeInfectionConfig
) -> Bits:
    """Return dense voxels that lie within ground glass."""
    cores = np.zeros_like(hazy)
    for run in runs:
        cores[run.slices] = morphology.close(hazy[run.slices], config.core_mm, run.spacing_mm)
    cores[(density <= config.ground_glass_hu[1]) | (density > config.consolidation_hu[1])] = 0
    return cores


def _bands(
    density: NDArray[np.float32], hu: tuple[float, float], spread: float
) -> tuple[Bits, Bits]:
    """Return voxels within a band, and above its lower limit, at the three limits as bits."""
    above = np.zeros(density.shape, np.uint8)
    for bit, shift in ((LOOSE, -spread), (DEFAULT, 0.0), (TIGHT, spread)):
        above |= (density >= hu[0] + shift).view(np.uint8) * np.uint8(bit)
    within = above.copy()
    within[density > hu[1]] = 0
    return within, above


def _near_balls(
    bands: tuple[Bits, Bits],
    deep: Mask,
    radius_mm: float,
    runs: list[Run],
    config: VolumeInfectionConfig,
) -> Bits:
    """Return voxels above a band's lower limit near a ball wholly in it and deep in the lung.

    On voxels coarser than the ball its radius is one voxel, since no vessel is wider there.
    """
    within, above = bands
    found = np.zeros_like(within)
    for run in runs:
        wide = radius_mm * (DISK_FACTOR if run.spacing_mm[0] > radius_mm else 1.0)
        radius = max(wide, 1.01 * max(run.spacing_mm[1:]))
        seeds = morphology.erode(within[run.slices], radius, run.spacing_mm)
        seeds[~deep[run.slices]] = 0
        near = morphology.dilate(seeds, config.regrow * radius, run.spacing_mm)
        near &= above[run.slices]
        found[run.slices] = morphology.close(near, config.bridge_mm, run.spacing_mm)
    return found


def find_infection(
    scan: Scan, lungs: LungMask, config: VolumeInfectionConfig | None = None
) -> InfectionMask:
    """Return the infected part of the lungs of a scan in Hounsfield units.

    Parameters
    ----------
    scan : Scan
    lungs : LungMask
        On the scan's grid; any non-zero label is lung.
    config : VolumeInfectionConfig, optional

    Raises
    ------
    GridMismatchError
        If the lung mask does not lie on the scan's grid.
    UncalibratedError
        If the scan holds display values or numbers of unknown scale.
    """
    if not scan.geometry.same_grid(lungs.geometry):
        msg = (
            f"the lung mask must lie on the scan's grid of {scan.shape}, found one of "
            f"{lungs.labels.shape} or at another place; resample it to the scan"
        )
        raise GridMismatchError(msg)
    geometry = scan.geometry
    steps = None if geometry.is_even else geometry.steps_mm
    labels, extent = segment_infection(scan.hu(), lungs.labels, geometry.spacing_mm, config, steps)
    return InfectionMask(labels, extent, scan.geometry, "training-free")
