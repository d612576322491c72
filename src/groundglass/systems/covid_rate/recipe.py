"""How COVID-Rate is trained: as published, where the paper says how, our choices where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.datasets.slices import Slice
from groundglass.imaging.tone import resized
from groundglass.models.card import Preparation, Scale, Task
from groundglass.systems.batches import draw, validation_dice
from groundglass.systems.covid_rate.losses import LossConfig, covid_rate_loss
from groundglass.systems.covid_rate.method import prepared
from groundglass.systems.covid_rate.network import CovidRateNetwork, NetworkConfig
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

PSEUDO = "enhancement"
"""The annotator of slices that a network marked in an enhancement."""


@dataclass(frozen=True)
class PublishedConfig:
    """Every number of the published recipe; those not published are ours and say so."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the network."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Weights of the loss."""
    scale: Scale = Scale.HU_WINDOW
    """``hu_window`` is ours; ``slice_minmax`` is the published scaling."""
    window_hu: tuple[float, float] = (-1000.0, 400.0)
    """Ends of the window of ``hu_window``."""
    side_px: int = 512
    """Height and width of a slice."""
    epochs: int = 100
    """Passes over the slices; not published."""
    batch: int = 8
    """Slices of a step; not published."""
    learning_rate: float = 1e-3
    """Learning rate of Adam at the start."""
    decay_per_step: float = 4e-4
    """The rate at step t is divided by ``1 + decay_per_step * t``."""
    patience: int | None = None
    """Checks without a better validation Dice after which training ends; not published."""
    rotation_degrees: float = 15.0
    """Largest turn; not published."""
    zoom: tuple[float, float] = (0.9, 1.1)
    """Range of the enlargement; not published."""
    shift_tones: float = 0.05
    """Largest change of all tones; not published."""
    threshold: float = 0.3
    """Probability above which a pixel is infected."""
    pseudo_weight: float = 0.5
    """Weight of slices marked by a network in an enhancement; not published."""


class PublishedRecipe:
    """COVID-Rate as published.

    Parameters
    ----------
    config : PublishedConfig, optional
    """

    system = "covid-rate"
    preset = "published"
    annotators = ("doctor", "synthetic")
    average_decay = None
    precision = "32-true"
    gradient_clip = None
    yardstick = Yardstick("Dice")
    watched_share = 0.0
    leak = None
    half_storage = False

    def __init__(self, config: PublishedConfig | None = None) -> None:
        self.config = config or PublishedConfig()
        self.patience = self.config.patience

    @property
    def facts(self) -> Facts:
        """What goes onto the card."""
        config = self.config
        window = config.window_hu if config.scale is Scale.HU_WINDOW else None
        return Facts(
            task=Task.INFECTION,
            summary="COVID-Rate, the network and loss of the paper.",
            architecture="COVID-Rate",
            labels=("infection",),
            thresholds={"infection": config.threshold},
            preparation=Preparation(
                config.scale, window, (config.side_px, config.side_px), zero_outside_lungs=True
            ),
            limits=("Slices only, one kind of lesion; needs a lung mask as in training.",),
        )

    def stages(self, count: int) -> tuple[Stage, ...]:
        """Return one stage of all epochs."""
        steps = max(-(-count // self.config.batch), 1) * self.config.epochs
        return (Stage("main", steps, self.config.batch),)

    def tuning(self, epochs: int, learning_rate: float) -> PublishedRecipe:
        """Return the recipe of a short training that starts from a trained network."""
        return PublishedRecipe(replace(self.config, epochs=epochs, learning_rate=learning_rate))

    def network(self) -> nn.Module:
        """Return a new network."""
        return CovidRateNetwork(self.config.network)

    def prepared(self, one: Slice) -> NDArray[np.float32]:
        """Return the network's input for one slice, shape (1, rows, columns)."""
        preparation = self.facts.preparation
        return prepared(one.values, one.intensity, one.lungs, preparation)[None]

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the mean Dice of sources."""
        return validation_dice(network, sources, device)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with its sigmoid."""
        return nn.Sequential(network, nn.Sigmoid())

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return slices of doctors and synthetic ones, and those of an enhancement."""
        pseudo = [item for item in data.items if item.annotator == PSEUDO]
        found = []
        for name, items, weight in (
            ("labelled", [item for item in data.items if item.annotator != PSEUDO], 1.0),
            (PSEUDO, pseudo, self.config.pseudo_weight),
        ):
            if items:
                stacks = np.stack([self._stack(item.read()) for item in items])
                found.append(Source(name, stacks, 1.0, weights=(weight,)))
        return found

    def other_data(self, data: TrainingData) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: slices with masks are all that is trained on."""
        return ()

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do nothing after the stage."""

    def _stack(self, one: Slice) -> NDArray[np.float16]:
        preparation = self.facts.preparation
        image = prepared(one.values, one.intensity, one.lungs, preparation)
        lesion = np.zeros(one.values.shape) if one.lesion is None else one.lesion > 0
        mask = resized(lesion.astype(np.float32), preparation.size) > 0.5
        return np.stack([image, mask]).astype(np.float16)

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return slices turned, mirrored, zoomed and shifted in tone, with their masks."""
        stacks, weights = draw(sources, count, generator)
        moved = functional.grid_sample(
            stacks, self._grid(stacks, generator), padding_mode="zeros", align_corners=False
        )
        limit = self.config.shift_tones
        shift = (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * limit
        inside = moved[:, :1] > 0
        image = torch.where(inside, (moved[:, :1] + shift).clamp(0, 1), moved[:, :1])
        mask = (moved[:, 1:] > 0.5).float()
        return {"image": image, "mask": mask, "weight": weights}

    def _grid(self, stacks: Tensor, generator: Generator) -> Tensor:
        config, count = self.config, len(stacks)
        draw_one = torch.rand(3, count, generator=generator)
        angle = (draw_one[0] * 2 - 1) * float(np.deg2rad(config.rotation_degrees))
        zoom = config.zoom[0] + draw_one[1] * (config.zoom[1] - config.zoom[0])
        mirror = torch.where(draw_one[2] < 0.5, -1.0, 1.0)
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        nothing = torch.zeros(count)
        rows = [cos * mirror, -sin, nothing, sin * mirror, cos, nothing]
        return functional.affine_grid(
            torch.stack(rows, 1).view(-1, 2, 3), list(stacks.shape), align_corners=False
        )

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the published loss with the penalty of the context block."""
        logits = network(batch["image"]).float()
        weights = batch["weight"][:, :, None, None]
        loss = covid_rate_loss(logits, batch["mask"], self.config.loss, weights)
        return loss + network.penalty()

    def optimiser(
        self,
        stage: Stage,  # noqa: ARG002
        network: nn.Module,
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return Adam whose rate falls as ``1 / (1 + decay * step)``."""
        optimiser = torch.optim.Adam(network.parameters(), lr=self.config.learning_rate)
        return optimiser, lambda step: 1 / (1 + self.config.decay_per_step * step)
