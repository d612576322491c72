"""Two ways to the same percentage, set against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from groundglass.core.results import (
    Burden,
    Estimate,
    InfectionMask,
    LungMask,
    PercentEstimate,
    RegionBurden,
)
from groundglass.core.verdict import Status, Verdict
from groundglass.scoring.counts import (
    DEFAULT,
    HIGH,
    LOW,
    NO_LUNG,
    count_voxels,
    floored_percent,
    percent_of,
)

MOST_POINTS = 2.0
"""Percentages that differ by no more than this many points agree, ..."""
MOST_SHARE = 1 / 3
"""... and so do those that differ by no more than this share of the larger one."""


def estimate_from_mask(
    lungs: LungMask, infection: InfectionMask, model: str | None, method: str, note: str
) -> PercentEstimate:
    """Return what a mask says about the infected share of both lungs and of every slice.

    Parameters
    ----------
    lungs, infection : LungMask, InfectionMask
        On one grid; infection outside the lungs is not counted.
    model : str or None
        Name of the model behind the mask.
    method, note : str
        See ``PercentEstimate``.
    """
    geometry = lungs.geometry
    counts = count_voxels(lungs.labels, infection.labels, infection.extent)
    volumes = geometry.slice_volumes_mm3
    weights = np.ones(geometry.shape[0]) if volumes is None else volumes
    lung = counts.voxels.sum(axis=1)
    ill = {level: counts.infected(level).sum(axis=1) for level in (DEFAULT, LOW, HIGH)}
    whole = float(weights @ lung)
    percent = Estimate.unknown(NO_LUNG)
    if whole > 0:
        percent = percent_of([float(weights @ area) for area in ill.values()], whole)
    floor = {} if geometry.spacing_known else {"floor_share": 0.0}
    slices = floored_percent(ill[DEFAULT], lung, **floor)
    return PercentEstimate(
        method, model, percent, note, tuple(None if np.isnan(s) else float(s) for s in slices)
    )


def cross_check(
    burden: Burden, method: str, others: Sequence[PercentEstimate]
) -> tuple[Burden, tuple[Verdict, ...]]:
    """Return the burden with both lungs' interval widened to the other estimates, and a verdict.

    Parameters
    ----------
    burden : Burden
        What was measured.
    method : str
        By which method.
    others : sequence of PercentEstimate
        What other methods say; those without a number are left out.

    Returns
    -------
    burden : Burden
        Its region ``total`` has intervals that hold every estimate; all else is as it was.
    verdicts : tuple of Verdict
        ``infection_cross_check``: ok, or a warning where an estimate differs by more than
        ``MOST_POINTS`` points and more than ``MOST_SHARE`` of the larger one. None where there is
        nothing to compare.
    """
    total = burden.regions["total"]
    told = [(one, one.percent.value) for one in others if one.percent.value is not None]
    if total.percent.value is None or not told:
        return burden, ()
    values = [value for _, value in told]
    widened = replace(burden, regions={**burden.regions, "total": _widened(total, values)})
    far = any(differ(total.percent.value, value) for value in values)
    return widened, (_verdict(total.percent.value, method, told, far=far),)


def differ(one: float, other: float) -> bool:
    """Return whether two percentages differ beyond the limit."""
    apart = abs(one - other)
    return apart > MOST_POINTS and apart > MOST_SHARE * max(one, other)


def _widened(total: RegionBurden, percents: Sequence[float]) -> RegionBurden:
    lung_ml = total.lung_ml.value
    infected = total.infected_ml
    if infected.value is not None and lung_ml is not None:
        infected = _holding(infected, [lung_ml * percent / 100 for percent in percents])
    return replace(total, percent=_holding(total.percent, percents), infected_ml=infected)


def _holding(estimate: Estimate, values: Sequence[float]) -> Estimate:
    """Return an estimate whose interval holds all values too."""
    assert estimate.value is not None
    ends = [estimate.value, *values]
    ends += [end for end in (estimate.low, estimate.high) if end is not None]
    return replace(estimate, low=min(ends), high=max(ends))


def _verdict(
    value: float, method: str, told: Sequence[tuple[PercentEstimate, float]], *, far: bool
) -> Verdict:
    beside = " and ".join(f"{_shown(other)} by the method {one.method}" for one, other in told)
    found = f"{_shown(value)} of the lungs are infected by the method {method}, {beside}"
    done = "The interval of both lungs was widened to hold all of them"
    if not far:
        effect = "The percentage stays as it was, its interval holds both"
        return Verdict("infection_cross_check", Status.OK, found, done, effect)
    return Verdict(
        "infection_cross_check",
        Status.WARNING,
        f"{found}: they differ by more than {MOST_POINTS:.0f} points and a third of the larger",
        done,
        "The percentage depends on the method; look at the marked areas before using it",
    )


def _shown(percent: float) -> str:
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2f} %"
