"""What found lungs and infection, as objects name it: name, version, settings, model and hash."""

from __future__ import annotations

import json
from dataclasses import dataclass

from groundglass.core.provenance import Step
from groundglass.core.results import CaseResult
from groundglass.dicomout.instance import software_version
from groundglass.writers import codes
from groundglass.writers.codes import Code


@dataclass(frozen=True, slots=True)
class Method:
    """One algorithm."""

    name: str
    """Its name, e.g. ``training-free``."""
    version: str
    """Version of groundglass."""
    family: Code
    """Whether it follows rules or was learned."""
    parameters: dict[str, str]
    """What the provenance tells of it: settings, model card, hash of the weights."""


def methods_of(result: CaseResult) -> tuple[Method, Method]:
    """Return what found the lungs and what found the infection."""
    steps = {step.name: step for step in result.provenance.steps}
    return (
        _method(result.lungs.method, steps.get("lungs")),
        _method(result.infection.method, steps.get("infection")),
    )


def _method(name: str, step: Step | None) -> Method:
    told = {} if step is None else dict(step.parameters)
    parameters = {key: _text(value) for key, value in told.items() if value is not None}
    learned = "sha256" in json.dumps(told, default=str) or name.startswith("network")
    return Method(name, software_version(), codes.LEARNED if learned else codes.RULES, parameters)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
