"""Severity scores as their part of the document."""

from __future__ import annotations

from groundglass.core.results import Score, Severity
from groundglass.writers.document import ScoreIntervals, ScorePoints, ScoreTexts, SeverityPart
from groundglass.writers.reasons import Reasons


def grade(value: int | None) -> str | None:
    """Return a CT grade as it is written, e.g. ``CT-1``."""
    return None if value is None else f"CT-{value}"


def severity_part(scores: Severity, reasons: Reasons) -> SeverityPart:
    """Return the scores with their ranges, rules and points; a missing one with its reason.

    Parameters
    ----------
    scores : Severity
    reasons : Reasons
        Takes the reason of every null.
    """
    sums = (scores.ctss25, scores.ctss25_published, scores.tss20)
    for score in (*sums, scores.ct_grade):
        _explain(score, reasons)
    grades = _ends(scores.ct_grade)
    ends = {
        **{score.name: _ends(score) for score in sums},
        "ct_grade": None if grades is None else [grade(end) for end in grades],
    }
    return SeverityPart.model_validate(
        {
            **{score.name: score.value for score in sums},
            "ct_grade": grade(scores.ct_grade.value),
            "intervals": ScoreIntervals.model_validate(ends),
            "rules": ScoreTexts(**{score.name: score.rule for score in (*sums, scores.ct_grade)}),
            "points": ScorePoints(**{score.name: dict(score.points) for score in sums}),
        }
    )


def _explain(score: Score, reasons: Reasons) -> None:
    if score.value is None:
        why = score.reason or "it is not known"
        reasons.known[f"severity.{score.name}"] = why
        reasons.known[f"severity.intervals.{score.name}"] = why
    elif score.low is None or score.high is None:
        reasons.known[f"severity.intervals.{score.name}"] = "the mask has no threshold spread"


def _ends(score: Score) -> list[int] | None:
    return None if score.low is None or score.high is None else [score.low, score.high]
