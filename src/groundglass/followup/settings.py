"""Whether the scans of a comparison are alike and were analyzed in one way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from groundglass.core.results import CaseResult
from groundglass.core.serial import to_json
from groundglass.core.verdict import Status, Verdict

UNLIKE_STEPS = 1.25
"""Ratio of two scans' slice spacings from which they are not alike."""
TAKEN_UP = "taken up"
"""Step of a result that was read from its folder; tells the version that made it."""


def lobes_by(result: CaseResult) -> tuple[str | None, str]:
    """Return how the lobes of a result were found: by what, and along which fissures."""
    method = None if result.lobes is None else result.lobes.method
    told = (one.done for one in result.verdicts if one.check == "lobes")
    return method, next(told, "")


def unlike_steps(results: Sequence[CaseResult]) -> bool:
    """Return whether the slice spacings of some scans differ."""
    steps = [one.scan.geometry.spacing_mm[0] for one in results]
    return max(steps) > UNLIKE_STEPS * min(steps)


def unlike_verdicts(results: Sequence[CaseResult]) -> list[Verdict]:
    """Return a warning each where slice spacings differ, and where ways to the lobes do.

    Parameters
    ----------
    results : sequence of CaseResult
        Two or more.
    """
    found = []
    if unlike_steps(results):
        steps = [one.scan.geometry.spacing_mm[0] for one in results]
        told = Verdict(
            "slice_spacing",
            Status.WARNING,
            f"slices are {min(steps):.3g} mm apart in one scan and {max(steps):.3g} mm in another",
            "the least change that counts as real was doubled",
            "vessels and thin lesions look different in thicker slices; a part of every change "
            "may come from that",
        )
        found.append(told)
    ways = [lobes_by(one) for one in results]
    if len(set(ways)) > 1:
        each = [f"scan {n}: {told or by or 'none'}" for n, (by, told) in enumerate(ways, start=1)]
        told = Verdict(
            "lobes",
            Status.WARNING,
            f"lobes were found in different ways: {'; '.join(each)}",
            "what changed in a lobe, in CTSS and in TSS is told as not known",
            "Changes of both lungs and of each lung do not depend on lobes",
        )
        found.append(told)
    return found


def settings_verdict(results: Sequence[CaseResult]) -> Verdict:
    """Return whether settings, methods and versions of all analyses are the same.

    Parameters
    ----------
    results : sequence of CaseResult
        Two or more.
    """
    ways = [dict(_flat(_way(result))) for result in results]
    keys = sorted({key for way in ways for key in way})
    other = [key for key in keys if len({json.dumps(way.get(key)) for way in ways}) > 1]
    if not other:
        return Verdict("settings", Status.OK, "all scans were analyzed in one way", "", "")
    return Verdict(
        "settings",
        Status.WARNING,
        f"the scans were analyzed in different ways; what differs: {', '.join(other)}",
        "the results were compared as they are",
        "a part of every change may come from that; to be sure, analyze all with one --config",
    )


def _way(result: CaseResult) -> dict[str, Any]:
    """Return settings, and what made the masks, as nested values."""
    steps = {step.name: dict(step.parameters) for step in result.provenance.steps}
    return {
        **json.loads(to_json(result.config)),
        "lungs by": result.lungs.method,
        "infection by": result.infection.method,
        "model": {k: v for k, v in steps.get("infection", {}).items() if k != "method"},
        "version": steps.get(TAKEN_UP, {}).get("version", version("groundglass")),
    }


def _flat(value: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{at}{key}.")
        else:
            yield f"{at}{key}", one
