"""Lobes of a scan: every fissure looked for in its lung, found or taken from the average chest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import LEFT, RIGHT, LobeMask, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.imaging import components
from groundglass.imaging.components import Box
from groundglass.imaging.resample import WorkingGrid, block_mean, working_grid
from groundglass.lungs.lobes.config import LobeConfig
from groundglass.lungs.lobes.fissures import LungView, Sighting, follow
from groundglass.lungs.lobes.prior import (
    HORIZONTAL,
    LEFT_OBLIQUE,
    RIGHT_OBLIQUE,
    Frame,
    Prior,
    prior_frame,
)

Float = NDArray[np.float64]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LEFT_UPPER, LEFT_LOWER, RIGHT_UPPER, RIGHT_MIDDLE, RIGHT_LOWER = range(1, 6)
FEWEST_SLICES = 10
"""Slices with lung below which a scan has no lobes."""
FISSURES, PRIOR = "approximate: fissures", "approximate: prior"
"""Methods: at least one fissure was seen, or none."""


@dataclass(frozen=True, slots=True)
class Border:
    """How one fissure was found."""

    name: str
    """The fissure in words."""
    seen: bool
    """Whether it was followed in the scan; else it is that of the average chest."""
    share: float | None
    """Share of its searched area that shows a sheet; ``None`` where nothing was searched."""


def find_lobes(scan: Scan, lungs: LungMask, config: LobeConfig | None = None) -> LobeMask | None:
    """Return approximate lobes of a scan in Hounsfield units.

    Parameters
    ----------
    scan : Scan
        A chest CT.
    lungs : LungMask
        On the scan's grid, right and left told apart.
    config : LobeConfig, optional

    Returns
    -------
    LobeMask or None
        Every voxel of the lungs has a lobe; with a verdict that says of each fissure whether it was
        seen. ``None`` for pictures, scans without a scale or with few slices of lung, and where the
        settings leave lobes out.
    """
    config = config or LobeConfig()
    if config.method == "none" or not _can_have_lobes(scan, lungs):
        return None
    labels = np.zeros(scan.shape, np.uint8)
    borders: list[Border] = []
    for side, box in _side_boxes(lungs.labels):
        work = _Work.of(scan, lungs.labels == side, box, config)
        parts, found = _left(work) if side == LEFT else _right(work)
        borders += found
        full = _spread(parts, work.grid)
        inside = lungs.labels[box] == side
        labels[box][inside] = full[inside]
    method = FISSURES if any(border.seen for border in borders) else PRIOR
    return LobeMask(labels, scan.geometry, method, verdicts=(_verdict(borders),))


def _can_have_lobes(scan: Scan, lungs: LungMask) -> bool:
    if scan.intensity is not Intensity.HU or not lungs.sides_known:
        return False
    held = int(np.count_nonzero(lungs.labels.any(axis=(1, 2))))
    return scan.geometry.spacing_known and held >= FEWEST_SLICES


def _side_boxes(labels: Labels) -> list[tuple[int, Box]]:
    boxes = [(side, components.bounding_box(labels == side)) for side in (LEFT, RIGHT)]
    return [(side, box) for side, box in boxes if box is not None]


@dataclass(frozen=True, eq=False)
class _Work:
    """One lung on the working grid, in its box."""

    view: LungView
    grid: WorkingGrid
    low_mm: Float
    high_mm: Float
    searchable: bool
    config: LobeConfig

    @classmethod
    def of(cls, scan: Scan, lung: Mask, box: Box, config: LobeConfig) -> _Work:
        geometry = scan.geometry
        part = np.ascontiguousarray(lung[box])
        grid = working_grid(part.shape, geometry.spacing_mm, config.grid_mm)
        first = tuple(slice(factor // 2, None, factor) for factor in grid.factors)
        small = _padded(part[first], grid.shape)
        depths = np.abs(geometry.positions_mm - geometry.positions_mm[0])[box[0]]
        blocks = _block_means(depths, grid.factors[0])
        offsets = tuple(
            (box[axis].start + (grid.factors[axis] - 1) / 2) * geometry.spacing_mm[axis]
            for axis in (1, 2)
        )
        hu = block_mean(np.ascontiguousarray(scan.hu()[box]), grid).astype(np.float32)
        view = LungView(
            np.clip(hu, -1024, 0), small, blocks, (offsets[0], offsets[1]), grid.spacing_mm[1:]
        )
        low = np.array([blocks[0], *offsets])
        size = np.array([blocks[-1] - blocks[0], *_lengths(grid)])
        searchable = geometry.step_mm <= config.thickest_step_mm
        return cls(view, grid, low, low + size, searchable, config)

    def border(self, prior: Prior, within: Mask | None = None) -> tuple[Border, Mask]:
        """Return how a fissure was found, and the voxels of the box above it."""
        frame = prior_frame(prior, self.low_mm, self.high_mm)
        view = self.view if within is None else replace(self.view, lung=self.view.lung & within)
        sighting = follow(view, frame) if self.searchable and view.lung.any() else None
        share = None if sighting is None else sighting.share
        seen = share is not None and share >= self.config.seen_share
        heights = _heights(sighting, frame) if seen else np.zeros(frame.shape)
        return Border(prior.name, seen, share), self._above(frame, heights)

    def _above(self, frame: Frame, heights_mm: Float) -> Mask:
        """Return the voxels of the box on the upper side of a surface."""
        _, rows, columns = self.grid.shape
        row_mm = self.view.offset_mm[0] + np.arange(rows) * self.view.spacing_mm[0]
        column_mm = self.view.offset_mm[1] + np.arange(columns) * self.view.spacing_mm[1]
        above = np.empty(self.grid.shape, np.bool_)
        plane = np.stack(np.meshgrid([0.0], row_mm, column_mm, indexing="ij"), axis=-1)[0]
        for index, depth in enumerate(self.view.depths_mm):
            plane[..., 0] = depth
            where, height = frame.locate(plane.reshape(-1, 3))
            surface = ndimage.map_coordinates(heights_mm, where.T, order=1, mode="nearest")
            above[index] = (height > surface).reshape(rows, columns)
        return above


def _left(work: _Work) -> tuple[Labels, list[Border]]:
    border, upper = work.border(LEFT_OBLIQUE)
    return np.where(upper, LEFT_UPPER, LEFT_LOWER).astype(np.uint8), [border]


def _right(work: _Work) -> tuple[Labels, list[Border]]:
    oblique, front = work.border(RIGHT_OBLIQUE)
    horizontal, top = work.border(HORIZONTAL, within=front)
    labels = np.where(top, RIGHT_UPPER, RIGHT_MIDDLE).astype(np.uint8)
    labels[~front] = RIGHT_LOWER
    return labels, [oblique, horizontal]


def _heights(sighting: Sighting | None, frame: Frame) -> Float:
    return np.zeros(frame.shape) if sighting is None else sighting.heights_mm


def _lengths(grid: WorkingGrid) -> tuple[float, float]:
    """Return height and width of a box in mm, from middle to middle."""
    rows, columns = (
        (n - 1) * mm for n, mm in zip(grid.shape[1:], grid.spacing_mm[1:], strict=True)
    )
    return rows, columns


def _padded(part: Mask, shape: tuple[int, int, int]) -> Mask:
    """Return a thinned mask with the last, incomplete blocks repeated."""
    missing = [(0, size - have) for size, have in zip(shape, part.shape, strict=True)]
    return np.ascontiguousarray(np.pad(part, missing, mode="edge"))


def _block_means(depths: Float, factor: int) -> Float:
    starts = np.arange(0, depths.size, factor)
    return np.asarray(np.add.reduceat(depths, starts) / np.diff([*starts, depths.size]))


def _spread(labels: Labels, grid: WorkingGrid) -> Labels:
    """Return block labels on every voxel of the box."""
    full = labels
    for axis, factor in enumerate(grid.factors):
        full = np.repeat(full, factor, axis=axis) if factor > 1 else full
    slices, rows, columns = grid.full_shape
    return full[:slices, :rows, :columns]


def _verdict(borders: list[Border]) -> Verdict:
    """Say of each fissure whether it was seen, and what that does to lobe numbers."""
    parts = [
        f"the {border.name} fissure was "
        + (f"seen on {100 * (border.share or 0):.0f} % of its area" if border.seen else "not seen")
        for border in borders
    ]
    seen, unseen = ([b.name for b in borders if b.seen is told] for told in (True, False))
    done = []
    if seen:
        done.append(f"lobes follow the {_listed(seen)} fissure{'s' if len(seen) > 1 else ''}")
    if unseen:
        done.append(
            f"the {_listed(unseen)} one is taken from an average chest"
            if len(unseen) == 1
            else f"the {_listed(unseen)} ones are taken from an average chest"
        )
    effect = (
        "Lobe numbers and the scores made of them are approximate; those of the lungs and of each "
        "side are not affected"
    )
    if unseen:
        effect += ". A border taken from the average may lie 2 cm or more from the true one"
    return Verdict("lobes", Status.NOTE, ", ".join(parts), ", ".join(done), effect)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
