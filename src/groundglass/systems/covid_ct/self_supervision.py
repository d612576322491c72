"""Learning from pictures without their labels, as Self-Trans does: momentum contrast.

Two random views of one picture shall be alike, views of different pictures not. The second view
goes through a slowly following copy of the network, whose answers of past steps wait in a queue as
the views to differ from.

References
----------
.. [1] He et al. "Momentum Contrast for Unsupervised Visual Representation Learning." CVPR 2020.
   arXiv 1911.05722
.. [2] Chen et al. "Improved Baselines with Momentum Contrastive Learning." 2020. arXiv 2003.04297
.. [3] He et al. "Sample-Efficient Deep Learning for COVID-19 Diagnosis Based on CT Scans." 2020.
   doi 10.1101/2020.04.13.20063941
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from groundglass.systems.covid_ct.network import (
    SELF_TRANS_MEAN,
    SELF_TRANS_SD,
    DenseNetClassifier,
)


@dataclass(frozen=True)
class ContrastConfig:
    """Settings of momentum contrast, as read in a copy of the published script."""

    width: int = 128
    """Length of what views are compared by."""
    queue: int = 128
    """Past views to differ from; a multiple of the batch."""
    momentum: float = 0.999
    """Share of the following network that a step leaves."""
    temperature: float = 0.07
    """What likeness is divided by."""
    learning_rate: float = 0.015
    """Highest rate of SGD, for a batch of 64; it falls along half a cosine."""
    sgd_momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay of SGD."""
    batch: int = 64
    """Pictures of a step."""
    area: tuple[float, float] = (0.2, 1.0)
    """Range of the share of a picture that a view shows."""
    tone: float = 0.4
    """Largest change of brightness and of contrast."""
    tone_share: float = 0.8
    """Share of views whose tones are changed."""
    blur_px: tuple[float, float] = (0.1, 2.0)
    """Range of the standard deviation of the blur."""
    blur_share: float = 0.5
    """Share of views that are blurred."""


class _Projected(nn.Module):
    """A classifier whose head is a perceptron onto the unit sphere; reads grey in 0..1."""

    mean: Tensor
    sd: Tensor

    def __init__(self, classifier: DenseNetClassifier, width: int) -> None:
        super().__init__()
        self.classifier = classifier
        inner = classifier.classifier.in_features
        self.head = nn.Sequential(nn.Linear(inner, inner), nn.ReLU(), nn.Linear(inner, width))
        for name, values in (("mean", SELF_TRANS_MEAN), ("sd", SELF_TRANS_SD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return vectors of length 1."""
        maps = self.classifier.maps((pictures - self.mean) / self.sd)
        return functional.normalize(self.head(maps.mean((2, 3))), dim=1)


class MomentumContrast(nn.Module):
    """A network, its follower and the queue.

    Parameters
    ----------
    classifier : DenseNetClassifier
        Trained in place; its own head of classes is left as it is.
    config : ContrastConfig, optional
    """

    queue: Tensor

    def __init__(
        self, classifier: DenseNetClassifier, config: ContrastConfig | None = None
    ) -> None:
        super().__init__()
        self.config = config or ContrastConfig()
        self.leader = _Projected(classifier, self.config.width)
        self.follower = copy.deepcopy(self.leader).requires_grad_(requires_grad=False)
        first = torch.randn(self.config.queue, self.config.width)
        self.register_buffer("queue", functional.normalize(first, dim=1))

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the loss of two views of the same pictures, and move the queue on.

        Parameters
        ----------
        one, other : Tensor
            (pictures, 1, rows, columns) in 0..1.
        """
        led = self.leader(one)
        with torch.no_grad():
            self.follow()
            followed = self.follower(other)
        loss = contrast_loss(led, followed, self.queue, self.config.temperature)
        self.queue = torch.cat([followed.detach(), self.queue])[: self.config.queue]
        return loss

    @torch.no_grad()
    def follow(self) -> None:
        """Move the follower a little towards the leader."""
        keep = self.config.momentum
        pairs = zip(self.follower.parameters(), self.leader.parameters(), strict=True)
        for behind, ahead in pairs:
            behind.mul_(keep).add_(ahead, alpha=1 - keep)


def contrast_loss(one: Tensor, other: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Return the mean entropy of finding each vector's partner among the queue.

    Parameters
    ----------
    one, other : Tensor
        (pictures, width) vectors of length 1; rows of equal place are partners.
    queue : Tensor
        (past, width) vectors of length 1.
    temperature : float
        What likeness is divided by.
    """
    near = (one * other).sum(1, keepdim=True)
    likeness = torch.cat([near, one @ queue.T], 1) / temperature
    return functional.cross_entropy(likeness, torch.zeros(len(one), dtype=torch.long))


def random_view(
    pictures: Tensor, side_px: int, config: ContrastConfig, generator: Generator
) -> Tensor:
    """Return a random view of each picture: cut out, mirrored, changed in tone, blurred.

    Parameters
    ----------
    pictures : Tensor
        (pictures, 1, rows, columns) in 0..1.
    side_px : int
        Height and width of a view.
    config : ContrastConfig
    generator : Generator
        Source of all chance.
    """
    count = len(pictures)
    chance = torch.rand(9, count, generator=generator)
    low, high = config.area
    side = (low + chance[0] * (high - low)).sqrt()
    mirror = torch.where(chance[1] < 0.5, -1.0, 1.0)
    aspect = torch.exp((chance[2] * 2 - 1) * math.log(4 / 3) / 2)
    wide, tall = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    nothing = torch.zeros(count)
    rows = [wide * mirror, nothing, (chance[3] * 2 - 1) * (1 - wide)]
    rows += [nothing, tall, (chance[4] * 2 - 1) * (1 - tall)]
    grid = functional.affine_grid(
        torch.stack(rows, 1).view(-1, 2, 3), [count, 1, side_px, side_px], align_corners=False
    )
    view = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    changed = chance[5] < config.tone_share
    gain = torch.where(changed, 1 + (chance[6] * 2 - 1) * config.tone, 1.0).view(-1, 1, 1, 1)
    shift = torch.where(changed, 1 + (chance[7] * 2 - 1) * config.tone, 1.0).view(-1, 1, 1, 1)
    mean = view.mean((1, 2, 3), keepdim=True)
    view = ((view * shift - mean * shift) * gain + mean * shift).clamp(0, 1)
    return _blurred(view, chance[8], config, generator)


def _blurred(view: Tensor, chance: Tensor, config: ContrastConfig, generator: Generator) -> Tensor:
    """Return views of which some are blurred by a Gaussian, rows after columns."""
    low, high = config.blur_px
    reach = math.ceil(3 * high)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    sigma = low + torch.rand(len(view), 1, generator=generator) * (high - low)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    wide = functional.pad(view.transpose(0, 1), (reach,) * 4, mode="replicate")
    wide = functional.conv2d(wide, kernel.view(-1, 1, 1, 2 * reach + 1), groups=len(view))
    both = functional.conv2d(wide, kernel.view(-1, 1, 2 * reach + 1, 1), groups=len(view))
    return torch.where((chance < config.blur_share).view(-1, 1, 1, 1), both.transpose(0, 1), view)


def learn_without_labels(
    contrast: MomentumContrast,
    pictures: Tensor,
    steps: int,
    generator: Generator,
    side_px: int = 224,
) -> list[float]:
    """Train in place on pictures drawn with replacement; return the loss of every step.

    Parameters
    ----------
    contrast : MomentumContrast
        What is trained.
    pictures : Tensor
        (pictures, 1, rows, columns) in 0..1.
    steps : int
        Optimiser steps.
    generator : Generator
        Source of all chance.
    side_px : int
        Height and width of a view.
    """
    config = contrast.config
    optimiser = torch.optim.SGD(
        contrast.leader.parameters(),
        lr=config.learning_rate * config.batch / 64,
        momentum=config.sgd_momentum,
        weight_decay=config.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: (1 + math.cos(math.pi * step / steps)) / 2
    )
    contrast.train()
    losses = []
    for _ in range(steps):
        rows = torch.randint(len(pictures), (config.batch,), generator=generator)
        views = [random_view(pictures[rows], side_px, config, generator) for _ in range(2)]
        loss = contrast(*views)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses
