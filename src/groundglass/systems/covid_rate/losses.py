"""Losses of COVID-Rate, over all pixels of a batch together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-7
"""Smallest distance of a Tversky index from 1: the slope of the power is infinite at 0."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss."""

    lesion_weight: float = 2.0
    """How much more a lesion pixel weighs in the cross-entropy; not published."""
    miss_weight: float = 0.7
    """Weight of missed lesion in the Tversky index; the rest goes to false lesion."""
    focus: float = 0.75
    """Exponent of the focal Tversky loss."""
    smooth: float = 1e-6
    """Added above and below in the Tversky index."""


def weighted_entropy(
    logits: Tensor, labels: Tensor, config: LossConfig, weights: Tensor | float = 1.0
) -> Tensor:
    """Return the mean over pixels of cross-entropy times ``1 + lesion_weight * label``."""
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (weights * entropy * (1 + config.lesion_weight * labels)).mean()


def tversky_index(
    shares: Tensor, labels: Tensor, config: LossConfig, weights: Tensor | float = 1.0
) -> Tensor:
    """Return the Tversky index of probabilities, all pixels together, in 0..1."""
    hit = (weights * shares * labels).sum()
    missed = (weights * (1 - shares) * labels).sum()
    wrong = (weights * shares * (1 - labels)).sum()
    weighted = config.miss_weight * missed + (1 - config.miss_weight) * wrong
    return (hit + config.smooth) / (hit + weighted + config.smooth)


def focal_tversky(
    shares: Tensor, labels: Tensor, config: LossConfig, weights: Tensor | float = 1.0
) -> Tensor:
    """Return ``(1 - Tversky index) ** focus``."""
    return (1 - tversky_index(shares, labels, config, weights)).clamp(min=LEAST).pow(config.focus)


def covid_rate_loss(
    logits: Tensor,
    labels: Tensor,
    config: LossConfig | None = None,
    weights: Tensor | float = 1.0,
) -> Tensor:
    """Return weighted cross-entropy plus focal Tversky loss.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape; labels 0 or 1.
    config : LossConfig, optional
    weights : Tensor or float
        Weight of every pixel, of a shape that fits.
    """
    config = config or LossConfig()
    shares = torch.sigmoid(logits)
    entropy = weighted_entropy(logits, labels, config, weights)
    return entropy + focal_tversky(shares, labels, config, weights)
