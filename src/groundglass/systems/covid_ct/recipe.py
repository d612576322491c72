"""How the classifiers of COVID-CT are trained: as published, and DenseNets as we advise."""

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

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import SliceItem
from groundglass.metrics import roc_auc
from groundglass.models.card import Fit, Preparation, Scale, Task
from groundglass.models.familiar import Familiarity
from groundglass.systems.answers import answers_of
from groundglass.systems.calibration import fit_temperature
from groundglass.systems.covid_ct.network import (
    IMAGENET_MEAN,
    IMAGENET_SD,
    DenseNetClassifier,
    NetworkConfig,
)
from groundglass.systems.covid_ct.vote import vote_rows
from groundglass.systems.learn_familiar import learn_familiarity
from groundglass.systems.picture_batches import picture_source, predicted
from groundglass.systems.picture_recipe import PictureRecipe
from groundglass.systems.pictures import FLIPS, input_of
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

LABELS = ("other", "COVID-19")
LIMITS = (
    "Trained on pictures cut out of publications, so that source and class go together.",
    "It tells opacity from none rather than COVID-19 from other pneumonia.",
)
PICTURE_WINDOW_HU = (-1150.0, 150.0)
"""Window in which slices in HU are made pictures of."""
LEAST_FAMILIAR = 50
"""Training pictures needed to tell what is unlike them."""


@dataclass(frozen=True)
class PublishedConfig:
    """Every number of the published training."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""
    epochs: int = 150
    """Passes over the pictures; ten make a vote."""
    batch: int = 10
    """Pictures of a step."""
    learning_rate: float = 0.01
    """Rate of gradient descent, constant."""
    momentum: float = 0.9
    """Its momentum."""
    area: tuple[float, float] = (0.5, 1.0)
    """Range of the share of a picture that is cut out."""
    aspect: float = 4 / 3
    """Largest change of proportions of what is cut out."""
    side_px: int = 224
    """Height and width of the network's input."""


class ClassRecipe(PictureRecipe):
    """What all classifiers of pictures share: classes as targets, entropy as loss, AUC as judge.

    Parameters
    ----------
    system : str
        Name of the system.
    epochs, batch : int
        Passes, and pictures of a step.
    facts : Facts
        What goes onto the card.
    """

    config: Any
    yardstick = Yardstick("AUC")

    def __init__(self, system: str, epochs: int, batch: int, facts: Facts) -> None:
        self.system, self.epochs, self.batch_size, self.facts = system, epochs, batch, facts

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with probabilities; with features and attention if it can.

        Logits are divided by the temperature where the settings have one.
        """
        return answers_of(network, getattr(self.config, "temperature", 1.0))

    @torch.no_grad()
    def calibrated(self, network: nn.Module, items: Sequence[SliceItem]) -> ClassRecipe:
        """Return the recipe with the temperature that fits pictures not trained on.

        The recipe itself where its settings have none, or pictures of both classes lack.
        """
        labels = np.array([int(item.target or 0) for item in items])
        if not hasattr(self.config, "temperature") or len(set(labels.tolist())) < 2:
            return self
        views = [FLIPS[view] for view in self.facts.preparation.views]
        logits = []
        for item in items:
            one = torch.from_numpy(self.prepared(item.read()))
            seen = torch.stack([one.flip(axes) for axes in views])
            logits.append(network(seen).mean(0).numpy())
        temperature = round(fit_temperature(np.array(logits), labels), 3)
        made: Callable[[Any], ClassRecipe] = type(self)
        return made(replace(self.config, temperature=temperature))

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the pictures with their classes."""
        if not data.items:
            return []
        return [picture_source("pictures", data.items, self.facts.preparation.channels)]

    def input_of_kept(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Return the network's input for what a source holds of one picture."""
        return input_of(planes, Intensity.DISPLAY, self.facts.preparation)

    def answered(
        self, network: nn.Module, sources: Sequence[Source], device: Any
    ) -> NDArray[np.float32]:
        """Return logits over the only source, (pictures, 2), as the card's views average them."""
        preparation = self.facts.preparation
        return predicted(
            network,
            sources[0],
            preparation,
            device,
            views=preparation.views,
            take=self.input_of_kept,
        )

    def judged(self, answers: NDArray[np.float32], sources: Sequence[Source]) -> float | None:
        """Return the AUC of answers; ``None`` without pictures of both classes."""
        targets = sources[0].targets
        assert targets is not None
        return roc_auc(targets, answers[:, 1] - answers[:, 0])

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the figure of answers over sources; ``None`` without any."""
        return self.judged(self.answered(network, sources, device), sources) if sources else None

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the entropy of the right classes, the mean of the batch."""
        return functional.cross_entropy(network(batch["image"]), batch["class"])


def familiarity_of(items: Sequence[SliceItem]) -> Familiarity | None:
    """Return what training pictures are like; ``None`` where they are too few to tell."""
    if len(items) < LEAST_FAMILIAR:
        return None
    pictures = [item.read().values for item in items]
    return learn_familiarity(pictures, np.random.default_rng(0))


def classes_of(source: Source) -> Tensor:
    """Return the numbers of the classes of a source's pictures."""
    assert source.targets is not None
    return torch.from_numpy(source.targets).long()


def cut_out(
    planes: NDArray[Any],
    side: int,
    area: tuple[float, float],
    aspect: float,
    generator: Generator,
) -> Tensor:
    """Return a random part of a picture as a square, mirrored every other time, in 0..255.

    Parameters
    ----------
    planes : ndarray
        (channels, rows, columns) in 0..255.
    side : int
        Height and width wanted.
    area : tuple of float
        Range of the share of the picture.
    aspect : float
        Proportions lie between its inverse and it.
    generator : Generator
        Source of chance.
    """
    draws = torch.rand(5, generator=generator).tolist()
    rows, columns = planes.shape[1:]
    share = area[0] + draws[0] * (area[1] - area[0])
    wide_to_tall = float(aspect ** (2 * draws[1] - 1))
    tall = min(round((share * rows * columns / wide_to_tall) ** 0.5), rows)
    wide = min(round((share * rows * columns * wide_to_tall) ** 0.5), columns)
    top, left = round(draws[2] * (rows - tall)), round(draws[3] * (columns - wide))
    part = planes[:, top : top + max(tall, 1), left : left + max(wide, 1)]
    part = part[:, :, ::-1] if draws[4] < 0.5 else part
    picture = torch.from_numpy(np.ascontiguousarray(part)).float()[None]
    return functional.interpolate(
        picture, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )[0]


def normalised(pictures: Tensor, preparation: Preparation) -> Tensor:
    """Return pictures in 0..255 as the network reads them."""
    scaled = pictures / 255
    if not preparation.mean:
        return scaled
    shape = (1, len(preparation.mean), 1, 1)
    mean, deviation = (
        torch.tensor(one).view(shape) for one in (preparation.mean, preparation.deviation)
    )
    return (scaled - mean) / deviation


class PublishedRecipe(ClassRecipe):
    """COVID_CT as published: random weights, plain gradient descent, parts of half to all.

    Pictures are grey in all three channels; the published ones kept their colours, which tell the
    class.

    Parameters
    ----------
    config : PublishedConfig, optional
    """

    preset = "published"
    familiarity = staticmethod(familiarity_of)
    votes = staticmethod(vote_rows)

    def __init__(self, config: PublishedConfig | None = None) -> None:
        self.config = config = config or PublishedConfig()
        preparation = Preparation(
            Scale.BYTES,
            PICTURE_WINDOW_HU,
            (config.side_px, config.side_px),
            3,
            fit=Fit.CROP,
            mean=IMAGENET_MEAN,
            deviation=IMAGENET_SD,
        )
        summary = "COVID_CT as published: DenseNet-121 from random weights."
        facts = facts_of(summary, config.network.name, preparation)
        super().__init__("covid-ct", config.epochs, config.batch, facts)

    def network(self) -> nn.Module:
        """Return a new network."""
        return DenseNetClassifier(self.config.network)

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return random parts of pictures, mirrored every other time, normalised."""
        (source,) = sources
        config = self.config
        parts = [
            cut_out(source.stacks[row], config.side_px, config.area, config.aspect, generator)
            for row in range(count)
        ]
        image = normalised(torch.stack(parts), self.facts.preparation)
        return {"image": image, "class": classes_of(source)}

    def optimiser(
        self,
        stage: Stage,  # noqa: ARG002
        network: nn.Module,
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return gradient descent at a constant rate."""
        config = self.config
        optimiser = torch.optim.SGD(
            network.parameters(), lr=config.learning_rate, momentum=config.momentum
        )
        return optimiser, lambda _: 1.0


def facts_of(summary: str, architecture: str, preparation: Preparation) -> Facts:
    """Return what goes onto the card of a classifier of pictures."""
    return Facts(
        task=Task.CLASSES,
        summary=summary,
        architecture=architecture,
        labels=LABELS,
        thresholds={LABELS[1]: 0.5},
        preparation=preparation,
        limits=LIMITS,
    )
