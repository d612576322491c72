"""How ``covid-ct-small`` is trained: from the encoder of an infection network, on train alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from groundglass.datasets.slices import Slice
from groundglass.imaging.tone import resized
from groundglass.models.card import Fit, Preparation, Scale, Task
from groundglass.systems.covid_ct.ours.network import SmallClassifier
from groundglass.systems.covid_ct.recipe import LABELS, LIMITS, ClassRecipe, familiarity_of
from groundglass.systems.covid_rate.ours.augment import AugmentConfig, toned
from groundglass.systems.covid_rate.ours.network import NetworkConfig
from groundglass.systems.picture_batches import mixed_in_pairs
from groundglass.systems.picture_recipe import half_cosine
from groundglass.systems.pictures import Lazy, slice_input, targets_of
from groundglass.systems.recipes import Facts, Source, Stage, TrainingData

TONES = 200.0
"""What tones are multiplied by where they are kept as bytes."""
GENTLE = AugmentConfig(
    rotation_degrees=12.0,
    zoom=(0.85, 1.35),
    aspect=0.25,
    shift=0.07,
    gamma=0.25,
    gain=0.1,
    cutout=0.1,
    blur=0.3,
    noise=0.03,
)


@dataclass(frozen=True)
class SmallConfig:
    """Every number of the recipe."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the encoder."""
    augment: AugmentConfig = GENTLE
    """Ranges of the random changes; pictures are upright and only mirrored left to right."""
    dropout: float = 0.3
    """Share of the means dropped in training."""
    epochs: int = 100
    """Passes over the pictures."""
    batch: int = 24
    """Pictures of a step."""
    kept_px: int = 256
    """Height and width at which pictures are kept, padded to a square."""
    side_px: int = 192
    """Height and width of the network's input; a multiple of 32."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW for the head."""
    encoder_rate: float = 1.0
    """Share of it for the encoder."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    warm_up_steps: int = 40
    """Steps in which the rate rises; it falls by half a cosine to 0.5 % of its height."""
    mixup: float = 0.2
    """Parameter of the Beta distribution by which two pictures are mixed; 0 not to mix."""
    smoothing: float = 0.05
    """What the wanted probabilities are away from 0 and 1."""
    average_decay: float = 0.99
    """Decay of the running average of the weights that is kept."""
    patience: int = 30
    """Passes without a better AUC of the validation pictures after which training ends; the best
    weights are kept."""
    watched_share: float = 0.15
    """Share of the sources that is watched where the data set has no part ``val``."""
    temperature: float = 1.0
    """What logits are divided by; fitted on validation pictures in training, 1 for nothing."""


class SmallRecipe(ClassRecipe):
    """The recipe of ``covid-ct-small``.

    Parameters
    ----------
    config : SmallConfig, optional
    """

    preset = "ours"
    half_storage = True
    gradient_clip = 5.0
    familiarity = staticmethod(familiarity_of)

    def __init__(self, config: SmallConfig | None = None) -> None:
        self.config = config = config or SmallConfig()
        self.average_decay = config.average_decay
        self.patience = config.patience
        self.watched_share = config.watched_share
        facts = Facts(
            task=Task.CLASSES,
            summary="Likeness of one picture or slice to COVID-19 pictures of publications.",
            architecture="encoder of the infection network, linear head",
            labels=LABELS,
            thresholds={LABELS[1]: 0.5},
            preparation=Preparation(
                Scale.TONE,
                None,
                (config.side_px, config.side_px),
                views=("as_is", "columns"),
                fit=Fit.PAD,
            ),
            limits=LIMITS,
        )
        super().__init__("covid-ct", config.epochs, config.batch, facts)

    def network(self) -> nn.Module:
        """Return a new network."""
        return SmallClassifier(self.config.network, self.config.dropout)

    def pretrained(self) -> nn.Module:
        """Refuse: the encoder has no ImageNet weights; start from an infection network's file."""
        msg = "this encoder has no ImageNet weights; name an infection network with --init FILE"
        raise ValueError(msg)

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with the encoder of an infection network and a new head."""
        network = SmallClassifier(self.config.network, self.config.dropout)
        own = network.state_dict()
        body = {name: one for name, one in weights.items() if name.startswith(("stem", "encoder"))}
        if body.keys() != {name for name in own if not name.startswith("classifier")}:
            return None
        network.load_state_dict({**own, **body})
        return network

    def sources(
        self,
        stage: int,  # noqa: ARG002
        data: TrainingData,
        network: nn.Module,  # noqa: ARG002
    ) -> Sequence[Source]:
        """Return the tone maps of pictures with their classes."""
        if not data.items:
            return []
        stacks = Lazy(data.items, self._kept)
        return [Source("pictures", stacks, 1.0, targets=targets_of(data.items))]

    def _kept(self, one: Slice) -> NDArray[np.uint8]:
        side = self.config.kept_px
        tones = slice_input(one, Preparation(Scale.TONE, None, (side, side), fit=Fit.PAD))
        return np.clip(np.rint(tones * TONES), 0, 255).astype(np.uint8)

    def input_of_kept(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Return the network's input for the tones that are kept of one picture."""
        tones = planes[0].astype(np.float32) / np.float32(TONES)
        return resized(tones, self.facts.preparation.size)[None]

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return tone maps moved, changed in tone and mixed in pairs, with what is wanted."""
        (source,) = sources
        assert source.targets is not None
        kept = np.stack([source.stacks[row] for row in range(count)])
        tones = torch.from_numpy(kept).float() / TONES
        config = self.config
        size = [count, 1, config.side_px, config.side_px]
        grid = functional.affine_grid(self._motion(count, generator), size, align_corners=False)
        moved = functional.grid_sample(tones, grid, padding_mode="zeros", align_corners=False)
        image = toned(moved, config.augment, generator)
        wanted = torch.from_numpy(source.targets) * (1 - 2 * config.smoothing) + config.smoothing
        if config.mixup > 0:
            image, wanted = mixed_in_pairs(image, wanted, config.mixup, generator)
        return {"image": image, "wanted": wanted}

    def _motion(self, count: int, generator: Generator) -> Tensor:
        """Return one affine map for each picture: a small turn, zoom, proportions, a mirror."""
        ranges = self.config.augment
        draws = torch.rand(6, count, generator=generator)
        limit = math.radians(ranges.rotation_degrees)
        angle = (draws[0] * 2 - 1) * limit
        mirror = torch.where(draws[1] < 0.5, -1.0, 1.0)
        low, high = (math.log(one) for one in ranges.zoom)
        zoom = torch.exp(-(low + draws[2] * (high - low)))
        aspect = torch.exp((draws[3] - 0.5) * ranges.aspect)
        shift = (draws[4:6] * 2 - 1) * 2 * ranges.shift
        cos, sin = torch.cos(angle), torch.sin(angle)
        wide, tall = zoom * aspect * mirror, zoom / aspect
        rows = [cos * wide, -sin * tall, shift[0], sin * wide, cos * tall, shift[1]]
        return torch.stack(rows, 1).view(-1, 2, 3)

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the entropy against the wanted probabilities."""
        logits = network(batch["image"])
        return functional.binary_cross_entropy_with_logits(
            logits[:, 1] - logits[:, 0], batch["wanted"]
        )

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return AdamW, slower for the encoder, with warm-up, then half a cosine."""
        config = self.config
        head = [one for name, one in network.named_parameters() if name.startswith("classifier")]
        body = [one for name, one in network.named_parameters() if name[:10] != "classifier"]
        optimiser = torch.optim.AdamW(
            [
                {"params": body, "lr": config.learning_rate * config.encoder_rate},
                {"params": head, "lr": config.learning_rate},
            ],
            weight_decay=config.weight_decay,
        )
        return optimiser, lambda step: half_cosine(step, stage.steps, config.warm_up_steps, 0.005)
