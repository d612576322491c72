"""The vote over ten epochs, as the published scripts count it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VOTERS = 10
"""Epochs, or views, that vote together."""


@dataclass(frozen=True, eq=False)
class Vote:
    """What a complete group of voters says."""

    first: int
    """Number of the group's first epoch."""
    classes: NDArray[np.int64]
    """(pictures,): 1 where more than half of the voters say 1. Five of ten is class 0."""
    scores: NDArray[np.float64]
    """(pictures,): mean probability of class 1."""


def ten_vote(predictions: NDArray[np.integer], scores: NDArray[np.floating]) -> list[Vote]:
    """Return a vote for each complete group of ten successive epochs.

    The published script also votes after its very first epoch, alone; that vote is always 0 and is
    left out here. Scores are probabilities, where the script averages raw logits by mistake. Class
    1 is COVID-19 in this project and the others in the scripts, so an even vote falls on the other
    side there; give them ``1 - predictions`` to reproduce it.

    Parameters
    ----------
    predictions : ndarray
        (epochs, pictures) of 0 and 1.
    scores : ndarray
        (epochs, pictures) probabilities of class 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if predictions.shape != scores.shape or predictions.ndim != 2:
        msg = f"as many scores as predictions needed, {scores.shape} and {predictions.shape} found"
        raise ValueError(msg)
    return [
        Vote(
            first,
            (predictions[first : first + VOTERS].sum(0) > VOTERS // 2).astype(np.int64),
            scores[first : first + VOTERS].mean(0),
        )
        for first in range(0, len(predictions) - VOTERS + 1, VOTERS)
    ]


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax of logits, (..., classes)."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True).astype(np.float64))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float64)


def last_vote(votes: Sequence[Vote]) -> Vote | None:
    """Return the vote that is reported: the last complete one."""
    return votes[-1] if votes else None
