"""Vessels of the lung root, which are as thick and as dense as small consolidations.

They differ from consolidation by where they are: small, up against the mediastinum, half way
between front and back and between top and bottom of the lungs.
"""

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid

Mask = NDArray[np.bool_]

REACH_MM = 8.0
"""Vessels of the lung root lie within this distance of the mediastinum."""
NEAR = 0.7
"""Share of an object's voxels that must lie within reach."""
LARGEST_ML = 10.0
"""Larger objects are no vessels."""
HEIGHT = (0.25, 0.65)
"""Where the root lies between the lungs' top (0) and bottom (1)."""
DEPTH = (0.3, 0.7)
"""Where it lies between the lungs' front (0) and back (1) in its slice."""


def root_vessels(solid: Mask, sides: NDArray[np.uint8], grid: WorkingGrid) -> Mask:
    """Return the objects of a mask that are vessels of the lung root.

    Parameters
    ----------
    solid : array of bool, shape ``grid.shape``
        Dense objects within the lungs.
    sides : array of uint8, same shape
        Lung labels, 1 right and 2 left. Without both lungs there is no mediastinum between them,
        and nothing is taken for a vessel.
    grid : WorkingGrid
    """
    vessels = np.zeros(solid.shape, np.bool_)
    right, left = sides == RIGHT, sides == LEFT
    if not (right.any() and left.any() and solid.any()):
        return vessels
    after_right = np.logical_or.accumulate(right, axis=2)
    before_left = np.flip(np.logical_or.accumulate(np.flip(left, 2), axis=2), 2)
    between = morphology.as_bits(after_right & before_left & (sides == 0))
    near = morphology.dilate(between, REACH_MM, grid.spacing_mm).view(np.bool_)
    labels, counts = components.label(solid)
    where = np.nonzero(labels)
    which, size = labels[where], np.maximum(counts, 1)
    share = np.bincount(which[near[where]], minlength=counts.size) / size
    height, depth = _relative_place(sides > 0, where[0], where[1])
    mean_height = np.bincount(which, height, counts.size) / size
    mean_depth = np.bincount(which, depth, counts.size) / size
    hit = (share >= NEAR) & (counts * grid.voxel_ml <= LARGEST_ML)
    hit &= (mean_height > HEIGHT[0]) & (mean_height < HEIGHT[1])
    hit &= (mean_depth > DEPTH[0]) & (mean_depth < DEPTH[1])
    hit[0] = False
    found: Mask = hit[labels]
    return found


def _relative_place(
    lung: Mask, slices: NDArray[np.intp], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for voxels their height in the lungs and their depth in their slice, 0 to 1."""
    profile: Mask = np.any(lung, axis=2)
    filled = np.flatnonzero(np.any(profile, axis=1))
    height = (slices - filled[0]) / max(1, int(filled[-1] - filled[0]))
    front = profile.argmax(axis=1)
    back = profile.shape[1] - 1 - profile[:, ::-1].argmax(axis=1)
    depth = (rows - front[slices]) / np.maximum(1, back - front)[slices]
    return height, depth
