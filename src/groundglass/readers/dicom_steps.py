"""Gaps, uneven steps and tilt, told from the positions of the slices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from groundglass.core.geometry import SHEAR_TOLERANCE, STEP_TOLERANCE, STEP_TOLERANCE_MM, Geometry
from groundglass.core.verdict import Status, Verdict

LONG_RUN = 4
"""So many equal steps in a row are a way of scanning, not an accident."""
GAP_FACTOR = 1.5
"""A step longer than this many usual steps is a gap."""
JITTER_MM = 1.0
"""Sideways deviation of a slice from the straight line through all that is worth telling."""
_TOLD_GAPS = 3


@dataclass(frozen=True, slots=True)
class Gap:
    """One place where slices are missing."""

    first: int
    """Index of the slice before the gap."""
    step_mm: float
    """Distance to the next slice."""
    usual_mm: float
    """Step that was to be expected there."""

    @property
    def missing(self) -> int:
        """Number of slices that are missing."""
        return max(1, round(self.step_mm / self.usual_mm) - 1)


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring equal steps."""

    start: int
    """Index of the first step."""
    count: int
    """Number of steps."""
    step_mm: float
    """Their length."""

    @property
    def stop(self) -> int:
        """Index after the last step."""
        return self.start + self.count


def find_runs(geometry: Geometry) -> list[Run]:
    """Return the slice steps as runs of equal steps, from head to feet."""
    runs: list[Run] = []
    for index, step in enumerate(float(s) for s in geometry.steps_mm):
        last = runs[-1] if runs else None
        if last is not None and _equal(step, last.step_mm):
            runs[-1] = Run(last.start, last.count + 1, last.step_mm)
        else:
            runs.append(Run(index, 1, step))
    return runs


def find_gaps(geometry: Geometry) -> list[Gap]:
    """Return the steps that are too long for their surroundings.

    A step belongs to a gap if it exceeds ``GAP_FACTOR`` times the usual step there: that of the
    nearest run of ``LONG_RUN`` equal steps (the longer step where two runs meet), or the most
    frequent step of a series too short for such runs.
    """
    runs = find_runs(geometry)
    usual = _usual_runs(runs)
    gaps = []
    for run in runs:
        if run in usual:
            continue
        for index in range(run.start, run.stop):
            expected = _expected(index, usual)
            if run.step_mm > GAP_FACTOR * expected:
                gaps.append(Gap(index, run.step_mm, expected))
    return gaps


def check_steps(geometry: Geometry) -> tuple[Verdict, ...]:
    """Return verdicts on missing slices, uneven spacing, tilt and sideways jumps.

    Parameters
    ----------
    geometry : Geometry
        Slices in order.

    Returns
    -------
    tuple of Verdict
        Empty for an even, straight series. Distances are not told where they are not known.
    """
    if geometry.shape[0] < 3:
        return tuple(v for v in (_tilt(geometry),) if v is not None)
    gaps = find_gaps(geometry)
    found = (_gap_verdict(geometry, gaps), _uneven_verdict(geometry, gaps), _tilt(geometry))
    return tuple(v for v in found if v is not None)


def _equal(step: float, other: float) -> bool:
    return abs(step - other) <= max(STEP_TOLERANCE * min(step, other), STEP_TOLERANCE_MM)


def _usual_runs(runs: list[Run]) -> list[Run]:
    long = [run for run in runs if run.count >= LONG_RUN]
    if long:
        return long
    totals = [(sum(r.count for r in runs if _equal(r.step_mm, run.step_mm)), run) for run in runs]
    most = max(total for total, _ in totals)
    candidates = [run for total, run in totals if total == most]
    shortest = min(candidates, key=lambda run: run.step_mm)
    return [run for run in runs if _equal(run.step_mm, shortest.step_mm)]


def _expected(index: int, usual: list[Run]) -> float:
    before = [run for run in usual if run.stop <= index]
    after = [run for run in usual if run.start > index]
    return max(run.step_mm for run in (before[-1:] + after[:1]))


def _gap_verdict(geometry: Geometry, gaps: list[Gap]) -> Verdict | None:
    if not gaps:
        return None
    count = geometry.shape[0]
    missing = sum(gap.missing for gap in gaps)
    length = float(geometry.steps_mm.sum())
    share = 100 * sum(gap.step_mm - gap.usual_mm for gap in gaps) / length
    usual = float(np.median([gap.usual_mm for gap in gaps]))
    mean = length / (count - 1)
    return Verdict(
        "slice_gaps",
        Status.WARNING,
        f"{missing} of {count + missing} slices {'is' if missing == 1 else 'are'} missing, "
        f"{_places(geometry, gaps)}",
        "Every slice stands for half the real distance to its neighbours, so those beside a gap "
        "fill it",
        f"{share:.1f} % of the length of the scan is interpolated; with one mean step of "
        f"{mean:.2f} mm instead of {usual:.2f} mm every lesion would have measured "
        f"{100 * (mean / usual - 1):.1f} % too much",
    )


def _places(geometry: Geometry, gaps: list[Gap]) -> str:
    z = geometry.z_mm
    told = [
        f"between z = {max(z[g.first], z[g.first + 1]):.1f} and "
        f"{min(z[g.first], z[g.first + 1]):.1f} mm"
        for g in gaps[:_TOLD_GAPS]
    ]
    more = f" and at {len(gaps) - _TOLD_GAPS} more places" if len(gaps) > _TOLD_GAPS else ""
    return ", ".join(told) + more


def _uneven_verdict(geometry: Geometry, gaps: list[Gap]) -> Verdict | None:
    skipped = {gap.first for gap in gaps}
    parts: list[Run] = []
    for run in find_runs(geometry):
        if run.start in skipped:
            continue
        if parts and _equal(parts[-1].step_mm, run.step_mm):
            parts[-1] = Run(parts[-1].start, run.stop - parts[-1].start, run.step_mm)
        else:
            parts.append(run)
    if len(parts) < 2:
        return None
    mean = float(geometry.steps_mm.mean())
    steps = [part.step_mm for part in parts]
    return Verdict(
        "slice_spacing",
        Status.WARNING,
        f"The distance between slices changes along the scan: {_told_parts(geometry, parts)}",
        "Every slice stands for half the real distance to its neighbours",
        f"With one mean step of {mean:.2f} mm lesions in the thin part would have measured "
        f"{mean / min(steps):.2f} times and in the thick part {mean / max(steps):.2f} times "
        "their volume, and even the percentage would be wrong",
    )


def _told_parts(geometry: Geometry, parts: list[Run]) -> str:
    if len(parts) > _TOLD_GAPS + 1:
        steps = [part.step_mm for part in parts]
        return f"from {min(steps):.2f} to {max(steps):.2f} mm, in {len(parts)} parts"
    z = geometry.z_mm
    return ", then ".join(
        f"{p.step_mm:.2f} mm from z = {z[p.start]:.1f} to {z[p.stop]:.1f} mm" for p in parts
    )


def _tilt(geometry: Geometry) -> Verdict | None:
    if geometry.shape[0] < 2:
        return None
    if geometry.drift > SHEAR_TOLERANCE:
        angle = float(np.degrees(np.arctan(geometry.drift)))
        stack = geometry.step_mm / float(np.cos(np.arctan(geometry.drift)))
        return Verdict(
            "gantry_tilt",
            Status.WARNING,
            f"The slices are tilted by {angle:.1f} degrees against the way of the table",
            f"Distances were measured at right angles to the slices: {geometry.step_mm:.2f} mm "
            f"where the table moved {stack:.2f} mm; nothing was resampled, masks lie on the "
            "slices as they are",
            f"Volumes are right; along the table they would have been "
            f"{100 * (stack / geometry.step_mm - 1):.1f} % too much; shapes across slices are "
            "slanted by the tilt",
        )
    jump = _sideways_jump(geometry)
    if jump <= JITTER_MM:
        return None
    return Verdict(
        "gantry_tilt",
        Status.WARNING,
        f"Slices are shifted sideways against each other by up to {jump:.1f} mm",
        "Every slice was used where its position says",
        "Volumes are right; structures do not line up from slice to slice, which may harm the "
        "lungs and vessels found",
    )


def _sideways_jump(geometry: Geometry) -> float:
    """Return the largest sideways distance between neighbouring slices in mm."""
    normal = geometry.normal
    ways = [b - a for a, b in pairwise(geometry.origins_mm)]
    return max(float(np.linalg.norm(way - (way @ normal) * normal)) for way in ways)
