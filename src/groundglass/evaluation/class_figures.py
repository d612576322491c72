"""Figures of classifiers of two classes: from answers to accuracy, AUC, F1 of both, calibration.

What is undefined is ``None`` and never 0 or NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.summary import Figure
from groundglass.metrics import bootstrap_interval, roc_auc

Rows = NDArray[np.intp]
Statistic = Callable[[Rows], float | None]

CALIBRATION_BINS = 10
CLASS_MEANING = {
    "accuracy": "share of pictures that are right, at the card's threshold",
    "auc": "chance that a COVID-19 picture scores higher than another one, ties counted half",
    "f1_covid": "F1 of COVID-19",
    "f1_noncovid": "F1 of the other pictures; what was published as F1 on COVID-CT",
    "f1_mean": "mean of the two",
    "sensitivity": "share of COVID-19 pictures found",
    "specificity": "share of other pictures that are right",
    "precision": "share of pictures called COVID-19 that are",
    "balanced_accuracy": "mean of sensitivity and specificity",
    "calibration_error": "mean distance of probability and frequency over ten bins",
    "brier": "mean squared distance of probability and class",
    "abstained": "share of pictures without a statement; they count above all the same",
}
"""What every figure is."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """What a model says about one picture."""

    name: str
    """Name of the picture."""
    group: str
    """Its patient or source."""
    covid: bool
    """Whether it is COVID-19."""
    chance: float
    """Probability of COVID-19 by the model, or any score that grows with it."""
    called: bool
    """Whether the model calls it COVID-19."""
    abstained: bool = False
    """Whether the model would make no statement on it."""
    stratum: str = ""
    """Series type or other part of the data set that is told apart; empty for none."""
    marks: tuple[str, ...] = ()
    """Further parts that are told apart."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Pictures by class and call."""

    tp: int
    """COVID-19, called so."""
    fp: int
    """Others, called COVID-19."""
    fn: int
    """COVID-19, called other."""
    tn: int
    """Others, called so."""

    @property
    def accuracy(self) -> float | None:
        """Share of pictures that are right."""
        return _share(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN); ``None`` without COVID-19."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP); ``None`` without others."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); ``None`` where nothing is called COVID-19."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def f1_covid(self) -> float | None:
        """2 TP / (2 TP + FP + FN); ``None`` without COVID-19 in pictures and calls."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def f1_noncovid(self) -> float | None:
        """2 TN / (2 TN + FP + FN); ``None`` without others in pictures and calls."""
        return _share(2 * self.tn, 2 * self.tn + self.fp + self.fn)

    @property
    def f1_mean(self) -> float | None:
        """Mean of both F1; ``None`` where one is not defined."""
        return _mean_of_two(self.f1_covid, self.f1_noncovid)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of sensitivity and specificity; ``None`` where one is not defined."""
        return _mean_of_two(self.sensitivity, self.specificity)


COUNTED = (
    "accuracy",
    "f1_covid",
    "f1_noncovid",
    "f1_mean",
    "sensitivity",
    "specificity",
    "precision",
    "balanced_accuracy",
)
"""Figures drawn from counts."""


def count_calls(covid: NDArray[np.bool_], called: NDArray[np.bool_]) -> ClassCounts:
    """Return how classes and calls fall together."""
    both = int(np.count_nonzero(covid & called))
    ill, found = int(np.count_nonzero(covid)), int(np.count_nonzero(called))
    return ClassCounts(both, found - both, ill - both, covid.size - ill - found + both)


def calibration_error(
    covid: NDArray[np.bool_], chance: NDArray[np.floating], bins: int = CALIBRATION_BINS
) -> float | None:
    """Return the mean distance of probability and frequency, bins weighted by their pictures.

    Parameters
    ----------
    covid : ndarray
        (pictures,) classes.
    chance : ndarray
        (pictures,) probabilities in 0..1.
    bins : int
        Equal parts of 0..1.

    Returns
    -------
    float or None
        In 0..1; ``None`` without pictures.
    """
    if not covid.size:
        return None
    place = np.minimum((chance * bins).astype(int), bins - 1)
    apart = np.bincount(place, weights=chance - covid, minlength=bins)
    return float(np.abs(apart).sum() / covid.size)


def summarise_classes(
    scores: Sequence[ClassScore],
    rounds: int = 2000,
    seed: int = 0,
    *,
    probabilities: bool = True,
) -> dict[str, Figure]:
    """Return every figure, intervals by drawing patients or sources with replacement.

    Parameters
    ----------
    scores : sequence of ClassScore
        At least one.
    rounds : int
        Draws of the bootstrap.
    seed : int
        Its seed.
    probabilities : bool
        Whether scores are probabilities; if not, calibration is left out.

    Raises
    ------
    ValueError
        If there are no pictures.
    """
    if not scores:
        msg = "figures need at least one picture, found none"
        raise ValueError(msg)
    groups = [score.group for score in scores]
    found = {}
    for name, statistic in _statistics(scores, probabilities=probabilities).items():
        value = statistic(np.arange(len(scores)))
        ends: tuple[float | None, float | None] = (None, None)
        if value is not None:
            generator = np.random.default_rng(seed)
            ends = bootstrap_interval(statistic, groups, generator, rounds) or ends
        found[name] = Figure(value, *ends)
    return {name: found[name] for name in CLASS_MEANING if name in found}


def _statistics(scores: Sequence[ClassScore], *, probabilities: bool) -> dict[str, Statistic]:
    covid = np.array([score.covid for score in scores])
    called = np.array([score.called for score in scores])
    chance = np.array([score.chance for score in scores], np.float64)
    away = np.array([score.abstained for score in scores])

    def counted(name: str) -> Statistic:
        def figure(rows: Rows) -> float | None:
            value: float | None = getattr(count_calls(covid[rows], called[rows]), name)
            return value

        return figure

    found: dict[str, Statistic] = {name: counted(name) for name in COUNTED}
    found["auc"] = lambda rows: roc_auc(covid[rows], chance[rows])
    if probabilities:
        found["calibration_error"] = lambda rows: calibration_error(covid[rows], chance[rows])
        found["brier"] = lambda rows: float(((chance[rows] - covid[rows]) ** 2).mean())
        found["abstained"] = lambda rows: float(away[rows].mean())
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean_of_two(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2
