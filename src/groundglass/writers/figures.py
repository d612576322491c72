"""Slices and sections of a scan as small pictures, the masks as a layer above them."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.results import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT,
    RIGHT,
    CaseResult,
    Labels,
)
from groundglass.core.scan import Intensity, Scan

Grey = NDArray[np.uint8]

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""What is shown black and white: the usual lung window, centre -600, width 1500."""
GROUND_GLASS_RGB = (255, 176, 0)
CONSOLIDATION_RGB = (220, 38, 127)
RIGHT_RGB = (76, 201, 240)
LEFT_RGB = (140, 230, 120)
_CLEAR, _GLASS, _DENSE, _HATCH, _RIGHT, _LEFT = range(6)
_PALETTE = (
    ((0, 0, 0), 0),
    (GROUND_GLASS_RGB, 110),
    (CONSOLIDATION_RGB, 110),
    (CONSOLIDATION_RGB, 255),
    (RIGHT_RGB, 255),
    (LEFT_RGB, 255),
)
HATCH_STEP_PX = 5
"""Distance of the lines drawn over consolidation, so that it is told apart without colour."""
GREY_MASK = 0xFC
"""Keeps 64 grey levels, 23 HU each in the lung window: finer ones are noise and make big files."""
MARGIN_MM = 10.0
"""Room around the lungs in a picture."""
MOST_PX = 1000
"""Most pixels along a side of a picture, whatever the proportions of the grid."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture: grey values and, apart from them, what the masks add."""

    grey: Grey
    """(height, width), 0 black to 255 white; pixels are square."""
    layer: Grey
    """(height, width): indices into the layer's palette, 0 transparent."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.grey.shape[1], self.grey.shape[0]

    def image(self) -> Image.Image:
        """Return both in one picture."""
        base = Image.fromarray(self.grey).convert("RGBA")
        colours = np.array([(*rgb, alpha) for rgb, alpha in _PALETTE], dtype=np.uint8)
        return Image.alpha_composite(base, Image.fromarray(colours[self.layer])).convert("RGB")

    def grey_uri(self) -> str:
        """Return the grey picture as a data URI."""
        return _uri(Image.fromarray(self.grey & np.uint8(GREY_MASK)))

    def layer_uri(self) -> str:
        """Return the transparent layer as a data URI."""
        coloured = Image.frombytes("P", self.size_px, self.layer.tobytes())
        coloured.putpalette([part for rgb, _ in _PALETTE for part in rgb])
        return _uri(coloured, transparency=bytes(alpha for _, alpha in _PALETTE))


def _uri(picture: Image.Image, **options: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=6, **options)
    return "data:image/png;base64," + b64encode(stream.getvalue()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Box:
    """Where the lungs are: first and last-but-one index of slices, rows and columns."""

    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]


class Illustrator:
    """Draws panels of one result, all cropped to the lungs.

    Parameters
    ----------
    result : CaseResult
        What to draw.
    """

    def __init__(self, result: CaseResult) -> None:
        self._lungs = result.lungs.labels
        self._ill = result.infection.labels
        self._scan = result.scan
        self.window = display_window(result.scan)
        self.box = _lung_box(self._lungs, result.scan.geometry.spacing_mm)

    def axial(self, index: int, width_px: int) -> Panel:
        """Return slice ``index``, seen from the feet: the patient's right is on the left."""
        rows, columns = slice(*self.box.rows), slice(*self.box.columns)
        _, row_mm, column_mm = self._scan.geometry.spacing_mm
        plane = (index, rows, columns)
        return _panel(
            self._grey(self._scan.voxels[plane]),
            self._lungs[plane],
            self._ill[plane],
            (row_mm, column_mm),
            width_px,
        )

    def plain(self, index: int) -> Panel:
        """Return slice ``index`` with one pixel per voxel, whatever their proportions."""
        plane = (index, slice(*self.box.rows), slice(*self.box.columns))
        grey = self._grey(self._scan.voxels[plane])
        return Panel(grey, _layer(self._lungs[plane], self._ill[plane]))

    def coronal(self, row: int, width_px: int) -> Panel:
        """Return the section through ``row``, seen from the front."""
        return self._section((slice(None), row, slice(*self.box.columns)), 2, width_px)

    def sagittal(self, column: int, width_px: int) -> Panel:
        """Return the section through ``column``, seen from the patient's left."""
        return self._section((slice(None), slice(*self.box.rows), column), 1, width_px)

    def _section(self, plane: tuple[Any, ...], axis: int, width_px: int) -> Panel:
        """Return a section along the slices at its true aspect, uneven steps included."""
        grid = self._scan.geometry
        across_mm = grid.spacing_mm[axis]
        depth = np.abs(grid.positions_mm - grid.positions_mm[0])
        step = max(min(across_mm, grid.step_mm), depth[-1] / MOST_PX, 1e-3)
        wanted = np.arange(0, depth[-1] + step / 2, step)
        at = np.interp(wanted, depth, np.arange(len(depth)))
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, len(depth) - 1)
        share = (at - below).astype(np.float32)[:, None]
        nearest = np.rint(at).astype(int)
        cut = self._scan.voxels[plane].astype(np.float32)
        return _panel(
            self._grey(cut[below] * (1 - share) + cut[above] * share),
            self._lungs[plane][nearest],
            self._ill[plane][nearest],
            (step, across_mm),
            width_px,
        )

    def _grey(self, values: NDArray[Any]) -> Grey:
        low, high = self.window
        scaled = (values.astype(np.float32) - low) * np.float32(255 / (high - low))
        return np.asarray(np.clip(scaled, 0, 255).astype(np.uint8))

    def coronal_row(self) -> int:
        """Return the row with most infection, else with most lung."""
        return _fullest(self._ill, self._lungs, 1)

    def sagittal_column(self, side: int) -> int | None:
        """Return the column with most infection in a lung; ``None`` if that lung is empty."""
        low, high = self.box.columns
        here = self._lungs[:, :, low:high] == side
        if not here.any():
            return None
        return low + _fullest(here & (self._ill[:, :, low:high] > 0), here, 2)

    def axial_choice(self, count: int) -> list[int]:
        """Return up to ``count`` slices spread over the lungs, the most infected one among them."""
        first, last = self.box.slices
        chosen = np.unique(np.linspace(first, last - 1, count + 2)[1:-1].round().astype(int))
        if last - first <= count:
            return list(range(first, last))
        areas = np.count_nonzero(self._ill, axis=(1, 2))
        worst = int(areas.argmax())
        if areas[worst]:
            chosen[np.abs(chosen - worst).argmin()] = worst
        return [int(index) for index in chosen]


def display_window(scan: Scan) -> tuple[float, float]:
    """Return the values shown black and white: the lung window, or a picture's own range."""
    if scan.intensity is Intensity.HU:
        return LUNG_WINDOW_HU
    sample = scan.voxels[:, ::4, ::4]
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    return (low, high) if high > low else (low, low + 1)


def _fullest(wanted: NDArray[Any], otherwise: NDArray[Any], axis: int) -> int:
    others = tuple(a for a in range(3) if a != axis)
    counts = np.count_nonzero(wanted, axis=others)
    if not counts.any():
        counts = np.count_nonzero(otherwise, axis=others)
    return int(counts.argmax())


def _lung_box(lungs: Labels, spacing_mm: tuple[float, float, float]) -> Box:
    rows, columns = (int(np.ceil(MARGIN_MM / spacing_mm[axis])) for axis in (1, 2))
    flat = np.asarray(lungs.max(axis=0))
    return Box(
        _range(lungs.max(axis=(1, 2)), 0),
        _range(flat.max(axis=1), rows),
        _range(flat.max(axis=0), columns),
    )


def _range(present: NDArray[Any], margin: int) -> tuple[int, int]:
    found = np.flatnonzero(present)
    if not found.size:
        return 0, present.size
    return max(0, int(found[0]) - margin), min(present.size, int(found[-1]) + 1 + margin)


def _panel(
    grey: Grey, lungs: Labels, ill: Labels, pixel_mm: tuple[float, float], width_px: int
) -> Panel:
    """Return a panel of square pixels, ``width_px`` wide unless it would be far too high."""
    tall, wide = lungs.shape[0], lungs.shape[1]
    aspect = tall * pixel_mm[0] / (wide * pixel_mm[1])
    width_px = max(1, min(width_px, round(MOST_PX / aspect)))
    height_px = max(1, min(MOST_PX, round(aspect * width_px)))
    smooth = Image.fromarray(grey).resize((width_px, height_px), Image.Resampling.BICUBIC)
    rows = np.minimum((np.arange(height_px) + 0.5) * tall / height_px, tall - 1).astype(int)
    columns = np.minimum((np.arange(width_px) + 0.5) * wide / width_px, wide - 1).astype(int)
    pick = np.ix_(rows, columns)
    return Panel(np.asarray(smooth), _layer(lungs[pick], ill[pick]))


def _layer(lungs: Labels, ill: Labels) -> Grey:
    layer = np.full(lungs.shape, _CLEAR, dtype=np.uint8)
    layer[ill == GROUND_GLASS] = _GLASS
    dense = ill == CONSOLIDATION
    layer[dense] = _DENSE
    stripes = np.add.outer(np.arange(lungs.shape[0]), np.arange(lungs.shape[1])) % HATCH_STEP_PX
    layer[dense & ((stripes == 0) | _edge(dense))] = _HATCH
    layer[_edge(lungs == RIGHT)] = _RIGHT
    layer[_edge(lungs == LEFT)] = _LEFT
    return layer


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask's pixels that touch what is outside it."""
    padded = np.pad(mask, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~core)
