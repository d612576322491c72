"""What a system must say so that the one training loop can train it. No torch is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.slices import Slice, SliceItem
from groundglass.models.card import Preparation, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer

    from groundglass.models.familiar import Familiarity


@dataclass(frozen=True)
class Stage:
    """One stretch of training with its own sources and schedule."""

    name: str
    """Name in the log and of its files."""
    steps: int
    """Optimiser steps."""
    batch: int
    """Slices of a step, over all devices."""
    shuffled: bool = False
    """Whether steps go through the slices of the only source in passes, each shuffled anew; if
    not, the recipe draws with replacement."""
    check_steps: int | None = None
    """Steps between looks at the validation slices; ``None`` for those between checkpoints."""
    average_decay: float | None = None
    """Decay of the running average of weights in this stage; ``None`` for that of the recipe."""

    def steps_of_pass(self, count: int) -> int:
        """Return how many steps it takes to see every slice once."""
        return max(-(-count // self.batch), 1)


class Stacks(Protocol):
    """Slices by number; an array is such, and so is what reads them when they are needed."""

    def __len__(self) -> int:
        """Return how many."""

    def __getitem__(self, place: int, /) -> Any:
        """Return (channels, rows, columns) of one."""


@dataclass(frozen=True)
class Yardstick:
    """What a network is judged by on the way."""

    name: str
    """Name of the figure, e.g. ``Dice``."""
    higher_is_better: bool = True
    """Whether more is better."""


@dataclass(frozen=True, eq=False)
class Source:
    """Slices of one origin and how often they are drawn."""

    name: str
    """Name in the log."""
    stacks: Stacks
    """(slices, 1 + masks, rows, columns), times ``scale``; with targets the channels of pictures
    alone, whose sizes may differ."""
    share: float
    """Expected share of a batch; shares are divided by their sum."""
    scale: tuple[float, ...] = (1.0, 1.0)
    """What the channels of ``stacks`` were multiplied by."""
    weights: tuple[float, ...] = (1.0,)
    """Weight of each mask in the loss; 0 where a mask is not a label."""
    targets: NDArray[np.float32] | None = None
    """(slices,) percentages or numbers of classes; ``None`` where masks are the reference."""

    def only(self, rows: Sequence[int]) -> Source:
        """Return the source with some of its slices alone."""
        targets = None if self.targets is None else self.targets[list(rows)]
        return replace(self, stacks=[self.stacks[row] for row in rows], targets=targets)


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
    output: str = "probabilities"
    """Name of the output of the exported network."""


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

    @property
    def yardstick(self) -> Yardstick:
        """What validation slices are judged by."""

    @property
    def watched_share(self) -> float:
        """Share of the training part, by group, that is looked at on the way and not trained on."""

    @property
    def leak(self) -> str | None:
        """What the recipe itself lets through from held-out slices, for the card."""

    def stages(self, count: int) -> tuple[Stage, ...]:
        """Return the stages for a number of slices."""

    def network(self) -> nn.Module:
        """Return a new network; it takes (slices, channels, rows, columns)."""

    def prepared(self, one: Slice) -> NDArray[np.float32]:
        """Return the network's input for one slice, shape (channels, rows, columns)."""

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the yardstick's figure over sources; ``None`` without slices."""

    def exported(self, network: nn.Module) -> nn.Module:
        """Return what is exported: answers probabilities, or percentages."""

    def sources(self, stage: int, data: TrainingData, network: nn.Module) -> Sequence[Source]:
        """Return the sources of a stage; the network is what earlier stages made of it."""

    def other_data(self, data: TrainingData) -> tuple[str, ...]:
        """Return the data sets beside the one with masks that are trained on."""

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do what follows the stages, in place and always with the same result."""

    def batch(
        self, stage: int, sources: Sequence[Source], count: int, generator: Generator
    ) -> Mapping[str, Tensor]:
        """Return one augmented batch, a function of its arguments alone.

        In a shuffled stage the sources hold exactly the slices of the batch.
        """

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch.

        ``batch["step"]`` is the step of the stage's ``batch["steps"]``, ``batch["pass"]`` the pass
        of a shuffled one.
        """

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return the optimiser, and the factor of its learning rate by step."""


@runtime_checkable
class PretrainedRecipe(Recipe, Protocol):
    """A recipe whose network can start from weights made for another task."""

    def pretrained(self) -> nn.Module:
        """Return the network with ImageNet weights and a new head.

        Raises
        ------
        WeightsError
            If they are not at hand and cannot be fetched; says which file to put where.
        """

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with weights of the same one under another head.

        ``None`` if they belong to another network.
        """


@runtime_checkable
class CalibratedRecipe(Recipe, Protocol):
    """A recipe whose probabilities are made to fit pictures that were not trained on."""

    def calibrated(self, network: nn.Module, items: Sequence[SliceItem]) -> Recipe:
        """Return the recipe with what fits its probabilities to pictures not trained on."""


@runtime_checkable
class FamiliarRecipe(Recipe, Protocol):
    """A recipe whose model can tell what is unlike its training pictures."""

    def familiarity(self, items: Sequence[SliceItem]) -> Familiarity | None:
        """Return what training pictures are like; ``None`` where they are too few to tell."""


@runtime_checkable
class VotingRecipe(Recipe, Protocol):
    """A recipe whose passes vote on the validation slices."""

    def answered(
        self, network: nn.Module, sources: Sequence[Source], device: Any
    ) -> NDArray[np.float32]:
        """Return answers over sources, (slices, labels)."""

    def judged(self, answers: NDArray[np.float32], sources: Sequence[Source]) -> float | None:
        """Return the yardstick's figure of answers."""

    def votes(
        self, answers: Sequence[NDArray[np.float32]], targets: NDArray[np.float32]
    ) -> list[dict[str, float | int | None]]:
        """Return the figures of each vote, from the answers after each pass."""


@runtime_checkable
class ClassesRecipe(Recipe, Protocol):
    """A recipe whose network has one output a class of the data set."""

    def with_classes(self, names: tuple[str, ...]) -> Recipe:
        """Return the recipe for the classes of a data set."""


def byte_stack(tones: NDArray[np.floating], masks: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Return a tone map times 200 and masks in 0..1 times 255 as bytes, for ``Source.stacks``."""
    parts = [tones * 200, *(mask.astype(np.float32) * 255 for mask in masks)]
    return np.clip(np.rint(np.stack(parts)), 0, 255).astype(np.uint8)
