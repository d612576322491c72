"""Batches of whole slices with one target each, and networks judged on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import SliceItem
from groundglass.models.card import Preparation
from groundglass.systems.pictures import FLIPS, Lazy, input_of, planes_of, targets_of
from groundglass.systems.recipes import Source

JUDGED_AT_ONCE = 16


def picture_source(name: str, items: Sequence[SliceItem], channels: int) -> Source:
    """Return whole slices with their targets, read when they are needed."""
    stacks = Lazy(items, partial(planes_of, channels=channels))
    return Source(name, stacks, 1.0, targets=targets_of(items))


def enlarged(planes: NDArray[Any], side: int) -> Tensor:
    """Return the channels of a picture at one size, bilinearly, rounded to bytes, in 0..255.

    Parameters
    ----------
    planes : ndarray
        (channels, rows, columns) in 0..255.
    side : int
        Height and width wanted; proportions are ignored.
    """
    picture = torch.from_numpy(np.ascontiguousarray(planes)).float()[None]
    resized = functional.interpolate(
        picture, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0].round().clamp(0, 255)


def cropped(picture: Tensor, side: int, generator: Generator) -> Tensor:
    """Return a square cut out of a picture at a random place."""
    spare = picture.shape[1] - side + 1
    top, left = torch.randint(spare, (2,), generator=generator).tolist()
    return picture[:, top : top + side, left : left + side]


def turned(pictures: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Return pictures, each turned by a random angle: nearest pixels, 0 where nothing is.

    Parameters
    ----------
    pictures : Tensor
        (pictures, channels, side, side).
    degrees : float
        Largest angle to either side.
    generator : Generator
        Source of chance.
    """
    count = len(pictures)
    angle = (torch.rand(count, generator=generator) * 2 - 1) * float(np.deg2rad(degrees))
    cos, sin, nothing = torch.cos(angle), torch.sin(angle), torch.zeros(count)
    rows = torch.stack([cos, -sin, nothing, sin, cos, nothing], 1).view(-1, 2, 3)
    grid = functional.affine_grid(rows, list(pictures.shape), align_corners=False)
    return functional.grid_sample(
        pictures, grid, mode="nearest", padding_mode="zeros", align_corners=False
    )


def mixed_in_pairs(
    pictures: Tensor, wanted: Tensor, beta: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return pictures and what is wanted of them, each mixed with another of the batch.

    Parameters
    ----------
    pictures : Tensor
        (pictures, channels, rows, columns).
    wanted : Tensor
        (pictures,).
    beta : float
        Parameter of the Beta distribution of the shares; the larger share is a picture's own.
    generator : Generator
        Source of chance.
    """
    chance = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    drawn = chance.beta(beta, beta, len(pictures)).astype(np.float32)
    own = torch.from_numpy(np.maximum(drawn, 1 - drawn))
    other = torch.from_numpy(chance.permutation(len(pictures)))
    wide = own.view(-1, 1, 1, 1)
    mixed = wide * pictures + (1 - wide) * pictures[other]
    return mixed, own * wanted + (1 - own) * wanted[other]


@torch.no_grad()
def predicted(  # noqa: PLR0913 - a network and how it looks
    network: nn.Module,
    source: Source,
    preparation: Preparation,
    device: Any,
    *,
    views: Sequence[str] = ("as_is",),
    take: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Return a network's answers for every picture of a source, shape (pictures, outputs).

    Parameters
    ----------
    network : nn.Module
        In training or not; left so.
    source : Source
        Pictures.
    preparation : Preparation
        From a picture to the input.
    device : torch.device or str
        Where the network is.
    views : sequence of str
        Flips whose answers are averaged.
    take : callable, optional
        From what the source holds to the input, where that is no picture.
    """
    take = take or partial(input_of, intensity=Intensity.DISPLAY, preparation=preparation)
    training = network.training
    network.eval()
    found = []
    for start in range(0, len(source.stacks), JUDGED_AT_ONCE):
        rows = range(start, min(start + JUDGED_AT_ONCE, len(source.stacks)))
        batch = torch.from_numpy(np.stack([take(source.stacks[row]) for row in rows])).to(device)
        seen = [network(batch.flip([axis + 1 for axis in FLIPS[view]])) for view in views]
        found.append(torch.stack(seen).mean(0).float().cpu().numpy())
    network.train(training)
    return np.concatenate(found)


class RestartedSGD(SGD):
    """Stochastic gradient descent that forgets its momentum after a number of steps.

    So it does as if it were made anew for each pass over the data.

    Parameters
    ----------
    parameters : iterable
        What to train.
    lr : float
        Learning rate.
    momentum : float
        Share of the last change that goes on.
    every : int
        Steps after which momentum is forgotten.
    """

    def __init__(self, parameters: Any, lr: float, momentum: float, every: int) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum)
        for group in self.param_groups:
            group.setdefault("every", every)
            group.setdefault("taken", 0)

    def step(self, closure: Any = None) -> Any:
        """Take a step."""
        group = self.param_groups[0]
        if group["taken"] % group["every"] == 0:
            self.state.clear()
        group["taken"] += 1
        return super().step(closure)
