"""Laws of grids: whatever is turned, flipped or tilted, every voxel keeps its place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical
from groundglass.core.scan import Scan

Float = NDArray[np.float64]
TURNS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
"""All 48 ways to lay array axes along patient axes."""

spacings = st.tuples(*[st.floats(0.3, 8.0)] * 3)
shapes = st.tuples(*[st.integers(2, 5)] * 3)
tilts = st.floats(-0.5, 0.5)
gaps = st.lists(st.floats(0.4, 9.0), min_size=1, max_size=6)


def places(geometry: Geometry) -> Float:
    """Return the LPS position of every voxel, shape (slices, rows, columns, 3)."""
    _, rows, columns = geometry.shape
    return np.asarray(
        geometry.origins_mm[:, None, None]
        + np.arange(rows)[:, None, None] * geometry.row_step_mm
        + np.arange(columns)[:, None] * geometry.column_step_mm
    )


def numbered(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Return an array in which every voxel has its own number."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def by_number(voxels: NDArray[Any], geometry: Geometry) -> Float:
    """Return the places in the order of the voxels' numbers."""
    return np.asarray(places(geometry).reshape(-1, 3)[np.argsort(voxels, axis=None)])


def turned(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    order: tuple[int, ...],
    signs: tuple[int, ...],
) -> Geometry:
    """Return a grid whose axis i runs along patient axis ``order[i]``, up or down."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * spacing[axis]
    affine[:3, 3] = (11.0, -7.0, 301.0)
    return Geometry.from_affine(shape, affine)


def uneven(steps: list[float], tilt: float = 0.0) -> Geometry:
    """Return an axial grid with the given steps, its slices leaning by ``tilt`` radians."""
    count = len(steps) + 1
    origins = np.zeros((count, 3))
    origins[1:, 2] = -np.cumsum(steps)
    row = np.array([0.0, np.cos(tilt), np.sin(tilt)])
    return Geometry((count, 3, 2), origins, row, np.array([1.0, 0, 0]), slice_width_mm=1.0)


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_canonical_keeps_every_voxel_in_place(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    geometry = turned((3, 4, 5), (2.5, 0.7, 0.9), order, signs)
    voxels = numbered(geometry.shape)

    flat, grid = to_canonical(voxels, geometry)

    np.testing.assert_allclose(by_number(flat, grid), by_number(voxels, geometry), atol=1e-9)
    assert flat.shape == grid.shape
    assert grid.affine[2, 0] < 0, "slice 0 is at the head"
    assert grid.row_step_mm[1] > 0, "rows run to the back"
    assert grid.column_step_mm[0] > 0, "columns run to the left"


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_canonical_of_every_turn_is_the_same_scan(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    straight = turned((3, 4, 5), (2.0, 2.0, 2.0), (2, 1, 0), (-1, 1, 1))
    voxels = numbered(straight.shape)
    seen = np.transpose(voxels, [(2, 1, 0).index(axis) for axis in order])
    for axis, sign in enumerate(signs):
        head_first = {0: 1, 1: 1, 2: -1}[order[axis]]
        seen = np.flip(seen, axis) if sign != head_first else seen
    shape = (seen.shape[0], seen.shape[1], seen.shape[2])

    scan = Scan.from_array(seen, affine=turned(shape, (2.0, 2.0, 2.0), order, signs).affine)

    np.testing.assert_array_equal(scan.voxels, voxels)


@given(shapes, spacings, st.sampled_from(TURNS), tilts, tilts)
def test_canonical_keeps_places_of_oblique_grids(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    turn: tuple[tuple[int, ...], tuple[int, ...]],
    pitch: float,
    yaw: float,
) -> None:
    affine = turned(shape, spacing, *turn).affine
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(yaw), np.sin(yaw)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine[:3] = about_z @ about_x @ affine[:3]
    geometry = Geometry.from_affine(shape, affine)
    voxels = numbered(shape)

    flat, grid = to_canonical(voxels, geometry)
    again, same = to_canonical(flat, grid)

    np.testing.assert_allclose(by_number(flat, grid), by_number(voxels, geometry), atol=1e-6)
    np.testing.assert_array_equal(again, flat)
    assert same.same_grid(grid)


@given(gaps, tilts, st.booleans(), st.booleans(), st.booleans())
def test_canonical_keeps_places_of_uneven_and_tilted_grids(
    steps: list[float], tilt: float, feet_first: bool, back: bool, mirrored: bool
) -> None:
    geometry = uneven(steps, tilt)
    if feet_first:
        geometry = replace(geometry, origins_mm=geometry.origins_mm[::-1])
    if back:
        geometry = replace(geometry, row_step_mm=-geometry.row_step_mm)
    if mirrored:
        geometry = replace(geometry, column_step_mm=-geometry.column_step_mm)
    voxels = numbered(geometry.shape)

    flat, grid = to_canonical(voxels, geometry)

    np.testing.assert_allclose(by_number(flat, grid), by_number(voxels, geometry), atol=1e-9)
    assert (np.diff(grid.z_mm) < 0).all(), "head to feet"
    assert grid.slice_width_mm == geometry.slice_width_mm


@given(gaps, tilts)
def test_widths_sum_to_the_extent_and_half_an_outer_step_each(
    steps: list[float], tilt: float
) -> None:
    geometry = uneven(steps, tilt)
    assert geometry.widths_mm is not None
    extent = abs(geometry.positions_mm[-1] - geometry.positions_mm[0])
    outer = (geometry.steps_mm[0] + geometry.steps_mm[-1]) / 2
    assert geometry.widths_mm.sum() == pytest.approx(extent + outer)
    assert (geometry.widths_mm > 0).all()


@given(gaps, tilts)
def test_volumes_are_unchanged_by_turning_the_scan_over(steps: list[float], tilt: float) -> None:
    geometry = uneven(steps, tilt)
    over = replace(geometry, origins_mm=geometry.origins_mm[::-1])
    assert geometry.slice_volumes_mm3 is not None
    assert over.slice_volumes_mm3 is not None
    np.testing.assert_allclose(over.slice_volumes_mm3[::-1], geometry.slice_volumes_mm3)


@given(shapes, spacings, st.sampled_from(TURNS))
def test_ras_and_back_is_the_same_grid(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    turn: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    geometry = turned(shape, spacing, *turn)
    assert Geometry.from_ras_affine(shape, geometry.ras_affine).same_grid(geometry)


@given(gaps)
def test_even_means_equal_steps(steps: list[float]) -> None:
    geometry = uneven(steps)
    middle = float(np.median(steps))
    if max(abs(step - middle) for step in steps) > max(0.06 * middle, 0.03):
        assert not geometry.is_even or len(steps) < 2
    assert uneven([middle] * len(steps)).is_even
