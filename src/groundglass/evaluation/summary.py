"""From slices to figures: averages by the name of their convention, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.scores import SliceScore
from groundglass.metrics import Overlap, averages, bootstrap_interval

Rows = NDArray[np.intp]
Statistic = Callable[[Rows], float | None]

MEANING = {
    "dice": "mean over slices at the card's threshold; 1 where both masks are empty",
    "dice_infected_only": "the same over slices with lesion",
    "dice_pooled": "all pixels together",
    "dice_per_patient": "pixels pooled in each patient or source, then the mean",
    "dice_mean256": "Inf-Net: mean over slices and 256 thresholds of each scaled map",
    "dice_max256": "Inf-Net: at the best of the 256 thresholds",
    "dice_adaptive": "Inf-Net: each scaled map cut at twice its mean",
    "dice_consolidation": "consolidation alone, all pixels together",
    "sensitivity": "mean over slices with lesion",
    "specificity": "mean over slices, background outside the lung included",
    "precision": "mean over slices with a mask",
    "sensitivity_mean256": "Inf-Net: mean over slices and thresholds",
    "specificity_mean256": "Inf-Net: mean over slices and thresholds",
    "mae": "mean absolute difference of probability and reference",
    "mae_binary": "share of pixels that differ",
    "mae_scaled": "Inf-Net: mean absolute difference of the scaled map",
    "hd95": "95 % outline distance in mm, or pixels without a spacing; mean where defined",
    "nsd": "share of the outlines within 2 mm, or pixels without a spacing",
    "percent_mae": "mean absolute error of the infected percentage of the lung",
    "percent_bias": "mean error of the infected percentage",
    "percent_loa_low": "lower limit of agreement: bias minus 1.96 standard deviations",
    "percent_loa_high": "upper limit of agreement",
    "percent_pc": "Pearson correlation of the infected percentages",
}
"""What every figure is."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its 95 % interval."""

    value: float | None
    """The figure; ``None`` where it is not defined."""
    low: float | None
    """Lower end; ``None`` with fewer than two patients or sources."""
    high: float | None
    """Upper end."""


def summarise(scores: Sequence[SliceScore], rounds: int = 2000, seed: int = 0) -> dict[str, Figure]:
    """Return every figure, intervals by drawing patients or sources with replacement.

    Parameters
    ----------
    scores : sequence of SliceScore
        At least one.
    rounds : int
        Draws of the bootstrap.
    seed : int
        Its seed.

    Raises
    ------
    ValueError
        If there are no slices.
    """
    if not scores:
        msg = "figures need at least one slice, found none"
        raise ValueError(msg)
    groups = [score.group for score in scores]
    found = {}
    for name, statistic in _statistics(scores).items():
        found[name] = _figure(statistic, groups, rounds, seed)
    found["dice_per_patient"] = _per_patient(scores, rounds, seed)
    return {name: found[name] for name in MEANING if name in found}


def _figure(statistic: Statistic, groups: Sequence[str], rounds: int, seed: int) -> Figure:
    value = statistic(np.arange(len(groups)))
    if value is None:
        return Figure(None, None, None)
    generator = np.random.default_rng(seed)
    low, high = bootstrap_interval(statistic, groups, generator, rounds) or (None, None)
    return Figure(value, low, high)


def _per_patient(scores: Sequence[SliceScore], rounds: int, seed: int) -> Figure:
    pooled: dict[str, Overlap] = {}
    for score in scores:
        pooled[score.group] = pooled.get(score.group, Overlap(0, 0, 0, 0)) + score.overlap
    dice = np.array([counts.dice for counts in pooled.values()])
    return _figure(_mean_of(dice), list(pooled), rounds, seed)


def _statistics(scores: Sequence[SliceScore]) -> dict[str, Statistic]:
    overlaps = [score.overlap for score in scores]
    curves = np.stack([score.curve for score in scores])
    counts = np.array([[o.tp, o.fp, o.fn] for o in overlaps], dtype=np.int64)
    ill = np.array([o.tp + o.fn > 0 for o in overlaps])
    dice = np.array([o.dice for o in overlaps])
    found: dict[str, Statistic] = {
        "dice": _mean_of(dice),
        "dice_infected_only": _mean_of(np.where(ill, dice, np.nan)),
        "dice_pooled": _pooled_of(counts),
        "dice_mean256": _mean_of(curves[:, 0].mean(1)),
        "dice_max256": _best_of(curves[:, 0]),
        "dice_adaptive": _mean_of(np.array([s.dice_adaptive for s in scores])),
        "sensitivity": _mean_of(_column([o.sensitivity for o in overlaps])),
        "specificity": _mean_of(_column([o.specificity for o in overlaps])),
        "precision": _mean_of(_column([o.precision for o in overlaps])),
        "sensitivity_mean256": _mean_of(curves[:, 1].mean(1)),
        "specificity_mean256": _mean_of(curves[:, 2].mean(1)),
        "mae": _mean_of(np.array([s.mae for s in scores])),
        "mae_binary": _mean_of(_column([o.mae for o in overlaps])),
        "mae_scaled": _mean_of(np.array([s.mae_scaled for s in scores])),
        "hd95": _mean_of(_column([s.hd95 for s in scores])),
        "nsd": _mean_of(np.array([s.nsd for s in scores])),
    }
    dense = [score.consolidation for score in scores]
    if all(one is not None for one in dense):
        known = [one for one in dense if one is not None]
        found["dice_consolidation"] = _pooled_of(np.array([[o.tp, o.fp, o.fn] for o in known]))
    return {**found, **_percent_statistics(scores)}


def _percent_statistics(scores: Sequence[SliceScore]) -> dict[str, Statistic]:
    truth = _column([score.percent_reference for score in scores])
    found = _column([score.percent_found for score in scores])
    error = found - truth
    return {
        "percent_mae": _mean_of(np.abs(error)),
        "percent_bias": _mean_of(error),
        "percent_loa_low": lambda rows: _limit(error[rows], -1.96),
        "percent_loa_high": lambda rows: _limit(error[rows], 1.96),
        "percent_pc": lambda rows: _pearson(truth[rows], found[rows]),
    }


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _mean_of(values: NDArray[np.float64]) -> Statistic:
    def mean(rows: Rows) -> float | None:
        chosen = values[rows]
        known = chosen[~np.isnan(chosen)]
        return float(known.mean()) if known.size else None

    return mean


def _pooled_of(counts: NDArray[np.int64]) -> Statistic:
    def pooled(rows: Rows) -> float | None:
        tp, fp, fn = (int(one) for one in counts[rows].sum(0))
        return Overlap(tp, fp, fn, 0).dice

    return pooled


def _best_of(curves: NDArray[np.float64]) -> Statistic:
    return lambda rows: float(curves[rows].mean(0).max())


def _limit(error: NDArray[np.float64], times: float) -> float | None:
    known = error[~np.isnan(error)]
    return float(known.mean() + times * known.std(ddof=1)) if known.size > 1 else None


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    known = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[known], other[known]
    if one.size < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def conventions(scores: Sequence[SliceScore]) -> dict[str, dict[str, float | int | None]]:
    """Return Dice, sensitivity, specificity and precision under the averages of ``metrics``."""
    found = averages([score.overlap for score in scores], [score.group for score in scores])
    return {
        name: {
            "count": one.count,
            "dice": one.dice,
            "sensitivity": one.sensitivity,
            "specificity": one.specificity,
            "precision": one.precision,
        }
        for name, one in found.items()
    }
