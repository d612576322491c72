"""Other estimates of the infected share, for the document and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundglass.core.results import PercentEstimate
from groundglass.writers import wording
from groundglass.writers.document import EstimatePart, ResultDocument
from groundglass.writers.reasons import Reasons

DIGITS = 3


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """One row of the report's table of other estimates."""

    name: str
    """Method, and the model behind it."""
    percent: str
    interval: str
    text: str
    """How it was made, or why there is no number."""


def estimate_parts(
    estimates: Sequence[PercentEstimate], path: str, reasons: Reasons
) -> list[EstimatePart]:
    """Return the estimates as the document has them; reasons of all go under one path.

    Parameters
    ----------
    estimates : sequence of PercentEstimate
    path : str
        Dotted path of the list.
    reasons : Reasons
        Where to note why a number is missing.
    """
    why = "; ".join(
        f"{one.method}: {one.percent.reason or 'it is not known'}"
        for one in estimates
        if one.percent.value is None
    )
    return [_part(one, path, why, reasons) for one in estimates]


def _part(one: PercentEstimate, path: str, why: str, reasons: Reasons) -> EstimatePart:
    percent = reasons.number(f"{path}.percent", one.percent.value, DIGITS, why)
    if one.percent.low is None or one.percent.high is None:
        no_range = why if percent is None else "the method has no range of its own"
        reasons.known.setdefault(f"{path}.interval_percent", no_range)
    return EstimatePart(
        method=one.method,
        model=one.model,
        percent=percent,
        interval_percent=reasons.interval(f"{path}.interval_percent", one.percent, DIGITS),
        note=one.note,
        slices_percent=[
            reasons.number(f"{path}.slices_percent", value, DIGITS, "the slice holds no lung")
            for value in one.slices_percent
        ],
    )


def estimate_rows(document: ResultDocument) -> list[EstimateRow]:
    """Return the rows of the report's table; none without other estimates."""
    found = document.infection.estimates if document.infection else []
    why = document.reasons.get("infection.estimates.percent", "")
    return [
        EstimateRow(
            name=one.method + (f" ({one.model})" if one.model else ""),
            percent=wording.percent(one.percent),
            interval=wording.percent_range(one.interval_percent),
            text=wording.sentence(one.note, why if one.percent is None else ""),
        )
        for one in found
    ]
