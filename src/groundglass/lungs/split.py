"""Right and left: which enclosed air is lung, and where the two lungs part."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.distance import depth_mm, distance_mm
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.config import LungConfig

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

MOST_STEPS = 64
"""Voxels that seeds grow at most."""
SMALLEST_SHARE = 0.05
"""An object below this share of the largest takes the side of its neighbours."""
STRADDLE = 0.25
"""An object with more than this share on its lesser side of the body's middle is two lungs."""
ONE_LUNG_STRADDLE = 0.4
"""One lung may reach this far across the middle when the other is gone."""
APART = 0.4
"""Centres farther apart than this share of the whole width are right and left, wherever the
body's middle was thought to be."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labels and how they were found."""

    labels: Labels
    """0 outside, 1 right, 2 left on the working grid."""

    method: str
    """``objects``, ``aerated seeds``, ``erosion 3 mm``, ``one lung``, ``midline`` or ``none``."""


def split_lungs(
    hu: NDArray[np.int16], lung: Mask, midline_column: float, grid: WorkingGrid, config: LungConfig
) -> Split:
    """Return right and left lung of a mask that holds both.

    Objects are told apart as they are; else by their aerated core; else after eroding them more
    and more. A mask that never parts is one lung if most of it lies on one side of the body, and
    is cut at the body's middle if not.

    Parameters
    ----------
    hu : array of int16, shape ``grid.shape``
    lung : array of bool, same shape
    midline_column : float
        Column of the body's middle.
    grid : WorkingGrid
    config : LungConfig

    Returns
    -------
    Split
        Every voxel of ``lung`` has a side.
    """
    out = np.zeros(lung.shape, np.uint8)
    box = components.bounding_box(lung, (1, 1, 1))
    if box is None:
        return Split(out, "none")
    middle = midline_column - box[2].start
    part = lung[box]
    labels, method = None, "midline"
    for name, core in _cores(hu[box], part, grid, config):
        sides = _sides_of_objects(core, middle, float(part.sum()))
        if sides is not None:
            labels, method = sides, name
            break
    columns = np.arange(part.shape[2])
    on_right = np.broadcast_to(columns < middle, part.shape)
    if labels is None:
        share = float((part & on_right).sum()) / float(part.sum())
        labels = np.where(on_right, RIGHT, LEFT).astype(np.uint8)
        if min(share, 1 - share) < ONE_LUNG_STRADDLE:
            method = "one lung"
            labels[:] = RIGHT if share > 0.5 else LEFT
    elif not np.all(labels[part]):
        labels = spread_sides(labels, part)
    out[box] = np.where(part, labels, 0)
    if method in ("objects", "aerated seeds") and not _both(out):
        method = "one lung"
    return Split(out, method)


def _both(labels: Labels) -> bool:
    return bool((labels == RIGHT).any() and (labels == LEFT).any())


def _cores(
    hu: NDArray[np.int16], lung: Mask, grid: WorkingGrid, config: LungConfig
) -> Iterator[tuple[str, Mask]]:
    """Yield smaller and smaller cores of the lungs with the name of each step."""
    yield "objects", lung
    yield "aerated seeds", lung & (hu < config.aerated_below_hu)
    depth = depth_mm(lung, grid.spacing_mm)
    for mm in (1.5, 3.0, 4.5, 6.0, 8.0, 11.0, config.split_most_mm):
        if mm <= config.split_most_mm:
            yield f"erosion {mm:g} mm", depth > mm


def _sides_of_objects(core: Mask, middle: float, total: float) -> Labels | None:
    """Return the side of every object of a core; None if one of them is two lungs."""
    labels, counts = components.label(core)
    counts[0] = 0
    if counts.max(initial=0) < SMALLEST_SHARE * total:
        return None
    large = np.flatnonzero(counts >= SMALLEST_SHARE * counts.max())
    profiles = np.stack([(labels == number).sum(axis=(0, 1)) for number in large])
    columns = np.arange(core.shape[2])
    centres = profiles @ columns / counts[large]
    right_share = profiles[:, columns < middle].sum(axis=1) / counts[large]
    straddles = np.minimum(right_share, 1 - right_share) > STRADDLE
    is_right = right_share > 0.5
    if len(large) > 1 and (straddles.any() or is_right.all() or not is_right.any()):
        biggest = np.argsort(counts[large])[-2:]
        width = np.ptp(np.flatnonzero(core.any(axis=(0, 1)))) + 1
        gap = abs(centres[biggest[0]] - centres[biggest[1]])
        if gap < APART * width and straddles.any():
            return None
        if gap >= APART * width:
            is_right = centres < centres[biggest].mean()
    elif straddles.any():
        return None
    side = np.zeros(counts.size, np.uint8)
    side[large] = np.where(is_right, RIGHT, LEFT)
    return side[labels]


def spread_sides(seeds: Labels, region: Mask) -> Labels:
    """Return seeds grown through a region voxel by voxel.

    Where both sides arrive at once the right one wins. What no seed reaches takes the side of the
    nearer lung by columns.

    Parameters
    ----------
    seeds : array of uint8
        0 none, 1 right, 2 left.
    region : array of bool, same shape
        Where seeds may grow; seeds outside it stay.

    Returns
    -------
    array of uint8, same shape
        Every voxel of the region has a side if there is any seed.
    """
    sides = seeds.copy()
    for _ in range(MOST_STEPS):
        met = morphology.dilate(sides, 1.0, (1.0, 1.0, 1.0))
        met[~region | (sides > 0)] = 0
        if not met.any():
            break
        met[met == RIGHT + LEFT] = RIGHT
        sides |= met
    where = np.nonzero(region & (sides == 0))
    columns = np.arange(seeds.shape[2])
    centres = []
    for side in (RIGHT, LEFT):
        weight = (seeds == side).sum(axis=(0, 1))
        centres.append(float(weight @ columns) / weight.sum() if weight.any() else np.inf)
    nearer = np.abs(where[2] - centres[0]) <= np.abs(where[2] - centres[1])
    sides[where] = np.where(nearer, RIGHT, LEFT) if np.isfinite(min(centres)) else 0
    return sides


def nearest_side(seeds: Labels, spacing_mm: tuple[float, float, float]) -> Labels:
    """Return seeds spread over the whole array, each voxel taking the side of the nearest seed."""
    right, left = seeds == RIGHT, seeds == LEFT
    if not (right.any() and left.any()):
        return np.full(seeds.shape, LEFT if left.any() else RIGHT, np.uint8)
    nearer = distance_mm(right, spacing_mm) <= distance_mm(left, spacing_mm)
    spread = np.where(nearer, RIGHT, LEFT).astype(np.uint8)
    spread[seeds > 0] = seeds[seeds > 0]
    return spread
