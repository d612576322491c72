"""From slices to a patient: the published vote, and plain averages beside it.

Classes are 0 normal, 1 pneumonia (CAP), 2 COVID-19, as in the published network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.datasets.patients import CLASSES

NORMAL, CAP, COVID = range(3)
UNDETERMINED = "undetermined"
"""The statement where no slice votes."""
MIDDLE_WEIGHT, OUTER_ILL_WEIGHT, OUTER_NORMAL_WEIGHT = 1.0, 0.7, 0.5
"""Vote of a slice in the middle third, and of one above or below it."""
ILL_SHARE = 0.75
"""Infected votes from which a patient is ill, as a share of the normal ones."""


@dataclass(frozen=True)
class Decision:
    """What slices say about a patient."""

    label: str
    """One of the classes, or ``undetermined``."""
    shares: Mapping[str, float]
    """By class, summing to one; empty where undetermined."""


@dataclass(frozen=True)
class Votes:
    """Weighted votes of a patient's slices."""

    normal: float
    """Votes for normal."""
    cap: float
    """Votes for pneumonia."""
    covid: float
    """Votes for COVID-19."""


def count_votes(classes: ArrayLike) -> Votes:
    """Return the weighted votes of slices.

    Parameters
    ----------
    classes : array_like
        Class of every slice that votes, in anatomical order.
    """
    chosen = np.asarray(classes, dtype=np.intp).ravel()
    third = chosen.size // 3
    place = np.arange(chosen.size)
    middle = (place >= third) & (place < 2 * third)
    outer = np.where(chosen == NORMAL, OUTER_NORMAL_WEIGHT, OUTER_ILL_WEIGHT)
    totals = np.bincount(chosen, np.where(middle, MIDDLE_WEIGHT, outer), minlength=3)
    # Sums of 0.7 are rounded, so that ties stay ties.
    return Votes(*(round(float(total), 9) for total in totals))


def smoothed_votes(classes: ArrayLike) -> NDArray[np.float64]:
    """Return votes as shares with half a vote more for each class, so that none is 0.

    Parameters
    ----------
    classes : array_like
        Class of every slice that votes, in anatomical order.

    Returns
    -------
    ndarray
        (1, 3), summing to one; (0, 3) without slices.
    """
    votes = count_votes(classes)
    found = np.array([[votes.normal, votes.cap, votes.covid]])
    return (found + 0.5) / (found.sum() + 1.5) if found.sum() else np.zeros((0, 3))


def decide_by_vote(
    classes: ArrayLike, *, two_classes: bool = False, temperature: float | None = None
) -> Decision:
    """Return the published decision: normal wins only where infected votes are few.

    Parameters
    ----------
    classes : array_like
        Class of every slice that votes, in anatomical order.
    two_classes : bool
        Whether the data set knows COVID-19 and normal alone; pneumonia then counts as COVID-19.
    temperature : float, optional
        Calibration of the shares, which are plain votes without; the label does not depend on it.

    Returns
    -------
    Decision
        ``undetermined`` without slices; the published code says COVID-19 then.
    """
    chosen = np.asarray(classes, dtype=np.intp).ravel()
    if not chosen.size:
        return Decision(UNDETERMINED, {})
    votes = count_votes(chosen)
    total = votes.normal + votes.cap + votes.covid
    shares = np.array([votes.normal, votes.cap, votes.covid]) / total
    if temperature is not None:
        shares = softened(smoothed_votes(chosen), temperature)[0]
    label = CLASSES[_winner(votes)]
    if two_classes:
        label = CLASSES[COVID] if label == CLASSES[CAP] else label
        shares = np.array([shares[NORMAL], 0.0, shares[CAP] + shares[COVID]])
    return Decision(label, dict(zip(CLASSES, shares.tolist(), strict=True)))


def _winner(votes: Votes) -> int:
    if votes.covid >= votes.normal and votes.covid >= votes.cap:
        return COVID
    if votes.cap > votes.covid and votes.cap > votes.normal:
        return CAP
    if votes.covid + votes.cap >= ILL_SHARE * votes.normal:
        return COVID if votes.covid >= votes.cap else CAP
    return NORMAL


def decide_by_mean(
    probabilities: NDArray[np.floating], temperature: float = 1.0, *, two_classes: bool = False
) -> Decision:
    """Return the decision of the mean of all slices' probabilities.

    Parameters
    ----------
    probabilities : ndarray
        (slices, 3).
    temperature : float
        Calibration: logarithms are divided by it before the mean; above 1 makes answers milder.
    two_classes : bool
        Whether the data set knows COVID-19 and normal alone.
    """
    if not len(probabilities):
        return Decision(UNDETERMINED, {})
    return decide(softened(probabilities, temperature).mean(axis=0), two_classes=two_classes)


def pooled(scores: NDArray[np.floating], logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities of attention over slices, (1, 3); (0, 3) without slices.

    Parameters
    ----------
    scores : ndarray
        (slices,): how much each slice counts, before the softmax over slices.
    logits : ndarray
        (slices, 3): what each says.
    """
    if not len(scores):
        return np.zeros((0, 3))
    weights = np.exp(np.asarray(scores, dtype=np.float64) - float(np.max(scores)))
    total = (weights / weights.sum()) @ np.asarray(logits, dtype=np.float64)
    shares = np.exp(total - total.max())
    return np.asarray(shares / shares.sum())[None]


def softened(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return probabilities at a temperature, shape (slices, 3)."""
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), 1e-12)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def decide(shares: NDArray[np.floating], *, two_classes: bool = False) -> Decision:
    """Return the class of the largest share, a tie going to the more serious one."""
    found = np.asarray(shares, dtype=np.float64)
    if two_classes:
        found = np.array([found[NORMAL], 0.0, found[CAP] + found[COVID]])
    found = found / found.sum()
    best = len(CLASSES) - 1 - int(np.argmax(found[::-1]))
    return Decision(CLASSES[best], dict(zip(CLASSES, found.tolist(), strict=True)))
