"""How the lung network is trained: training-free masks, opacity laid in, heavy augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice
from groundglass.imaging.tone import align_hu, align_picture, resized
from groundglass.models.card import Preparation, Task
from groundglass.systems.batches import draw, validation_dice
from groundglass.systems.covid_rate.ours.augment import AugmentConfig, augment
from groundglass.systems.covid_rate.ours.extra import RATED, VOLUMES, sibling
from groundglass.systems.lungs_network import sources
from groundglass.systems.lungs_network.network import LungNetwork, NetworkConfig, WithSigmoid
from groundglass.systems.lungs_network.sources import PoolConfig
from groundglass.systems.lungs_network.synthesis import OpacityConfig
from groundglass.systems.optimisers import Muon
from groundglass.systems.picture_recipe import half_cosine
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData, Yardstick

SCAN, PICTURE = "scans", "pictures"
CALIBRATED = AugmentConfig(
    quarter_turns=0.0,
    rotation_degrees=15.0,
    zoom=(0.7, 1.6),
    aspect=0.4,
    shift=0.1,
    shear=0.12,
    elastic=0.07,
    gamma=0.03,
    gain=0.03,
    offset=0.015,
    saturation=0.0,
    noise=0.03,
    cutout=0.0,
)
PICTURES = AugmentConfig(quarter_turns=0.5, rotation_degrees=20.0, zoom=(0.7, 1.5), cutout=0.05)


@dataclass(frozen=True)
class LungsConfig:
    """Every number of the recipe."""

    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig(
            widths=(16, 28, 48, 72, 112), decoder_widths=(72, 48, 28, 16)
        )
    )
    """Sizes of the network."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Slices that training draws from."""
    opacity: OpacityConfig = field(default_factory=OpacityConfig)
    """Ranges of the opacities laid in."""
    scan_augment: AugmentConfig = CALIBRATED
    """Ranges of the random changes of scans, whose densities are known."""
    picture_augment: AugmentConfig = PICTURES
    """Ranges of the random changes of pictures, and of slices shown as pictures."""
    flat: float = 0.15
    """Share of slices of scans that are shown as pictures: one slice, any window, any turn."""
    pictures: float = 0.4
    """Share of pictures."""
    steps: int = 6500
    """Optimiser steps."""
    batch: int = 10
    """Slices of a step."""
    side_px: int = 160
    """Height and width of the network's input."""
    learning_rate: float = 3e-3
    """Highest learning rate."""
    warm_up_steps: int = 60
    """Steps in which the learning rate rises."""
    kernel_rate: float = 2.0
    """Learning rate of kernels, times the other."""
    weight_decay: float = 0.03
    """Decoupled weight decay."""
    average_decay: float = 0.998
    """Decay of the running average of the weights."""
    dense_tone: float = 0.5
    """Pixels above this tone that lie near lung are the hard ones."""
    dense_weight: float = 4.0
    """Weight of the hard pixels in the loss."""
    near_px: int = 20
    """How near to lung they lie, in pixels of the input."""
    threshold: float = 0.5
    """Probability from which a pixel is lung."""


class LungsRecipe:
    """The recipe of the lung network.

    Parameters
    ----------
    config : LungsConfig, optional
    """

    system = "lungs"
    preset = "ours"
    annotators: tuple[str, ...] = ()
    gradient_clip = 5.0
    half_storage = True
    patience = None
    precision = "32-true"
    yardstick = Yardstick("Dice")
    watched_share = 0.0
    leak = None

    def __init__(self, config: LungsConfig | None = None) -> None:
        self.config = config or LungsConfig()
        self.average_decay: float | None = self.config.average_decay

    @property
    def facts(self) -> Facts:
        """What goes onto the card."""
        side = self.config.side_px
        return Facts(
            task=Task.LUNGS,
            summary="Lungs of slices and pictures, opacity as dense as the chest wall included.",
            architecture="residual U-Net of a slice and its neighbours",
            labels=("lung",),
            thresholds={"lung": self.config.threshold},
            preparation=Preparation(size=(side, side), channels=self.config.network.slices),
            limits=(
                "Effusion was taught by made-up fluid alone: part of it may count as lung.",
                "Trained on masks of a rule, not of a doctor; sides are not told apart.",
            ),
        )

    def stages(self, count: int) -> tuple[Stage, ...]:  # noqa: ARG002 - the same for all
        """Return the one stage."""
        return (Stage("lungs", self.config.steps, self.config.batch),)

    def network(self) -> nn.Module:
        """Return a new network; it runs faster with the channels last in memory."""
        return LungNetwork(self.config.network).to(memory_format=torch.channels_last)

    def prepared(self, one: Slice) -> NDArray[np.float32]:
        """Return the network's input for one slice, which stands for its neighbours."""
        align = align_hu if one.intensity is Intensity.HU else align_picture
        tones = resized(align(one.values), self.facts.preparation.size)
        return np.stack([tones] * self.config.network.slices)

    def judge(self, network: nn.Module, sources: Sequence[Source], device: Any) -> float | None:
        """Return the mean Dice over slices."""
        return validation_dice(network, sources, device)

    def exported(self, network: nn.Module) -> nn.Module:
        """Return the network with its sigmoid."""
        assert isinstance(network, LungNetwork)
        return WithSigmoid(network)

    def other_data(self, data: TrainingData) -> tuple[str, ...]:
        """Return the data sets beside the first that are trained on."""
        there = [name for name in (VOLUMES, RATED) if sibling(data.root, name) is not None]
        return tuple(there[1:])

    def sources(self, stage: int, data: TrainingData, network: nn.Module) -> Sequence[Source]:  # noqa: ARG002 - one stage
        """Return scans and pictures with opacity laid in; what is not there is left out."""
        makers = {
            SCAN: (VOLUMES, sources.scan_stacks, 1 - self.config.pictures),
            PICTURE: (RATED, sources.picture_stacks, self.config.pictures),
        }
        found, pool, maps = [], self.config.pool, self.config.network.slices
        for name, (folder, make, share) in makers.items():
            root = sibling(data.root, folder)
            stacks = None
            if root is not None:
                stacks = make(root, pool, self.config.opacity, data.seed, maps)
            if stacks is not None:
                scale = (200.0,) * maps + (255.0,)
                found.append(Source(name, stacks, share, scale))
        return found

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Do nothing: the stage is all."""

    def batch(
        self,
        stage: int,  # noqa: ARG002 - one stage
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return augmented slices with their lungs."""
        config, parts = self.config, []
        pictures = [source for source in sources if source.name == PICTURE]
        scans = [source for source in sources if source.name == SCAN]
        shares = {"picture": config.pictures * bool(pictures), "flat": config.flat * bool(scans)}
        counts = {kind: round(share * count) for kind, share in shares.items()}
        counts["scan" if scans else "picture"] = count - sum(counts.values()) * bool(scans)
        for kind, number in counts.items():
            if number:
                stacks, _ = draw(pictures if kind == "picture" else scans, number, generator)
                parts.append(self._changed(stacks, generator, flat=kind != "scan"))
        tones, masks = (torch.cat(one) for one in zip(*parts, strict=True))
        return {"image": tones.contiguous(memory_format=torch.channels_last), "mask": masks}

    def _changed(
        self, stacks: Tensor, generator: Generator, *, flat: bool
    ) -> tuple[Tensor, Tensor]:
        """Return augmented tone maps and lungs; a flat slice stands for its neighbours."""
        config, maps = self.config, self.config.network.slices
        if not flat:
            return augment(stacks, config.side_px, config.scan_augment, generator, maps)
        middle = stacks[:, [maps // 2, maps]]
        tones, masks = augment(middle, config.side_px, config.picture_augment, generator)
        return tones.expand(-1, maps, -1, -1), masks

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return cross-entropy, dense pixels near lung weighted, plus soft Dice."""
        tones, mask = batch["image"], batch["mask"]
        logits = network(tones)
        middle = tones[:, tones.shape[1] // 2, None]
        near = _widened(mask, self.config.near_px) > 0
        hard = near & (middle > self.config.dense_tone)
        weight = 1 + (self.config.dense_weight - 1) * hard
        entropy = functional.binary_cross_entropy_with_logits(logits, mask, weight)
        shares = torch.sigmoid(logits)
        smooth = 2e-3 * mask[0].numel()
        both = (shares * mask).sum((1, 2, 3))
        total = shares.sum((1, 2, 3)) + mask.sum((1, 2, 3))
        dice = 1 - (2 * both + smooth) / (total + smooth)
        return 2 * entropy + dice.mean()

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return Muon with warm-up, then half a cosine down to a hundredth."""
        config = self.config
        rate = config.learning_rate
        optimiser = Muon(network, rate, config.weight_decay, config.kernel_rate * rate)
        return optimiser, lambda step: half_cosine(step, stage.steps, config.warm_up_steps, 0.01)


def _widened(mask: Tensor, pixels: int) -> Tensor:
    """Return the maximum over a square, along rows and columns in turn, which is much faster."""
    width = 2 * pixels + 1
    tall = functional.max_pool2d(mask, (width, 1), 1, (pixels, 0))
    return functional.max_pool2d(tall, (1, width), 1, (0, pixels))
