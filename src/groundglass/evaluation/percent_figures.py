"""Figures of percentages by slice and by subject, with intervals by drawing subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.summary import Figure

Numbers = NDArray[np.float64]

MEANING = {
    "slice_mae": "mean absolute error of slices, in percentage points",
    "slice_rmse": "root of the mean squared error of slices",
    "slice_pc": "Pearson correlation of slices; none where a side does not vary",
    "subject_mae": "the same of subjects, each the mean of its slices",
    "subject_rmse": "root of the mean squared error of subjects",
    "subject_pc": "Pearson correlation of subjects",
    "slice_bias": "mean error of slices",
    "subject_bias": "mean error of subjects",
    "subject_loa_low": "lower limit of agreement: bias minus 1.96 standard deviations",
    "subject_loa_high": "upper limit of agreement",
    "mae_normal": "mean absolute error of slices read as 0 %",
    "mae_minimal": "of slices above 0 and below 10 %",
    "mae_moderate": "of slices from 10 to 25 %",
    "mae_extent": "of slices above 25, up to 50 %",
    "mae_severe": "of slices above 50, up to 75 %",
    "mae_critical": "of slices above 75 %",
}
"""What every figure is."""
MAIN = ("slice_mae", "slice_rmse", "slice_pc", "subject_mae", "subject_rmse", "subject_pc")
"""The figures that are published."""
SEVERITIES = ("normal", "minimal", "moderate", "extent", "severe", "critical")
"""Bins of the percentage, as the paper names them; where they overlap there, ours."""


@dataclass(frozen=True, slots=True)
class PercentScore:
    """What was found and what radiologists read in one slice."""

    name: str
    """Name of the slice."""
    group: str
    """Its subject."""
    fold: int | None
    """Fold of the data set's own split."""
    reference: float
    """Percentage as read by radiologists."""
    found: float
    """Percentage as the model answers, not clipped."""


def severity_of(percent: float) -> str:
    """Return the bin of a percentage."""
    if percent <= 0:
        return SEVERITIES[0]
    place = 1 + (percent >= 10) + (percent > 25) + (percent > 50) + (percent > 75)
    return SEVERITIES[place]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the slices of each subject; figures are functions of their totals."""

    count: Numbers
    absolute: Numbers
    error: Numbers
    squared: Numbers
    found: Numbers
    reference: Numbers
    found_squared: Numbers
    reference_squared: Numbers
    product: Numbers

    def drawn(self, times: Numbers) -> _Sums:
        """Return totals with each subject taken a number of times; ``times`` (draws, subjects)."""
        return _Sums(*(times @ getattr(self, name) for name in self.__dataclass_fields__))

    def mae(self) -> Numbers:
        return _divided(self.absolute, self.count)

    def rmse(self) -> Numbers:
        return np.asarray(np.sqrt(_divided(self.squared, self.count)))

    def bias(self) -> Numbers:
        return _divided(self.error, self.count)

    def spread(self) -> Numbers:
        """Return the standard deviation of the error."""
        inside = self.squared - _divided(self.error**2, self.count)
        return np.asarray(np.sqrt(np.maximum(_divided(inside, self.count - 1), 0)))

    def correlation(self) -> Numbers:
        own = self.found_squared - _divided(self.found**2, self.count)
        other = self.reference_squared - _divided(self.reference**2, self.count)
        both = self.product - _divided(self.found * self.reference, self.count)
        flat = (own <= 1e-9 * np.maximum(self.found_squared, 1)) | (
            other <= 1e-9 * np.maximum(self.reference_squared, 1)
        )
        root = np.sqrt(np.maximum(own, 0) * np.maximum(other, 0))
        return np.where(flat, np.nan, _divided(both, np.where(flat, 1, root)))


def _divided(one: Numbers, other: Numbers) -> Numbers:
    return np.asarray(np.divide(one, other, out=np.full(np.shape(one), np.nan), where=other > 0))


def _sums(found: Numbers, reference: Numbers, owner: NDArray[np.intp], subjects: int) -> _Sums:
    error = found - reference
    columns = (
        np.ones(len(found)),
        np.abs(error),
        error,
        error**2,
        found,
        reference,
        found**2,
        reference**2,
        found * reference,
    )
    return _Sums(*(np.bincount(owner, column, subjects).astype(np.float64) for column in columns))


def subject_means(scores: Sequence[PercentScore]) -> list[PercentScore]:
    """Return one score for each subject: the means of its slices."""
    members: dict[str, list[PercentScore]] = {}
    for score in scores:
        members.setdefault(score.group, []).append(score)
    return [
        PercentScore(
            group,
            group,
            own[0].fold,
            float(np.mean([one.reference for one in own])),
            float(np.mean([one.found for one in own])),
        )
        for group, own in members.items()
    ]


def percent_figures(
    scores: Sequence[PercentScore], rounds: int = 2000, seed: int = 0
) -> dict[str, Figure]:
    """Return every figure, intervals by drawing subjects with replacement.

    Parameters
    ----------
    scores : sequence of PercentScore
        At least one.
    rounds : int
        Draws of the bootstrap; 0 for figures without intervals.
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
    names = list(dict.fromkeys(score.group for score in scores))
    times = np.ones((1, len(names)))
    if rounds and len(names) > 1:
        drawn = np.random.default_rng(seed).integers(len(names), size=(rounds, len(names)))
        counts = [np.bincount(row, minlength=len(names)) for row in drawn]
        times = np.concatenate([times, np.array(counts, np.float64)])
    values = _all_figures(scores, names, times)
    return {name: _figure(values[name]) for name in MEANING}


def _all_figures(
    scores: Sequence[PercentScore], names: Sequence[str], times: Numbers
) -> dict[str, Numbers]:
    """Return figures by name, the first of each over all subjects, the others of the draws."""
    place = {name: index for index, name in enumerate(names)}
    owner = np.array([place[score.group] for score in scores])
    found = np.array([score.found for score in scores])
    reference = np.array([score.reference for score in scores])
    values: dict[str, Numbers] = {}
    means = subject_means(scores)
    persons = (np.array([one.found for one in means]), np.array([one.reference for one in means]))
    for level, pair, whose in (
        ("slice", (found, reference), owner),
        ("subject", persons, np.arange(len(names))),
    ):
        total = _sums(*pair, whose, len(names)).drawn(times)
        values |= {
            f"{level}_mae": total.mae(),
            f"{level}_rmse": total.rmse(),
            f"{level}_pc": total.correlation(),
            f"{level}_bias": total.bias(),
            f"{level}_loa_low": total.bias() - 1.96 * total.spread(),
            f"{level}_loa_high": total.bias() + 1.96 * total.spread(),
        }
    bins = np.array([severity_of(score.reference) for score in scores])
    for name in SEVERITIES:
        inside = bins == name
        part = _sums(found[inside], reference[inside], owner[inside], len(names))
        values[f"mae_{name}"] = part.drawn(times).mae()
    return values


def _figure(values: Numbers) -> Figure:
    """Return a figure with the interval of its draws."""
    if np.isnan(values[0]):
        return Figure(None, None, None)
    known = values[1:][~np.isnan(values[1:])]
    if not known.size:
        return Figure(float(values[0]), None, None)
    low, high = np.quantile(known, [0.025, 0.975])
    return Figure(float(values[0]), float(low), float(high))


def fold_figures(scores: Sequence[PercentScore]) -> dict[str, dict[str, float | None]]:
    """Return the main figures of each fold and their mean over folds; empty without two folds."""
    folds = sorted({score.fold for score in scores if score.fold is not None})
    if len(folds) < 2:
        return {}
    found: dict[str, dict[str, float | None]] = {}
    for fold in folds:
        figures = percent_figures([score for score in scores if score.fold == fold], rounds=0)
        found[f"fold {fold}"] = {name: figures[name].value for name in MAIN}
    rows = list(found.values())
    found["mean of folds"] = {name: _mean([row[name] for row in rows]) for name in MAIN}
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; ``None`` where one value is not defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
