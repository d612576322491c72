"""Training slices of the lung network: scans and pictures with opacity laid into their lungs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.core.scan import Scan
from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.datasets.per_covid_19 import RatedSlice, read_per_covid_19
from groundglass.imaging import components
from groundglass.imaging.resample import block_mean, working_grid
from groundglass.imaging.tone import align_hu, resized
from groundglass.infection.picture_lungs import (
    PictureLungConfig,
    PictureLungs,
    find_picture_lungs,
)
from groundglass.lungs.body import enclosed_air
from groundglass.lungs.config import LungConfig
from groundglass.lungs.network_view import NetworkView, PlaneBox, body_box
from groundglass.lungs.segment import segment_lungs
from groundglass.phantom import Chest, Ellipsoid, Lung, build_chest
from groundglass.readers.read import read_scan
from groundglass.systems.lungs_network.synthesis import OpacityConfig, add_opacity, vary_organs
from groundglass.systems.recipes import byte_stack

Bytes = NDArray[np.uint8]
Labels = NDArray[np.uint8]

LUNGS_WIDTH_MM = 270.0
"""Width of both lungs, by which a picture is given millimetres."""
MOST_HOLES = 0.12
MOST_PERCENT = 30.0
LUNG_SHARE = (0.15, 0.75)
"""A picture's lung mask is trusted within these limits: share of holes, percentage read, share of
the picture."""


@dataclass(frozen=True)
class PoolConfig:
    """How many training slices are made of what there is."""

    left_out: tuple[str, ...] = ("normal001",)
    """Patients of COVID-CT-MD that are not trained on, so that others can be measured on them."""
    variants: int = 20
    """Times that every scan is given opacities."""
    phantoms: int = 8
    """Made-up chests beside the scans: their lungs keep away from the ribs, and all else in them is
    as plain as consolidation."""
    phantom_variants: int = 3
    """Times that every made-up chest is given opacities."""
    every: int = 4
    """One slice of that many is kept of every variant."""
    neighbours: tuple[int, int] = (1, 4)
    """Range of steps to the nearest neighbouring slices."""
    pictures_of_subject: int = 12
    """Most pictures of one subject of Per-COVID-19."""
    kept_px: int = 184
    """Height and width at which slices are kept."""


@dataclass(frozen=True, eq=False)
class _Volume:
    hu: NDArray[np.int16]
    lungs: Labels
    spacing_mm: tuple[float, float, float]
    box: PlaneBox


def scan_stacks(
    root: Path, pool: PoolConfig, opacity: OpacityConfig, seed: int, maps: int
) -> Bytes | None:
    """Return slices of COVID-CT-MD and of made-up chests with their neighbours and lungs.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    pool : PoolConfig
    opacity : OpacityConfig
    seed : int
    maps : int
        Tone maps of an input.

    Returns
    -------
    ndarray
        (slices, maps + 1, side, side): the slice among its neighbours from above to below, lungs.
        ``None`` without a patient.
    """
    made: list[Bytes] = []
    for place, patient in enumerate(read_covid_ct_md(root)):
        if patient.patient not in pool.left_out:
            volume = _volume(read_scan(patient.folder))
            for variant in range(pool.variants):
                generator = np.random.default_rng((seed, place, variant))
                made += _slices(volume, pool, opacity, generator, maps)
    for place in range(pool.phantoms if made else 0):
        generator = np.random.default_rng((seed, 2000, place))
        volume = _volume(build_chest(random_chest(generator)))
        for _ in range(pool.phantom_variants):
            made += _slices(volume, pool, opacity, generator, maps)
    return np.stack(made) if made else None


def random_chest(generator: np.random.Generator) -> Chest:
    """Return the plan of a made-up chest without lesions, of another build each time."""

    def lung(side: int) -> Lung:
        radii = generator.uniform((44, 66, 105), (60, 92, 150))
        centre = (side * generator.uniform(68, 84), generator.uniform(-8, 8), -13.0)
        body = Ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2])))
        return Lung(body, generator.uniform(0.3, 0.85), generator.uniform(1.05, 1.35))

    return Chest(
        shape=(72, 128, 128),
        spacing_mm=(4.0, 2.8, 2.8),
        right=lung(-1),
        left=lung(1),
        ground_glass=(),
        consolidation=(),
        noise_hu=generator.uniform(2, 25),
    )


def _volume(scan: Scan) -> _Volume:
    """Return a scan and its lungs on the working grid."""
    config = LungConfig()
    spacing = scan.geometry.spacing_mm
    labels = segment_lungs(scan.hu(), spacing, config).labels
    grid = working_grid(scan.shape, spacing, config.grid_mm)
    small = block_mean(scan.hu(), grid)
    inside = block_mean((labels > 0).astype(np.int16) * 100, grid) >= 50
    left = block_mean((labels == LEFT).astype(np.int16) * 100, grid) >= 50
    lungs = np.where(inside, np.where(left, LEFT, RIGHT), 0).astype(np.uint8)
    box = body_box(enclosed_air(small, grid, config).walls)
    return _Volume(small, lungs, grid.spacing_mm, box)


def _slices(
    volume: _Volume,
    pool: PoolConfig,
    opacity: OpacityConfig,
    generator: np.random.Generator,
    maps: int,
) -> Iterator[Bytes]:
    hu = volume.hu.astype(np.float32)
    vary_organs(hu, volume.lungs, volume.spacing_mm, opacity, generator)
    hu = add_opacity(hu, volume.lungs, volume.spacing_mm, opacity, generator)
    size = (pool.kept_px, pool.kept_px)
    view = NetworkView(hu, volume.box, size, maps)
    for index in range(int(generator.integers(pool.every)), len(hu), pool.every):
        step = int(generator.integers(pool.neighbours[0], pool.neighbours[1] + 1))
        tones = view(index, step)
        lung = resized((volume.lungs[index][volume.box] > 0).astype(np.float32), size)
        yield _bytes(tones, lung)


def picture_stacks(
    root: Path, pool: PoolConfig, opacity: OpacityConfig, seed: int, maps: int
) -> Bytes | None:
    """Return pictures of Per-COVID-19 with opacities, whose lung mask can be trusted.

    The picture stands for its neighbours. ``None`` where no mask can be trusted.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    pool : PoolConfig
    opacity : OpacityConfig
    seed : int
    maps : int
        Tone maps of an input.

    Returns
    -------
    ndarray
        (pictures, maps + 1, side, side).
    """
    made: list[Bytes] = []
    size = (pool.kept_px, pool.kept_px)
    generator = np.random.default_rng((seed, 1000))
    for one in _some_of_each(read_per_covid_19(root), pool.pictures_of_subject, generator):
        found = find_picture_lungs(one.image().astype(np.float32), PictureLungConfig())
        if found is None or one.percent > MOST_PERCENT or not _trusted(found):
            continue
        columns = np.flatnonzero(found.mask.any(axis=0))
        pixel_mm = LUNGS_WIDTH_MM / (columns[-1] - columns[0] + 1)
        lungs = components.label(found.mask[None])[0].astype(np.uint8)
        density = found.density_hu[None]
        hu = add_opacity(density, lungs, (5.0, pixel_mm, pixel_mm), opacity, generator)
        tones = [resized(align_hu(hu[0]), size)] * maps
        made.append(_bytes(np.stack(tones), resized(found.mask.astype(np.float32), size)))
    return np.stack(made) if made else None


def _some_of_each(
    slices: Sequence[RatedSlice], most: int, generator: np.random.Generator
) -> Iterator[RatedSlice]:
    """Yield at most so many slices of every subject, chosen by chance."""
    taken: dict[str, int] = {}
    for place in generator.permutation(len(slices)):
        one = slices[place]
        if taken.setdefault(one.subject, 0) < most:
            taken[one.subject] += 1
            yield one


def _trusted(found: PictureLungs) -> bool:
    share = float(found.mask.mean())
    return found.paired and found.hole_share < MOST_HOLES and LUNG_SHARE[0] < share < LUNG_SHARE[1]


def _bytes(tones: NDArray[np.float32], lung: NDArray[np.float32]) -> Bytes:
    packed = [byte_stack(tone, ()) for tone in tones]
    return np.concatenate([*packed, byte_stack(lung * 0, (lung,))[1:]])
