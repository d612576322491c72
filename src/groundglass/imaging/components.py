"""Connected objects of masks: labels, sizes, removal of small ones, filling of holes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]

IN_PLANE = np.zeros((3, 3, 3), np.bool_)
"""Neighbours in the same slice, across edges; labels a whole stack slice by slice in one call."""
IN_PLANE[1, 1, :] = True
IN_PLANE[1, :, 1] = True
IN_PLANE.setflags(write=False)


def label(
    mask: NDArray[np.bool_], *, in_plane: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return object labels and their voxel counts.

    Parameters
    ----------
    mask : array of bool, shape (slices, rows, columns)
    in_plane : bool
        Connect voxels within slices only, so that objects of different slices stay apart.

    Returns
    -------
    labels : array of int32
        0 outside, objects from 1, face neighbours connected.
    counts : array of int64
        Voxels of each label; entry 0 is the background.
    """
    labels = np.empty(mask.shape, np.int32)
    found = ndimage.label(mask, structure=IN_PLANE if in_plane else None, output=labels)
    return labels, np.bincount(labels.ravel(), minlength=int(found) + 1)


def drop_small(mask: NDArray[np.bool_], smallest_voxels: float) -> NDArray[np.bool_]:
    """Return the mask without 3-D objects of fewer voxels than the smallest allowed."""
    labels, counts = label(mask)
    keep = counts >= smallest_voxels
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    return kept


def touching_frame(labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the labels found on the first or last row or column of any slice, without 0."""
    edges = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    found = np.unique(np.concatenate([edge.ravel() for edge in edges]))
    return found[found > 0].astype(np.intp)


def fill_holes_in_plane(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with holes filled slice by slice; a hole does not reach the slice's frame."""
    labels, counts = label(~mask, in_plane=True)
    open_to_frame = np.zeros(counts.size, np.bool_)
    open_to_frame[touching_frame(labels)] = True
    filled: NDArray[np.bool_] = ~open_to_frame[labels]
    return filled


def bounding_box(
    mask: NDArray[np.bool_] | NDArray[np.uint8], margin: Sequence[int] = (0, 0, 0)
) -> Box | None:
    """Return the box round all non-zero voxels, widened and clipped; None for an empty mask."""
    ranges = []
    for axis, extra in enumerate(margin):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        if hit.size == 0:
            return None
        low, high = max(0, int(hit[0]) - extra), min(mask.shape[axis], int(hit[-1]) + 1 + extra)
        ranges.append(slice(low, high))
    return ranges[0], ranges[1], ranges[2]


def boxes_of(labels: NDArray[np.int32], margin: Sequence[int] = (0, 0, 0)) -> list[Box]:
    """Return the box of every object from label 1 on, widened and clipped to the array.

    A label without voxels gets an empty box.
    """
    boxes: list[Box] = []
    for found in ndimage.find_objects(labels):
        if found is None:
            boxes.append((slice(0, 0), slice(0, 0), slice(0, 0)))
            continue
        wider = [
            slice(max(0, part.start - extra), min(size, part.stop + extra))
            for part, extra, size in zip(found, margin, labels.shape, strict=True)
        ]
        boxes.append((wider[0], wider[1], wider[2]))
    return boxes
