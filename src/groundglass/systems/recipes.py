"""What a system must say so that the one training loop can train it. No torch is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.slices import SliceItem
from groundglass.models.card import Preparation, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Stage:
    """One stretch of training with its own sources and schedule."""

    name: str
    """Name in the log and of its files."""
    steps: int
    """Optimiser steps."""
    batch: int
    """Slices of a step, over all devices."""


@dataclass(frozen=True, eq=False)
class Source:
    """Slices of one origin and how often they are drawn."""

    name: str
    """Name in the log."""
    stacks: NDArray[Any]
    """(slices, 1 + masks, rows, columns), times ``scale``."""
    share: float
    """Expected share of a batch; shares are divided by their sum."""
    scale: tuple[float, ...] = (1.0, 1.0)
    """What the channels of ``stacks`` were multiplied by."""
    weights: tuple[float, ...] = (1.0,)
    """Weight of each mask in the loss; 0 where a mask is not a label."""


@dataclass(frozen=True)
class Facts:
    """What goes from a recipe onto the card of its model."""

    task: Task
    """What the model does."""
    summary: str
    """One sentence."""
    architecture: str
    """Name of the network."""
    labels: tuple[str, ...]
    """Meaning of the output channels."""
    thresholds: Mapping[str, float]
    """By label."""
    preparation: Preparation
    """From slice to input."""
    limits: tuple[str, ...]
    """Where it is known to fail."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a recipe makes its sources from."""

    items: Sequence[SliceItem]
    """Slices that may be trained on."""
    root: Path | None = None
    """Folder of data, for sources without masks; ``None`` to use the items alone."""
    seed: int = 0
    """Seed of what is made by chance."""


class Recipe(Protocol):
    """How to train one system."""

    @property
    def system(self) -> str:
        """Name of the system, e.g. ``covid-rate``."""

    @property
    def preset(self) -> str:
        """``published`` or ``ours``."""

    @property
    def config(self) -> Any:
        """Frozen dataclass with every number of the recipe."""

    @property
    def facts(self) -> Facts:
        """What goes onto the card."""

    @property
    def annotators(self) -> tuple[str, ...]:
        """Whose masks are trained on: ``doctor``, ``network``."""

    @property
    def average_decay(self) -> float | None:
        """Decay of the running average of weights that is kept; ``None`` to keep the last ones."""

    @property
    def precision(self) -> str:
        """Precision of the training library, e.g. ``32-true``."""

    @property
    def half_storage(self) -> bool:
        """Whether weights are rounded to half precision and stored so."""

    @property
    def gradient_clip(self) -> float | None:
        """Largest norm of the gradient."""

    @property
    def patience(self) -> int | None:
        """Checks without a better validation after which a stage ends; ``None`` to go on."""

    def stages(self, count: int) -> tuple[Stage, ...]:
        """Return the stages for a number of slices."""

    def network(self) -> nn.Module:
        """Return a new network; it takes (slices, 1, rows, columns) and returns logits."""

    def exported(self, network: nn.Module) -> nn.Module:
        """Return what is exported: answers probabilities."""

    def sources(self, stage: int, data: TrainingData, network: nn.Module) -> Sequence[Source]:
        """Return the sources of a stage; the network is what earlier stages made of it."""

    def other_data(self, data: TrainingData) -> tuple[str, ...]:
        """Return the data sets beside the one with masks that are trained on."""

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do what follows the stages, in place and always with the same result."""

    def batch(
        self, stage: int, sources: Sequence[Source], count: int, generator: Generator
    ) -> Mapping[str, Tensor]:
        """Return one augmented batch, a function of its arguments alone."""

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch."""

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return the optimiser, and the factor of its learning rate by step."""


def byte_stack(tones: NDArray[np.floating], masks: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Return a tone map times 200 and masks in 0..1 times 255 as bytes, for ``Source.stacks``."""
    parts = [tones * 200, *(mask.astype(np.float32) * 255 for mask in masks)]
    return np.clip(np.rint(np.stack(parts)), 0, 255).astype(np.uint8)
