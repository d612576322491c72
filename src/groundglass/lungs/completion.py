"""Lung that opacity makes as dense as the chest wall, found by a network beside aerated lung.

The network only ever adds. What it adds must be dense tissue or enclosed air in which it is
certain of lung, thicker than the seams along a lung's surface, and must lie against lung that is
there already, or be a whole lung of the side that lacks one. Effusion is left out by its density.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.imaging.tone import resized
from groundglass.lungs.body import Enclosed
from groundglass.lungs.config import LungConfig
from groundglass.lungs.effusion import find_fluid
from groundglass.lungs.network_view import NetworkView, PlaneBox, body_box, neighbour_step
from groundglass.lungs.organs import find_organs
from groundglass.lungs.split import spread_sides

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

RUN_MM = 4.5
"""Wanted distance of the slices the network looks at; those between are interpolated."""
BATCH = 16
"""Slices of one call."""
DENSEST_HU = 300
"""Denser voxels are bone or calcium and no lung."""
PART = 4
"""Label of a part whose side is that of the lung it lies against."""
WHOLE_LUNG_ML = 150.0
"""Least volume of a lung without any air in it."""


class LungMap(Protocol):
    """A network that tells where lung is."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its input."""

    @property
    def slices(self) -> int:
        """Tone maps of its input: the slice and its neighbours."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of lung, (slices, rows, columns), for (slices, maps, ...)."""


@dataclass(frozen=True, eq=False)
class Missing:
    """What lungs lack by the network's judgement."""

    labels: Labels
    """1 right, 2 left, 0 elsewhere and wherever there was lung before, on the working grid."""
    fluid_ml: float
    """Volume left out as effusion."""


def find_missing(  # noqa: PLR0913, PLR0917 - what is known of a scan
    enclosed: Enclosed,
    airway: Mask,
    grid: WorkingGrid,
    config: LungConfig,
    network: LungMap,
    labels: Labels,
) -> Missing:
    """Return the parts that lungs lack by the network's judgement.

    Parameters
    ----------
    enclosed : Enclosed
        Densities, and gas that is no lung.
    airway : array of bool, shape ``grid.shape``
        Trachea and bronchi, which stay out.
    grid : WorkingGrid
    config : LungConfig
    network : LungMap
    labels : array of uint8, same shape
        Lungs with vessels closed in: 0 outside, 1 right, 2 left.
    """
    box = body_box(enclosed.walls)
    certainty = _certainty(enclosed.hu, box, grid, network)
    part = (slice(None), *box)
    able = (labels[part] == 0) & ~airway[part] & ~enclosed.gas[part]
    able &= (enclosed.hu[part] < DENSEST_HU) & (certainty >= round(config.network_least * 255))
    missing = _thick(able, grid, config)
    sure = np.ascontiguousarray(labels[part])
    fluid = find_fluid(enclosed.hu[part], missing, grid, config)
    missing = _thick(missing & ~fluid, grid, config)
    organs = find_organs(enclosed.hu[part], missing, sure > 0, grid, config)
    kept = _judged(_thick(missing & ~organs, grid, config), certainty, sure, grid, config)
    sides = spread_sides(np.where(kept < PART, kept, 0) | sure, kept > 0)
    added = np.zeros_like(labels)
    added[part] = np.where(sure == 0, sides, 0)
    return Missing(added, float(fluid.sum()) * grid.voxel_ml)


def _thick(mask: Mask, grid: WorkingGrid, config: LungConfig) -> Mask:
    """Return the mask without parts that hold no ball of the seam's radius."""
    radius = max(config.network_seam_mm, 1.01 * max(grid.spacing_mm[1:]))
    core = morphology.erode(morphology.as_bits(mask), radius, grid.spacing_mm)
    wide = morphology.dilate(core, 1.5 * radius, grid.spacing_mm)
    return np.asarray(wide.view(np.bool_) & mask)


def _certainty(
    hu: NDArray[np.int16], box: PlaneBox, grid: WorkingGrid, network: LungMap
) -> NDArray[np.uint8]:
    """Return the probability of lung times 255 in the body's box."""
    step = max(1, round(RUN_MM / grid.spacing_mm[0]))
    chosen = np.unique(np.append(np.arange(0, len(hu), step), len(hu) - 1))
    aside = neighbour_step(grid.spacing_mm[0])
    view = NetworkView(hu, box, network.size, network.slices)
    shape = hu[0][box].shape
    found = np.zeros((len(hu), *shape), np.uint8)
    for start in range(0, chosen.size, BATCH):
        some = chosen[start : start + BATCH]
        answers = network(np.stack([view(int(index), aside) for index in some]))
        for index, answer in zip(some, answers, strict=True):
            found[index] = np.clip(np.rint(resized(answer, shape) * 255), 0, 255)
    for low, high in pairwise(chosen):
        for index in range(low + 1, high):
            weight = (index - low) / (high - low)
            found[index] = found[low] * (1 - weight) + found[high] * weight
    return found


def _judged(
    missing: Mask,
    certainty: NDArray[np.uint8],
    labels: Labels,
    grid: WorkingGrid,
    config: LungConfig,
) -> Labels:
    """Return 0 but where a part is kept: the side of a whole lung, ``PART`` elsewhere."""
    objects, counts = components.label(missing)
    boxes = components.boxes_of(objects, margin=(1, 1, 1))
    found = np.zeros(missing.shape, np.uint8)
    for number in np.arange(1, counts.size):
        box, ml = boxes[number - 1], float(counts[number]) * grid.voxel_ml
        one = objects[box] == number
        if float(certainty[box][one].mean()) / 255 < config.network_certainty:
            continue
        side = _lacking_side(one, box, labels) if ml >= WHOLE_LUNG_ML else 0
        if side or (ml >= config.network_smallest_ml and _beside_lung(one, labels[box], config)):
            found[box][one] = side or PART
    return found


def _beside_lung(one: Mask, labels: Labels, config: LungConfig) -> bool:
    return morphology.contact(one, labels > 0) >= config.network_contact


def _lacking_side(one: Mask, box: components.Box, labels: Labels) -> int:
    """Return the side that has no lung if an object lies on it, else 0."""
    present = [side for side in (RIGHT, LEFT) if (labels == side).any()]
    if len(present) != 1:
        return 0
    columns = np.arange(labels.shape[2])
    there = float((labels > 0).sum(axis=(0, 1)) @ columns) / float((labels > 0).sum())
    here = float(np.nonzero(one)[2].mean()) + box[2].start
    side = RIGHT if here < there else LEFT
    return 0 if side == present[0] else side
