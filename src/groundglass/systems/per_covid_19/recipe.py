"""How the published backbones are trained for percentages: as published, and as we advise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from groundglass.models.card import Preparation, Scale, Task
from groundglass.systems.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from groundglass.systems.per_covid_19.losses import Loss, LossConfig, percent_loss
from groundglass.systems.per_covid_19.network import BACKBONES, regressor
from groundglass.systems.picture_batches import (
    RestartedSGD,
    cropped,
    enlarged,
    mixed_in_pairs,
    picture_source,
    predicted,
    turned,
)
from groundglass.systems.picture_recipe import PictureRecipe, half_cosine
from groundglass.systems.pictures import LUNG_WINDOW_HU
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

BEST_ON_TEST = "best-on-test"
LIMITS = (
    "Trained on pictures with the lungs cropped by hand, of patients who all had COVID-19.",
    "Answers a percentage for any picture, also one without lungs; other pneumonias count too.",
)
WATCHED_SHARE = 0.1


@dataclass(frozen=True)
class PublishedConfig:
    """Every number of the published recipe."""

    model: str = "inception3"
    """``resnext50``, ``densenet161`` or ``inception3``."""
    loss: Loss = Loss.DYNAMIC_HUBER
    """``mse``, ``huber`` or ``dynamic-huber``."""
    thresholds: LossConfig = field(default_factory=LossConfig)
    """Thresholds of the loss."""
    epochs: int = 30
    """Passes over the slices."""
    batch: int = 20
    """Slices of a step; the last of a pass has fewer."""
    learning_rate: float = 1e-4
    """Learning rate of the first third of the passes; a tenth in each further third."""
    momentum: float = 0.9
    """Momentum of the gradient descent, forgotten after each pass."""
    enlargement: float = 244 / 224
    """Side of the picture against that of the square cut out of it in training."""
    rotation_degrees: float = 10.0
    """Largest turn."""
    colours: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels the network reads: as stored, or ``bgr`` as the published code reads
    them and calls them red, green, blue."""
    published_leak: str | None = None
    """``best-on-test`` keeps the epoch of the best correlation on the held-out fold, as the
    published code does; ``None`` keeps the last."""

    def __post_init__(self) -> None:
        """Refuse an unknown choice.

        Raises
        ------
        ValueError
            If model, loss or leak are none of those there are.
        """
        _check_model(self.model)
        if self.published_leak not in {None, BEST_ON_TEST}:
            msg = f"the published leak is {BEST_ON_TEST}, found '{self.published_leak}'"
            raise ValueError(msg)


def _check_model(name: str) -> None:
    if name not in BACKBONES:
        msg = f"models of this preset are {', '.join(BACKBONES)}; found '{name}'"
        raise ValueError(msg)


class _Regression(PictureRecipe):
    """What both recipes share: one network, one source, passes, and how it is judged."""

    system = "per-covid-19"

    def __init__(
        self, model: str, epochs: int, batch: int, summary: str, preparation: Preparation
    ) -> None:
        self.model, self.epochs, self.batch_size = model, epochs, batch
        self.facts = Facts(
            task=Task.PERCENT,
            summary=summary,
            architecture=BACKBONES[model].timm,
            labels=("percent",),
            thresholds={},
            preparation=preparation,
            limits=LIMITS,
            output="percent",
        )

    def network(self) -> nn.Module:
        """Return a new network."""
        return regressor(self.model)

    def pretrained(self) -> nn.Module:
        """Return the network with ImageNet weights and a new head."""
        return BACKBONES[self.model].pretrained(self.network())

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with weights of the same one under another head."""
        return BACKBONES[self.model].adapted(self.network(), weights)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network as it is: it answers percentages."""
        return network

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the slices with their percentages."""
        return [picture_source("rated", data.items, 3)] if data.items else []


class Swapped(nn.Module):
    """Red, green, blue as blue, green, red."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures, (pictures, channels, rows, columns), with their channels reversed."""
        return pictures.flip(1)


def _percents(source: Source) -> Tensor:
    assert source.targets is not None
    return torch.from_numpy(source.targets)


class PublishedRecipe(_Regression):
    """Per-COVID-19 as published: every layer, plain gradient descent, no normalisation.

    Parameters
    ----------
    config : PublishedConfig, optional
    """

    preset = "published"
    yardstick = Yardstick("PC")

    def __init__(self, config: PublishedConfig | None = None) -> None:
        self.config = config = config or PublishedConfig()
        side = BACKBONES[config.model].side_px
        preparation = Preparation(Scale.BYTES, LUNG_WINDOW_HU, (side, side), 3)
        summary = "Per-COVID-19 as published: percentage of a slice."
        super().__init__(config.model, config.epochs, config.batch, summary, preparation)
        leaks = self.config.published_leak is not None
        self.patience = self.epochs if leaks else None
        self.leak = "the epoch kept is the best one on the held-out fold" if leaks else None

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network, which takes red, green, blue whatever it reads inside."""
        return network if self.config.colours == "rgb" else nn.Sequential(Swapped(), network)

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the correlation with the percentages of slices."""
        if not sources or self.leak is None:
            return None
        whole = self.exported(network)
        answers = predicted(whole, sources[0], self.facts.preparation, device)[:, 0]
        percents = _percents(sources[0]).numpy()
        if np.ptp(answers) == 0 or np.ptp(percents) == 0:
            return -1.0
        return float(np.corrcoef(answers, percents)[0, 1])

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return slices enlarged, cut at random, turned and scaled to 0..1."""
        (source,) = sources
        side = BACKBONES[self.model].side_px
        large = round(side * self.config.enlargement)
        pictures = [
            cropped(enlarged(source.stacks[row], large), side, generator) for row in range(count)
        ]
        image = turned(torch.stack(pictures), self.config.rotation_degrees, generator) / 255
        image = image.flip(1) if self.config.colours == "bgr" else image
        return {"image": image, "percent": _percents(source)}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of the pass."""
        config = self.config
        answers = network(batch["image"])[:, 0]
        return percent_loss(
            config.loss,
            answers,
            batch["percent"],
            int(batch["pass"]),
            config.epochs,
            config.thresholds,
        )

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return gradient descent made anew for each pass; its rate falls after each third."""
        config, every = self.config, stage.check_steps or 1
        optimiser = RestartedSGD(network.parameters(), config.learning_rate, config.momentum, every)
        third = max(config.epochs // 3, 1)
        return optimiser, lambda step: 0.1 ** min(step // every // third, 2)


@dataclass(frozen=True)
class OursConfig:
    """Every number of our recipe for the published backbones."""

    model: str = "resnext50"
    """``resnext50``, ``densenet161`` or ``inception3``."""
    loss: Loss = Loss.HUBER
    """``mse``, ``huber`` or ``dynamic-huber``."""
    thresholds: LossConfig = field(default_factory=LossConfig)
    """Thresholds of the loss."""
    epochs: int = 30
    """Passes over the slices."""
    batch: int = 20
    """Slices of a step."""
    learning_rate: float = 3e-4
    """Highest learning rate of AdamW; it rises for one pass, then falls by half a cosine."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    enlargement: float = 1.15
    """Side of the picture against that of the square cut out of it in training."""
    rotation_degrees: float = 15.0
    """Largest turn."""
    contrast: float = 0.15
    """Largest change of gain and of brightness."""
    mixup: float = 0.2
    """Parameter of the Beta distribution by which two slices are mixed; 0 not to mix."""
    patience: int = 8
    """Passes without a better error of the watched patients after which training ends."""
    average_decay: float = 0.998
    """Decay of the running average of the weights that is kept."""
    precision: str = "32-true"
    """Precision of the training library."""

    def __post_init__(self) -> None:
        """Refuse an unknown model.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        _check_model(self.model)


class OursRecipe(_Regression):
    """The published backbones as we advise: normalised, flipped, mixed, watched by patient.

    Parameters
    ----------
    config : OursConfig, optional
    """

    preset = "ours"
    gradient_clip = 5.0
    watched_share = WATCHED_SHARE
    yardstick = Yardstick("MAE", higher_is_better=False)

    def __init__(self, config: OursConfig | None = None) -> None:
        self.config = config = config or OursConfig()
        side = BACKBONES[config.model].side_px
        preparation = Preparation(
            Scale.BYTES,
            LUNG_WINDOW_HU,
            (side, side),
            3,
            views=("as_is", "columns"),
            mean=IMAGENET_MEAN,
            deviation=IMAGENET_DEVIATION,
        )
        summary = "Percentage of a slice by a published backbone."
        super().__init__(config.model, config.epochs, config.batch, summary, preparation)
        self.patience = config.patience
        self.average_decay = config.average_decay
        self.precision = config.precision

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the mean absolute error of slices."""
        if not sources:
            return None
        answers = predicted(network, sources[0], self.facts.preparation, device)[:, 0]
        return float(np.abs(answers - _percents(sources[0]).numpy()).mean())

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return slices enlarged, cut, turned, flipped, changed in tone, normalised and mixed."""
        (source,) = sources
        config, side = self.config, BACKBONES[self.model].side_px
        large = round(side * config.enlargement)
        pictures = [
            cropped(enlarged(source.stacks[row], large), side, generator) for row in range(count)
        ]
        image = turned(torch.stack(pictures), config.rotation_degrees, generator) / 255
        draws = torch.rand(3, count, 1, 1, 1, generator=generator)
        image = torch.where(draws[0] < 0.5, image.flip(3), image)
        gain = 1 + (draws[1] * 2 - 1) * config.contrast
        image = (image * gain + (draws[2] * 2 - 1) * config.contrast).clamp(0, 1)
        mean, deviation = (
            torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return self._mixed((image - mean) / deviation, _percents(source), generator)

    def _mixed(self, image: Tensor, percent: Tensor, generator: Generator) -> Mapping[str, Tensor]:
        """Return slices and percentages mixed in pairs."""
        if self.config.mixup <= 0:
            return {"image": image, "percent": percent}
        own, mixed = mixed_in_pairs(image, percent, self.config.mixup, generator)
        return {"image": own, "percent": mixed}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of the pass."""
        config = self.config
        answers = network(batch["image"])[:, 0]
        return percent_loss(
            config.loss,
            answers,
            batch["percent"],
            int(batch["pass"]),
            config.epochs,
            config.thresholds,
        )

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return one AdamW with warm-up, then half a cosine."""
        config, warm = self.config, stage.check_steps or 1
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        return optimiser, lambda step: half_cosine(step, stage.steps, warm, 0.01)
