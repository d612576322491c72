"""Agreement of masks and scores with a reference, the empty cases stated, averages by name.

What is undefined is ``None`` and never 0 or NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

THRESHOLDS = np.linspace(1.0, 0.0, 256)
"""The 256 thresholds of Inf-Net's evaluation."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of a mask against its reference, and the measures drawn from them."""

    tp: int
    """Pixels in both."""
    fp: int
    """Pixels in the mask alone."""
    fn: int
    """Pixels in the reference alone."""
    tn: int
    """Pixels in neither."""

    def __add__(self, other: Overlap) -> Overlap:
        """Return the counts of both taken together."""
        return Overlap(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where both are empty, 0 where one alone is."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN); 1 where both are empty."""
        return self.dice / (2 - self.dice)

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN); ``None`` for an empty reference."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP); ``None`` where the reference covers everything."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); ``None`` for an empty mask."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> float | None:
        """Share of equal pixels; ``None`` without pixels."""
        return _share(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def mae(self) -> float | None:
        """Mean absolute difference of the binary masks: the share of unequal pixels."""
        accuracy = self.accuracy
        return None if accuracy is None else 1 - accuracy

    @property
    def mcc(self) -> float | None:
        """Matthews correlation; ``None`` where mask or reference is constant."""
        sides = (self.tp + self.fp, self.tp + self.fn, self.tn + self.fp, self.tn + self.fn)
        if 0 in sides:
            return None
        root = float(np.prod(np.sqrt(np.array(sides, dtype=np.float64))))
        return (self.tp * self.tn - self.fp * self.fn) / root


def overlap(prediction: ArrayLike, reference: ArrayLike) -> Overlap:
    """Count how a mask and its reference overlap.

    Parameters
    ----------
    prediction, reference : array_like
        Masks of one shape; every non-zero value counts as inside.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    mask, truth = np.asarray(prediction) != 0, np.asarray(reference) != 0
    if mask.shape != truth.shape:
        msg = f"a mask and its reference need one shape, found {mask.shape} and {truth.shape}"
        raise ValueError(msg)
    both = int(np.count_nonzero(mask & truth))
    found, wanted = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
    return Overlap(both, found - both, wanted - both, mask.size - found - wanted + both)


@dataclass(frozen=True, slots=True)
class Average:
    """Means under one convention."""

    name: str
    """Name of the convention."""
    count: int
    """Slices or patients that entered; for ``pooled``, slices."""
    dice: float | None
    """Mean Dice; ``None`` where nothing entered."""
    sensitivity: float | None
    """Mean sensitivity over the entries that have one; under ``legacy`` 0 without a reference."""
    specificity: float | None
    """Mean specificity over the entries that have one."""
    precision: float | None
    """Mean precision over the entries that have one."""


AVERAGES = ("legacy", "slice_mean", "infected_only", "per_patient", "pooled")
"""The five conventions, see ``averages``."""


def averages(slices: Sequence[Overlap], patients: Sequence[Hashable]) -> dict[str, Average]:
    """Average slice overlaps in the five ways in use; they differ more than most methods do.

    Parameters
    ----------
    slices : sequence of Overlap
        One per slice.
    patients : sequence
        The patient of each slice.

    Returns
    -------
    dict
        ``legacy``: slices with a non-empty mask only, as the published code does, so that missed
        slices drop out; ``slice_mean``: all slices, both empty counts 1; ``infected_only``: slices
        with a non-empty reference; ``per_patient``: counts pooled in each patient, then the mean;
        ``pooled``: all counts together.

    Raises
    ------
    ValueError
        If the two sequences differ in length.
    """
    by_patient: dict[Hashable, Overlap] = {}
    for one, patient in zip(slices, patients, strict=True):
        by_patient[patient] = by_patient.get(patient, Overlap(0, 0, 0, 0)) + one
    entries: dict[str, list[Overlap]] = {
        "legacy": [s for s in slices if s.tp + s.fp],
        "slice_mean": list(slices),
        "infected_only": [s for s in slices if s.tp + s.fn],
        "per_patient": list(by_patient.values()),
        "pooled": [sum(slices, Overlap(0, 0, 0, 0))] if slices else [],
    }
    found = {name: _average(name, members) for name, members in entries.items()}
    pooled = found["pooled"]
    found["pooled"] = Average(
        "pooled", len(slices), pooled.dice, pooled.sensitivity, pooled.specificity, pooled.precision
    )
    return found


def _average(name: str, members: Sequence[Overlap]) -> Average:
    sensitivities = [m.sensitivity for m in members]
    if name == "legacy":
        sensitivities = [0.0 if s is None else s for s in sensitivities]
    return Average(
        name,
        len(members),
        _mean([m.dice for m in members]),
        _mean(sensitivities),
        _mean([m.specificity for m in members]),
        _mean([m.precision for m in members]),
    )


@dataclass(frozen=True, slots=True)
class InfNetScores:
    """Inf-Net's measures over a set of maps."""

    dice_mean: float
    """Mean over the 256 thresholds of the mean over images."""
    dice_max: float
    """At the best threshold."""
    dice_adaptive: float
    """Each map cut at twice its mean."""
    sensitivity_mean: float
    """Mean over images and thresholds."""
    specificity_mean: float
    """Mean over images and thresholds."""
    mae: float
    """Mean absolute difference of scaled maps and references."""


def infnet_scores(
    maps: Sequence[NDArray[np.floating]], references: Sequence[NDArray[np.bool_]]
) -> InfNetScores:
    """Return the measures as the evaluation toolbox of Inf-Net draws them.

    Every map is scaled to [0, 1] by its own minimum and maximum (a constant map is only clipped).
    At each threshold all measures are 0 where the mask misses the reference altogether.

    Parameters
    ----------
    maps : sequence of ndarray
        Soft or binary maps, finite.
    references : sequence of ndarray
        Masks of the same shapes.

    Raises
    ------
    ValueError
        If there are no maps, or their number or shapes do not fit the references.

    References
    ----------
    .. [1] Fan et al. "Inf-Net: Automatic COVID-19 lung infection segmentation from CT images." IEEE
       Transactions on Medical Imaging 39(8), 2020. doi 10.1109/TMI.2020.2996645
    """
    if not maps:
        msg = "at least one map is needed, found none"
        raise ValueError(msg)
    curves, adaptive, errors = [], [], []
    for values, reference in zip(maps, references, strict=True):
        scaled = _scaled(values)
        if scaled.shape != reference.shape:
            msg = f"map and reference need one shape, found {scaled.shape} and {reference.shape}"
            raise ValueError(msg)
        curves.append(_threshold_curve(scaled, reference, THRESHOLDS))
        cut = min(2 * float(scaled.mean()), 1.0)
        adaptive.append(_threshold_curve(scaled, reference, np.array([cut]))[0, 0])
        errors.append(float(np.abs(scaled - reference).mean()))
    by_threshold = np.mean(curves, axis=0)
    return InfNetScores(
        dice_mean=float(by_threshold[0].mean()),
        dice_max=float(by_threshold[0].max()),
        dice_adaptive=float(np.mean(adaptive)),
        sensitivity_mean=float(by_threshold[1].mean()),
        specificity_mean=float(by_threshold[2].mean()),
        mae=float(np.mean(errors)),
    )


def infnet_curve(values: NDArray[np.floating], reference: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return Dice, sensitivity and specificity of one map at the 256 thresholds.

    Parameters
    ----------
    values : ndarray
        A soft or binary map, finite; scaled as in ``infnet_scores``.
    reference : ndarray
        Mask of the same shape.

    Returns
    -------
    ndarray
        (3, 256), thresholds falling from 1 to 0; 0 wherever mask and reference do not meet.
    """
    return _threshold_curve(_scaled(values), reference, THRESHOLDS)


def _scaled(values: NDArray[np.floating]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    low, high = float(array.min()), float(array.max())
    return (array - low) / (high - low) if high > low else np.clip(array, 0, 1)


def _threshold_curve(
    scaled: NDArray[np.float64], reference: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Dice, sensitivity and specificity of each mask, shape (3, thresholds)."""
    truth = np.asarray(reference, dtype=bool)
    inside, everything = np.sort(scaled[truth]), np.sort(scaled, axis=None)
    tp = inside.size - np.searchsorted(inside, thresholds)
    found = everything.size - np.searchsorted(everything, thresholds)
    negatives = everything.size - inside.size
    hit = tp > 0
    dice = np.where(hit, 2 * tp / np.maximum(found + inside.size, 1), 0)
    sensitivity = np.where(hit, tp / max(inside.size, 1), 0)
    specificity = np.where(hit, 1 - (found - tp) / max(negatives, 1), 0)
    return np.stack([dice, sensitivity, specificity])


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the area under the ROC curve, ties counted as half.

    Parameters
    ----------
    labels : array_like
        Non-zero for positive.
    scores : array_like
        Finite numbers, higher for more positive.

    Returns
    -------
    float or None
        ``None`` where one of the two classes is missing.

    Raises
    ------
    ValueError
        If the lengths differ or a score is not finite.
    """
    positive, values = np.asarray(labels).ravel() != 0, np.asarray(scores, dtype=float).ravel()
    if positive.shape != values.shape or not np.isfinite(values).all():
        msg = f"as many finite scores as labels are needed, found {values.size} and {positive.size}"
        raise ValueError(msg)
    count = int(positive.sum())
    others = positive.size - count
    if not count or not others:
        return None
    ranks = rankdata(values)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float | None],
    groups: Sequence[Hashable],
    generator: np.random.Generator,
    rounds: int = 2000,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Return a percentile interval of a statistic, whole groups drawn with replacement.

    Parameters
    ----------
    statistic : callable
        Takes indices into the items, with repetition; ``None`` where it is undefined.
    groups : sequence
        The group of every item, usually its patient.
    generator : numpy.random.Generator
        Source of chance.
    rounds : int
        Draws.
    level : float
        Coverage aimed at, in (0, 1).

    Returns
    -------
    tuple of float or None
        Low and high; ``None`` with fewer than two groups or where no draw has a value.
    """
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    blocks = [np.array(block, dtype=np.intp) for block in members.values()]
    if len(blocks) < 2:
        return None
    drawn = generator.integers(len(blocks), size=(rounds, len(blocks)))
    values = [statistic(np.concatenate([blocks[i] for i in row])) for row in drawn]
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
