"""Agreement of two ratings of the same patients: a score and its reference.

Points are numbers; the weighted kappas need whole ones, as they compare categories. What cannot be
told (a constant rating has no correlation) is ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from groundglass.evaluation.summary import Figure
from groundglass.metrics import bootstrap_interval

Float = NDArray[np.float64]
LIMIT_DEVIATIONS = 1.96
"""Standard deviations between bias and limit of agreement."""

MEANING = {
    "pearson": "correlation",
    "spearman": "rank correlation",
    "mae": "mean absolute difference in points",
    "rmse": "root of the mean squared difference in points",
    "bias": "mean difference, score minus reference, in points",
    "limit_low": "lower 95 % limit of agreement: bias minus 1.96 standard deviations",
    "limit_high": "upper 95 % limit of agreement",
    "kappa_linear": "weighted kappa, weights falling with the difference; whole points only",
    "kappa_quadratic": "weighted kappa, weights falling with the squared difference",
    "concordance": "Lin's concordance correlation",
    "icc21": "intraclass correlation of single ratings, two-way random, absolute agreement",
    "within_1": "share of patients at most 1 point apart",
    "within_2": "share of patients at most 2 points apart",
}
"""What every figure is."""


@dataclass(frozen=True)
class Agreement:
    """How two ratings of the same patients agree."""

    count: int
    """Patients."""
    figures: Mapping[str, Figure]
    """By name, see ``MEANING``."""
    patients_within: Mapping[int, int]
    """Patients at most 1 and 2 points apart."""


def agreement(
    reference: Sequence[float], score: Sequence[float], rounds: int = 2000, seed: int = 0
) -> Agreement:
    """Return how a score agrees with its reference, intervals by drawing patients.

    Parameters
    ----------
    reference, score : sequence of float
        Of the same patients in the same order; finite.
    rounds : int
        Draws of the bootstrap.
    seed : int
        Its seed.

    Raises
    ------
    ValueError
        If the lengths differ, there are no patients, or a number is not finite.
    """
    truth, found = np.asarray(reference, float), np.asarray(score, float)
    if truth.shape != found.shape or truth.ndim != 1 or not truth.size:
        msg = f"two ratings of the same patients are needed, found {truth.size} and {found.size}"
        raise ValueError(msg)
    if not (np.isfinite(truth).all() and np.isfinite(found).all()):
        msg = "ratings need finite numbers"
        raise ValueError(msg)
    patients = range(truth.size)
    figures = {}
    for name, statistic in STATISTICS.items():

        def of(rows: NDArray[np.intp], statistic: Statistic = statistic) -> float | None:
            return statistic(truth[rows], found[rows])

        value = statistic(truth, found)
        span = None
        if value is not None and rounds:
            span = bootstrap_interval(of, patients, np.random.default_rng(seed), rounds)
        figures[name] = Figure(value, *(span or (None, None)))
    away = np.abs(found - truth)
    within = {points: int((away <= points).sum()) for points in (1, 2)}
    return Agreement(int(truth.size), figures, within)


def concordance(reference: Float, score: Float) -> float | None:
    """Return Lin's concordance correlation; ``None`` where both ratings are the same constant.

    References
    ----------
    .. [1] Lin. "A concordance correlation coefficient to evaluate reproducibility." Biometrics
       45(1), 1989. doi 10.2307/2532051
    """
    apart = float(reference.var() + score.var() + (reference.mean() - score.mean()) ** 2)
    if apart == 0:
        return None
    shared = float(((reference - reference.mean()) * (score - score.mean())).mean())
    return 2 * shared / apart


def icc21(ratings: ArrayLike) -> float | None:
    """Return ICC(2,1): single ratings, two-way random effects, absolute agreement.

    Parameters
    ----------
    ratings : array_like
        (patients, raters).

    Returns
    -------
    float or None
        ``None`` with fewer than two patients or raters, or where all ratings are equal.

    References
    ----------
    .. [1] Shrout, Fleiss. "Intraclass correlations: uses in assessing rater reliability."
       Psychological Bulletin 86(2), 1979. doi 10.1037/0033-2909.86.2.420
    """
    table = np.asarray(ratings, dtype=np.float64)
    patients, raters = table.shape
    if patients < 2 or raters < 2:
        return None
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    between = raters * float(((rows - grand) ** 2).sum()) / (patients - 1)
    judges = patients * float(((columns - grand) ** 2).sum()) / (raters - 1)
    rest = table - rows[:, None] - columns + grand
    error = float((rest**2).sum()) / ((patients - 1) * (raters - 1))
    whole = between + (raters - 1) * error + raters * (judges - error) / patients
    return None if whole == 0 else (between - error) / whole


def weighted_kappa(reference: Float, score: Float, power: int) -> float | None:
    """Return Cohen's kappa with weights that fall with the difference to a power.

    Parameters
    ----------
    reference, score : ndarray
        Whole points.
    power : int
        1 for linear, 2 for quadratic weights.

    Returns
    -------
    float or None
        ``None`` where points are not whole, or both ratings are the same constant.
    """
    if (np.rint(reference) != reference).any() or (np.rint(score) != score).any():
        return None
    observed = float((np.abs(reference - score) ** power).mean())
    expected = float((np.abs(reference[:, None] - score) ** power).mean())
    return None if expected == 0 else 1 - observed / expected


def _pearson(reference: Float, score: Float) -> float | None:
    if reference.size < 2 or np.ptp(reference) == 0 or np.ptp(score) == 0:
        return None
    return float(np.corrcoef(reference, score)[0, 1])


def _spearman(reference: Float, score: Float) -> float | None:
    return _pearson(rankdata(reference), rankdata(score))


def _limit(reference: Float, score: Float, sign: int) -> float | None:
    gap = score - reference
    if gap.size < 2:
        return None
    return float(gap.mean() + sign * LIMIT_DEVIATIONS * gap.std(ddof=1))


Statistic = Callable[[Float, Float], float | None]
STATISTICS: dict[str, Statistic] = {
    "pearson": _pearson,
    "spearman": _spearman,
    "mae": lambda one, other: float(np.abs(other - one).mean()),
    "rmse": lambda one, other: float(np.sqrt(((other - one) ** 2).mean())),
    "bias": lambda one, other: float((other - one).mean()),
    "limit_low": lambda one, other: _limit(one, other, -1),
    "limit_high": lambda one, other: _limit(one, other, 1),
    "kappa_linear": lambda one, other: weighted_kappa(one, other, 1),
    "kappa_quadratic": lambda one, other: weighted_kappa(one, other, 2),
    "concordance": concordance,
    "icc21": lambda one, other: icc21(np.stack([one, other], axis=1)),
    "within_1": lambda one, other: float((np.abs(other - one) <= 1).mean()),
    "within_2": lambda one, other: float((np.abs(other - one) <= 2).mean()),
}
"""Every figure as a function of reference and score."""
