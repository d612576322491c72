"""Which studies are analyzed: rules that a site writes down, and the reason for every decision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from groundglass.core.serial import from_json


@dataclass(frozen=True)
class Rules:
    """What a study must be to be analyzed; a list left empty asks for nothing."""

    modalities: tuple[str, ...] = ("CT",)
    """Modalities of the series."""
    body_parts: tuple[str, ...] = ()
    """Body parts examined, e.g. ``CHEST``; a series that names none is taken too."""
    series_like: tuple[str, ...] = ()
    """Patterns of series descriptions (``*thorax*``), one of which must fit; case is ignored."""
    series_unlike: tuple[str, ...] = ()
    """Patterns of series descriptions none of which may fit."""
    studies_like: tuple[str, ...] = ()
    """Patterns of study descriptions, one of which must fit."""
    least_slices: int = 20
    """Least number of images (or frames) of a series."""

    def __post_init__(self) -> None:
        """Refuse a rule that no series can meet.

        Raises
        ------
        ValueError
            If the least number of slices is below 1.
        """
        if self.least_slices < 1:
            msg = f"least_slices needs a number from 1 on, found {self.least_slices}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What is known of a received series."""

    folder: str
    """Name of its folder in the study's."""
    modality: str
    """Modality, upper case."""
    body_part: str
    """Body part examined, upper case; may be empty."""
    description: str
    """Series description; may hold personal data, so it is never shown."""
    study_description: str
    """Study description; likewise."""
    slices: int
    """Number of images, or of frames."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a study is analyzed."""

    series: tuple[str, ...]
    """Folders of the series that fit; empty if none does."""
    reason: str
    """Why, without personal data."""


def read_rules(path: Path | None) -> Rules:
    """Return the rules of a JSON file, or the default ones.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold rules.
    """
    return Rules() if path is None else from_json(Rules, path.read_text(encoding="utf-8"))


def decide(series: Sequence[SeriesFacts], rules: Rules) -> Decision:
    """Return which series of a study the rules want analyzed, if any.

    Parameters
    ----------
    series : sequence of SeriesFacts
        All series of the study that came in.
    rules : Rules
        What is wanted.
    """
    if not series:
        return Decision((), "the study holds no image")
    against: list[str] = []
    fitting = []
    for facts in series:
        objection = _objection(facts, rules)
        if objection is None:
            fitting.append(facts.folder)
        else:
            against.append(objection)
    if fitting:
        return Decision(tuple(fitting), f"{len(fitting)} of {len(series)} series fit the rules")
    return Decision((), f"no series fits the rules: {', '.join(sorted(set(against)))}")


def _objection(facts: SeriesFacts, rules: Rules) -> str | None:
    """Return what speaks against a series, in words that tell nothing of the patient."""
    checks = (
        (_one_of(facts.modality, rules.modalities), "modality"),
        (not facts.body_part or _one_of(facts.body_part, rules.body_parts), "body part"),
        (_like(facts.study_description, rules.studies_like), "study description"),
        (_like(facts.description, rules.series_like), "series description"),
        (
            not (rules.series_unlike and _like(facts.description, rules.series_unlike)),
            "series description that is left out",
        ),
        (facts.slices >= rules.least_slices, f"fewer than {rules.least_slices} slices"),
    )
    return next((words for fits, words in checks if not fits), None)


def _one_of(value: str, wanted: Sequence[str]) -> bool:
    return not wanted or value.upper() in {word.upper() for word in wanted}


def _like(text: str, patterns: Sequence[str]) -> bool:
    plain = re.sub(r"\s+", " ", text).strip().casefold()
    return not patterns or any(fnmatchcase(plain, one.casefold()) for one in patterns)
