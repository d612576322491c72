"""Published figures of the tasks as tables; what was not found is ``n/a``."""

from __future__ import annotations

from groundglass.evaluation.tables import NumberTable
from groundglass.systems.identification_severity.published import (
    CTSS_AGREEMENT,
    INFNET_48,
    PATIENTS,
    VOLUMES_638,
)

OWN = "Identification and Severity (IEEE)"
_MASKS = (
    "method",
    "Dice mean",
    "sensitivity",
    "specificity",
    "precision",
    "S-measure",
    "E mean",
    "MAE",
    "Dice adp",
    "Dice max",
)


def infnet_table() -> NumberTable:
    """Return what others reached on the 48 slices as JPEG, by Inf-Net's averages."""
    rows = tuple(
        (
            row.method,
            row.dice,
            row.sensitivity,
            row.specificity,
            row.precision,
            row.s_measure,
            row.e_measure,
            row.mae,
            row.dice_adaptive,
            row.dice_max,
        )
        for row in INFNET_48
    )
    title = "Published on the 48 slices as 8-bit JPEG, Inf-Net's averages"
    return NumberTable(title, _MASKS, (*rows, (OWN, *(None,) * 9)))


def volumes_table() -> NumberTable:
    """Return what others reached on the slices of the nine volumes."""
    rows = tuple(
        (row.method, row.dice, row.sensitivity, row.specificity, row.precision)
        for row in VOLUMES_638
    )
    title = "Published on the 638 slices, as reprinted in PMC7605758"
    return NumberTable(title, _MASKS[:5], (*rows, (OWN, *(None,) * 4)))


def mosmed_table() -> NumberTable:
    """Return what others reached on MosMedData's masks."""
    rows: tuple[tuple[str, float | None], ...] = (
        ("Ma et al. 2021, benchmark, mean over tasks of 70 cases, 50 of MosMedData", 0.673),
        (OWN, None),
    )
    return NumberTable("Published on MosMedData", ("method", "Dice"), rows)


def patients_table(tests: tuple[str, ...] = ()) -> NumberTable:
    """Return published accuracies, all, or those on tests whose name holds one of the words."""
    rows = tuple(
        (row.work, row.test, row.accuracy, row.covid, row.cap, row.normal)
        for row in PATIENTS
        if not tests or any(word in row.test for word in tests)
    )
    columns = ("work", "test", "accuracy", "COVID-19", "CAP", "NORMAL")
    own = (OWN, "all its sets", None, None, None, None)
    return NumberTable("Published, of patients", columns, (*rows, own))


def grades_table() -> NumberTable:
    """Return what is published on grades of MosMedData: nothing was found."""
    return NumberTable("Published on MosMedData", ("method", "accuracy"), ((OWN, None),))


def ctss_table() -> NumberTable:
    """Return the agreement of the published scores with radiologists."""
    rows = tuple(
        (f"published, {row.score}", 50, row.pearson, row.spearman, row.mae, row.rmse, row.bias)
        for row in CTSS_AGREEMENT
    )
    columns = ("score", "n", "pearson", "spearman", "mae", "rmse", "bias")
    figure = (f"{OWN}, figure 8", 50, *(None,) * 5)
    return NumberTable("Published scores against radiologists", columns, (*rows, figure))
