"""Synthetic ground glass and consolidation laid into slices of healthy lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SyntheticConfig:
    """Ranges of the synthetic lesions."""

    lesions: tuple[int, int] = (1, 6)
    """Fewest and most lesions of a slice."""
    radius_share: tuple[float, float] = (0.02, 0.16)
    """Radii as a share of the picture's height."""
    haze_hu: tuple[float, float] = (-720.0, -380.0)
    """Densities of ground glass."""
    dense_hu: tuple[float, float] = (-250.0, 60.0)
    """Densities of consolidation."""
    dense_share: float = 0.35
    """Share of lesions with a dense core."""
    texture_hu: float = 90.0
    """Standard deviation of the density inside a lesion."""
    peripheral_share: float = 0.7
    """Share of lesions that start near the lung's edge."""


def add_lesions(
    hu: Float32, lungs: Mask, config: SyntheticConfig, generator: np.random.Generator
) -> tuple[Float32, Mask, Mask]:
    """Return a slice with lesions, their mask and the mask of consolidation.

    Tissue is only made denser, so vessels stay to be seen through ground glass.

    Parameters
    ----------
    hu : ndarray
        (rows, columns) densities of a healthy slice.
    lungs : ndarray
        (rows, columns) lung mask, not empty.
    config : SyntheticConfig
    generator : numpy.random.Generator

    Returns
    -------
    hu, infected, consolidation : ndarray
        Masks lie within the lungs; consolidation within the infected part.
    """
    result = hu.copy()
    infected = np.zeros(hu.shape, bool)
    dense = np.zeros(hu.shape, bool)
    depth = ndimage.distance_transform_edt(lungs)
    for _ in range(int(generator.integers(config.lesions[0], config.lesions[1] + 1))):
        blob = _blob(lungs, depth, config, generator)
        level = generator.uniform(*config.haze_hu)
        core = np.zeros(hu.shape, np.float32)
        if generator.random() < config.dense_share:
            core = ndimage.gaussian_filter((blob > generator.uniform(0.55, 0.9)) * 1.0, 1.5)
        texture = _noise(hu.shape, generator.uniform(1, 4), generator) * config.texture_hu
        target = level + texture + core * (generator.uniform(*config.dense_hu) - level)
        mask = (blob > 0.5) & lungs
        weight = ndimage.gaussian_filter(mask.astype(np.float32), generator.uniform(0.7, 3))
        weight = np.clip(weight * 1.3, 0, 1) * ndimage.gaussian_filter(lungs * 1.0, 0.7)
        result += weight * np.maximum(target - result, 0)
        infected |= mask
        dense |= mask & (core > 0.5)
    return result.astype(np.float32), infected, dense


def _blob(
    lungs: Mask, depth: NDArray[np.float64], config: SyntheticConfig, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return a smooth ragged hill; the lesion is where it is above 0.5."""
    rows, columns = lungs.shape
    radius = rows * np.exp(generator.uniform(*np.log(config.radius_share)))
    near = lungs & (depth < 0.8 * radius + 2)
    pool = np.argwhere(near if generator.random() < config.peripheral_share else lungs)
    centre = pool[generator.integers(len(pool))]
    row, column = np.mgrid[:rows, :columns] - centre[:, None, None]
    angle, stretch = generator.uniform(0, np.pi), np.exp(generator.uniform(-0.5, 0.5))
    along = (row * np.cos(angle) + column * np.sin(angle)) * stretch
    across = (column * np.cos(angle) - row * np.sin(angle)) / stretch
    hill = np.exp(-0.69 * (along**2 + across**2) / radius**2)
    ragged = _noise(lungs.shape, max(radius * 0.25, 1.5), generator)
    return np.asarray(hill + 0.22 * ragged * np.exp(-0.2 * (along**2 + across**2) / radius**2))


def _noise(
    shape: tuple[int, ...], sigma: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(generator.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-9))
