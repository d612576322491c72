"""Published figures on COVID-CT, as data; F1, recall and precision were published of NonCOVID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Zhao et al., arXiv 2003.13865, and public repositories: 203 test pictures of COVID-CT"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One published system."""

    method: str
    """Name."""
    accuracy: float | None
    """Share of pictures that are right."""
    auc: float | None
    """Area under the ROC curve."""
    f1_noncovid: float | None
    """F1 as published: of the other pictures."""
    counts: tuple[int, int, int, int] | None = None
    """Others right, COVID-19 called other, others called COVID-19, COVID-19 right; derived from the
    rounded figures; ``None`` where they do not tell."""
    remark: str = ""
    """What to know about it."""


ROWS = (
    PublishedRow(
        "COVID_CT: DenseNet-121, random weights",
        0.7241,
        0.8357,
        0.7586,
        (88, 39, 17, 59),
        "150 epochs, vote of ten; tuned by looking at the test set",
    ),
    PublishedRow(
        "same network, best of 30 checkpoints",
        0.8030,
        0.8712,
        0.8230,
        (93, 28, 12, 70),
        "chosen on the test set",
    ),
    PublishedRow("same network, epoch 1900", 0.8030, 0.8630, 0.8077, (84, 19, 21, 79)),
    PublishedRow("same network, last epoch", 0.7291, 0.8064, 0.7179),
    PublishedRow(
        "DenseNet-169, ImageNet weights",
        0.8465,
        0.9186,
        0.8545,
        (91, 17, 14, 80),
        "202 pictures",
    ),
    PublishedRow("Self-Trans, DenseNet-169", 0.86, 0.94, 0.85, None, "two digits"),
)
"""On the published test part, the seed system first."""

OTHER_DATA = (
    PublishedRow(
        "multi-task and self-supervised", 0.89, 0.98, 0.90, None, "349 + 463 pictures, not these"
    ),
    PublishedRow("first release", None, 0.82, 0.85, None, "another split"),
)
"""Published figures that cannot be compared."""


def f1_covid_of(counts: tuple[int, int, int, int]) -> float:
    """Return the F1 of COVID-19 that counts as in `PublishedRow` imply."""
    _, missed, false, right = counts
    return 2 * right / (2 * right + missed + false)


def figures_of(row: PublishedRow) -> dict[str, float]:
    """Return the figures of a row under the names of the bench, derived ones included."""
    named = {
        "accuracy": row.accuracy,
        "auc": row.auc,
        "f1_noncovid": row.f1_noncovid,
    }
    if row.counts is not None:
        right_other, missed, false, right = row.counts
        named["f1_covid"] = f1_covid_of(row.counts)
        named["sensitivity"] = right / (right + missed)
        named["specificity"] = right_other / (right_other + false)
        named["precision"] = right / (right + false)
    return {name: round(value, 4) for name, value in named.items() if value is not None}


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:
    """Return the source and the table that belong beside figures on a data set."""
    if dataset != "covid-ct":
        return SOURCE, {}
    return SOURCE, MappingProxyType({row.method: figures_of(row) for row in ROWS})
