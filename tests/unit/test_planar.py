"""Masks of one slice."""

from __future__ import annotations

import numpy as np

from groundglass.imaging.planar import (
    box_of,
    depth_inside,
    disk_closing,
    drop_small_parts,
    fill_small_holes,
)


def test_parts_below_the_limit_go_and_corners_connect() -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[1, 1] = mask[2, 2] = mask[3, 3] = True
    mask[8, 8] = True
    kept = drop_small_parts(mask, 3)
    assert kept.sum() == 3
    assert not kept[8, 8]
    assert not drop_small_parts(np.zeros((3, 3), dtype=bool), 1).any()


def test_only_small_holes_are_filled() -> None:
    mask = np.ones((30, 30), dtype=bool)
    mask[4:6, 4:6] = False
    mask[10:25, 10:25] = False
    filled = fill_small_holes(mask, 0.05)
    assert filled[4:6, 4:6].all()
    assert not filled[10:25, 10:25].any()


def test_closing_bridges_a_gap_and_loses_nothing() -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[5:25, 5:18] = mask[5:25, 21:35] = True
    closed = disk_closing(mask, 3)
    assert closed[15, 19]
    assert (closed | mask == closed).all()
    assert disk_closing(mask, 0.5) is mask


def test_the_frame_does_not_erode() -> None:
    depth = depth_inside(np.ones((9, 9), dtype=bool) & (np.arange(9) < 5))
    assert depth[0, 0] == 5
    assert depth[0, 4] == 1


def test_box_is_widened_and_clipped() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[1:4, 6:9] = True
    rows, columns = box_of(mask, 2)
    assert (rows.start, rows.stop) == (0, 6)
    assert (columns.start, columns.stop) == (4, 11)
    rows, columns = box_of(np.zeros((10, 20), dtype=bool))
    assert (rows.stop, columns.stop) == (10, 20)
