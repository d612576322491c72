"""Fit the network's head alone: a perceptron on pixels of frozen maps, several seeds merged.

With few labelled slices and little computing time this gains more than training all weights, see
the card. The maps of every view are computed once.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from groundglass.systems.covid_rate.ours.augment import AugmentConfig, augment
from groundglass.systems.covid_rate.ours.network import InfectionNetwork

Half = NDArray[np.float16]


@dataclass(frozen=True)
class HeadConfig:
    """Settings of fitting the head."""

    views: int = 12
    """Augmented views of every slice."""
    pixels: int = 3000
    """Pixels kept of a view."""
    widths: tuple[int, int] = (64, 32)
    """Hidden layers of one perceptron."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Perceptrons whose logits are averaged."""
    steps: int = 260
    """Optimiser steps of one perceptron."""
    batch: int = 12
    """Views of a step."""
    batch_pixels: int = 700
    """Pixels of each of them."""
    learning_rate: float = 3e-3
    """Highest learning rate; half a cosine down to a hundredth."""
    weight_decay: float = 0.02
    """Decoupled weight decay of AdamW."""
    dropout: float = 0.15
    """Share of hidden values dropped."""
    entropy_weight: float = 0.6
    """Weight of cross-entropy against soft Dice; a small one gives sharp maps."""


@dataclass(frozen=True, eq=False)
class PixelMaps:
    """Maps and masks of pixels drawn from augmented views of labelled slices."""

    maps: Half
    """(slices, views, pixels, maps)."""
    masks: Half
    """(slices, views, pixels, 2): infection, consolidation."""


class _Perceptron(nn.Module):
    """Two hidden layers on standardised maps."""

    def __init__(self, mean: Tensor, spread: Tensor, config: HeadConfig) -> None:
        super().__init__()
        self.mean, self.spread = nn.Buffer(mean), nn.Buffer(spread)
        self.first = nn.Linear(len(mean), config.widths[0])
        self.second = nn.Linear(*config.widths)
        self.last = nn.Linear(config.widths[1], 2)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.constant_(self.last.bias, -2.0)

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits (..., 2)."""
        standard = ((maps - self.mean) / self.spread).clamp(-6, 6)
        inner = self.dropout(functional.relu(self.first(standard)))
        return self.last(functional.relu(self.second(inner)))


@torch.inference_mode()
def draw_pixel_maps(
    network: InfectionNetwork,
    stacks: NDArray[np.uint8],
    config: HeadConfig,
    augmentation: AugmentConfig,
) -> PixelMaps:
    """Return what the network's head sees at random pixels of augmented views.

    Parameters
    ----------
    network : InfectionNetwork
        Put into evaluation mode.
    stacks : ndarray
        (slices, 3, side, side) as in ``data.Pictures``.
    config : HeadConfig
    augmentation : AugmentConfig
    """
    network.eval()
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([200.0, 255.0, 255.0]).view(1, 3, 1, 1)
    maps, masks = [], []
    for stack in torch.from_numpy(stacks):
        views = (stack.float() / scale).expand(config.views, -1, -1, -1)
        tones, wanted = augment(views, 256, augmentation, generator)
        seen = _enlarged(network.pyramid(tones)).flatten(2).transpose(1, 2)
        halved = functional.avg_pool2d(wanted, 2).flatten(2).transpose(1, 2)
        picked = torch.randperm(seen.shape[1], generator=generator)[: config.pixels]
        maps.append(seen[:, picked].half().numpy())
        masks.append(halved[:, picked].half().numpy())
    return PixelMaps(np.stack(maps), np.stack(masks))


def fit_head(
    network: InfectionNetwork, pixels: PixelMaps, slices: list[int], config: HeadConfig
) -> None:
    """Put a head fitted on some of the slices into the network.

    Parameters
    ----------
    network : InfectionNetwork
        Its ``head_widths`` are those of ``config`` times the number of seeds.
    pixels : PixelMaps
    slices : list of int
        Slices to fit on.
    config : HeadConfig
    """
    fitted = [_fit_one(pixels, np.array(slices), config, seed) for seed in config.seeds]
    _put_into(network, fitted)


def _fit_one(
    pixels: PixelMaps, slices: NDArray[np.integer], config: HeadConfig, seed: int
) -> _Perceptron:
    """Return one perceptron with averaged weights."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.from_numpy(pixels.maps[slices, 0, :300]).float().flatten(0, 1)
    perceptron = _Perceptron(sample.mean(0), sample.std(0) + 1e-3, config)
    averaged = copy.deepcopy(perceptron).eval()
    optimiser = torch.optim.AdamW(
        perceptron.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    for step in range(config.steps):
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * step / config.steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / 20) * fall
        loss = _pixel_loss(perceptron, *_draw(pixels, slices, config, generator), config)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        _move(averaged, perceptron, min(0.98, (2 + step) / (11 + step)))
    return averaged


@torch.no_grad()
def _move(average: nn.Module, present: nn.Module, decay: float) -> None:
    for mean, now in zip(average.parameters(), present.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


def _draw(
    pixels: PixelMaps, slices: NDArray[np.integer], config: HeadConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return maps and masks of random pixels of random views."""
    _, views, count, _ = pixels.maps.shape
    which = torch.randint(0, len(slices), (config.batch, 1), generator=generator).numpy()
    view = torch.randint(0, views, (config.batch, 1), generator=generator).numpy()
    pixel = torch.randperm(count, generator=generator)[None, : config.batch_pixels].numpy()
    place = (slices[which], view, pixel)
    maps, masks = pixels.maps[place], pixels.masks[place]
    return torch.from_numpy(maps).float(), torch.from_numpy(masks).float()


def _pixel_loss(perceptron: _Perceptron, maps: Tensor, masks: Tensor, config: HeadConfig) -> Tensor:
    """Return cross-entropy plus soft Dice of every view's pixels."""
    logits = perceptron(maps)
    shares = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1)
    smooth = 0.002 * maps.shape[1]
    dice = 1 - (2 * (shares * masks).sum(1) + smooth) / (shares.sum(1) + masks.sum(1) + smooth)
    loss = config.entropy_weight * entropy + dice
    return (loss[:, 0] + 0.5 * loss[:, 1]).mean()


@torch.no_grad()
def _put_into(network: InfectionNetwork, fitted: list[_Perceptron]) -> None:
    """Write perceptrons as one head: layers beside each other, logits averaged."""
    head = network.head
    weights = torch.cat([one.first.weight / one.spread for one in fitted])
    bias = [one.first.bias - (one.first.weight / one.spread) @ one.mean for one in fitted]
    counts = [layer.in_channels for layer in head.scales]
    for layer, part in zip(head.scales, weights.split(counts, 1), strict=True):
        layer.weight.copy_(part[:, :, None, None])
    head.scales[0].bias.copy_(torch.cat(bias))
    hidden = torch.block_diag(*[one.second.weight for one in fitted])
    head.hidden.weight.copy_(hidden[:, :, None, None])
    head.hidden.bias.copy_(torch.cat([one.second.bias for one in fitted]))
    last = torch.cat([one.last.weight for one in fitted], 1) / len(fitted)
    head.last.weight.copy_(last[:, :, None, None])
    head.last.bias.copy_(torch.stack([one.last.bias for one in fitted]).mean(0))


def _enlarged(pyramid: list[Tensor]) -> Tensor:
    """Return the maps of all scales at the finest one."""
    size = pyramid[0].shape[2:]
    return torch.cat(
        [functional.interpolate(maps, size=size, mode="bilinear") for maps in pyramid], 1
    )
