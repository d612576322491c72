"""How a classifier of chest X-rays is trained, so that its weights can start a regressor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.models.card import Preparation, Scale, Task
from groundglass.systems.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from groundglass.systems.per_covid_19.network import BACKBONES
from groundglass.systems.picture_batches import (
    cropped,
    enlarged,
    picture_source,
    predicted,
    turned,
)
from groundglass.systems.picture_recipe import PictureRecipe, half_cosine
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

DROPOUT = 0.3


@dataclass(frozen=True)
class XrayConfig:
    """Every number of the recipe; only network and head are published."""

    model: str = "densenet161"
    """``densenet161``, ``resnext50`` or ``inception3``."""
    classes: tuple[str, ...] = ("class 0", "class 1", "class 2", "class 3", "class 4")
    """Names of the classes; those of the data set once it is read."""
    epochs: int = 20
    """Passes over the pictures."""
    batch: int = 20
    """Pictures of a step."""
    learning_rate: float = 1e-4
    """Highest learning rate of AdamW, falling by half a cosine."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    enlargement: float = 244 / 224
    """Side of the picture against that of the square cut out of it in training."""
    rotation_degrees: float = 10.0
    """Largest turn."""
    normalise: bool = False
    """Whether ImageNet's means and deviations are taken off; the published regressors do not."""
    patience: int = 5
    """Passes without a better accuracy of the watched pictures after which training ends."""
    watched_share: float = 0.1
    """Share of the training part that is watched where the data set has no part ``val``."""

    def __post_init__(self) -> None:
        """Refuse an unknown network.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if self.model not in BACKBONES:
            msg = f"models of this preset are {', '.join(BACKBONES)}; found '{self.model}'"
            raise ValueError(msg)


class XrayRecipe(PictureRecipe):
    """Backbone, dropout of 0.3, one linear layer; cross-entropy.

    Parameters
    ----------
    config : XrayConfig, optional
    """

    system = "xray-classes"
    preset = "ours"
    yardstick = Yardstick("accuracy")

    def __init__(self, config: XrayConfig | None = None) -> None:
        self.config = config = config or XrayConfig()
        self.epochs, self.batch_size = config.epochs, config.batch
        self.patience, self.watched_share = config.patience, config.watched_share
        self.facts = self._facts()

    def with_classes(self, names: tuple[str, ...]) -> XrayRecipe:
        """Return the recipe for the classes of a data set."""
        return XrayRecipe(replace(self.config, classes=names))

    def _facts(self) -> Facts:
        config, side = self.config, BACKBONES[self.config.model].side_px
        return Facts(
            task=Task.CLASSES,
            summary="Classes of chest X-rays; made to start regressors of Per-COVID-19 from.",
            architecture=BACKBONES[config.model].timm,
            labels=config.classes,
            thresholds={},
            preparation=Preparation(
                Scale.BYTES,
                None,
                (side, side),
                3,
                mean=IMAGENET_MEAN if config.normalise else (),
                deviation=IMAGENET_DEVIATION if config.normalise else (),
            ),
            limits=("Not measured as a classifier of its own; for its weights alone.",),
        )

    def network(self) -> nn.Module:
        """Return a new network."""
        return BACKBONES[self.config.model].network(len(self.config.classes), DROPOUT)

    def pretrained(self) -> nn.Module:
        """Return the network with ImageNet weights and a new head."""
        return BACKBONES[self.config.model].pretrained(self.network())

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with weights of the same one under another head."""
        return BACKBONES[self.config.model].adapted(self.network(), weights)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with its softmax."""
        return nn.Sequential(network, nn.Softmax(1))

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the pictures with their classes."""
        return [picture_source("X-rays", data.items, 3)] if data.items else []

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the share of pictures whose class is found."""
        if not sources or sources[0].targets is None:
            return None
        found = predicted(network, sources[0], self.facts.preparation, device).argmax(1)
        return float(np.mean(found == sources[0].targets))

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return pictures enlarged, cut, turned, mirrored and scaled."""
        (source,) = sources
        assert source.targets is not None
        config, side = self.config, BACKBONES[self.config.model].side_px
        large = round(side * config.enlargement)
        pictures = [
            cropped(enlarged(source.stacks[row], large), side, generator) for row in range(count)
        ]
        image = turned(torch.stack(pictures), config.rotation_degrees, generator) / 255
        mirror = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
        image = torch.where(mirror, image.flip(3), image)
        if config.normalise:
            mean, deviation = (
                torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_DEVIATION)
            )
            image = (image - mean) / deviation
        return {"image": image, "class": torch.from_numpy(source.targets).long()}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(network(batch["image"]), batch["class"])

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return AdamW whose rate falls by half a cosine."""
        optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        return optimiser, lambda step: half_cosine(step, stage.steps)
