"""How ``covid-ct-small`` is trained: a linear layer over all scales of a frozen infection network.

With some hundred pictures of publications, training the network itself learns the pictures by
heart: its AUC on pictures kept apart was lower than that of one layer on what the network sees
already. That layer is a penalised logistic regression, so there is one answer, whatever the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.optim import Optimizer

from groundglass.datasets.slices import SliceItem
from groundglass.errors import ModelError
from groundglass.models.card import Fit, Preparation, Scale
from groundglass.systems.covid_ct.recipe import ClassRecipe, facts_of, familiarity_of
from groundglass.systems.covid_rate.ours.network import (
    InfectionNetwork,
    NetworkConfig,
    pyramid_widths,
)
from groundglass.systems.pictures import FLIPS, targets_of
from groundglass.systems.recipes import Stage, TrainingData

Float64 = NDArray[np.float64]
LEAST_SPREAD = 1e-3
"""Least standard deviation by which a map is divided."""

_NO_STEPS = "the head is fitted at once, in no steps"


@dataclass(frozen=True)
class PyramidConfig:
    """Every number of the recipe."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the infection network."""
    powers: tuple[int, ...] = (1, 4)
    """Powers of the maps whose means are looked at, beside their peaks; higher ones heed small
    bright places."""
    side_px: int = 256
    """Height and width of the network's input; a multiple of 32."""
    penalty: float = 10.0
    """Half of it times the squared weights is added to the sum of the entropies. Chosen among
    seven by five folds of the training sources, powers and peaks by ``val`` too."""
    watched_share: float = 0.15
    """Share of the sources kept apart for the temperature where there is no part ``val``."""
    temperature: float = 1.0
    """What logits are divided by; fitted on validation pictures, 1 for nothing."""


class PyramidClassifier(nn.Module):
    """Logits from means and peaks of the maps that the infection network's head looks at.

    A peak is written as the mean of a map that is 0 but where the peak is. All are brought to mean
    0 and spread 1 over the training pictures, so that what a place adds to a logit is told against
    the average picture.

    Parameters
    ----------
    config : NetworkConfig, optional
        Sizes of the infection network.
    powers : tuple of int
        Powers of the maps whose means are looked at.
    """

    def __init__(self, config: NetworkConfig | None = None, powers: Sequence[int] = (1, 4)) -> None:
        super().__init__()
        config = config or NetworkConfig()
        self.body = InfectionNetwork(config)
        del self.body.head, self.body.coarse_head
        self.powers = tuple(powers)
        widths = [(len(self.powers) + 1) * width for width in pyramid_widths(config)]
        self.means = nn.ParameterList(_fixed(torch.zeros(width)) for width in widths)
        self.scales = nn.ParameterList(_fixed(torch.ones(width)) for width in widths)
        self.classifier = nn.Linear(sum(widths), 2)

    @property
    def last_maps(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at: the finest maps of the decoder."""
        return self.body.decoder[-1]

    def maps(self, tones: Tensor) -> tuple[Tensor, ...]:
        """Return what is pooled at 1/2, 1/4, 1/8, 1/16 and 1/32, of mean 0 and spread 1.

        Parameters
        ----------
        tones : Tensor
            (pictures, 1, rows, columns) tone maps; rows and columns are multiples of 32.
        """
        return tuple(
            (self._looked_at(level) - mean[:, None, None]) * scale[:, None, None]
            for level, mean, scale in zip(
                self.body.pyramid(tones), self.means, self.scales, strict=True
            )
        )

    def _looked_at(self, level: Tensor) -> Tensor:
        return torch.cat([*(level**power for power in self.powers), peaks_of(level)], 1)

    def pooled(self, tones: Tensor) -> Tensor:
        """Return the mean of each map, (pictures, maps)."""
        return torch.cat([level.mean((2, 3)) for level in self.maps(tones)], 1)

    def forward(self, tones: Tensor) -> Tensor:
        """Return logits, (pictures, 2): other, COVID-19."""
        logits: Tensor = self.classifier(self.pooled(tones))
        return logits

    @torch.no_grad()
    def standardise(self, features: Tensor) -> Tensor:
        """Bring the maps to mean 0 and spread 1 over pictures; return their features then.

        Parameters
        ----------
        features : Tensor
            (pictures, maps) as a network that was not yet standardised pools them.
        """
        widths = [len(mean) for mean in self.means]
        means, scales = features.mean(0), 1 / features.std(0, correction=0).clamp(min=LEAST_SPREAD)
        for place, (mean, scale) in enumerate(
            zip(means.split(widths), scales.split(widths), strict=True)
        ):
            self.means[place].copy_(mean)
            self.scales[place].copy_(scale)
        return (features - means) * scales


def peaks_of(maps: Tensor) -> Tensor:
    """Return maps, 0 but at their peaks, whose means are the peaks."""
    at_peak = (maps >= maps.amax((2, 3), keepdim=True)).to(maps.dtype)
    return maps * at_peak / at_peak.mean((2, 3), keepdim=True)


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


class PyramidRecipe(ClassRecipe):
    """The recipe of ``covid-ct-small``.

    Parameters
    ----------
    config : PyramidConfig, optional
    """

    preset = "ours"
    half_storage = True
    familiarity = staticmethod(familiarity_of)

    def __init__(self, config: PyramidConfig | None = None) -> None:
        self.config = config = config or PyramidConfig()
        self.watched_share = config.watched_share
        side = (config.side_px, config.side_px)
        facts = facts_of(
            "Likeness of one picture or slice to COVID-19 pictures of publications.",
            "frozen infection network, linear head over its maps of all scales",
            Preparation(Scale.TONE, None, side, views=("as_is", "columns"), fit=Fit.PAD),
        )
        super().__init__("covid-ct", 0, 1, facts)

    def stages(self, count: int) -> tuple[Stage, ...]:  # noqa: ARG002 - the same for all
        """Return nothing: the head is fitted at the end, at once."""
        return ()

    def batch(self, *_: Any) -> Mapping[str, Tensor]:
        """Refuse: there are no steps."""
        raise NotImplementedError(_NO_STEPS)

    def optimiser(self, *_: Any) -> tuple[Optimizer, Callable[[int], float]]:
        """Refuse: there are no steps."""
        raise NotImplementedError(_NO_STEPS)

    def network(self) -> nn.Module:
        """Return a new network."""
        return PyramidClassifier(self.config.network, self.config.powers)

    def pretrained(self) -> nn.Module:
        """Refuse: the body has no ImageNet weights; start from an infection network's file."""
        msg = "this network has no ImageNet weights; name an infection network with --init FILE"
        raise ValueError(msg)

    def adapted(self, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return the network with the body of an infection network and a new head."""
        network = PyramidClassifier(self.config.network, self.config.powers)
        wanted = network.body.state_dict().keys()
        if not wanted <= weights.keys():
            return None
        network.body.load_state_dict({name: weights[name] for name in wanted})
        return network

    def finish(self, network: nn.Module, data: TrainingData) -> None:
        """Fit the head to the pictures."""
        assert isinstance(network, PyramidClassifier)
        network.eval()
        if not int(network.body.stem[1].num_batches_tracked):
            msg = "this recipe trains one layer on an infection network; name it with --init FILE"
            raise ModelError(msg)
        features = network.standardise(self._features(network, data.items))
        weights, bias = fitted(
            features.double().numpy(), targets_of(data.items) > 0, self.config.penalty
        )
        with torch.no_grad():  # half to either side: their difference is the logit of COVID-19
            network.classifier.weight.copy_(torch.tensor(np.stack([-weights, weights]) / 2))
            network.classifier.bias.copy_(torch.tensor([-bias / 2, bias / 2]))

    @torch.inference_mode()
    def _features(self, network: PyramidClassifier, items: Sequence[SliceItem]) -> Tensor:
        """Return the features of pictures, averaged over the card's views."""
        views, found = [FLIPS[view] for view in self.facts.preparation.views], []
        for item in items:
            one = torch.from_numpy(self.prepared(item.read()))
            found.append(network.pooled(torch.stack([one.flip(axes) for axes in views])).mean(0))
        return torch.stack(found)


def fitted(features: Float64, labels: NDArray[np.bool_], penalty: float) -> tuple[Float64, float]:
    """Return weights and bias of a penalised logistic regression.

    Parameters
    ----------
    features : ndarray
        (pictures, features).
    labels : ndarray
        (pictures,) whether a picture is of the second class.
    penalty : float
        Half of it times the squared weights is added to the sum of the entropies; the bias is free.
    """
    signs = np.where(labels, 1.0, -1.0)

    def loss(values: Float64) -> tuple[float, Float64]:
        weights, bias = values[:-1], values[-1]
        margins = signs * (features @ weights + bias)
        pull = -signs / (1 + np.exp(np.clip(margins, -500, 500)))
        slopes = np.append(features.T @ pull + penalty * weights, pull.sum())
        total = np.logaddexp(0, -margins).sum() + penalty / 2 * (weights @ weights)
        return float(total), slopes

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return found.x[:-1], float(found.x[-1])
