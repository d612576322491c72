"""Opacity as dense as the chest wall laid into lungs in 3-D; where the lung is stays known.

Effusion is laid in too. To the network its room is that of the lung: the two look alike but for a
few HU, by which what uses the network tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.imaging import components, morphology
from groundglass.imaging.distance import depth_mm

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Range = tuple[float, float]

AIR_HU = -900.0
"""Thinner voxels outside the lungs are airway or room air and stay as they are."""

AIRWAY_HU, AIRWAY_DEPTH_MM = -930.0, 8.0
"""Thinner voxels at least that deep in a lung may be airways within an opacity."""


SOFT_FROM_HU = -30.0
"""Thinner voxels are fat and air."""

ORGAN_MM = 40.0
"""How far changes of the density of organs reach."""


@dataclass(frozen=True)
class OpacityConfig:
    """Ranges of the opacities; lengths in mm, densities in HU."""

    healthy: float = 0.4
    """Share of lungs that are left as they are."""
    most: int = 3
    """Most opacities of one lung."""
    kinds: tuple[float, float, float, float] = (0.45, 0.25, 0.13, 0.17)
    """Shares of balls on the pleura, lobes, confluent opacity, effusion."""
    radius_mm: Range = (10.0, 52.0)
    """Radii of balls."""
    lobe_share: Range = (0.1, 0.65)
    """Share of a lung that is a lobe."""
    whole_lung: float = 0.08
    """Share of lobes that are the whole lung."""
    dense_hu: Range = (24.0, 80.0)
    """Mean density of consolidation."""
    confluent_hu: Range = (-420.0, -30.0)
    """Mean density of confluent opacity."""
    confluent_share: Range = (0.1, 0.6)
    """Share of a lung that is confluent opacity."""
    effusion_hu: Range = (-5.0, 20.0)
    """Mean density of effusion."""
    effusion_share: Range = (0.02, 0.35)
    """Share of a lung's room that effusion takes."""
    collapsed: float = 0.5
    """Share of effusions with collapsed lung along them."""
    texture_hu: Range = (0.0, 22.0)
    """Standard deviation of the density within an opacity, smooth over a few mm."""
    noise_hu: Range = (4.0, 22.0)
    """Standard deviation of the noise of every voxel."""
    bronchogram: float = 0.35
    """Share of lobes and balls in which airways stay to be seen."""
    organ_hu: Range = (0.0, 25.0)
    """Standard deviation of the changes of density of organs."""
    edge_mm: Range = (0.4, 2.5)
    """Standard deviation of the blur of an edge."""
    rim_mm: float = 3.5
    """Voxels that close outside the lungs, thinned by the air beside them, become tissue too."""


@dataclass(frozen=True, eq=False)
class _Lung:
    """One lung in its box."""

    mask: Mask
    depth: Floats
    spacing_mm: Spacing

    def places(self) -> tuple[Floats, Floats, Floats]:
        """Return mm along slices, rows and columns, broadcastable."""
        lengths = zip(self.mask.shape, self.spacing_mm, strict=True)
        axes = [np.arange(count, dtype=np.float32) * np.float32(mm) for count, mm in lengths]
        return axes[0][:, None, None], axes[1][:, None], axes[2]

    def smooth(self, mm: float, generator: np.random.Generator) -> Floats:
        """Return smooth noise of mean 0 and standard deviation 1."""
        return _smooth(self.mask.shape, self.spacing_mm, mm, generator)


@dataclass(frozen=True, eq=False)
class _Opacity:
    """One opacity in the box of its lung."""

    inside: Mask
    """Where it is, the chest wall included."""
    hu: float
    """Mean density."""
    airways: bool
    """Whether airways stay to be seen."""


def add_opacity(
    hu: NDArray[Any],
    lungs: NDArray[np.uint8],
    spacing_mm: Spacing,
    config: OpacityConfig,
    generator: np.random.Generator,
) -> Floats:
    """Return densities with opacities; tissue is only made denser.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns) densities; one slice is a picture.
    lungs : ndarray
        Same shape: 0 outside, a number for each lung.
    spacing_mm : tuple of float
    config : OpacityConfig
    generator : numpy.random.Generator
    """
    hu = hu.astype(np.float32)
    for number in np.unique(lungs[lungs > 0]):
        if generator.random() < config.healthy:
            continue
        margin = [int(12.0 / mm) + 1 for mm in spacing_mm]
        box = components.bounding_box(lungs == number, margin)
        if box is None:
            continue
        one = lungs[box] == number
        if one.shape[0] > 1:
            depth = depth_mm(one, spacing_mm)
        else:
            depth = np.asarray(ndimage.distance_transform_edt(one, sampling=spacing_mm), np.float32)
        lung = _Lung(one, depth, spacing_mm)
        for _ in range(int(generator.integers(1, config.most + 1))):
            for opacity in _draw(lung, config, generator):
                _lay(hu[box], lungs[box] > 0, lung, opacity, config, generator)
    return hu


def vary_organs(
    hu: Floats,
    lungs: NDArray[np.uint8],
    spacing_mm: Spacing,
    config: OpacityConfig,
    generator: np.random.Generator,
) -> None:
    """Make soft tissue outside the lungs denser and thinner over several cm, in place.

    Organs differ in density between people and with contrast medium; the few scans there are
    would be learnt by heart.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns) densities.
    lungs : ndarray
        Same shape: 0 outside.
    spacing_mm : tuple of float
    config : OpacityConfig
    generator : numpy.random.Generator
    """
    change = _smooth(hu.shape, spacing_mm, ORGAN_MM, generator) * generator.uniform(
        *config.organ_hu
    )
    hu += np.where((lungs == 0) & (hu > SOFT_FROM_HU), change, 0)


def _draw(lung: _Lung, config: OpacityConfig, generator: np.random.Generator) -> list[_Opacity]:
    """Return an opacity of a random kind, and what comes along with it."""
    kind = int(generator.choice(4, p=np.array(config.kinds) / sum(config.kinds)))
    if kind == 3:
        return _effusion(lung, config, generator)
    make: Callable[..., Mask] = (_ball, _lobe, _confluent)[kind]
    density = config.confluent_hu if kind == 2 else config.dense_hu
    airways = bool(kind == 2 or generator.random() < config.bronchogram)
    inside = make(lung, config, generator)
    return [_Opacity(inside, generator.uniform(*density), airways=airways)]


def _ball(lung: _Lung, config: OpacityConfig, generator: np.random.Generator) -> Mask:
    """Return a rough ellipsoid whose middle lies near the lung's surface."""
    radius = generator.uniform(*config.radius_mm)
    surface = np.argwhere(lung.mask & (lung.depth <= 1.5 * max(lung.spacing_mm[1:])))
    centre = surface[generator.integers(len(surface))] * np.array(lung.spacing_mm)
    middle = np.argwhere(lung.mask).mean(axis=0) * np.array(lung.spacing_mm)
    inwards = (middle - centre) / max(float(np.linalg.norm(middle - centre)), 1e-6)
    centre = centre + inwards * radius * generator.uniform(-0.35, 0.6)
    stretch = np.exp(generator.uniform(-0.3, 0.3, 3) * (generator.random() < 0.6))
    square = sum(
        ((axis - place) / (radius * long)) ** 2
        for axis, place, long in zip(lung.places(), centre, stretch, strict=True)
    )
    rough = generator.uniform(0, 0.3) * lung.smooth(max(0.3 * radius, 4.0), generator)
    return np.asarray(np.sqrt(square) + rough < 1)


def _lobe(lung: _Lung, config: OpacityConfig, generator: np.random.Generator) -> Mask:
    """Return the part of a lung beyond one or two bent planes, or all of it."""
    if generator.random() < config.whole_lung:
        return np.ones(lung.mask.shape, bool)
    share, inside = generator.uniform(*config.lobe_share), np.ones(lung.mask.shape, bool)
    planes = int(generator.integers(1, 3))
    for _ in range(planes):
        normal = generator.standard_normal(3) * (1.0, 1.0, 0.6)
        normal /= np.linalg.norm(normal)
        height = sum(a * n for a, n in zip(lung.places(), normal, strict=True))
        height = height + generator.uniform(0, 8) * lung.smooth(25.0, generator)
        inside &= height > np.quantile(height[lung.mask], 1 - share ** (1 / planes))
    return inside


def _confluent(lung: _Lung, config: OpacityConfig, generator: np.random.Generator) -> Mask:
    """Return patches, more of them at the back and along the chest wall."""
    field = 1.2 * lung.smooth(generator.uniform(8, 22), generator)
    field -= generator.uniform(0, 0.05) * lung.depth
    back = lung.places()[1]
    field = field + generator.uniform(-0.2, 1.2) * (back / max(float(back.max()), 1.0) - 0.5) * 2
    limit = np.quantile(field[lung.mask], 1 - generator.uniform(*config.confluent_share))
    return np.asarray(field > limit)


def _effusion(lung: _Lung, config: OpacityConfig, generator: np.random.Generator) -> list[_Opacity]:
    """Return fluid at the back and the base with a level, and often collapsed lung along it."""
    down, back, across = lung.places()
    tilt = generator.uniform(-0.1, 0.1)
    field = back + generator.uniform(0.05, 0.8) * down + tilt * across
    field = field + generator.uniform(0, 25) * np.exp(-lung.depth / generator.uniform(6, 18))
    limit = np.quantile(field[lung.mask], 1 - generator.uniform(*config.effusion_share))
    fluid = np.asarray(field > limit)
    found = []
    if generator.random() < config.collapsed:
        wide = np.asarray(field > limit - generator.uniform(5, 16)) & ~fluid
        collapsed = generator.uniform(*config.dense_hu)
        found.append(_Opacity(wide, collapsed, airways=True))
    density = generator.uniform(*config.effusion_hu)
    return [*found, _Opacity(fluid, density, airways=False)]


def _lay(  # noqa: PLR0913, PLR0917 - a picture, its truth, and what to lay into it how
    hu: Floats,
    either: Mask,
    lung: _Lung,
    opacity: _Opacity,
    config: OpacityConfig,
    generator: np.random.Generator,
) -> None:
    """Make one opacity part of the densities, in place; ``either`` are both lungs."""
    near = morphology.dilate(morphology.as_bits(lung.mask), config.rim_mm, lung.spacing_mm)
    rim = near.view(np.bool_) & ~either & (hu > AIR_HU) & (hu < -150)
    able = lung.mask | rim
    edge = generator.uniform(*config.edge_mm)
    sigma = [
        edge / mm if count > 1 else 0 for mm, count in zip(lung.spacing_mm, hu.shape, strict=True)
    ]
    weight = ndimage.gaussian_filter(opacity.inside.astype(np.float32), sigma)
    target = opacity.hu + generator.uniform(*config.texture_hu) * lung.smooth(4.0, generator)
    target += generator.uniform(*config.noise_hu) * generator.standard_normal(hu.shape)
    if opacity.airways:
        weight = np.where(_airways(hu, lung), weight * 0.2, weight)
    denser = np.maximum(target - hu, 0)
    hu += np.where(able, weight * denser, 0).astype(np.float32)


def _airways(hu: Floats, lung: _Lung) -> Mask:
    """Return where a lung is thin as in an airway, specks left out."""
    thin = lung.mask & (hu < AIRWAY_HU) & (lung.depth > AIRWAY_DEPTH_MM)
    return np.asarray(ndimage.binary_opening(thin, np.ones((1, 2, 2), bool)))


def _smooth(
    shape: tuple[int, ...], spacing: Spacing, mm: float, generator: np.random.Generator
) -> Floats:
    """Return smooth noise of mean 0 and standard deviation 1, made on a coarse grid."""
    steps = [max(1, int(mm / 2 / one)) for one in spacing]
    small = [count // step + 3 for count, step in zip(shape, steps, strict=True)]
    sigma = [
        mm / (one * step) if n > 1 else 0
        for one, step, n in zip(spacing, steps, shape, strict=True)
    ]
    noise = ndimage.gaussian_filter(generator.standard_normal(small), sigma, mode="wrap")
    noise = (noise - noise.mean()) / max(float(noise.std()), 1e-9)
    for axis, (count, step) in enumerate(zip(shape, steps, strict=True)):
        place = np.arange(count) / step
        low = place.astype(np.intp)
        weight = (place - low).reshape([-1 if one == axis else 1 for one in range(3)])
        noise = noise.take(low, axis) * (1 - weight) + noise.take(low + 1, axis) * weight
    return np.asarray(noise, np.float32)
