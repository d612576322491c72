"""How the infection network of groundglass is trained.

Three stages on many slices without doctors' masks (another network's, made-up lesions in healthy
lungs, healthy lungs, radiologists' percentages), then all weights on doctors' slices, a quarter of
the others beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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
from groundglass.systems.batches import draw, validation_dice
from groundglass.systems.covid_rate.method import over_views, prepared
from groundglass.systems.covid_rate.ours import extra
from groundglass.systems.covid_rate.ours.augment import AugmentConfig, augment
from groundglass.systems.covid_rate.ours.network import (
    InfectionNetwork,
    NetworkConfig,
    WithSigmoid,
)
from groundglass.systems.covid_rate.ours.synthetic import SyntheticConfig
from groundglass.systems.covid_rate.ours.weak import WeakMaskConfig
from groundglass.systems.optimisers import Muon
from groundglass.systems.picture_recipe import half_cosine
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick, byte_stack

PSEUDO = "enhancement"
SCALE = (200.0, 255.0, 255.0)
CLOSE = AugmentConfig(zoom=(0.75, 1.6), rotation_degrees=20.0, elastic=0.035, cutout=0.08)
NEAR = AugmentConfig(zoom=(0.75, 1.5), rotation_degrees=20.0, elastic=0.035, cutout=0.08, gamma=0.3)


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
    """How often slices are drawn, by origin: ``doctor``, ``network``, ``synthetic``, ``normal``,
    ``unhurt`` (read as 0 %), ``rated`` (masks from the network so far and the percentage)."""
    side_px: int = 192
    """Height and width of training slices."""
    batch: int = 12
    """Slices of a step."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Ranges of the random changes."""
    dice_weight: float = 1.0
    """Weight of soft Dice against cross-entropy; a large one gives sharp maps."""
    average_decay: float = 0.997
    """Decay of the running average of the weights."""
    network_weight: float = 1.0
    """Weight of slices marked by another network."""


BROAD = {"network": 0.55, "synthetic": 0.25, "unhurt": 0.13, "normal": 0.07}
WEAK_FIRST = {"rated": 0.5, "unhurt": 0.05, "network": 0.2, "synthetic": 0.2, "normal": 0.05}
DOCTORS = {"doctor": 0.75, "network": 0.25}
WEAK = {"rated": 0.40, "unhurt": 0.08, "network": 0.25, "synthetic": 0.22, "normal": 0.05}


@dataclass(frozen=True)
class OursConfig:
    """Every number of our recipe."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the network."""
    stages: tuple[StageConfig, ...] = (
        StageConfig("broad", 2600, 3e-3, BROAD, batch=16),
        StageConfig("weak", 1600, 2.5e-3, WEAK_FIRST, batch=16),
        StageConfig("weaker", 2800, 2e-3, WEAK, augment=CLOSE),
        StageConfig(
            "doctors",
            800,
            1.5e-3,
            DOCTORS,
            224,
            8,
            NEAR,
            3.0,
            average_decay=0.995,
            network_weight=0.7,
        ),
    )
    """Stages of the loop; a stage whose slices are not there is left out."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    """Ranges of made-up lesions."""
    synthetic_repeats: int = 6
    """How often every healthy slice is given made-up lesions."""
    weak: WeakMaskConfig = field(default_factory=WeakMaskConfig)
    """How percentages become masks."""
    kept_px: int = 288
    """Height and width at which slices are kept."""
    answer_px: int = 256
    """Height and width of the network's input when it is used."""
    tuning_steps: int = 30
    """Steps of one epoch of an enhancement."""
    warm_up_steps: int = 60
    """Steps in which the learning rate rises."""
    kernel_rate: float = 2.0
    """Learning rate of kernels, times that of their stage."""
    weight_decay: float = 0.03
    """Decoupled weight decay."""
    coarse_weight: float = 0.3
    """Weight of the loss at a quarter of the size."""
    consolidation_weight: float = 0.5
    """Weight of consolidation in the loss."""
    pseudo_weight: float = 0.5
    """Weight of slices marked by a network in an enhancement."""
    threshold: float = 0.4
    """Probability from which a pixel is infected."""
    precision: str = "32-true"
    """Precision of the training library; bfloat16 is slow on processors without it."""


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
    yardstick = Yardstick("Dice")
    watched_share = 0.0
    leak = None
    half_storage = True
    patience = None

    def __init__(self, config: OursConfig | None = None) -> None:
        self.config = config or OursConfig()
        self.average_decay: float | None = self.config.stages[-1].average_decay
        self.precision = self.config.precision

    @property
    def facts(self) -> Facts:
        """What goes onto the card."""
        side = self.config.answer_px
        return Facts(
            task=Task.INFECTION,
            summary="Infection of slices and pictures, consolidation apart.",
            architecture="residual U-Net with a pixel head",
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
        return tuple(
            Stage(one.name, one.steps, one.batch, average_decay=one.average_decay)
            for one in self.config.stages
        )

    def tuning(self, epochs: int, learning_rate: float) -> OursRecipe:
        """Return the recipe of a short training that starts from a trained network."""
        shares = {"doctor": 0.5, PSEUDO: 0.5}
        last = self.config.stages[-1]
        steps = self.config.tuning_steps * epochs
        stage = replace(
            last, name="tuning", steps=steps, learning_rate=learning_rate, shares=shares
        )
        return OursRecipe(replace(self.config, stages=(stage,)))

    def network(self) -> nn.Module:
        """Return a new network; it runs faster with the channels last in memory."""
        return InfectionNetwork(self.config.network).to(memory_format=torch.channels_last)

    def prepared(self, one: Slice) -> NDArray[np.float32]:
        """Return the network's input for one slice, shape (1, rows, columns)."""
        preparation = self.facts.preparation
        return prepared(one.values, one.intensity, one.lungs, preparation)[None]

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the mean Dice of sources."""
        return validation_dice(network, sources, device)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with its sigmoid."""
        assert isinstance(network, InfectionNetwork)
        return WithSigmoid(network)

    def other_data(self, data: TrainingData) -> tuple[str, ...]:
        """Return the data sets beside the one with masks that are trained on."""
        names = (extra.VOLUMES, extra.RATED)
        return tuple(name for name in names if extra.sibling(data.root, name) is not None)

    def sources(self, stage: int, data: TrainingData, network: nn.Module) -> Sequence[Source]:
        """Return the slices by origin; those whose data set is not there are left out."""
        config = self.config.stages[stage]
        shares = {name: share for name, share in config.shares.items() if share}
        trusts = {
            "doctor": 1.0,
            "network": config.network_weight,
            PSEUDO: self.config.pseudo_weight,
        }
        found = []
        for annotator, trust in trusts.items():
            chosen = [item for item in data.items if item.annotator == annotator]
            if annotator in shares and chosen:
                found.append(self._source(annotator, chosen, shares[annotator], trust))
        for name, stacks, weight in self._unmasked(set(shares), data, network):
            if stacks is not None:
                found.append(Source(name, stacks, shares[name], SCALE, (1.0, weight)))
        return found

    def _unmasked(
        self, wanted: set[str], data: TrainingData, network: nn.Module
    ) -> Iterator[tuple[str, NDArray[np.uint8] | None, float]]:
        """Yield name, stacks and weight of consolidation of sources without doctors' masks."""
        config, weight = self.config, self.config.consolidation_weight
        if wanted & {"synthetic", "normal"}:
            healthy = extra.healthy_slices(data.root, config.kept_px)
            if "synthetic" in wanted:
                made = extra.synthetic_stacks(
                    healthy, config.synthetic_repeats, config.synthetic, data.seed
                )
                yield "synthetic", made, weight
            if "normal" in wanted and healthy:
                yield "normal", extra.negative_stacks(healthy), weight
        if wanted & {"rated", "unhurt"}:
            rated = extra.rated_stacks(data.root, config.kept_px)
            if rated is not None and "unhurt" in wanted:
                yield "unhurt", extra.unhurt_stacks(rated), weight
            if rated is not None and "rated" in wanted:
                yield "rated", extra.weak_stacks(rated, self._answer(network), config.weak), 0.0

    def _answer(self, network: nn.Module) -> extra.Predict:
        """Return the network's probability of infection for one tone map, over the card's views."""
        preparation = self.facts.preparation

        @torch.inference_mode()
        def run(part: NDArray[np.float32]) -> NDArray[np.float32]:
            network.eval()
            return torch.sigmoid(network(torch.from_numpy(part.copy()))).numpy()

        def answer(tones: NDArray[np.float32]) -> NDArray[np.float32]:
            image = resized(tones, preparation.size)[None, None]
            found = over_views(run, image, preparation.views)[0, 0]
            return resized(found, (len(tones), tones.shape[1]))

        return answer

    def _source(self, name: str, items: Sequence[SliceItem], share: float, weight: float) -> Source:
        slices = [item.read() for item in items]
        known = all(one.kinds_known for one in slices)
        dense = weight * self.config.consolidation_weight if known else 0.0
        stacks = np.stack([self._stack(one) for one in slices])
        return Source(name, stacks, share, SCALE, (weight, dense))

    def _stack(self, one: Slice) -> NDArray[np.uint8]:
        align = align_hu if one.intensity is Intensity.HU else align_picture
        lesion = np.zeros(one.values.shape) if one.lesion is None else one.lesion
        size = (self.config.kept_px, self.config.kept_px)
        masks = [resized((lesion >= kind).astype(np.float32), size) for kind in (1, 2)]
        return byte_stack(resized(align(one.values), size), masks)

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do nothing: the stages are all."""

    def batch(
        self, stage: int, sources: Sequence[Source], count: int, generator: Generator
    ) -> Mapping[str, Tensor]:
        """Return augmented tone maps with their masks and the weights of these."""
        stacks, weights = draw(sources, count, generator)
        chosen = self.config.stages[stage]
        tones, masks = augment(stacks, chosen.side_px, chosen.augment, generator)
        dice_weight = torch.tensor(chosen.dice_weight)
        return {"image": tones, "mask": masks, "weight": weights, "dice_weight": dice_weight}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss at full size plus that at a quarter of it."""
        fine, coarse = network.forward_deep(batch["image"])
        mask, weight = batch["mask"], batch["weight"]
        small = functional.avg_pool2d(mask, 4)
        main = _entropy_and_dice(fine.float(), mask, weight, batch["dice_weight"])
        beside = _entropy_and_dice(coarse.float(), small, weight, batch["dice_weight"])
        return main + self.config.coarse_weight * beside

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return Muon with warm-up, then half a cosine down to a hundredth."""
        config = self.config
        rate = next(one.learning_rate for one in config.stages if one.name == stage.name)
        optimiser = Muon(network, rate, config.weight_decay, config.kernel_rate * rate)
        return optimiser, lambda step: half_cosine(step, stage.steps, config.warm_up_steps, 0.01)


def _entropy_and_dice(
    logits: Tensor, masks: Tensor, weights: Tensor, dice_weight: Tensor
) -> Tensor:
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    shares = torch.sigmoid(logits)
    smooth = 2e-4 * logits.shape[2] * logits.shape[3]
    both = (shares * masks).sum((2, 3))
    dice = 1 - (2 * both + smooth) / (shares.sum((2, 3)) + masks.sum((2, 3)) + smooth)
    return (weights * (2 * entropy.mean((2, 3)) + dice_weight * dice)).sum(1).mean()
