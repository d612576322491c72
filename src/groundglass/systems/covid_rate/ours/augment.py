"""Augmentation of whole batches of tone maps and masks, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random changes; every picture draws its own."""

    rotation_degrees: float = 25.0
    """Largest turn to either side, on top of a random multiple of 90 degrees."""
    zoom: tuple[float, float] = (0.65, 1.4)
    """Range of the enlargement."""
    aspect: float = 0.2
    """Largest natural logarithm of the change of height against width."""
    shift: float = 0.12
    """Largest shift as a share of the picture."""
    shear: float = 0.12
    """Largest shear."""
    elastic: float = 0.04
    """Largest elastic displacement as a share of half the picture."""
    gamma: float = 0.35
    """Largest natural logarithm of the exponent of the tone curve."""
    gain: float = 0.15
    """Largest natural logarithm of the gain."""
    offset: float = 0.05
    """Largest tone offset; soft tissue has a tone of 0.85."""
    saturation: float = 0.3
    """Share of pictures whose bright or dark tones are cut off as by a narrow window."""
    noise: float = 0.04
    """Largest standard deviation of the added noise, in tones."""
    blur: float = 0.35
    """Share of pictures that are blurred or sharpened."""
    cutout: float = 0.15
    """Share of pictures in which a square is greyed out."""
    quarter_turns: float = 1.0
    """Share of pictures that are turned by a multiple of 90 degrees."""


def augment(
    stacks: Tensor,
    size: int,
    config: AugmentConfig,
    generator: torch.Generator,
    tone_maps: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return randomly changed tone maps and their masks.

    Parameters
    ----------
    stacks : Tensor
        (pictures, tone maps + masks, rows, columns) float32: tone maps, then masks in [0, 1].
    size : int
        Height and width of the result in pixels.
    config : AugmentConfig
    generator : torch.Generator
        Source of all randomness.
    tone_maps : int
        Tone maps of a picture; they are changed alike but for their noise.

    Returns
    -------
    tones : Tensor
        (pictures, tone maps, size, size) in [0, 1.275].
    masks : Tensor
        (pictures, masks, size, size), 0 or 1.
    """
    grid = _grid(len(stacks), size, config, generator)
    moved = functional.grid_sample(stacks, grid, padding_mode="zeros", align_corners=False)
    tones = toned(moved[:, :tone_maps], config, generator)
    return tones, (moved[:, tone_maps:] > 0.5).float()


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _grid(count: int, size: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return sampling positions: turn, mirror, zoom, stretch, shear, shift, elastic warp."""
    limit = math.radians(config.rotation_degrees)
    angle = _uniform(count, -limit, limit, generator)
    turns = torch.randint(0, 4, (count,), generator=generator)
    if config.quarter_turns < 1:
        turns = turns * (torch.rand(count, generator=generator) < config.quarter_turns)
    angle = angle + turns * (math.pi / 2)
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    low, high = (math.log(value) for value in config.zoom)
    zoom = torch.exp(-_uniform(count, low, high, generator))
    aspect = torch.exp(_uniform(count, -config.aspect / 2, config.aspect / 2, generator))
    shear = _uniform(count, -config.shear, config.shear, generator)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    stretch = torch.zeros(count, 2, 2)
    stretch[:, 0, 0] = zoom * aspect * mirror
    stretch[:, 0, 1] = shear * zoom
    stretch[:, 1, 1] = zoom / aspect
    shift = torch.rand(count, 2, 1, generator=generator) * 2 - 1
    affine = torch.cat([turn @ stretch, shift * 2 * config.shift], 2)
    grid = functional.affine_grid(affine, [count, 1, size, size], align_corners=False)
    bend = torch.randn(count, 2, 6, 6, generator=generator).clamp(-2, 2) * (config.elastic / 2)
    bend = functional.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)
    return grid + bend.permute(0, 2, 3, 1)


def toned(tones: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return tone maps after blur, tone curve, window, noise and cut-out."""
    count = len(tones)
    tones = _blurred(tones, config, generator)
    gamma = torch.exp(_uniform(count, -config.gamma, config.gamma, generator))
    gain = torch.exp(_uniform(count, -config.gain, config.gain, generator))
    offset = _uniform(count, -config.offset, config.offset, generator)
    bright = tones.clamp(min=1e-4)
    tones = 0.85 * (bright / 0.85) ** _column(gamma) * _column(gain) + _column(offset)
    cut = torch.rand(count, generator=generator) < config.saturation
    top = torch.where(cut, _uniform(count, 0.8, 1.1, generator), torch.tensor(1.275))
    tones = torch.minimum(tones, _column(top))
    sigma = config.noise * torch.rand(count, generator=generator) ** 2
    tones = tones + torch.randn(tones.shape, generator=generator) * _column(sigma)
    return _with_cutout(tones, config, generator).clamp(0, 1.275)


def _blurred(tones: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return the tone maps, some of them mixed with or sharpened against a smooth copy."""
    smooth = functional.avg_pool2d(functional.pad(tones, (1, 1, 1, 1), mode="replicate"), 3, 1)
    some = torch.rand(len(tones), generator=generator) < config.blur
    weight = _uniform(len(tones), -0.8, 1.0, generator) * some
    return tones + (smooth - tones) * _column(weight)


def _with_cutout(tones: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return the tone maps, some of them with a square of one tone."""
    size = tones.shape[-1]
    for index in torch.nonzero(torch.rand(len(tones), generator=generator) < config.cutout)[:, 0]:
        side = int(size * (0.06 + 0.14 * float(torch.rand(1, generator=generator))))
        row, column = (
            int(value) for value in torch.randint(0, size - side, (2,), generator=generator)
        )
        tone = float(torch.rand(1, generator=generator))
        tones[index, :, row : row + side, column : column + side] = tone
    return tones


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
