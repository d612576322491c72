"""Consolidation on the pleura: dents of the rib-side lung surface that soft tissue fills.

The rib cage is smooth and convex, so a healthy lung shows no hollow there. A dense lesion on the
pleura does: closing the lung by a large ball fills it. The same closing also fills hollows beside
the heart, the liver and the spine; what counts as a dent is therefore told by where it lies (away
from the middle of the body, outside the lung as seen from its centre), by what it holds (soft
tissue, no fat, no rib), and by lung going on above and below it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.distance import distance_mm
from groundglass.imaging.resample import WorkingGrid, block_mean, repeat_to, working_grid
from groundglass.lungs.config import LungConfig

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]

COARSE_MM = 3.0
"""Block side of the grid that dents are looked for on."""
RIB_SIDE_DEGREES = (-85.0, 110.0)
"""Angles from straight sideways, seen from the lung's centre, that count as rib side: farther to
the front (negative) lies the heart, farther to the back the spine."""
TISSUE_HU = (-100.0, 200.0)
"""Densities that a dent may hold."""
MEAN_HU = (-40.0, 120.0)
"""Mean density of a dent; fat and ribs lie outside."""
SMALLEST_ML = 0.4
"""Smaller dents are left as they are."""
SEEN_WITHIN_MM = 12.0
"""Lung is looked for that far above and below a dent."""
SEEN = 0.45
"""Share of a dent that must have lung above it, and the same below it."""
SUSPECT_ML = 5.0
SUSPECT_DEGREES = 80.0
"""A dent of that size nearer to sideways than that, with lung on one side only, is told of."""
BINS = 72
"""Directions in which the outermost lung voxel is kept."""


@dataclass(frozen=True, eq=False)
class Dents:
    """Soft tissue taken for lesions on the pleura."""

    labels: Labels
    """0 none, 1 dent of the right lung, 2 of the left, on the working grid."""

    suspected_ml: float
    """Volume of dents with lung on one side only, not part of the labels."""


class _Polar:
    """Distance and direction from the centre of one lung in each slice."""

    def __init__(self, lung: Mask, side: int, grid: WorkingGrid) -> None:
        self.lung = lung
        step_z, self._mm_r, self._mm_c = grid.spacing_mm
        self._outwards = -1.0 if side == RIGHT else 1.0
        where = np.nonzero(lung)
        area, row, column = (
            np.bincount(where[0], values.astype(np.float64), lung.shape[0])
            for values in (np.ones(len(where[0])), where[1], where[2])
        )
        weight = _smooth(area, step_z)
        self._row, self._column = _smooth(row, step_z) / weight, _smooth(column, step_z) / weight
        distance, angle = self.of(where)
        self._outer: Floats = np.zeros((lung.shape[0], BINS))
        np.maximum.at(self._outer, (where[0], self._bin(angle)), distance)

    def of(self, where: tuple[NDArray[np.intp], ...]) -> tuple[Floats, Floats]:
        """Return mm from the centre and degrees from straight sideways (front negative)."""
        down = (where[1] - self._row[where[0]]) * self._mm_r
        out = (where[2] - self._column[where[0]]) * self._mm_c * self._outwards
        return np.hypot(down, out), np.degrees(np.arctan2(down, out))

    def outer(self, where: tuple[NDArray[np.intp], ...], angle: Floats) -> Floats:
        """Return the distance of the outermost lung voxel in the same slice and direction."""
        found: Floats = self._outer[where[0], self._bin(angle)]
        return found

    @staticmethod
    def _bin(angle: Floats) -> NDArray[np.intp]:
        return ((angle + 180) / 360 * BINS).astype(np.intp) % BINS


def _smooth(profile: NDArray[Any], step_mm: float) -> Floats:
    smoothed: Floats = ndimage.gaussian_filter1d(profile, 10.0 / step_mm)
    return smoothed + 1e-6


def find_dents(
    hu: NDArray[np.int16], lungs: Labels, grid: WorkingGrid, config: LungConfig
) -> Dents:
    """Return dents of the rib-side surface of both lungs.

    Parameters
    ----------
    hu : array of int16, shape ``grid.shape``
    lungs : array of uint8, same shape
        Lungs with vessels and small lesions closed in: 0 outside, 1 right, 2 left.
    grid : WorkingGrid
    config : LungConfig

    Returns
    -------
    Dents
        Empty where the lungs are smooth, or no lung is there.
    """
    coarse = working_grid(grid.shape, grid.spacing_mm, COARSE_MM)
    means = block_mean(hu, coarse)
    either = block_mean((lungs > 0).astype(np.int16) * 100, coarse) >= 30
    found = np.zeros(coarse.shape, np.uint8)
    suspected = 0.0
    for side in (RIGHT, LEFT):
        lung = block_mean((lungs == side).astype(np.int16) * 100, coarse) >= 50
        box = components.bounding_box(
            lung, [int(config.closing_mm / mm) + 1 for mm in coarse.spacing_mm]
        )
        if box is None:
            continue
        polar = _Polar(lung[box], side, coarse)
        dent, doubtful = _dents_of(polar, either[box], means[box], coarse, config)
        found[box][dent] = side
        suspected += doubtful
    return Dents(repeat_to(found, coarse), suspected)


def _dents_of(
    polar: _Polar, either: Mask, means: NDArray[np.int16], grid: WorkingGrid, config: LungConfig
) -> tuple[Mask, float]:
    """Return the dents of one lung and the volume of doubtful ones in ml."""
    hollow = _large_closing(polar.lung, config.dent_ball_mm, grid) & ~either
    where = np.nonzero(hollow & (means > TISSUE_HU[0]) & (means < TISSUE_HU[1]))
    distance, angle = polar.of(where)
    outer = polar.outer(where, angle)
    fits = (angle > RIB_SIDE_DEGREES[0]) & (angle < RIB_SIDE_DEGREES[1])
    fits &= (distance >= outer - 2.0) & (outer > 0)
    candidate = np.zeros_like(either)
    candidate[tuple(axis[fits] for axis in where)] = True
    radius = max(config.dent_depth_mm / 2, 1.01 * min(grid.spacing_mm[1:]))
    core = morphology.erode(morphology.as_bits(candidate), radius, grid.spacing_mm)
    core = morphology.dilate(core, 1.5 * radius, grid.spacing_mm)
    return _judge(core.view(np.bool_) & candidate, means, polar, grid)


def _large_closing(lung: Mask, radius_mm: float, grid: WorkingGrid) -> Mask:
    """Return the closing of a lung by a large ball, by two distance maps."""
    pad = [int(radius_mm / mm) + 1 for mm in grid.spacing_mm]
    wide = np.pad(lung, [(n, n) for n in pad])
    far = distance_mm(wide, grid.spacing_mm) > radius_mm
    closed = distance_mm(far, grid.spacing_mm) > radius_mm
    inner: Mask = closed[tuple(slice(n, -n) for n in pad)]
    return inner


def _judge(
    candidate: Mask, means: NDArray[np.int16], polar: _Polar, grid: WorkingGrid
) -> tuple[Mask, float]:
    """Return candidates with lung above and below, and the volume of those with one of them."""
    labels, counts = components.label(candidate)
    kept, suspected = np.zeros(counts.size, np.bool_), 0.0
    above, below = _lung_nearby(polar.lung, grid)
    boxes = components.boxes_of(labels)
    for number in np.flatnonzero(counts * grid.voxel_ml >= SMALLEST_ML):
        if number == 0:
            continue
        box = boxes[number - 1]
        one = labels[box] == number
        if not MEAN_HU[0] < float(means[box][one].mean()) < MEAN_HU[1]:
            continue
        top, bottom = one.copy(), one.copy()
        top[1:] &= ~one[:-1]
        bottom[:-1] &= ~one[1:]
        seen = float(above[box][top].mean()), float(below[box][bottom].mean())
        kept[number] = min(seen) >= SEEN
        where = tuple(axis + part.start for axis, part in zip(np.nonzero(one), box, strict=True))
        sideways = abs(float(np.median(polar.of(where)[1]))) < SUSPECT_DEGREES
        ml = float(counts[number]) * grid.voxel_ml
        if not kept[number] and max(seen) >= SEEN and sideways and ml >= SUSPECT_ML:
            suspected += ml
    dents: Mask = kept[labels]
    return dents, suspected


def _lung_nearby(lung: Mask, grid: WorkingGrid) -> tuple[Mask, Mask]:
    """Return whether lung lies within reach above each voxel, and below."""
    above, below = np.zeros_like(lung), np.zeros_like(lung)
    reach = min(int(SEEN_WITHIN_MM / grid.spacing_mm[0]) + 1, lung.shape[0] - 1)
    for step in range(1, reach + 1):
        above[step:] |= lung[:-step]
        below[:-step] |= lung[step:]
    return above, below
