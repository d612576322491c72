"""Bringing labels from the grid they were made on to the grid of a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import Labels
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import GridMismatchError

KEPT_SHARE = 0.9
"""Share of the labelled volume that must lie on the scan for the two to belong together."""
SLACK_MM = 0.01
"""What a point may lie beyond half a slice step from a slice and still belong to it."""

Array = NDArray[Any]


def onto(labels: Labels, source: Geometry, target: Geometry) -> tuple[Labels, Verdict | None]:
    """Return labels on the grid ``target``.

    Parameters
    ----------
    labels : ndarray of uint8
        (slices, rows, columns) on ``source``, canonical.
    source, target : Geometry
        The two grids; ``target`` may be uneven, ``source`` too.

    Returns
    -------
    labels : ndarray of uint8
        On ``target``; every voxel has the label of the nearest voxel of ``source``.
    verdict : Verdict or None
        What was done, if the grids differ.

    Raises
    ------
    GridMismatchError
        If the frames of reference differ, only one grid has a known scale, or most of what is
        labelled does not lie on ``target``.
    """
    if source.same_grid(target):
        return labels, None
    frames = {source.frame_of_reference, target.frame_of_reference} - {None}
    if len(frames) > 1:
        msg = "the mask belongs to another frame of reference, so to another scan or patient"
        raise GridMismatchError(msg)
    if not (source.spacing_known and target.spacing_known):
        return _by_shape(labels, source, target), None
    if _is_stacked_evenly(source, target):
        return labels, _stacked(source, target)
    moved = _nearest(labels, source, target)
    before, after = _labelled_ml(labels, source), _labelled_ml(moved, target)
    if before > 0 and after < KEPT_SHARE * before:
        raise GridMismatchError(_differ(source, target, f"{100 * after / before:.0f} %"))
    return moved, _verdict(source, target, before, after)


def _is_stacked_evenly(source: Geometry, target: Geometry) -> bool:
    """Return whether a mask has the slices of an uneven scan as if they were evenly spaced."""
    if source.shape != target.shape or target.is_even:
        return False
    ends = np.linalg.norm(source.origins_mm[[0, -1]] - target.origins_mm[[0, -1]], axis=1)
    steps = (source.row_step_mm - target.row_step_mm, source.column_step_mm - target.column_step_mm)
    return bool(ends.max() <= target.step_mm and np.abs(steps).max() < SLACK_MM)


def _stacked(source: Geometry, target: Geometry) -> Verdict:
    return Verdict(
        "mask_grid",
        Status.WARNING,
        f"The slices of the scan are uneven and the mask has {source.step_mm:.3g} mm throughout",
        f"The {target.shape[0]} slices of the mask were taken one by one for those of the scan",
        "Volumes use the scan's true spacing",
    )


def _by_shape(labels: Labels, source: Geometry, target: Geometry) -> Labels:
    """Accept a mask without a scale on its number of voxels alone."""
    if labels.shape != target.shape:
        raise GridMismatchError(_differ(source, target, "none"))
    return labels


def _nearest(labels: Labels, source: Geometry, target: Geometry) -> Labels:
    """Return labels at every voxel of ``target``, zero outside ``source``."""
    moved = np.zeros(target.shape, np.uint8)
    _, rows, columns = target.shape
    row, column = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    in_plane = np.outer(row, target.row_step_mm) + np.outer(column, target.column_step_mm)
    finder = _Finder(source)
    for index in range(target.shape[0]):
        where, inside = finder.indices(target.origins_mm[index] + in_plane)
        flat = np.zeros(rows * columns, np.uint8)
        flat[inside] = labels[tuple(where[inside].T)]
        moved[index] = flat.reshape(rows, columns)
    return moved


class _Finder:
    """Finds the voxel of a grid that is nearest to a point; slices may be uneven or shifted."""

    def __init__(self, grid: Geometry) -> None:
        self._grid = grid
        order = np.argsort(grid.positions_mm)
        self._order = order
        positions = grid.positions_mm[order]
        self._borders = (positions[1:] + positions[:-1]) / 2
        steps = np.stack([grid.row_step_mm, grid.column_step_mm], axis=1)
        self._to_plane = np.linalg.pinv(steps)

    def indices(self, points: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return (slice, row, column) for points of shape (n, 3), and which lie inside."""
        grid = self._grid
        along = points @ grid.normal
        slices = self._order[np.searchsorted(self._borders, along)]
        plane = np.rint((points - grid.origins_mm[slices]) @ self._to_plane.T)
        where = np.column_stack([slices, plane]).astype(np.intp)
        inside = np.abs(along - grid.positions_mm[slices]) <= grid.step_mm / 2 + SLACK_MM
        inside &= (where >= 0).all(axis=1) & (where < np.array(grid.shape)).all(axis=1)
        return where, inside


def _labelled_ml(labels: Labels, grid: Geometry) -> float:
    volumes = grid.slice_volumes_mm3
    if volumes is None:
        return 0.0
    return float(np.count_nonzero(labels, axis=(1, 2)) @ volumes) / 1000


def _describe(grid: Geometry) -> str:
    size = " x ".join(str(count) for count in grid.shape)
    if not grid.spacing_known:
        return f"{size} voxels without a scale"
    spacing = " x ".join(f"{step:.3g}" for step in grid.spacing_mm)
    centre = ", ".join(f"{value:.0f}" for value in grid.origins_mm.mean(axis=0))
    return f"{size} voxels of {spacing} mm at ({centre}) mm"


def _differ(source: Geometry, target: Geometry, share: str) -> str:
    return (
        f"the mask lies on {_describe(source)} and the scan on {_describe(target)}; {share} of "
        "what is marked lies on the scan, so they do not belong together"
    )


def _verdict(source: Geometry, target: Geometry, before: float, after: float) -> Verdict:
    return Verdict(
        "mask_grid",
        Status.WARNING,
        f"The mask lies on another grid ({_describe(source)}) than the scan ({_describe(target)})",
        "Every voxel of the scan took the label of the nearest voxel of the mask",
        f"What is marked has {after:.0f} ml on the scan's grid, {before:.0f} ml on its own",
    )
