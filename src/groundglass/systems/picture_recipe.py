"""What recipes of whole slices with one target share: passes, and what they do without."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.slices import Slice
from groundglass.systems.pictures import slice_input
from groundglass.systems.recipes import Facts, Stage, TrainingData

if TYPE_CHECKING:
    from torch import nn


class PictureRecipe:
    """One stage of shuffled passes over slices with one percentage or class each.

    A recipe sets ``facts``, ``epochs`` and ``batch_size``, and what it does otherwise.
    """

    annotators: tuple[str, ...] = ("doctor",)
    precision: str = "32-true"
    half_storage: bool = False
    average_decay: float | None = None
    gradient_clip: float | None = None
    patience: int | None = None
    watched_share: float = 0.0
    leak: str | None = None
    facts: Facts
    epochs: int
    batch_size: int

    def prepared(self, one: Slice) -> NDArray[np.float32]:
        """Return the network's input for one slice, shape (channels, rows, columns)."""
        return slice_input(one, self.facts.preparation)

    def stages(self, count: int) -> tuple[Stage, ...]:
        """Return one stage of all passes, looked at after each."""
        steps = max(-(-count // self.batch_size), 1)
        total = steps * self.epochs
        return (Stage("main", total, self.batch_size, shuffled=True, check_steps=steps),)

    def other_data(self, data: TrainingData) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: slices with their targets are all that is trained on."""
        return ()

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do nothing after the stage."""


def half_cosine(step: int, steps: int, warm_up: int = 0, least: float = 0.0) -> float:
    """Return the share of the highest rate: rising for some steps, then half a cosine down.

    Parameters
    ----------
    step, steps : int
        Which step, of how many.
    warm_up : int
        Steps in which it rises.
    least : float
        Where it ends.
    """
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    way = min(step / steps, 1.0)
    return rise * (least + (1 - least) * (1 + math.cos(math.pi * way)) / 2)
