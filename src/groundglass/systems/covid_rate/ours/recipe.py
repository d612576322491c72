"""How the infection network of groundglass is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.imaging.tone import align_hu, align_picture, resized
from groundglass.models.card import Preparation, Task
from groundglass.systems.batches import draw
from groundglass.systems.covid_rate.ours.augment import AugmentConfig, augment
from groundglass.systems.covid_rate.ours.network import (
    InfectionNetwork,
    NetworkConfig,
    WithSigmoid,
)
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, byte_stack


@dataclass(frozen=True)
class StageConfig:
    """One stage of our recipe."""

    name: str
    """Name in the log."""
    steps: int
    """Optimiser steps."""
    learning_rate: float
    """Highest learning rate."""
    shares: Mapping[str, float]
    """How often slices are drawn, by who drew their masks: ``doctor``, ``network``."""


@dataclass(frozen=True)
class OursConfig:
    """Every number of our recipe."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the network."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Ranges of the random changes."""
    stages: tuple[StageConfig, ...] = (
        StageConfig("broad", 4500, 2e-3, {"doctor": 0.1, "network": 0.9}),
        StageConfig("fine", 3000, 1.5e-3, {"doctor": 0.85, "network": 0.15}),
    )
    """First many slices, then those drawn by doctors."""
    side_px: int = 224
    """Height and width of training slices."""
    kept_px: int = 288
    """Height and width at which slices are kept."""
    answer_px: int = 256
    """Height and width of the network's input when it is used."""
    batch: int = 12
    """Slices of a step."""
    warm_up_steps: int = 60
    """Steps in which the learning rate rises."""
    weight_decay: float = 0.03
    """Decoupled weight decay of AdamW."""
    average_decay: float = 0.997
    """Decay of the running average of the weights."""
    coarse_weight: float = 0.3
    """Weight of the loss at a quarter of the size."""
    consolidation_weight: float = 0.5
    """Weight of consolidation in the loss."""
    pseudo_weight: float = 0.5
    """Weight of slices marked by a network in an enhancement."""
    dice_weight: float = 1.0
    """Weight of soft Dice against cross-entropy."""
    threshold: float = 0.35
    """Probability from which a pixel is infected."""
    precision: str = "bf16-mixed"
    """Precision of the training library."""


class OursRecipe:
    """The recipe of groundglass: small network, heavy augmentation, average of weights.

    Parameters
    ----------
    config : OursConfig, optional
    """

    system = "covid-rate"
    preset = "ours"
    annotators = ("doctor", "network")
    gradient_clip = 5.0
    patience = None

    def __init__(self, config: OursConfig | None = None) -> None:
        self.config = config or OursConfig()
        self.average_decay: float | None = self.config.average_decay
        self.precision = self.config.precision

    @property
    def facts(self) -> Facts:
        """What goes onto the card."""
        side = self.config.answer_px
        return Facts(
            task=Task.INFECTION,
            summary="Infection of slices and pictures, consolidation apart.",
            architecture="residual U-Net",
            labels=("infection", "consolidation"),
            thresholds={"infection": self.config.threshold, "consolidation": 0.5},
            preparation=Preparation(size=(side, side), views=("as_is", "rows", "columns", "both")),
            limits=(
                "Finds opacity of the lung, not COVID-19: other pneumonias are marked too.",
                "Small and faint lesions are missed more often than large ones.",
            ),
        )

    def stages(self, count: int) -> tuple[Stage, ...]:  # noqa: ARG002 - the same for all
        """Return the stages."""
        return tuple(Stage(s.name, s.steps, self.config.batch) for s in self.config.stages)

    def tuning(self, epochs: int, learning_rate: float) -> OursRecipe:
        """Return the recipe of a short training that starts from a trained network."""
        stage = StageConfig(
            "tuning", 60 * epochs, learning_rate, {"doctor": 0.5, "enhancement": 0.5}
        )
        return OursRecipe(replace(self.config, stages=(stage,)))

    def network(self) -> nn.Module:
        """Return a new network."""
        return InfectionNetwork(self.config.network)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with its sigmoid."""
        assert isinstance(network, InfectionNetwork)
        return WithSigmoid(network)

    def sources(self, stage: int, data: TrainingData) -> Sequence[Source]:
        """Return the slices by who drew their masks."""
        found = []
        for annotator, share in self.config.stages[stage].shares.items():
            chosen = [item for item in data.items if item.annotator == annotator]
            if chosen and share > 0:
                found.append(self._source(annotator, chosen, share))
        return found

    def _source(self, name: str, items: Sequence[SliceItem], share: float) -> Source:
        slices = [item.read() for item in items]
        known = all(one.kinds_known for one in slices)
        weight = self.config.pseudo_weight if name == "enhancement" else 1.0
        return Source(
            name,
            np.stack([self._stack(one) for one in slices]),
            share,
            (200.0, 255.0, 255.0),
            (weight, weight * self.config.consolidation_weight if known else 0.0),
        )

    def _stack(self, one: Slice) -> NDArray[np.uint8]:
        align = align_hu if one.intensity is Intensity.HU else align_picture
        lesion = np.zeros(one.values.shape) if one.lesion is None else one.lesion
        size = (self.config.kept_px, self.config.kept_px)
        masks = [resized((lesion >= kind).astype(np.float32), size) for kind in (1, 2)]
        return byte_stack(resized(align(one.values), size), masks)

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return augmented tone maps with their masks and the weights of these."""
        stacks, weights = draw(sources, count, generator)
        config = self.config
        tones, masks = augment(stacks, config.side_px, config.augment, generator)
        return {"image": tones, "mask": masks, "weight": weights}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss at full size plus that at a quarter of it."""
        fine, coarse = network.forward_deep(batch["image"])
        mask, weight = batch["mask"], batch["weight"]
        small = functional.avg_pool2d(mask, 4)
        main = self._entropy_and_dice(fine.float(), mask, weight)
        beside = self._entropy_and_dice(coarse.float(), small, weight)
        return main + self.config.coarse_weight * beside

    def _entropy_and_dice(self, logits: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
        entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        shares = torch.sigmoid(logits)
        smooth = 2e-4 * logits.shape[2] * logits.shape[3]
        both = (shares * masks).sum((2, 3))
        dice = 1 - (2 * both + smooth) / (shares.sum((2, 3)) + masks.sum((2, 3)) + smooth)
        loss = 2 * entropy.mean((2, 3)) + self.config.dice_weight * dice
        return (weights * loss).sum(1).mean()

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return AdamW with warm-up, then half a cosine down to a hundredth."""
        config = self.config
        rate = next(s.learning_rate for s in config.stages if s.name == stage.name)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=rate, weight_decay=config.weight_decay
        )

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(config.warm_up_steps, 1))
            way = min(step / stage.steps, 1.0)
            return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * way)) / 2)

        return optimiser, factor
