"""DenseNets for single pictures as we advise, and the arm Self-Trans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from groundglass.datasets.slices import Slice
from groundglass.models.card import Fit, Preparation, Scale
from groundglass.systems.backbones import Backbone
from groundglass.systems.covid_ct.network import (
    SELF_TRANS_MEAN,
    SELF_TRANS_SD,
    DenseNetClassifier,
    NetworkConfig,
)
from groundglass.systems.covid_ct.recipe import (
    PICTURE_WINDOW_HU,
    ClassRecipe,
    classes_of,
    cut_out,
    facts_of,
    familiarity_of,
    normalised,
)
from groundglass.systems.covid_ct.self_supervision import (
    ContrastConfig,
    MomentumContrast,
    learn_without_labels,
)
from groundglass.systems.picture_recipe import half_cosine
from groundglass.systems.pictures import slice_input
from groundglass.systems.recipes import Source, Stage, TrainingData


@dataclass(frozen=True)
class OursConfig:
    """Every number of our training of a DenseNet."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig("densenet169"))
    """The network."""
    contrast: ContrastConfig | None = None
    """Momentum contrast on the training pictures before; the arm Self-Trans. ``None`` for none."""
    contrast_steps: int = 1000
    """Steps of it."""
    epochs: int = 60
    """Passes over the pictures."""
    batch: int = 16
    """Pictures of a step."""
    learning_rate: float = 1e-4
    """Highest rate of AdamW; it falls by half a cosine."""
    weight_decay: float = 0.02
    """Decoupled weight decay."""
    area: tuple[float, float] = (0.5, 1.0)
    """Range of the share of a picture that is cut out."""
    aspect: float = 4 / 3
    """Largest change of proportions of what is cut out."""
    contrast_tones: float = 0.2
    """Largest change of gain and of brightness."""
    side_px: int = 224
    """Height and width of the network's input; the picture is padded to a square, not cut."""
    average_decay: float = 0.99
    """Decay of the running average of the weights that is kept."""
    patience: int = 20
    """Passes without a better AUC of the validation pictures after which training ends; the best
    weights are kept."""
    watched_share: float = 0.15
    """Share of the sources that is watched where the data set has no part ``val``."""
    temperature: float = 1.0
    """What logits are divided by; fitted on validation pictures in training, 1 for nothing."""


class OursRecipe(ClassRecipe):
    """A DenseNet as we advise: padded to a square, AdamW, a cosine that is stepped, averaged.

    With ``contrast`` it is the arm Self-Trans: it first learns from the training pictures without
    their labels. ImageNet weights are taken with ``--init imagenet``.

    Parameters
    ----------
    config : OursConfig, optional
    """

    preset = "ours"
    gradient_clip = 5.0
    familiarity = staticmethod(familiarity_of)

    def __init__(self, config: OursConfig | None = None) -> None:
        self.config = config = config or OursConfig()
        self.average_decay = config.average_decay
        self.patience = config.patience
        self.watched_share = config.watched_share
        preparation = Preparation(
            Scale.BYTES,
            PICTURE_WINDOW_HU,
            (config.side_px, config.side_px),
            3,
            views=("as_is", "columns"),
            fit=Fit.PAD,
            mean=SELF_TRANS_MEAN,
            deviation=SELF_TRANS_SD,
        )
        facts = facts_of("DenseNet for single pictures.", config.network.name, preparation)
        super().__init__("covid-ct", config.epochs, config.batch, facts)

    def network(self) -> nn.Module:
        """Return a new network."""
        return DenseNetClassifier(self.config.network)

    def pretrained(self) -> nn.Module:
        """Return the network with ImageNet weights and a new head."""
        name = self.config.network.name
        backbone = Backbone(name, "tv_in1k", "classifier", self.config.side_px)
        network = DenseNetClassifier(self.config.network)
        whole = backbone.pretrained(backbone.network(2))
        network.body.load_state_dict(whole.features.state_dict())
        return network

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with weights of the same one under another head."""
        network = DenseNetClassifier(self.config.network)
        body = {
            name.removeprefix("body."): value
            for name, value in weights.items()
            if name.startswith("body.")
        }
        wanted = network.body.state_dict()
        if body.keys() != wanted.keys():
            return None
        network.body.load_state_dict(body)
        return network

    def sources(self, stage: int, data: TrainingData, network: nn.Module) -> Sequence[Source]:
        """Return the pictures; with ``contrast`` the network learns from them in place first."""
        found = super().sources(stage, data, network)
        config = self.config
        if config.contrast is not None and isinstance(network, DenseNetClassifier) and found:
            generator = torch.Generator().manual_seed(data.seed)
            grey = torch.stack([self._grey(item.read()) for item in data.items])
            contrast = MomentumContrast(network, config.contrast)
            learn_without_labels(contrast, grey, config.contrast_steps, generator, config.side_px)
        return found

    def _grey(self, one: Slice) -> Tensor:
        preparation = Preparation(
            Scale.BYTES, PICTURE_WINDOW_HU, (self.config.side_px, self.config.side_px), fit=Fit.PAD
        )
        return torch.from_numpy(slice_input(one, preparation))

    def batch(
        self,
        stage: int,  # noqa: ARG002
        sources: Sequence[Source],
        count: int,
        generator: Generator,
    ) -> Mapping[str, Tensor]:
        """Return random parts of pictures changed in tone, normalised."""
        (source,) = sources
        config = self.config
        parts = [
            cut_out(source.stacks[row], config.side_px, config.area, config.aspect, generator)
            for row in range(count)
        ]
        draws = torch.rand(2, count, 1, 1, 1, generator=generator) * 2 - 1
        changed = torch.stack(parts) * (1 + draws[0] * config.contrast_tones)
        changed = (changed + 255 * draws[1] * config.contrast_tones).clamp(0, 255)
        image = normalised(changed, self.facts.preparation)
        return {"image": image, "class": classes_of(source)}

    def optimiser(
        self, stage: Stage, network: nn.Module
    ) -> tuple[Optimizer, Callable[[int], float]]:
        """Return AdamW with half a cosine."""
        config = self.config
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        return optimiser, lambda step: half_cosine(step, stage.steps)
