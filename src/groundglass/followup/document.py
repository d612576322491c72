"""A comparison as JSON and as a table of dates."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from groundglass.core.results import CaseResult, Estimate, Score
from groundglass.core.verdict import Verdict
from groundglass.followup.change import REGIONS, RULE, SCORES, Change, Changes
from groundglass.followup.compare import Comparison, Visit

SCHEMA = "groundglass/compare/1"
"""Name and version of the document."""


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON values; what is not known is null.

    Parameters
    ----------
    comparison : Comparison
        Holds no identifiers and no dates: days since the first scan only.
    """
    return {
        "schema": SCHEMA,
        "version": version("groundglass"),
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "register": comparison.register,
        "smallest_change_rule": RULE,
        "verdicts": [_verdict(one) for one in comparison.verdicts],
        "scans": [_scan(number, one) for number, one in enumerate(comparison.visits, start=1)],
    }


def _scan(number: int, visit: Visit) -> dict[str, Any]:
    result, total = visit.result, visit.result.burden.regions["total"]
    return {
        "number": number,
        "day": visit.day,
        "input_sha256": result.provenance.sha256,
        "slices": result.scan.shape[0],
        "lungs": result.lungs.method,
        "infection": result.infection.method,
        "lobes": None if result.lobes is None else result.lobes.method,
        "percent": {n: _estimate(r.percent) for n, r in _regions(result).items()},
        "infected_ml": _estimate(total.infected_ml),
        "lung_ml": _round(total.lung_ml.value),
        "ground_glass_percent": _round(total.ground_glass_percent),
        "consolidation_percent": _round(total.consolidation_percent),
        "scores": {name: _score(result, name) for name in SCORES},
        "since_first": _changes(visit.since_first),
        "since_last": _changes(visit.since_last),
        "overlap": None if visit.laid is None else round(visit.laid.overlap, 4),
        "map_ml": {name: round(ml, 2) for name, ml in visit.map_ml.items()} or None,
        "verdicts": [_verdict(one) for one in result.verdicts],
    }


def _regions(result: CaseResult) -> Mapping[str, Any]:
    found = result.burden.regions
    return {name: found[name] for name in REGIONS if name in found}


def _changes(changes: Changes | None) -> dict[str, Any] | None:
    if changes is None:
        return None
    return {
        "percent": {name: _change(one) for name, one in changes.percent.items()},
        "infected_ml": _change(changes.infected_ml),
        "lung_ml": _round(changes.lung_ml),
        "scores": {name: _change(one) for name, one in changes.scores.items()},
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "by": _round(change.by),
        "smallest": _round(change.smallest),
        "real": change.real,
        "word": change.word,
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _round(estimate.value),
        "low": _round(estimate.low),
        "high": _round(estimate.high),
        "reason": estimate.reason,
    }


def _score(result: CaseResult, name: str) -> dict[str, Any]:
    score: Score = getattr(result.severity, name)
    return {"value": score.value, "low": score.low, "high": score.high, "rule": score.rule}


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {
        "check": verdict.check,
        "status": str(verdict.status),
        "found": verdict.found,
        "done": verdict.done,
        "effect": verdict.effect,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


COLUMNS = (
    "scan",
    "day",
    "percent",
    "percent_low",
    "percent_high",
    "infected_ml",
    "infected_ml_low",
    "infected_ml_high",
    "lung_ml",
    "ground_glass_percent",
    "consolidation_percent",
    *SCORES,
    "change_percent",
    "smallest_real_change_percent",
    "change",
    "new_ml",
    "resolved_ml",
    "kept_ml",
)
"""Columns of the table of dates; changes are against the first scan."""


def timeline_csv(comparison: Comparison) -> str:
    """Return one row for each scan, earliest first; what is not known is left empty."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, visit in enumerate(comparison.visits, start=1):
        writer.writerow(["" if one is None else one for one in _row(number, visit)])
    return stream.getvalue()


def _row(number: int, visit: Visit) -> list[Any]:
    total, severity = visit.result.burden.regions["total"], visit.result.severity
    change = Change(None, None) if visit.since_first is None else visit.since_first.percent["total"]
    return [
        number,
        visit.day,
        *(_round(one) for one in _ends(total.percent)),
        *(_round(one) for one in _ends(total.infected_ml)),
        _round(total.lung_ml.value),
        _round(total.ground_glass_percent),
        _round(total.consolidation_percent),
        *(getattr(severity, name).value for name in SCORES),
        _round(change.by),
        _round(change.smallest),
        None if visit.since_first is None else change.word,
        *(_round(visit.map_ml.get(name)) for name in ("new", "resolved", "kept")),
    ]


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high
