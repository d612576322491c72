"""The numbers of a result as coded measurements, grouped by the place they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from groundglass.writers import codes
from groundglass.writers.codes import Code
from groundglass.writers.document import RegionPart, ResultDocument


@dataclass(frozen=True, slots=True)
class Number:
    """One measurement."""

    name: Code
    """What is measured."""
    value: float
    """The number, as it stands in ``result.json``."""
    unit: Code
    """Its unit."""
    low: float | None = None
    """At the tight thresholds; ``None`` where there is no range."""
    high: float | None = None
    """At the loose thresholds."""
    derivation: Code | None = None
    """Statistic, e.g. the mean."""
    rule: tuple[str, ...] = ()
    """Name of the rule behind a score, and the rule in words."""
    ends: str = "the tight and the loose thresholds give"
    """Where the ends of the range come from."""


@dataclass(frozen=True, slots=True)
class Group:
    """Measurements of one place."""

    title: str
    """The place in words; tells the group from all others."""
    site: Code
    """Anatomy."""
    numbers: tuple[Number, ...]
    """What is known of it."""
    side: Code | None = None
    """Side of the body, where the anatomy leaves it open."""
    finding: Code | None = None
    """What is measured there, if not the anatomy itself."""
    segment: int | None = None
    """Number of the segment that holds the voxels."""
    notes: tuple[str, ...] = field(default=())
    """Said about all numbers of the group."""


def coded_numbers(document: ResultDocument) -> tuple[Group, ...]:
    """Return all numbers of a document that are known.

    Parameters
    ----------
    document : ResultDocument
        Of an analysis, not of a refusal.

    Returns
    -------
    tuple of Group
        Lungs, findings, both lungs, zones, lobes, other estimates, scores, classifiers; groups
        without numbers are left out.
    """
    groups = (
        *_lungs(document),
        *_findings(document),
        *_regions(document),
        *_estimates(document),
        _scores(document),
        *_predictions(document),
    )
    return tuple(group for group in groups if group.numbers)


def _known(
    name: Code,
    value: float | None,
    unit: Code,
    ends: Sequence[float] | None = None,
    derivation: Code | None = None,
) -> Iterator[Number]:
    if value is not None:
        low, high = ends or (None, None)
        yield Number(name, value, unit, low, high, derivation)


def _lungs(document: ResultDocument) -> Iterator[Group]:
    lungs, infection = document.lungs, document.infection
    assert lungs is not None
    assert infection is not None
    sides = (
        ("right", "Right lung", codes.RIGHT_LUNG, 1),
        ("left", "Left lung", codes.LEFT_LUNG, 2),
        ("total", "Both lungs", codes.LUNG, None),
    )
    for side, title, site, segment in sides:
        numbers = (
            *_known(codes.VOLUME, getattr(lungs.volume_ml, side), codes.ML),
            *_known(
                codes.INFECTED_VOLUME,
                getattr(infection.volume_ml, side),
                codes.ML,
                getattr(infection.side_intervals_ml, side),
            ),
            *_known(
                codes.INFECTED_SHARE,
                getattr(infection.percent, side),
                codes.PERCENT,
                getattr(infection.side_intervals_percent, side),
            ),
            *_known(
                codes.ATTENUATION, getattr(lungs.mean_hu, side), codes.HU, derivation=codes.MEAN
            ),
        )
        yield Group(title, site, numbers, segment=segment)


def _findings(document: ResultDocument) -> Iterator[Group]:
    infection = document.infection
    assert infection is not None
    findings = (
        ("ground_glass", "Ground glass", codes.GROUND_GLASS, 3),
        ("consolidation", "Consolidation", codes.CONSOLIDATION, 4),
    )
    for key, title, finding, segment in findings:
        numbers = (
            *_known(codes.VOLUME, getattr(infection, f"{key}_ml"), codes.ML),
            *_known(codes.SHARE, getattr(infection, f"{key}_percent"), codes.PERCENT),
        )
        yield Group(title, codes.LUNG, numbers, finding=finding, segment=segment)


_LOBES = {
    "right_upper": (codes.UPPER_LOBE, codes.RIGHT, "Right upper lobe"),
    "right_middle": (codes.MIDDLE_LOBE, None, "Right middle lobe"),
    "right_lower": (codes.LOWER_LOBE, codes.RIGHT, "Right lower lobe"),
    "left_upper": (codes.UPPER_LOBE, codes.LEFT, "Left upper lobe"),
    "left_lower": (codes.LOWER_LOBE, codes.LEFT, "Left lower lobe"),
}


def _regions(document: ResultDocument) -> Iterator[Group]:
    infection = document.infection
    assert infection is not None
    for name, site in codes.ZONES.items():
        part: RegionPart | None = getattr(infection.zones, name)
        if part is not None:
            yield Group(f"{name.capitalize()} third of both lungs", site, _region(part))
    for name, (site, side, title) in _LOBES.items():
        part = getattr(infection.lobes, name, None)
        if part is not None:
            yield Group(title, site, _region(part), side=side)


def _region(part: RegionPart) -> tuple[Number, ...]:
    return (
        *_known(codes.VOLUME, part.lung_ml, codes.ML),
        *_known(codes.INFECTED_VOLUME, part.volume_ml, codes.ML, part.interval_ml),
        *_known(codes.INFECTED_SHARE, part.percent, codes.PERCENT, part.interval_percent),
        *_known(codes.GROUND_GLASS_SHARE, part.ground_glass_percent, codes.PERCENT),
        *_known(codes.CONSOLIDATION_SHARE, part.consolidation_percent, codes.PERCENT),
        *_known(codes.ATTENUATION, part.mean_hu, codes.HU, derivation=codes.MEAN),
    )


def _estimates(document: ResultDocument) -> Iterator[Group]:
    infection = document.infection
    assert infection is not None
    for number, told in enumerate(infection.estimates, 1):
        if told.percent is None:
            continue
        low, high = told.interval_percent or (None, None)
        share = Number(
            codes.INFECTED_SHARE,
            told.percent,
            codes.PERCENT,
            low,
            high,
            rule=(told.model or told.method, told.note),
            ends="the method states",
        )
        yield Group(f"Other estimate {number}: {told.method}", codes.LUNG, (share,))


def _scores(document: ResultDocument) -> Group:
    severity = document.severity
    assert severity is not None
    names = {"ctss25": codes.CTSS25, "tss20": codes.TSS20, "ct_grade": codes.CT_GRADE}
    numbers = []
    for key, name in names.items():
        value = _points(getattr(severity, key))
        if value is None:
            continue
        ends = getattr(severity.intervals, key)
        low, high = (None, None) if ends is None else map(_points, ends)
        rule = (key, getattr(severity.rules, key))
        numbers.append(Number(name, value, codes.SCORE, low, high, rule=rule))
    return Group("Severity", codes.LUNG, tuple(numbers))


def _points(value: int | str | None) -> float | None:
    """Return a score as a number; a grade such as ``CT-1`` is its digit."""
    return None if value is None else float(str(value).removeprefix("CT-"))


def _predictions(document: ResultDocument) -> Iterator[Group]:
    for number, told in enumerate(document.predictions, 1):
        for label, share in told.probabilities.items():
            rule = (told.model, f"probability of '{label}'; {told.note}")
            yield Group(
                f"Classifier {number}: {label}",
                codes.LUNG,
                (Number(codes.PROBABILITY, share, codes.ONE, rule=rule),),
            )
