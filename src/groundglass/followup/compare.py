"""Analyses of several dates to one comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.results import CaseResult
from groundglass.core.scan import Intensity
from groundglass.core.verdict import Verdict
from groundglass.errors import IdentityError, UncalibratedError
from groundglass.followup.change import Changes, compare_results
from groundglass.followup.identity import Identity, require_one_patient, time_order
from groundglass.followup.register import Kind, Overlay, overlay
from groundglass.followup.settings import settings_verdict, unlike_verdicts

RESOLVED, NEW, KEPT = 1, 2, 3
"""Labels of a map of changes: infected before, infected now, infected at both dates."""
KINDS: Mapping[int, str] = {RESOLVED: "resolved", NEW: "new", KEPT: "kept"}
"""What each label says."""


@dataclass(frozen=True, eq=False)
class Visit:
    """One scan of the comparison."""

    day: int | None
    """Days since the first scan; ``None`` if a date is missing."""
    result: CaseResult
    """Its analysis."""
    since_first: Changes | None
    """Against the first scan; ``None`` for the first."""
    since_last: Changes | None
    """Against the scan before; ``None`` for the first."""
    laid: Overlay | None
    """On the first scan's grid; ``None`` for the first, and where a spacing is not known."""
    map: NDArray[np.uint8] | None
    """Changes since the first scan on its grid: 1 resolved, 2 new, 3 kept."""
    map_ml: Mapping[str, float]
    """Volume of each label of the map, on the first scan's grid."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scans of one patient, earliest first."""

    visits: tuple[Visit, ...]
    """At least two."""
    register: Kind
    """How later scans were to be laid over the first."""
    verdicts: tuple[Verdict, ...]
    """What was noticed about the comparison itself; those of a scan stand with its result."""


def compare(
    results: Sequence[CaseResult],
    identities: Sequence[Identity],
    *,
    same_patient: bool = False,
    register: Kind = "rigid",
    on_progress: OnProgress = silent,
) -> Comparison:
    """Return what changed between scans of one patient.

    Parameters
    ----------
    results : sequence of CaseResult
        Analyses of two or more scans in Hounsfield units.
    identities : sequence of Identity
        What the headers say of each.
    same_patient : bool
        The user states that the scans are of one patient.
    register : str
        ``none``, ``rigid`` or ``affine``.
    on_progress : callable
        Told before every scan.

    Raises
    ------
    IdentityError
        If the scans are not known to be of one patient, or are one and the same file.
    UncalibratedError
        If one of them is a picture.
    ValueError
        If there are fewer than two, or not one identity for each.
    """
    if len(results) < 2 or len(results) != len(identities):
        msg = f"two or more scans with an identity each are needed, found {len(results)}"
        raise ValueError(msg)
    who = require_one_patient(identities, told=same_patient)
    _require_volumes(results)
    order, days, when = time_order(identities)
    results = [results[i] for i in order]
    visits = [Visit(days[0], results[0], None, None, None, None, {})]
    verdicts = [who, when, settings_verdict(results), *unlike_verdicts(results)]
    for number in range(1, len(results)):
        on_progress(Progress("comparing", number, len(results)))
        visit = _visit(results[0], results[number - 1], results[number], days[number], register)
        visits.append(visit)
        if visit.laid is not None:
            verdicts.append(visit.laid.verdict)
    return Comparison(tuple(visits), register, tuple(verdicts))


def _require_volumes(results: Sequence[CaseResult]) -> None:
    if any(result.scan.intensity is not Intensity.HU for result in results):
        msg = "scans in Hounsfield units are needed; pictures of different windows do not compare"
        raise UncalibratedError(msg)
    hashes = [result.provenance.sha256 for result in results if result.provenance.sha256]
    if len(set(hashes)) < len(hashes):
        msg = "two of the scans are the same files; give scans of different dates"
        raise IdentityError(msg)


def _visit(
    first: CaseResult, last: CaseResult, result: CaseResult, day: int | None, register: Kind
) -> Visit:
    known = all(r.scan.geometry.spacing_known and r.scan.shape[0] > 2 for r in (first, result))
    laid = overlay(first, result, register) if known else None
    changed, ml = (None, {}) if laid is None else change_map(first, laid)
    return Visit(
        day,
        result,
        compare_results(first, result),
        compare_results(last, result),
        laid,
        changed,
        ml,
    )


def change_map(first: CaseResult, laid: Overlay) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """Return where infection went, came and stayed, and the ml of each.

    Parameters
    ----------
    first : CaseResult
        The earlier scan, whose grid the map lies on.
    laid : Overlay
        The later scan on that grid; where it has no slices nothing is said.
    """
    before, now = first.infection.labels > 0, laid.infection > 0
    labels = (before * np.uint8(RESOLVED)) | (now * np.uint8(NEW))
    labels[~laid.covered] = 0
    volumes = first.scan.geometry.slice_volumes_mm3
    weights = np.zeros(labels.shape[0]) if volumes is None else volumes / 1000
    counts = {
        name: float(np.count_nonzero(labels == label, axis=(1, 2)) @ weights)
        for label, name in KINDS.items()
    }
    return labels, counts
