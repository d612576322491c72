"""Severity scores: CTSS-25, TSS-20 and CT-0 to CT-4, each with the rule that gave it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import (
    LEFT,
    LOBES,
    RIGHT,
    Burden,
    Estimate,
    InfectionMask,
    LobeMask,
    LungMask,
    Score,
    Severity,
)
from groundglass.scoring.bands import RowCounts, band_points, count_rows
from groundglass.scoring.counts import DEFAULT, HIGH, LOW, percent_of

PUBLISHED = "ctss25_published"
"""Name of the score by slices and front-to-back bands."""
NONE_PERCENT = 0.5
"""Percent below which a region counts as not infected: what rounds to 0 of whole percent."""
CTSS_LIMITS = (5.0, 25.0, 50.0, 75.0)
"""Percent above which a lobe gets 2, 3, 4 and 5 points of CTSS-25."""
QUARTERS = (25.0, 50.0, 75.0)
"""Percent above which a lobe gets 2, 3 and 4 points of TSS-20, and the lungs CT-2, CT-3 and
CT-4."""
HEIGHTS = ("right_upper", "right_middle", "right_lower", "left_upper", "left_lower")
"""Thirds of the right lung and halves of the left by height, which stand in for lobes."""

APPROXIMATE = "; the lobes are approximate"
"""What a rule adds where lobes were not given."""

_LEVELS = (DEFAULT, LOW, HIGH)
_CTSS_LOBES = (
    "CTSS-25: five lobes, each 0 points under 0.5 % infected volume, 1 up to 5 %, 2 up to 25 %, 3"
    " up to 50 %, 4 up to 75 %, 5 above; the sum"
)
_CTSS_BANDS = (
    "CTSS as published: by front-to-back bands as in the published code, not by lobes: right lung"
    " in thirds, left in halves by image row; per slice 0, 1-5, 6-25, 26-50, 51-75, 76-100 % give"
    " 0 to 5 points; slices with lung on at least 6 % of the picture, first 6 and last 5 left out; "
    "rounded mean over slices, the sum"
)
_TSS_LOBES = (
    "TSS-20: five lobes, each 0 points under 0.5 % infected volume, 1 up to 25 %, 2 up to 50 %, 3"
    " up to 75 %, 4 above; the sum"
)
_TSS_HEIGHTS = (
    "TSS-20, approximate: no lobes were given, so the right lung in thirds and the left in halves"
    " by height stand in for them; each 0 points under 0.5 % infected volume, 1 up to 25 %, 2 up "
    "to 50 %, 3 up to 75 %, 4 above; the sum"
)
_GRADE = (
    "CT grade by infected percent of both lungs: CT-0 under 0.5 %, CT-1 up to 25 %, CT-2 up to 50"
    " %, CT-3 up to 75 %, CT-4 above"
)


def score_severity(
    burden: Burden, lungs: LungMask, infection: InfectionMask, lobes: LobeMask | None
) -> Severity:
    """Return the scores, each with its interval from the tight and the loose thresholds.

    Parameters
    ----------
    burden : Burden
        Numbers drawn from the same masks; its lobes are used where ``lobes`` is given.
    lungs, infection : LungMask, InfectionMask
        The masks, on one grid.
    lobes : LobeMask, optional
        Without it CTSS-25 uses the published front-to-back bands and TSS-20 regions by height.
        The published score stands beside CTSS-25 in either case.

    References
    ----------
    .. [1] Pan et al. "Time course of lung changes at chest CT during recovery from COVID-19."
       Radiology 295(3), 2020. doi 10.1148/radiol.2020200370 (CTSS-25)
    .. [2] Chung et al. "CT imaging features of 2019 novel coronavirus (2019-nCoV)." Radiology
       295(1), 2020. doi 10.1148/radiol.2020200230 (TSS-20)
    .. [3] Morozov et al. "MosMedData: chest CT scans with COVID-19 related findings dataset." 2020.
       arXiv 2005.06465 (CT-0 to CT-4)
    """
    published, tss = _without_lobes(lungs, infection)
    ctss = replace(published, name="ctss25")
    if lobes is not None:
        percents = {name: burden.regions[name].percent for name in LOBES}
        about = APPROXIMATE if lobes.method.startswith("approximate") else ""
        ctss = _sum_score("ctss25", _CTSS_LOBES + about, percents, CTSS_LIMITS)
        tss = _sum_score("tss20", _TSS_LOBES + about, percents, QUARTERS)
    return Severity(ctss, tss, ct_grade(burden.regions["total"].percent), published)


def grade_points(percent: float, limits: Sequence[float]) -> int:
    """Return 0 under 0.5 percent, else 1 plus the number of limits the percent lies above."""
    if percent < NONE_PERCENT:
        return 0
    return 1 + sum(percent > limit for limit in limits)


def ct_grade(percent: Estimate) -> Score:
    """Return the grade CT-0 to CT-4 of an infected percent of both lungs."""
    if percent.value is None:
        return Score("ct_grade", None, None, None, _GRADE, reason=percent.reason)
    value, low, high = (
        None if number is None else grade_points(number, QUARTERS)
        for number in (percent.value, percent.low, percent.high)
    )
    return Score("ct_grade", value, low, high, _GRADE)


def _sum_score(
    name: str, rule: str, percents: Mapping[str, Estimate], limits: Sequence[float]
) -> Score:
    known = {region: p for region, p in percents.items() if p.value is not None}
    if not known:
        return Score(name, None, None, None, rule, reason="no region holds lung")

    def total(pick: Callable[[Estimate], float | None]) -> dict[str, int]:
        return {region: grade_points(pick(p) or 0.0, limits) for region, p in known.items()}

    at_default = total(lambda p: p.value)
    low, high = sum(total(lambda p: p.low).values()), sum(total(lambda p: p.high).values())
    return Score(name, sum(at_default.values()), low, high, rule, at_default)


def _without_lobes(lungs: LungMask, infection: InfectionMask) -> tuple[Score, Score]:
    """Return CTSS-25 by the published bands and TSS-20 by regions of height."""
    reason = _no_regions(lungs)
    if reason is not None:
        return (
            Score(PUBLISHED, None, None, None, _CTSS_BANDS, reason=reason),
            Score("tss20", None, None, None, _TSS_HEIGHTS, reason=reason),
        )
    counts = count_rows(lungs.labels, infection.extent)
    percents = _height_percents(counts, lungs.geometry.widths_mm)
    return _band_score(counts), _sum_score("tss20", _TSS_HEIGHTS, percents, QUARTERS)


def _band_score(counts: RowCounts) -> Score:
    default, low, high = (band_points(counts, level) for level in _LEVELS)
    if default is None or low is None or high is None:
        reason = "no slice with enough lung lies between the outermost slices the rule leaves out"
        return Score(PUBLISHED, None, None, None, _CTSS_BANDS, reason=reason)
    ends = sum(low.values()), sum(high.values())
    return Score(PUBLISHED, sum(default.values()), *ends, _CTSS_BANDS, default)


def _height_percents(
    counts: RowCounts, widths_mm: NDArray[np.float64] | None
) -> dict[str, Estimate]:
    """Return the infected percent of thirds of the right lung and halves of the left by height."""
    percents = []
    for side, parts in ((RIGHT, 3), (LEFT, 2)):
        weights = np.ones(counts.table.shape[0]) if widths_mm is None else widths_mm
        lung = counts.lung(side).sum(axis=1) * weights
        found = [counts.infected(side, level).sum(axis=1) * weights for level in _LEVELS]
        held = np.flatnonzero(lung)
        edges = np.linspace(held[0], held[-1] + 1, parts + 1) if held.size else np.zeros(parts + 1)
        for start, stop in pairwise(np.rint(edges).astype(int)):
            whole = float(lung[start:stop].sum())
            percents.append(percent_of([float(ill[start:stop].sum()) for ill in found], whole))
    return dict(zip(HEIGHTS, percents, strict=True))


def _no_regions(lungs: LungMask) -> str | None:
    if not lungs.sides_known:
        return "a picture does not tell right from left, so it has no lobes or bands"
    if np.count_nonzero(lungs.labels.any(axis=(1, 2))) < 3:
        return "fewer than three slices hold lung"
    return None
