"""Whether the scans of a comparison were analyzed in one way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from groundglass.core.results import CaseResult
from groundglass.core.serial import to_json
from groundglass.core.verdict import Status, Verdict

TAKEN_UP = "taken up"
"""Step of a result that was read from its folder; tells the version that made it."""


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
