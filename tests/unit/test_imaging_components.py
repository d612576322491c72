"""Objects of masks."""

import numpy as np
import pytest

from groundglass.imaging import components


def blocks() -> np.ndarray:
    mask = np.zeros((4, 8, 8), np.bool_)
    mask[0:3, 1:3, 1:3] = True
    mask[1, 5, 5] = True
    mask[3, 7, 0] = True
    return mask


def test_labels_count_their_voxels() -> None:
    labels, counts = components.label(blocks())
    assert sorted(counts[1:].tolist()) == [1, 1, 12]
    assert counts[0] == 4 * 64 - 14
    assert np.array_equal(labels > 0, blocks())


def test_in_plane_labels_keep_slices_apart() -> None:
    labels, counts = components.label(blocks(), in_plane=True)
    assert sorted(counts[1:].tolist()) == [1, 1, 4, 4, 4]
    assert len(np.unique(labels[:, 1, 1])) == 4


def test_small_objects_are_dropped() -> None:
    assert components.drop_small(blocks(), 2).sum() == 12
    assert components.drop_small(blocks(), 1).sum() == 14
    assert not components.drop_small(np.zeros((2, 2, 2), np.bool_), 1).any()


def test_objects_at_the_frame_are_named() -> None:
    labels, _ = components.label(blocks())
    assert components.touching_frame(labels).tolist() == [labels[3, 7, 0]]


def test_holes_are_filled_slice_by_slice() -> None:
    mask = np.zeros((3, 7, 7), np.bool_)
    mask[:, 1:6, 1:6] = True
    mask[:, 3, 3] = False
    mask[2, 3, 3:] = False
    filled = components.fill_holes_in_plane(mask)
    assert filled[:2, 3, 3].all()
    assert not filled[2, 3, 3]
    assert not filled[:, 0].any()


def test_a_box_is_widened_and_clipped() -> None:
    mask = np.zeros((4, 8, 8), np.bool_)
    mask[1, 6, 2] = True
    assert components.bounding_box(mask) == (slice(1, 2), slice(6, 7), slice(2, 3))
    wide = components.bounding_box(mask, (2, 2, 1))
    assert wide == (slice(0, 4), slice(4, 8), slice(1, 4))
    assert components.bounding_box(np.zeros_like(mask)) is None


def test_boxes_belong_to_labels_in_order() -> None:
    labels = np.zeros((2, 5, 5), np.int32)
    labels[0, 0, 0], labels[1, 4, 4] = 1, 3
    boxes = components.boxes_of(labels, margin=(0, 1, 1))
    assert boxes[0] == (slice(0, 1), slice(0, 2), slice(0, 2))
    assert boxes[1] == (slice(0, 0), slice(0, 0), slice(0, 0))
    assert boxes[2] == (slice(1, 2), slice(3, 5), slice(3, 5))


def test_structure_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        components.IN_PLANE[0, 0, 0] = True
