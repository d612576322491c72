"""The error tree is the one drawn in its docstring."""

from __future__ import annotations

import inspect
import re

import pytest

from groundglass import errors
from groundglass.core.verdict import Status, Verdict


def classes() -> dict[str, type[errors.GroundglassError]]:
    return {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.GroundglassError)
    }


def drawn() -> dict[str, str]:
    """Return the parent of every class in the drawing."""
    parents: dict[str, str] = {}
    line_of: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([ │├└─]*)(\w+Error)\b", line)
        if match:
            depth = (len(match[1]) - 4) // 4
            line_of[depth:] = [match[2]]
            if depth:
                parents[match[2]] = line_of[depth - 1]
    return parents


def test_every_error_is_drawn_under_its_base() -> None:
    actual = {
        name: kind.__base__.__name__
        for name, kind in classes().items()
        if kind.__base__ is not None and kind is not errors.GroundglassError
    }
    assert drawn() == actual


@pytest.mark.parametrize("name", sorted(classes()))
def test_every_error_is_caught_as_one_and_can_carry_verdicts(name: str) -> None:
    verdict = Verdict("modality", Status.REFUSED, "it is MR", "stopped", "no numbers")
    error = classes()[name]("what was needed", verdicts=(verdict,))
    assert isinstance(error, errors.GroundglassError)
    assert str(error) == "what was needed"
    assert error.verdicts == (verdict,)
    assert classes()[name]("x").verdicts == ()
