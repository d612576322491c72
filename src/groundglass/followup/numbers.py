"""The numbers of a result document as the values they were written from."""

from __future__ import annotations

from collections.abc import Sequence

from groundglass.core.results import (
    LOBES,
    Burden,
    Estimate,
    PercentEstimate,
    RegionBurden,
    Score,
    Severity,
    SliceBurden,
)
from groundglass.core.verdict import Status, Verdict
from groundglass.writers.document import RegionPart, ResultDocument, VerdictPart
from groundglass.writers.summary import SIDES, ZONES

GONE = "the earlier result does not tell it"
"""Why a number is missing, where the document names no reason."""


def verdict_of(part: VerdictPart) -> Verdict:
    """Return a verdict of a document."""
    return Verdict(part.check, Status(part.status), part.found, part.done, part.effect)


def burden_of(document: ResultDocument) -> Burden:
    """Return volumes and shares by region and slice, rounded as the document has them."""
    assert document.infection is not None
    regions = {name: _side(document, name) for name in SIDES}
    parts: dict[str, RegionPart | None] = {
        name: getattr(document.infection.zones, name) for name in ZONES
    }
    if document.infection.lobes is not None:
        parts |= {name: getattr(document.infection.lobes, name) for name in LOBES}
    regions |= {name: _region(name, part) for name, part in parts.items() if part is not None}
    slices = tuple(SliceBurden(**dict(one)) for one in document.slices)
    return Burden({name: one for name, one in regions.items() if one is not None}, slices)


def _side(document: ResultDocument, name: str) -> RegionBurden | None:
    lungs, ill = document.lungs, document.infection
    assert lungs is not None
    assert ill is not None
    lung_ml, total = getattr(lungs.volume_ml, name), name == "total"
    if lung_ml is None and not total:
        return None
    why = document.reasons
    return RegionBurden(
        name,
        _estimate(lung_ml, None, why.get(f"lungs.volume_ml.{name}")),
        _estimate(
            getattr(ill.volume_ml, name),
            ill.interval_ml if total else getattr(ill.side_intervals_ml, name),
            why.get(f"infection.volume_ml.{name}"),
        ),
        _estimate(
            getattr(ill.percent, name),
            ill.interval_percent if total else getattr(ill.side_intervals_percent, name),
            why.get(f"infection.percent.{name}"),
        ),
        ill.ground_glass_percent if total else None,
        ill.consolidation_percent if total else None,
        getattr(lungs.mean_hu, name),
    )


def _region(name: str, part: RegionPart) -> RegionBurden:
    return RegionBurden(
        name,
        _estimate(part.lung_ml, None, None),
        _estimate(part.volume_ml, part.interval_ml, None),
        _estimate(part.percent, part.interval_percent, None),
        part.ground_glass_percent,
        part.consolidation_percent,
        part.mean_hu,
        part.voxels,
        part.infected_voxels,
    )


def _estimate(
    value: float | None, interval: Sequence[float] | None, reason: str | None
) -> Estimate:
    if value is None:
        return Estimate.unknown(reason or GONE)
    low, high = (None, None) if interval is None else interval
    return Estimate(value, low, high)


def estimates_of(document: ResultDocument) -> tuple[PercentEstimate, ...]:
    """Return what other methods said."""
    assert document.infection is not None
    return tuple(
        PercentEstimate(
            one.method,
            one.model,
            _estimate(one.percent, one.interval_percent, None),
            one.note,
            tuple(one.slices_percent),
        )
        for one in document.infection.estimates
    )


def severity_of(document: ResultDocument) -> Severity:
    """Return the scores."""
    return Severity(
        *(_score(document, name) for name in ("ctss25", "tss20", "ct_grade", "ctss25_published"))
    )


def _score(document: ResultDocument, name: str) -> Score:
    part = document.severity
    assert part is not None
    ends = getattr(part.intervals, name)
    low, high = (None, None) if ends is None else (_number(end) for end in ends)
    return Score(
        name,
        _number(getattr(part, name)),
        low,
        high,
        getattr(part.rules, name),
        dict(getattr(part.points, name, {})),
        document.reasons.get(f"severity.{name}"),
    )


def _number(told: int | str | None) -> int | None:
    """Return a score; a grade as its number."""
    return int(told.removeprefix("CT-")) if isinstance(told, str) else told
