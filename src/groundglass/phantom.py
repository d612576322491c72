"""A chest of ellipsoids whose volumes are known in closed form, as a scan and as DICOM files.

Two lungs with diaphragm domes, airway, vessels, ribs, spine, heart, skin and table, and lesions of
known volume. Edges are blended by partial volume, so that a threshold half way between two tissues
meets the true surface on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import CONSOLIDATION, GROUND_GLASS, LEFT, RIGHT
from groundglass.core.scan import Intensity, Scan

Volume = NDArray[np.float32]
Window = tuple[slice, slice, slice]
Point = tuple[float, float, float]

AIR_HU, LUNG_HU, FAT_HU, TISSUE_HU = -1000.0, -860.0, -100.0, 45.0


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A solid with its axes along x, y and z (LPS)."""

    centre_mm: Point
    """Middle."""
    radii_mm: Point
    """Half axes."""

    @property
    def volume_ml(self) -> float:
        """Volume in ml."""
        return 4 / 3 * math.pi * math.prod(self.radii_mm) / 1000


@dataclass(frozen=True, slots=True)
class Lung:
    """An ellipsoid from below which a similar, smaller ellipsoid (the diaphragm) is taken."""

    body: Ellipsoid
    """The whole ellipsoid."""
    dome_scale: float = 0.75
    """Size of the dome relative to the body."""
    dome_depth: float = 1.2
    """How far below the body's centre the dome's centre lies, in the body's half heights."""

    @property
    def dome(self) -> Ellipsoid:
        """The diaphragm."""
        (x, y, z), (a, b, c) = self.body.centre_mm, self.body.radii_mm
        size = self.dome_scale
        return Ellipsoid((x, y, z - self.dome_depth * c), (a * size, b * size, c * size))

    @property
    def volume_ml(self) -> float:
        """Volume in ml: scaled to unit spheres, what is taken away is a lens of two spheres."""
        r, d = self.dome_scale, self.dome_depth
        lens = math.pi * (1 + r - d) ** 2 * (d * d + 2 * d * (r + 1) - 3 * (r - 1) ** 2) / (12 * d)
        return self.body.volume_ml - lens * math.prod(self.body.radii_mm) / 1000


@dataclass(frozen=True, slots=True)
class Chest:
    """What the phantom is made of; the defaults hold about 4.7 l of lung, 3 % of it ill."""

    shape: tuple[int, int, int] = (90, 256, 256)
    """Slices, rows, columns."""
    spacing_mm: tuple[float, float, float] = (3.0, 1.4, 1.4)
    """Step between slices, rows, columns."""
    right: Lung = Lung(Ellipsoid((-80.0, 0.0, -13.0), (56.0, 85.0, 140.0)))
    """The right lung."""
    left: Lung = Lung(Ellipsoid((80.0, 0.0, -13.0), (50.0, 82.0, 136.0)))
    """The left lung."""
    ground_glass: tuple[Ellipsoid, ...] = (
        Ellipsoid((-88.0, 42.0, -35.0), (22.0, 18.0, 24.0)),
        Ellipsoid((84.0, 38.0, 10.0), (18.0, 20.0, 21.0)),
        Ellipsoid((-84.0, -30.0, 60.0), (14.0, 15.0, 15.0)),
    )
    """Lesions of ground glass, inside the lungs and apart from each other."""
    consolidation: tuple[Ellipsoid, ...] = (
        Ellipsoid((90.0, 34.0, -48.0), (14.0, 15.0, 16.0)),
        Ellipsoid((-98.0, 24.0, 22.0), (10.0, 11.0, 12.0)),
    )
    """Lesions of consolidation."""
    ground_glass_hu: float = -520.0
    """Density of ground glass."""
    consolidation_hu: float = 30.0
    """Density of consolidation."""
    noise_hu: float = 18.0
    """Standard deviation of the noise."""

    @property
    def geometry(self) -> Geometry:
        """The grid, centred on the chest."""
        n, rows, columns = self.shape
        dz, dy, dx = self.spacing_mm
        origins = np.zeros((n, 3))
        origins[:, 0] = -dx * (columns - 1) / 2
        origins[:, 1] = -dy * (rows - 1) / 2
        origins[:, 2] = dz * ((n - 1) / 2 - np.arange(n))
        return Geometry(self.shape, origins, np.array([0, dy, 0]), np.array([dx, 0, 0]), dz)

    @property
    def ground_glass_ml(self) -> float:
        """True volume of ground glass."""
        return sum(lesion.volume_ml for lesion in self.ground_glass)

    @property
    def consolidation_ml(self) -> float:
        """True volume of consolidation."""
        return sum(lesion.volume_ml for lesion in self.consolidation)

    @property
    def lungs_ml(self) -> float:
        """True volume of both lungs, vessels and lesions included."""
        return self.right.volume_ml + self.left.volume_ml

    @property
    def infected_percent(self) -> float:
        """True infected share of the lungs."""
        return 100 * (self.ground_glass_ml + self.consolidation_ml) / self.lungs_ml


class _Canvas:
    """A volume that shapes are blended into."""

    def __init__(self, chest: Chest) -> None:
        self.spacing = chest.spacing_mm
        n, rows, columns = chest.shape
        dz, dy, dx = self.spacing
        self.z = (dz * ((n - 1) / 2 - np.arange(n, dtype=np.float32)))[:, None, None]
        self.y = (dy * (np.arange(rows, dtype=np.float32) - (rows - 1) / 2))[None, :, None]
        self.x = (dx * (np.arange(columns, dtype=np.float32) - (columns - 1) / 2))[None, None, :]
        self.hu: Volume = np.full(chest.shape, AIR_HU, dtype=np.float32)

    def around(self, low: Point, high: Point) -> Window:
        """Return the index window that holds the box from ``low`` to ``high``, one voxel spare."""
        found = []
        for axis, values in ((2, self.z), (1, self.y), (0, self.x)):
            line = values.ravel()
            step = abs(float(line[1] - line[0])) if line.size > 1 else 1.0
            inside = np.flatnonzero((line >= low[axis] - step) & (line <= high[axis] + step))
            found.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        return found[0], found[1], found[2]

    def axes(self, window: Window) -> tuple[Volume, Volume, Volume]:
        """Return x, y and z inside a window, ready to broadcast."""
        return self.x[..., window[2]], self.y[:, window[1]], self.z[window[0]]

    def blend(self, window: Window, share: Volume, hu: float) -> None:
        """Replace the share of every voxel in the window by ``hu``."""
        self.hu[window] += share * (np.float32(hu) - self.hu[window])

    def ellipsoid(self, solid: Ellipsoid) -> tuple[Window, Volume]:
        """Return a window and how much of each of its voxels the solid fills, 0 to 1."""
        c, r = solid.centre_mm, solid.radii_mm
        low = (c[0] - r[0], c[1] - r[1], c[2] - r[2])
        window = self.around(low, (c[0] + r[0], c[1] + r[1], c[2] + r[2]))
        parts = [(p - m) / h for p, m, h in zip(self.axes(window), c, r, strict=True)]
        level = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
        slopes = [part / half for part, half in zip(parts, r, strict=True)]
        steep = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2) + np.float32(1e-9)
        steps = self.spacing[::-1]
        across = sum(np.abs(s) * step for s, step in zip(slopes, steps, strict=True)) / steep
        depth = level * (1 - level) / steep
        inside = np.clip(0.5 + depth / np.maximum(across, 1e-6), 0, 1)
        return window, np.where(level < 1e-3, 1, inside).astype(np.float32)

    def rod(self, start: Point, end: Point, radius_mm: float) -> tuple[Window, Volume]:
        """Return a window and how much of each voxel a round-ended rod fills."""
        edge = radius_mm + max(self.spacing)
        low = (min(start[0], end[0]) - edge, min(start[1], end[1]) - edge)
        high = (max(start[0], end[0]) + edge, max(start[1], end[1]) + edge)
        z_low, z_high = min(start[2], end[2]) - edge, max(start[2], end[2]) + edge
        window = self.around((*low, z_low), (*high, z_high))
        points = self.axes(window)
        way = [b - a for a, b in zip(start, end, strict=True)]
        length = max(sum(w * w for w in way), 1e-9)
        offsets = [p - a for p, a in zip(points, start, strict=True)]
        along = sum(o * w for o, w in zip(offsets, way, strict=True)) / length
        along = np.clip(along, 0, 1)
        square = sum((o - along * w) ** 2 for o, w in zip(offsets, way, strict=True))
        share = np.clip(0.5 + (radius_mm - np.sqrt(square)) / self.spacing[2], 0, 1)
        return window, np.asarray(share, dtype=np.float32)


def build_chest(chest: Chest | None = None, seed: int = 0) -> Scan:
    """Return the phantom as a scan in HU.

    Parameters
    ----------
    chest : Chest, optional
        What to build.
    seed : int
        Of the vessel tree and the noise.
    """
    chest = chest or Chest()
    rng = np.random.default_rng(seed)
    canvas = _Canvas(chest)
    _paint_trunk(canvas)
    lungs = np.zeros(chest.shape, dtype=np.float32)
    for lung in (chest.right, chest.left):
        window, share = _lung_share(canvas, lung)
        lungs[window] = np.maximum(lungs[window], share)
        canvas.blend(window, share, LUNG_HU)
        for start, end, radius in _vessels(lung, rng):
            window, share = canvas.rod(start, end, radius)
            canvas.blend(window, share * lungs[window], TISSUE_HU)
    for lesions, hu in (
        (chest.ground_glass, chest.ground_glass_hu),
        (chest.consolidation, chest.consolidation_hu),
    ):
        for lesion in lesions:
            canvas.blend(*canvas.ellipsoid(lesion), hu)
    noise = rng.standard_normal(chest.shape, dtype=np.float32) * np.float32(chest.noise_hu)
    voxels = np.clip(np.rint(canvas.hu + noise), -1024, 3071).astype(np.int16)
    return Scan(voxels, chest.geometry, Intensity.HU)


def true_labels(chest: Chest | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return lung labels (1 right, 2 left) and lesion labels (1 ground glass, 2 consolidation)."""
    chest = chest or Chest()
    canvas = _Canvas(chest)
    lungs = np.zeros(chest.shape, dtype=np.uint8)
    lesions = np.zeros(chest.shape, dtype=np.uint8)
    for lung, label in ((chest.right, RIGHT), (chest.left, LEFT)):
        window, share = _lung_share(canvas, lung)
        lungs[window][share >= 0.5] = label
    for group, label in ((chest.ground_glass, GROUND_GLASS), (chest.consolidation, CONSOLIDATION)):
        for lesion in group:
            window, share = canvas.ellipsoid(lesion)
            lesions[window][share >= 0.5] = label
    return lungs, lesions


def _lung_share(canvas: _Canvas, lung: Lung) -> tuple[Window, Volume]:
    window, share = canvas.ellipsoid(lung.body)
    whole = np.zeros(canvas.hu.shape, dtype=np.float32)
    dome_window, dome = canvas.ellipsoid(lung.dome)
    whole[dome_window] = dome
    return window, share * (1 - whole[window])


def _paint_trunk(canvas: _Canvas) -> None:
    """Paint skin, fat, muscle, ribs, spine, heart, great vessels, airway and table."""
    everything = canvas.around((-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))
    pixel = canvas.spacing[2]
    for half_x, half_y, hu in ((167, 124, TISSUE_HU), (165, 122, FAT_HU), (153, 110, TISSUE_HU)):
        level = np.sqrt((canvas.x / half_x) ** 2 + (canvas.y / half_y) ** 2)
        share = np.clip(0.5 + (1 - level) * half_y / pixel, 0, 1).astype(np.float32)
        canvas.blend(everything, np.broadcast_to(share, canvas.hu.shape), hu)
    _paint_ribs(canvas)
    reach = 1000.0
    canvas.blend(*canvas.ellipsoid(Ellipsoid((8, -30, -35), (42, 38, 55))), 40)
    for x, y, radius, hu in ((0, 80, 17, 280), (0, 101, 7, 20), (24, 62, 11, 42), (0, 55, 5, 30)):
        canvas.blend(*canvas.rod((x, y, -reach), (x, y, reach), radius), hu)
    canvas.blend(*canvas.rod((-9, -98, -60), (-9, -98, 90), 7), 300)
    canvas.blend(*canvas.rod((9, -98, -60), (9, -98, 90), 7), 300)
    carina = (0.0, 12.0, 38.0)
    canvas.blend(*canvas.rod((0, 12, reach), carina, 8), AIR_HU)
    for side in (-1, 1):
        canvas.blend(*canvas.rod(carina, (side * 14.0, 16.0, 12.0), 5), AIR_HU)
    table = np.clip(0.5 + (4 - np.abs(canvas.y - 136 + (canvas.x / 60) ** 2)) / pixel, 0, 1)
    table = table * (np.abs(canvas.x) < 150)
    canvas.blend(everything, np.broadcast_to(table, canvas.hu.shape).astype(np.float32), -300)


def _paint_ribs(canvas: _Canvas) -> None:
    """Paint rings that slope down to the front, open at the breastbone."""
    level = np.sqrt((canvas.x / 148) ** 2 + (canvas.y / 104) ** 2)
    shell = np.clip(0.5 + (4 - np.abs(level - 1) * 110) / canvas.spacing[2], 0, 1)
    height = (canvas.z - 0.35 * canvas.y) % 27 - 13.5
    band = np.clip(0.5 + (5 - np.abs(height)) / canvas.spacing[0], 0, 1)
    closed = 1 - ((np.abs(canvas.x) < 22) & (canvas.y < 0)).astype(np.float32)
    window = canvas.around((-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))
    canvas.blend(window, (shell * closed * band).astype(np.float32), 380)


def _vessels(lung: Lung, rng: np.random.Generator) -> Iterator[tuple[Point, Point, float]]:
    """Yield rods of a branching tree from the hilum outwards."""
    (x, y, _), (a, _, _) = lung.body.centre_mm, lung.body.radii_mm
    inwards = -math.copysign(1, x)
    hilum: Point = (x + inwards * (a - 2), y + 14, 10.0)
    for angle in np.linspace(0, 2 * math.pi, 7, endpoint=False):
        way = np.array([-inwards * 0.9, 0.8 * math.cos(angle), 1.1 * math.sin(angle)])
        yield from _branch(hilum, way / np.linalg.norm(way), 3.6, 44.0, rng)


def _branch(
    start: Point, way: NDArray[np.float64], radius: float, length: float, rng: np.random.Generator
) -> Iterator[tuple[Point, Point, float]]:
    end = np.asarray(start) + way * length
    tip: Point = (float(end[0]), float(end[1]), float(end[2]))
    yield start, tip, radius
    if radius < 1.3:
        return
    for _ in range(2):
        turned = way + rng.normal(0, 0.42, 3)
        yield from _branch(tip, turned / np.linalg.norm(turned), radius * 0.72, length * 0.74, rng)
