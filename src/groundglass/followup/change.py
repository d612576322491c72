"""Numbers of several dates side by side, and which of their changes are real."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from groundglass.core.results import LOBES, CaseResult, Estimate, Score
from groundglass.followup.settings import lobes_by, unlike_steps

FLOOR_PERCENT = 0.2
"""Percentage points of lung below which no change counts: scanning anew moves the share as much."""
UNLIKE_FLOOR_PERCENT = 2 * FLOOR_PERCENT
"""The same between scans of other slice spacing: taking every second slice moved it by up to 0.22
in one lung."""
RULE = (
    "the smallest real change is the root of the summed squares of both scans' threshold spreads "
    "(the larger of value minus low and high minus value) and, where another way measured both "
    f"scans too, of the difference between its change and ours; at least {FLOOR_PERCENT:g} "
    f"percentage points ({UNLIKE_FLOOR_PERCENT:g} where slice spacings differ), or that share of "
    "the lungs in ml"
)
"""The rule in words."""
REGIONS = ("total", "right", "left", *LOBES)
"""Regions whose share is followed."""
SCORES = ("ctss25", "ctss25_published", "tss20", "ct_grade")
"""Scores that are followed."""
OF_LOBES = frozenset((*LOBES, "ctss25", "tss20"))
"""Regions and scores that rest on lobes."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one quantity differs from an earlier scan."""

    by: float | None
    """Later minus earlier; ``None`` if either is not known."""
    smallest: float | None
    """Smallest change that is real; ``None`` if it cannot be told."""

    @property
    def real(self) -> bool | None:
        """Whether the change is larger than the smallest real one; ``None`` if not known."""
        if self.by is None or self.smallest is None:
            return None
        return abs(self.by) > self.smallest

    @property
    def word(self) -> str:
        """``rise``, ``fall``, ``no real change`` or ``not known``."""
        if self.real is None or self.by is None:
            return "not known"
        if not self.real:
            return "no real change"
        return "rise" if self.by > 0 else "fall"


@dataclass(frozen=True)
class Changes:
    """How a scan differs from an earlier one."""

    percent: Mapping[str, Change]
    """Infected share by region, in percentage points."""
    infected_ml: Change
    """Infected volume of both lungs."""
    lung_ml: float | None
    """Volume of both lungs: mostly how deep the breath was."""
    scores: Mapping[str, Change]
    """By name of the score; real if the ranges do not meet."""


def compare_results(earlier: CaseResult, later: CaseResult) -> Changes:
    """Return how the numbers of a later scan differ from those of an earlier one.

    What rests on lobes has no smallest real change where the lobes were not found in one way.
    """
    unsure = OF_LOBES if lobes_by(earlier) != lobes_by(later) else frozenset()
    before, after = earlier.burden.regions, later.burden.regions
    cross = cross_check(earlier, later)
    least = UNLIKE_FLOOR_PERCENT if unlike_steps((earlier, later)) else FLOOR_PERCENT
    shares = {
        name: share_change(before[name].percent, after[name].percent, cross, least)
        for name in REGIONS
        if name in before and name in after
    }
    lungs = [region.lung_ml.value for region in (before["total"], after["total"])]
    floor = None if None in lungs else least / 100 * max(v for v in lungs if v is not None)
    ml = Change(None, None)
    if floor is not None:
        spread = cross / 100 * max(v for v in lungs if v is not None)
        ml = _change(before["total"].infected_ml, after["total"].infected_ml, spread, floor)
    scores = {name: score_change(_score(earlier, name), _score(later, name)) for name in SCORES}
    return Changes(_known(shares, unsure), ml, _minus(lungs[1], lungs[0]), _known(scores, unsure))


def _known(changes: Mapping[str, Change], unsure: frozenset[str]) -> dict[str, Change]:
    """Return changes, some of which cannot be told to be real."""
    return {n: replace(c, smallest=None) if n in unsure else c for n, c in changes.items()}


def share_change(
    before: Estimate, after: Estimate, cross: float = 0.0, least: float = FLOOR_PERCENT
) -> Change:
    """Return the change of an infected share with the smallest real one, both in points.

    Parameters
    ----------
    before, after : Estimate
        Percent with its threshold range.
    cross : float
        By how much another way's change differs from ours, in points.
    least : float
        Points below which no change counts.
    """
    return _change(before, after, cross, least)


def cross_check(earlier: CaseResult, later: CaseResult) -> float:
    """Return by how many points other ways' changes differ from ours at most; 0 without any."""
    own = _minus(_percent(later), _percent(earlier))
    if own is None:
        return 0.0
    past = {one.method: one.percent.value for one in earlier.estimates}
    now = {one.method: one.percent.value for one in later.estimates}
    others = (_minus(now[name], past[name]) for name in past.keys() & now.keys())
    return max((abs(other - own) for other in others if other is not None), default=0.0)


def score_change(before: Score, after: Score) -> Change:
    """Return the change of a score; it is real if the two ranges do not meet."""
    by = _minus(after.value, before.value)
    if by is None or before.value is None or after.value is None:
        return Change(None, None)
    spreads = [
        max(score.value - low, high - score.value)
        for score, low, high in ((s, *_ends(s)) for s in (before, after))
        if score.value is not None
    ]
    return Change(by, float(sum(spreads)))


def _ends(score: Score) -> tuple[int, int]:
    value = score.value or 0
    low = value if score.low is None else score.low
    return low, value if score.high is None else score.high


def _change(before: Estimate, after: Estimate, cross: float, floor: float) -> Change:
    by = _minus(after.value, before.value)
    if by is None:
        return Change(None, None)
    spreads: Sequence[float] = [spread(before), spread(after), cross]
    return Change(by, max(floor, math.sqrt(sum(one * one for one in spreads))))


def spread(estimate: Estimate) -> float:
    """Return the larger distance of the value from the ends of its range; 0 without a range."""
    ends = (estimate.low, estimate.high)
    if estimate.value is None:
        return 0.0
    return max((abs(estimate.value - end) for end in ends if end is not None), default=0.0)


def _percent(result: CaseResult) -> float | None:
    return result.burden.regions["total"].percent.value


def _score(result: CaseResult, name: str) -> Score:
    found: Score = getattr(result.severity, name)
    return found


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
