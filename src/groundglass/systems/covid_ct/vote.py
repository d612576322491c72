"""The vote over ten epochs, as the published scripts count it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.metrics import roc_auc

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


def vote_rows(
    answers: Sequence[NDArray[np.floating]], targets: NDArray[np.floating]
) -> list[dict[str, float | int | None]]:
    """Return the figures of the vote of each complete group of ten passes.

    Counted as in the published scripts, where class 1 is the other pictures: five of ten call
    COVID-19.

    Parameters
    ----------
    answers : sequence of ndarray
        (pictures, 2) logits of other and COVID-19, one array a pass.
    targets : ndarray
        (pictures,) 1 for COVID-19.
    """
    if len(answers) == 0:
        return []
    other = probabilities(np.stack(answers))[..., 0]
    truth = np.asarray(targets) == 0
    return [
        {
            "first_pass": vote.first,
            "last_pass": vote.first + VOTERS - 1,
            "pictures": int(truth.size),
            "accuracy": float(np.mean((vote.classes == 1) == truth)),
            "auc": roc_auc(truth, vote.scores),
            "f1_noncovid": _f1(truth, vote.classes == 1),
            "f1_covid": _f1(~truth, vote.classes == 0),
        }
        for vote in ten_vote((other > 0.5).astype(np.int64), other)
    ]


def _f1(truth: NDArray[np.bool_], called: NDArray[np.bool_]) -> float | None:
    """Return 2 TP / (2 TP + FP + FN); ``None`` where there is none, called or true."""
    total = int(truth.sum() + called.sum())
    return 2 * int((truth & called).sum()) / total if total else None
