"""How the classifiers of COVID-CTset are trained: raw values as published, or a window of HU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.datasets.slices import Slice
from groundglass.errors import ModelError
from groundglass.models.card import Preparation, Scale, Task
from groundglass.systems.covid_ct.recipe import ClassRecipe, classes_of
from groundglass.systems.covid_ctset.network import (
    NetworkConfig,
    PyramidClassifier,
    answers_are_constant,
    build_network,
)
from groundglass.systems.pictures import Lazy, input_of, planes_of, targets_of
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

LABELS = ("normal", "COVID-19")
BEST_ON_TEST = "best-on-test"
HU_WINDOW = (-1024.0, 400.0)
"""Window of our input."""
LIMITS = (
    "Trained on series of one scanner; the kind of series tells the class in part.",
    "COVID-19 slices were chosen for clear signs.",
)


@dataclass(frozen=True)
class PublishedConfig:
    """Every number of the published training."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""
    values: Literal["stored", "hu"] = "stored"
    """``stored``: HU + 1024 as they are, as published; ``hu``: a window of HU to 0..1, ours."""
    epochs: int = 20
    """Passes over the slices."""
    batch: int = 14
    """Slices of a step."""
    learning_rate: float = 1e-4
    """Rate of NAdam."""
    momentum_decay: float = 0.004
    """Momentum decay of NAdam."""
    zoom: float = 0.05
    """Largest change of size, each axis on its own."""
    shift: float = 0.05
    """Largest shift, as a share of height and width."""
    rotation_degrees: float = 360.0
    """Largest turn."""
    side_px: int = 512
    """Height and width of the input; the pyramid needs 512."""
    watched_share: float = 0.1
    """Share of the training patients that is looked at on the way and not trained on: the weights
    of the pass that does best on them are kept."""
    published_leak: str | None = None
    """``best-on-test`` keeps the pass that does best on the held-out slices, as published, whose
    validation slices are part of the test set; ``None`` chooses on training patients."""

    def __post_init__(self) -> None:
        """Refuse an unknown leak.

        Raises
        ------
        ValueError
            If it is not the one that was published.
        """
        if self.published_leak not in {None, BEST_ON_TEST}:
            msg = f"the published leak is {BEST_ON_TEST}, found '{self.published_leak}'"
            raise ValueError(msg)


class CtsetRecipe(ClassRecipe):
    """COVID-CTset: NAdam, one affine change about the centre, edges repeated.

    Dead heads, which answer the same to every slice, are drawn anew.

    Parameters
    ----------
    config : PublishedConfig, optional
    """

    preset = "published"
    yardstick = Yardstick("accuracy")

    def __init__(self, config: PublishedConfig | None = None) -> None:
        self.config = config = config or PublishedConfig()
        self.patience, self.watched_share = config.epochs, config.watched_share
        leaks = config.published_leak is not None
        self.leak = "the pass kept is the best one on the held-out slices" if leaks else None
        scale = Scale.STORED if config.values == "stored" else Scale.BYTES
        side = config.side_px
        facts = Facts(
            task=Task.CLASSES,
            summary="COVID-CTset: one slice, COVID-19 or normal.",
            architecture=config.network.name,
            labels=LABELS,
            thresholds={LABELS[1]: 0.5},
            preparation=Preparation(scale, HU_WINDOW, (side, side)),
            limits=LIMITS,
        )
        super().__init__("covid-ctset", config.epochs, config.batch, facts)

    def network(self) -> nn.Module:
        """Return a new network."""
        return build_network(self.config.network)

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the slices as the network reads them, with their classes."""
        if not data.items:
            return []
        stacks = Lazy(data.items, partial(_input, self.facts.preparation))
        return [Source("slices", stacks, 1.0, targets=targets_of(data.items))]

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return slices turned, flipped, stretched and shifted."""
        (source,) = sources
        slices = torch.stack([torch.from_numpy(source.stacks[row]) for row in range(count)])
        grid = functional.affine_grid(
            self._motion(count, generator), list(slices.shape), align_corners=False
        )
        moved = functional.grid_sample(slices, grid, padding_mode="border", align_corners=False)
        return {"image": moved, "class": classes_of(source)}

    def _motion(self, count: int, generator: Generator) -> Tensor:
        """Return one affine map about the centre for each slice, (count, 2, 3)."""
        config = self.config
        draws = torch.rand(7, count, generator=generator)
        angle = (draws[0] * 2 - 1) * float(np.deg2rad(config.rotation_degrees))
        flips = torch.where(draws[1:3] < 0.5, -1.0, 1.0)
        zooms = 1 + (draws[3:5] * 2 - 1) * config.zoom
        wide, tall = flips[0] / zooms[0], flips[1] / zooms[1]
        shift = (draws[5:7] * 2 - 1) * 2 * config.shift
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = [cos * wide, -sin * wide, shift[0], sin * tall, cos * tall, shift[1]]
        return torch.stack(rows, 1).view(-1, 2, 3)

    def input_of_kept(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a source holds: the slices as the network reads them."""
        return planes

    def judged(self, answers: NDArray[np.float32], sources: Sequence[Source]) -> float | None:
        """Return the share of slices that are right; ``None`` where all answers are the same."""
        targets = sources[0].targets
        assert targets is not None
        if answers_are_constant(torch.from_numpy(answers)):
            return None
        return float(np.mean(answers.argmax(1) == targets))

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the entropy of the right classes; dead heads are drawn anew before.

        Raises
        ------
        ModelError
            If the network still gives one answer to all slices.
        """
        logits = network(batch["image"])
        if answers_are_constant(logits.detach()) and isinstance(network, PyramidClassifier):
            network.draw_heads()
            logits = network(batch["image"])
            if answers_are_constant(logits.detach()):
                msg = "all heads are dead; train with another --seed, or with linear_heads"
                raise ModelError(msg)
        return functional.cross_entropy(logits, batch["class"])

    def optimiser(
        self,
        stage: Stage,  # noqa: ARG002
        network: nn.Module,
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return NAdam at a constant rate."""
        config = self.config
        optimiser = torch.optim.NAdam(
            network.parameters(), lr=config.learning_rate, momentum_decay=config.momentum_decay
        )
        return optimiser, lambda _: 1.0


@dataclass(frozen=True)
class OursConfig(PublishedConfig):
    """The published numbers on our input."""

    values: Literal["stored", "hu"] = "hu"
    """As there."""
    temperature: float = 1.0
    """What logits are divided by; fitted on the watched patients in training, 1 for nothing."""


class OursRecipe(CtsetRecipe):
    """The same on a window of HU scaled by constants.

    Parameters
    ----------
    config : OursConfig, optional
    """

    preset = "ours"

    def __init__(self, config: OursConfig | None = None) -> None:
        super().__init__(config or OursConfig())


def _input(preparation: Preparation, one: Slice) -> NDArray[np.float32]:
    return input_of(planes_of(one, 1), one.intensity, preparation)
