"""What a trained classifier is exported as: probabilities, features, and where they come from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS = ("probabilities", "features", "attention")
"""Names of the exported outputs; the last two for classifiers whose head is linear."""


class Answers(nn.Module):
    """A classifier whose logits are divided by a temperature and become probabilities.

    Call ``eval()`` on this outermost module before it is exported.

    Parameters
    ----------
    network : nn.Module
        Answers logits, (pictures, labels).
    temperature : float
        What makes the probabilities fit the frequencies on validation pictures; 1 for nothing.
    """

    outputs: tuple[str, ...] = OUTPUTS[:1]

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, pictures: Tensor) -> Tensor:
        """Return probabilities, (pictures, labels), that add up to 1."""
        return functional.softmax(self.network(pictures) / self.temperature, dim=1)


class PooledAnswers(Answers):
    """A classifier with a linear head over the mean of its last maps, which can say where.

    Such a logit is a sum over places: the maps of a place weighted by the head, divided by the
    number of places, plus the bias. These summands are the attention. They are Grad-CAM before its
    ReLU: the mean gradient of the logit by a map is the head's weight over the number of places.
    With maps of two scales they are the sum of both, the coarse ones spread evenly.

    Parameters
    ----------
    network : nn.Module
        Has ``maps``, which answers maps of one or several scales, finest first and each a whole
        times as large as the next, and the linear layer ``classifier``.
    temperature : float
        As in `Answers`.
    """

    outputs = OUTPUTS

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities, features and attention.

        Returns
        -------
        probabilities : Tensor
            (pictures, labels), adding up to 1.
        features : Tensor
            (pictures, maps), the mean of each of the last maps.
        attention : Tensor
            (pictures, labels, rows, columns) of the last maps: what each place adds to a label's
            logit, divided by the temperature.
        """
        maps = self.network.maps(pictures)
        levels: tuple[Tensor, ...] = maps if isinstance(maps, tuple) else (maps,)
        head: nn.Linear = self.network.classifier
        features = torch.cat([level.mean((2, 3)) for level in levels], 1)
        logits = head(features) / self.temperature
        weights = head.weight.split([level.shape[1] for level in levels], 1)
        rows, columns = levels[0].shape[2:]
        attention = torch.zeros_like(levels[0][:, : len(head.weight)])
        for level, weight in zip(levels, weights, strict=True):
            added = functional.conv2d(level, weight[:, :, None, None])
            attention = attention + functional.interpolate(added, size=(rows, columns))
        attention = attention / (rows * columns * self.temperature)
        return functional.softmax(logits, dim=1), features, attention


def answers_of(network: nn.Module, temperature: float = 1.0) -> Answers:
    """Return what is exported of a classifier; with attention if its head is linear."""
    pooled = hasattr(network, "maps") and isinstance(
        getattr(network, "classifier", None), nn.Linear
    )
    return PooledAnswers(network, temperature) if pooled else Answers(network, temperature)
