"""How the small regressor of groundglass is trained, from nothing, on rated slices alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from groundglass.datasets.slices import Slice
from groundglass.models.card import Preparation, Scale, Task
from groundglass.systems.per_covid_19.losses import Loss, LossConfig, percent_loss
from groundglass.systems.per_covid_19.ours.augment import (
    PercentAugmentConfig,
    augment,
    mixed,
)
from groundglass.systems.per_covid_19.ours.network import PercentNetwork, PercentNetworkConfig
from groundglass.systems.picture_batches import predicted
from groundglass.systems.picture_recipe import PictureRecipe, half_cosine
from groundglass.systems.pictures import LUNG_WINDOW_HU, Lazy, planes_of, targets_of
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick


@dataclass(frozen=True)
class SmallConfig:
    """Every number of the recipe."""

    network: PercentNetworkConfig = field(default_factory=PercentNetworkConfig)
    """Sizes of the network."""
    augment: PercentAugmentConfig = field(default_factory=PercentAugmentConfig)
    """Ranges of the random changes."""
    loss: Loss = Loss.DYNAMIC_HUBER
    """``mse``, ``huber`` or ``dynamic-huber``; Huber's are divided by their threshold."""
    thresholds: LossConfig = field(default_factory=LossConfig)
    """Thresholds of the loss."""
    epochs: int = 14
    """Passes over the slices."""
    batch: int = 32
    """Slices of a step."""
    kept_px: int = 192
    """Height and width at which slices are kept for training."""
    side_px: int = 128
    """Height and width of the network's input; a multiple of 32."""
    learning_rate: float = 3e-3
    """Highest learning rate of AdamW."""
    weight_decay: float = 0.05
    """Decoupled weight decay, of weights with two axes or more."""
    warm_up_steps: int = 100
    """Steps in which the learning rate rises; it falls by half a cosine to 0.5 % of its height."""
    average_decay: float = 0.998
    """Decay of the running average of the weights that is kept."""
    gradient_clip: float = 5.0
    """Largest norm of the gradient."""
    watched_share: float = 0.0
    """Share of the subjects that is looked at on the way and not trained on."""
    precision: str = "32-true"
    """Precision of the training library."""


class SmallRecipe(PictureRecipe):
    """The recipe of ``percent-small``: nothing is chosen on held-out slices.

    Parameters
    ----------
    config : SmallConfig, optional
    """

    system = "per-covid-19"
    preset = "ours"
    half_storage = True
    yardstick = Yardstick("MAE", higher_is_better=False)

    def __init__(self, config: SmallConfig | None = None) -> None:
        self.config = config = config or SmallConfig()
        self.epochs, self.batch_size = config.epochs, config.batch
        self.average_decay, self.gradient_clip = config.average_decay, config.gradient_clip
        self.watched_share, self.precision = config.watched_share, config.precision
        side = config.side_px
        self.facts = Facts(
            task=Task.PERCENT,
            summary="Infected percentage of one slice or picture, by a small regressor.",
            architecture="residual encoder, infection weighted by lung",
            labels=("percent",),
            thresholds={},
            preparation=Preparation(
                Scale.BYTES,
                LUNG_WINDOW_HU,
                (side, side),
                views=("as_is", "both"),
            ),
            limits=(
                "Trained on pictures with the lungs cropped by hand, of patients who all had "
                "COVID-19; other opacities count too.",
                "Answers a percentage for any picture, also one without lungs.",
            ),
            output="percent",
        )

    def network(self) -> nn.Module:
        """Return a new network."""
        return PercentNetwork(self.config.network)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network as it is: it answers percentages."""
        return network

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the slices, shrunk, with their percentages."""
        if not data.items:
            return []
        return [Source("rated", Lazy(data.items, self._kept), 1.0, targets=targets_of(data.items))]

    def _kept(self, one: Slice) -> NDArray[np.uint8]:
        """Return the grey of a slice at the size it is kept at."""
        grey = Image.fromarray(planes_of(one, 1)[0].astype(np.uint8))
        side = self.config.kept_px
        return np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR))[None]

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the mean absolute error of slices, each seen once."""
        if not sources:
            return None
        source = sources[0]
        assert source.targets is not None
        found = predicted(network, source, self.facts.preparation, device)[:, 0]
        return float(np.abs(found - source.targets).mean())

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return slices changed at random and mixed in pairs, with their percentages."""
        (source,) = sources
        assert source.targets is not None
        kept = np.stack([source.stacks[row] for row in range(count)])
        tones = torch.from_numpy(kept).float() / 255
        changed = augment(tones, self.config.side_px, self.config.augment, generator)
        percents = torch.from_numpy(source.targets)
        image, percent = mixed(changed, percents, self.config.augment, generator)
        return {"image": image, "percent": percent}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, the threshold of ``dynamic-huber`` falling from step to step."""
        config = self.config
        return percent_loss(
            config.loss,
            network(batch["image"])[:, 0],
            batch["percent"],
            int(batch["step"]),
            int(batch["steps"]),
            config.thresholds,
            relative=True,
        )

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return AdamW with warm-up, then half a cosine."""
        config = self.config
        kernels = [one for one in network.parameters() if one.ndim > 1]
        others = [one for one in network.parameters() if one.ndim <= 1]
        optimiser = torch.optim.AdamW(
            [
                {"params": kernels, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        return optimiser, lambda step: half_cosine(step, stage.steps, config.warm_up_steps, 0.005)
