"""Laying the lesions of one lung over the same lung of another patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import LEFT, RIGHT

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Box = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Placement:
    """How lesions are moved, beyond what the lungs' boxes ask for."""

    angle: float = 0.0
    """Turn in radians."""
    scale: float = 1.0
    """Enlargement."""
    mirrored: bool = False
    """Whether the donor is mirrored first, right lung becoming left."""
    feather_px: float = 3.0
    """Width of the edge over which densities blend, inside the lesion."""


@dataclass(frozen=True, eq=False)
class Laid:
    """A slice with lesions laid into it."""

    hu: NDArray[np.float32]
    """(rows, columns) densities; unchanged outside the mask."""
    mask: Mask
    """The lesions, within the lung."""
    area_before: int
    """Lesion pixels before they were cut to the lung."""


def placed(  # noqa: PLR0913, PLR0917 - two slices and how
    donor_hu: NDArray[Any],
    lesion: Mask,
    donor_lungs: Labels,
    hu: NDArray[Any],
    lungs: Labels,
    placement: Placement,
) -> Laid:
    """Return a healthy slice with the lesions of another.

    Parameters
    ----------
    donor_hu, lesion, donor_lungs : ndarray
        (rows, columns) densities, lesions, and lungs by side of the slice with lesions.
    hu, lungs : ndarray
        Densities and lungs by side of the healthy slice, of any shape.
    placement : Placement
    """
    if placement.mirrored:
        donor_hu, lesion = donor_hu[:, ::-1], lesion[:, ::-1]
        donor_lungs = _swapped(donor_lungs[:, ::-1])
    if not ((donor_lungs == LEFT).any() and (lungs == LEFT).any()):
        donor_lungs, lungs = _merged(donor_lungs), _merged(lungs)
    result = hu.astype(np.float32)
    mask = np.zeros(hu.shape, bool)
    before = 0
    for side in np.unique(lungs[lungs > 0]):
        there, here = donor_lungs == side, lungs == side
        if not (lesion & there).any():
            continue
        matrix, offset = _to_donor(box_of(here), box_of(there), placement)
        moved = _moved(lesion & there, matrix, offset, hu.shape) > 0.5
        before += int(moved.sum())
        moved &= here
        if not moved.any():
            continue
        shift = _difference(hu[here], donor_hu[there & ~lesion])
        density = _moved(_inside(donor_hu, lesion & there), matrix, offset, hu.shape) + shift
        depth = ndimage.distance_transform_edt(np.pad(moved, 1))[1:-1, 1:-1]
        weight = np.clip(depth / max(placement.feather_px, 1.0), 0, 1)
        result += np.where(moved, weight * (density - result), 0).astype(np.float32)
        mask |= moved
    return Laid(result, mask, before)


def _swapped(lungs: Labels) -> Labels:
    """Return lung labels with right and left swapped, if both are there."""
    if not (lungs == LEFT).any():
        return lungs
    return np.array([0, LEFT, RIGHT], np.uint8)[lungs]


def _merged(lungs: Labels) -> Labels:
    """Return lung labels without sides."""
    return (lungs > 0).astype(np.uint8)


def box_of(mask: Mask) -> Box:
    """Return the middle and the size of the box round a mask that is not empty, in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    low = np.array([rows[0], columns[0]], float)
    high = np.array([rows[-1], columns[-1]], float)
    return (low + high) / 2, high - low + 1


def _to_donor(
    here: Box, there: Box, placement: Placement
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the map from pixels of the healthy slice to pixels of the donor."""
    cos, sin = np.cos(placement.angle), np.sin(placement.angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.diag(there[1] / here[1]) @ turn / placement.scale
    return matrix, there[0] - matrix @ here[0]


def _moved(
    values: NDArray[Any],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    moved = ndimage.affine_transform(
        values.astype(np.float32), matrix, offset, output_shape=shape, order=1, mode="nearest"
    )
    return np.asarray(moved, np.float32)


def _inside(hu: NDArray[Any], lesion: Mask) -> NDArray[np.float32]:
    """Return densities with everything outside the lesion replaced by the nearest inside it."""
    _, nearest = ndimage.distance_transform_edt(~lesion, return_indices=True)
    return np.asarray(hu[tuple(nearest)], np.float32)


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the difference of two medians; 0 where the other is of nothing."""
    return float(np.median(one) - np.median(other)) if other.size else 0.0
