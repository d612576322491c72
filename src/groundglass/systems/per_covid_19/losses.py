"""Losses of percentages: squared, Huber, and Huber whose threshold falls from epoch to epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor


class Loss(StrEnum):
    """Which loss."""

    MSE = "mse"
    """Mean squared error."""
    HUBER = "huber"
    """Huber's with a fixed threshold."""
    DYNAMIC_HUBER = "dynamic-huber"
    """Huber's with a threshold that falls by half a cosine."""


@dataclass(frozen=True)
class LossConfig:
    """Thresholds in percentage points."""

    highest: float = 15.0
    """Threshold that ``dynamic-huber`` falls from."""
    lowest: float = 1.0
    """Threshold that it falls to in the last epoch."""
    fixed: float = 5.0
    """Threshold of ``huber``; not published."""


def dynamic_beta(epoch: int, epochs: int, config: LossConfig | None = None) -> float:
    """Return the threshold of ``dynamic-huber`` in an epoch.

    Parameters
    ----------
    epoch : int
        From 0.
    epochs : int
        How many there are.
    config : LossConfig, optional
    """
    config = config or LossConfig()
    share = (1 + math.cos(math.pi * (epoch + 1) / epochs)) / 2
    return config.lowest + (config.highest - config.lowest) * share


def squared(answers: Tensor, percents: Tensor) -> Tensor:
    """Return the mean squared error."""
    return (answers - percents).square().mean()


def huber(answers: Tensor, percents: Tensor, beta: float) -> Tensor:
    """Return Huber's loss: half the square up to a threshold, a line of slope ``beta`` beyond.

    Parameters
    ----------
    answers, percents : Tensor
        Of one shape.
    beta : float
        Threshold.
    """
    size = (answers - percents).abs()
    inside = 0.5 * size.square()
    return inside.where(size <= beta, beta * size - 0.5 * beta**2).mean()


def percent_loss(  # noqa: PLR0913, PLR0917 - the parts of a loss that changes from epoch to epoch
    loss: Loss,
    answers: Tensor,
    percents: Tensor,
    epoch: int,
    epochs: int,
    config: LossConfig | None = None,
    *,
    relative: bool = False,
) -> Tensor:
    """Return the loss asked for.

    Parameters
    ----------
    loss : Loss
        Which.
    answers, percents : Tensor
        Of one shape.
    epoch : int
        From 0; a step where the threshold falls from step to step.
    epochs : int
        How many there are.
    config : LossConfig, optional
    relative : bool
        Divide Huber's loss by its threshold, so that far errors pull alike whatever it is.
    """
    config = config or LossConfig()
    if loss is Loss.MSE:
        return squared(answers, percents)
    fixed = loss is Loss.HUBER
    beta = config.fixed if fixed else dynamic_beta(min(epoch, epochs - 1), epochs, config)
    return huber(answers, percents, beta) / (beta if relative else 1.0)
