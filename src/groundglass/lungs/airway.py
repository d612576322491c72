"""The airway: trachea and main bronchi, grown from the trachea until it leaks."""

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.config import LungConfig

Mask = NDArray[np.bool_]
Values = NDArray[np.floating[Any]]

SEED_BELOW_HU = -900
"""Trachea on the working grid, edges included."""
SEED_MEAN_BELOW_HU = -935
"""Mean of a cross-section; a lung apex of the same size is denser."""
SEED_AREA_MM2 = (30.0, 900.0)
"""Cross-section of a trachea, up to the carina."""
ROUNDNESS = 0.8
"""Area over that of the ellipse with the same second moments."""
OFF_MIDDLE_MM = 45.0
"""Farthest distance of the trachea from the body's middle."""
SHORTEST_MM = 15.0
"""Shortest trachea that is believed."""
WALLED = 0.5
"""Share of an object's rim that must be wall, not lung."""
LEVELS_HU = (-960, -940, -920, -900, -885, -870)
"""Rising thresholds of growing."""
LEAP = 1.35
"""Growth from one level to the next beyond this factor (and 4 ml) is a leak."""


def find_airway(
    hu: NDArray[np.int16], air: Mask, midline_column: float, grid: WorkingGrid, config: LungConfig
) -> Mask:
    """Return trachea and bronchi without their walls; empty if no trachea is found.

    Parameters
    ----------
    hu : array of int16, shape ``grid.shape``
    air : array of bool, same shape
        Enclosed air.
    midline_column : float
        Column of the body's middle.
    grid : WorkingGrid
    config : LungConfig

    Returns
    -------
    array of bool, same shape
    """
    airway = np.zeros(air.shape, np.bool_)
    width = int(OFF_MIDDLE_MM / grid.spacing_mm[2]) + 1
    low = max(0, int(midline_column) - 2 * width)
    box = components.bounding_box(air[:, :, low : int(midline_column) + 2 * width])
    if box is None:
        return airway
    box = (box[0], box[1], slice(box[2].start + low, box[2].stop + low))
    values = np.where(air[box], hu[box], np.int16(0))
    seed = _trachea(values, midline_column - box[2].start, grid)
    if seed is not None:
        airway[box] = _grow(values, seed, grid, config)
    return airway


def _trachea(values: NDArray[np.int16], middle: float, grid: WorkingGrid) -> Mask | None:
    """Return the longest stack of round, thin cross-sections near the middle."""
    thin = values < SEED_BELOW_HU
    labels, counts = components.label(thin, in_plane=True)
    round_ones = _round_sections(labels, counts, values, middle, grid)
    if not round_ones.any():
        return None
    stacked, sizes = components.label(round_ones[labels])
    best, longest = None, 0.0
    for number in np.argsort(sizes[1:])[::-1][:8] + 1:
        candidate = stacked == number
        length = float(candidate.any(axis=(1, 2)).sum()) * grid.spacing_mm[0]
        enough = length >= SHORTEST_MM or candidate.shape[0] * grid.spacing_mm[0] < 2 * SHORTEST_MM
        if length > longest and enough and _walled(candidate, values, grid):
            best, longest = candidate, length
    return best


def _round_sections(
    labels: NDArray[np.int32],
    counts: NDArray[np.int64],
    values: NDArray[np.int16],
    middle: float,
    grid: WorkingGrid,
) -> Mask:
    """Return by label whether an in-plane object looks like a cut through the trachea."""
    mm_r, mm_c = grid.spacing_mm[1:]
    area = counts * mm_r * mm_c
    fits = (area >= SEED_AREA_MM2[0]) & (area <= SEED_AREA_MM2[1])
    fits[0] = False
    where = np.nonzero(fits[labels])
    which = labels[where]
    size = np.maximum(counts, 1)

    def mean(quantity: Values) -> Values:
        return np.bincount(which, quantity, counts.size) / size

    row, column = where[1] * mm_r, where[2] * mm_c
    mid_r, mid_c = mean(row), mean(column)
    off_r, off_c = row - mid_r[which], column - mid_c[which]
    var_r, var_c = mean(off_r**2) + mm_r**2 / 12, mean(off_c**2) + mm_c**2 / 12
    spread = np.maximum(var_r * var_c - mean(off_r * off_c) ** 2, 1e-6)
    fits &= area >= ROUNDNESS * 4 * np.pi * np.sqrt(spread)
    fits &= mean(values[where].astype(np.float64)) < SEED_MEAN_BELOW_HU
    fits &= np.abs(mid_c - middle * mm_c) < OFF_MIDDLE_MM
    return fits


def _walled(candidate: Mask, values: NDArray[np.int16], grid: WorkingGrid) -> bool:
    """Whether most of the rim is denser than lung."""
    bits = morphology.as_bits(candidate)
    near = max(3.0, 1.01 * max(grid.spacing_mm[1:]))
    rim = morphology.dilate(bits, near, (1e6, *grid.spacing_mm[1:])).view(np.bool_) & ~candidate
    return bool((values[rim] > -600).mean() >= WALLED) if rim.any() else False


def _grow(values: NDArray[np.int16], seed: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the airway at the highest level that does not leak."""
    itk: Any = SimpleITK
    image = itk.GetImageFromArray(values)
    points = np.argwhere(seed & (values < LEVELS_HU[0]))
    if points.size == 0:
        points = np.argwhere(seed)
    step = max(1, len(points) // 50)
    seeds = [tuple(int(i) for i in point[::-1]) for point in points[::step]]
    grown, volume = seed, float(seed.sum()) * grid.voxel_ml
    for level in LEVELS_HU:
        grown_image = itk.ConnectedThreshold(image, seeds, lower=-32768, upper=level)
        found: NDArray[np.uint8] = itk.GetArrayFromImage(grown_image)
        larger = found.astype(np.bool_) | seed
        ml = float(larger.sum()) * grid.voxel_ml
        if ml > config.airway_most_ml or ml > LEAP * volume + 4.0:
            break
        grown, volume = larger, max(volume, ml)
    return grown
