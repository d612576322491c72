"""Figures of classes of patients: confusion, accuracy with exact interval, by class, AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import beta

from groundglass.evaluation.tables import Cell, NumberTable, span
from groundglass.metrics import roc_auc


def exact_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval of a share.

    Parameters
    ----------
    hits, count : int
        How many of how many.
    level : float
        Coverage.
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def confusion(
    truth: Sequence[str], found: Sequence[str], classes: Sequence[str], title: str
) -> NumberTable:
    """Return how often each class (rows) was called what (columns)."""
    answers = [*classes, *sorted(set(found) - set(classes))]
    pairs = list(zip(truth, found, strict=True))
    rows: list[tuple[Cell, ...]] = []
    for name in classes:
        counts = [sum(pair == (name, answer) for pair in pairs) for answer in answers]
        rows.append((name, *counts))
    return NumberTable(title, ("reference", *answers), tuple(rows))


def class_table(
    truth: Sequence[str], decisions: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> NumberTable:
    """Return accuracy, sensitivity, precision and F1 by class for several ways of deciding.

    What is undetermined counts as wrong.

    Parameters
    ----------
    truth : sequence of str
        Class of each patient.
    decisions : mapping
        By way of deciding, the class called for each patient.
    classes : sequence of str
        All classes.
    """
    own = [f"{what} {name}" for name in classes for what in ("sens.", "prec.", "F1")]
    columns = ("decision", "n", "accuracy", "95 % exact", "macro F1", *own)
    rows = []
    for way, found in decisions.items():
        hits = sum(t == f for t, f in zip(truth, found, strict=True))
        parts = [_of_class(truth, found, name) for name in classes]
        scores = [f1 for _, _, f1 in parts if f1 is not None]
        rows.append(
            (
                way,
                len(truth),
                hits / len(truth),
                span(*exact_interval(hits, len(truth))),
                float(np.mean(scores)) if scores else None,
                *(cell for part in parts for cell in part),
            )
        )
    return NumberTable("Patients", columns, tuple(rows))


def _of_class(
    truth: Sequence[str], found: Sequence[str], name: str
) -> tuple[float | None, float | None, float | None]:
    """Return sensitivity, precision and F1 of one class; ``None`` where not defined."""
    both = sum(t == f == name for t, f in zip(truth, found, strict=True))
    real, called = sum(t == name for t in truth), sum(f == name for f in found)
    return (
        both / real if real else None,
        both / called if called else None,
        2 * both / (real + called) if real + called else None,
    )


def calibration_table(
    truth: Sequence[str],
    shares: Mapping[str, Sequence[Mapping[str, float]]],
    classes: Sequence[str],
) -> NumberTable:
    """Return how far shares can be taken as probabilities, beside equal shares for everyone.

    The log loss is the mean of minus the logarithm of the share of the true class, the Brier score
    the mean of the summed squares of what shares miss; of both, less is better. What is
    undetermined counts as equal shares.
    """
    even = {name: 1 / len(classes) for name in classes}
    rows: list[tuple[Cell, ...]] = []
    for way, given in {**shares, "equal shares": [even] * len(truth)}.items():
        told = np.array([[(one or even).get(name, 0.0) for name in classes] for one in given])
        wanted = np.array([[float(name == label) for name in classes] for label in truth])
        loss = -np.log(np.maximum((told * wanted).sum(axis=1), 1e-12)).mean()
        brier = ((told - wanted) ** 2).sum(axis=1).mean()
        rows.append((way, len(truth), float(loss), float(brier)))
    columns = ("decision", "n", "log loss", "Brier score")
    return NumberTable("Shares as probabilities", columns, tuple(rows))


def auc_table(
    truth: Sequence[str],
    shares: Mapping[str, Sequence[Mapping[str, float]]],
    classes: Sequence[str],
) -> NumberTable:
    """Return the area under the ROC curve of each class against the others, by its share."""
    rows = tuple(
        (
            way,
            *(
                roc_auc([t == name for t in truth], [one.get(name, 0.0) for one in given])
                for name in classes
            ),
        )
        for way, given in shares.items()
    )
    return NumberTable("AUC, one class against the others", ("decision", *classes), rows)
