"""Random changes of whole batches of pictures that keep the infected share nearly the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class PercentAugmentConfig:
    """Ranges of the random changes; every picture draws its own."""

    rotation_degrees: float = 15.0
    """Largest turn to either side, on top of mirroring both axes."""
    zoom: tuple[float, float] = (0.85, 1.15)
    """Range of the enlargement."""
    aspect: float = 0.15
    """Largest natural logarithm of the change of height against width."""
    shift: float = 0.05
    """Largest shift as a share of the picture."""
    gamma: float = 0.08
    """Largest natural logarithm of the exponent of the tone curve."""
    gain: float = 0.05
    """Largest natural logarithm of the gain."""
    noise: float = 0.03
    """Largest standard deviation of the added noise, in tones."""
    blur: float = 0.3
    """Share of pictures that are blurred or sharpened."""
    mixup: float = 0.2
    """Parameter of the Beta distribution by which two pictures and percentages are mixed; 0 not
    to mix."""


def augment(
    pictures: Tensor, size: int, config: PercentAugmentConfig, generator: torch.Generator
) -> Tensor:
    """Return randomly changed pictures of shape (pictures, 1, size, size).

    Parameters
    ----------
    pictures : Tensor
        (pictures, 1, rows, columns) float32 tones in [0, 1].
    size : int
        Height and width of the result in pixels.
    config : PercentAugmentConfig
    generator : torch.Generator
        Source of all randomness.
    """
    count = len(pictures)
    grid = functional.affine_grid(
        _affines(count, config, generator), [count, 1, size, size], align_corners=False
    )
    moved = functional.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)
    return _toned(moved, config, generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _affines(count: int, config: PercentAugmentConfig, generator: torch.Generator) -> Tensor:
    limit = math.radians(config.rotation_degrees)
    angle = _uniform(count, -limit, limit, generator)
    mirror = torch.randint(0, 2, (2, count), generator=generator) * 2.0 - 1.0
    low, high = (math.log(value) for value in config.zoom)
    zoom = torch.exp(-_uniform(count, low, high, generator))
    aspect = torch.exp(_uniform(count, -config.aspect / 2, config.aspect / 2, generator))
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    stretch = torch.zeros(count, 2, 2)
    stretch[:, 0, 0] = zoom * aspect * mirror[0]
    stretch[:, 1, 1] = zoom / aspect * mirror[1]
    shift = (torch.rand(count, 2, 1, generator=generator) * 2 - 1) * 2 * config.shift
    return torch.cat([turn @ stretch, shift], 2)


def _toned(tones: Tensor, config: PercentAugmentConfig, generator: torch.Generator) -> Tensor:
    count = len(tones)
    smooth = functional.avg_pool2d(functional.pad(tones, (1, 1, 1, 1), mode="replicate"), 3, 1)
    some = torch.rand(count, generator=generator) < config.blur
    weight = _uniform(count, -0.8, 1.0, generator) * some
    tones = tones + (smooth - tones) * _column(weight)
    gamma = torch.exp(_uniform(count, -config.gamma, config.gamma, generator))
    gain = torch.exp(_uniform(count, -config.gain, config.gain, generator))
    tones = tones.clamp(min=1e-4) ** _column(gamma) * _column(gain)
    sigma = config.noise * torch.rand(count, generator=generator) ** 2
    return (tones + torch.randn(tones.shape, generator=generator) * _column(sigma)).clamp(0, 1.275)


def mixed(
    tones: Tensor, percent: Tensor, config: PercentAugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return pictures and percentages mixed pairwise in random shares (mixup).

    References
    ----------
    .. [1] Zhang et al. "mixup: Beyond empirical risk minimization." ICLR (2018).
    """
    if config.mixup <= 0:
        return tones, percent
    count = len(tones)
    gammas = torch._standard_gamma(torch.full((2, count), config.mixup), generator=generator)
    share = gammas[0] / gammas.sum(0).clamp(min=1e-8)
    share = torch.maximum(share, 1 - share)
    other = torch.randperm(count, generator=generator)
    mixed_tones = _column(share) * tones + _column(1 - share) * tones[other]
    return mixed_tones, share * percent + (1 - share) * percent[other]


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
