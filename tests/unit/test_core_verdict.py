"""Verdicts and provenance: plain sentences, in order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from groundglass.core.progress import Progress, silent
from groundglass.core.provenance import Provenance
from groundglass.core.verdict import Status, Verdict, worst


def verdict(status: Status = Status.NOTE) -> Verdict:
    return Verdict("slice_gaps", status, "two slices are missing", "kept the gap", "volumes hold.")


def test_a_sentence_of_each_part() -> None:
    expected = "Two slices are missing. Kept the gap. Volumes hold."
    assert verdict().sentence == expected


@pytest.mark.parametrize("empty", ["", "  ", "."])
def test_empty_parts_are_said_in_words(empty: str) -> None:
    said = "It is CT. Nothing had to be done. The numbers are not affected."
    assert Verdict("modality", Status.OK, "it is CT", empty, empty).sentence == said


def test_a_better_known_effect_replaces_only_the_effect() -> None:
    better = verdict().with_effect("adds 12 ml")
    assert better.effect == "adds 12 ml"
    assert (better.check, better.found, better.done) == (
        "slice_gaps",
        verdict().found,
        verdict().done,
    )


def test_the_worst_of_several() -> None:
    mixed = tuple(verdict(s) for s in (Status.NOTE, Status.REFUSED, Status.OK, Status.WARNING))
    assert worst(mixed) is Status.REFUSED
    assert worst(mixed[2:]) is Status.WARNING
    assert worst(()) is Status.OK


def test_verdicts_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        verdict().found = "x"  # type: ignore[misc]


def test_provenance_grows_at_the_end_and_keeps_its_past() -> None:
    start = Provenance("dicom", files=3)
    later = start.after("rescale", slope=1.0).after("offset", hu=-1024)
    assert [step.name for step in later.steps] == ["rescale", "offset"]
    assert later.files == 3
    assert start.steps == ()


def test_parameters_of_a_step_cannot_be_changed() -> None:
    step = Provenance().after("offset", hu=-1024).steps[0]
    with pytest.raises(TypeError, match="does not support item assignment"):
        step.parameters["hu"] = 0  # type: ignore[index]


def test_nobody_needs_to_listen_to_progress() -> None:
    silent(Progress("reading slices", 1, 2))
