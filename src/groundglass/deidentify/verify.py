"""The copy, read again as a stranger would, and searched for everything that must not be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from groundglass.deidentify.rules import Rule, RuleBook
from groundglass.deidentify.secret import Pseudonyms, is_public_uid
from groundglass.deidentify.values import (
    DUMMIES,
    TEXT,
    bytes_of,
    is_foreign,
    items_of,
    tags_of,
    text_of,
    vr_of,
)
from groundglass.deidentify.walk import (
    PATIENT_ID,
    PATIENT_NAME,
    SOP_CLASS,
    Subject,
    path_text,
    temporal_values,
)
from groundglass.deidentify.words import REMOVED, has_date, uids_in
from groundglass.readers.dicom_file import inflate, load_header

_META = frozenset(
    {"FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID"}
    | {"MediaStorageSOPInstanceUID", "TransferSyntaxUID", "ImplementationClassUID"}
    | {"ImplementationVersionName"}
)
_STAMPS = {
    "PatientIdentityRemoved": ("YES",),
    "LongitudinalTemporalInformationModified": ("MODIFIED", "REMOVED"),
}
_DUMMY_TEXTS = frozenset({REMOVED, *DUMMIES.values()})


@dataclass(frozen=True)
class Expected:
    """What a copy is held against."""

    names: Pseudonyms
    """Identifiers given out and those they replaced."""
    subject: Subject
    """The patient, with the values taken out."""
    book: RuleBook
    """Rules of the object."""
    dates: Mapping[tuple[int, ...], bytes]
    """Original dates and times by their place."""
    pixels: bytes
    """Pixel data element that must stand at the end, byte for byte; empty for objects without."""


def violations(path: Path, expected: Expected) -> tuple[str, ...]:
    """Return everything wrong with a copy, by kind and tag, never with a value; none if sound."""
    try:
        data = inflate(path.read_bytes())
        dataset, offset = load_header(path)
    except Exception as error:  # noqa: BLE001 - whatever it is, the copy is not sound
        return (f"cannot be read again: {type(error).__name__}",)
    header = data if offset < 0 else data[:offset]
    found = [*_meta(data, dataset), *_elements(dataset, expected, ()), *_dates(dataset, expected)]
    if expected.subject.sought.found_in(header[132:]):
        found.append("removed value somewhere in the header")
    if (offset >= 0) != bool(expected.pixels) or not data.endswith(expected.pixels):
        found.append("pixel data changed")
    elif len(header) + len(expected.pixels) != len(data):
        found.append("bytes beside header and pixel data")
    return tuple(found)


def _meta(data: bytes, dataset: Dataset) -> Iterator[str]:
    if any(data[:128]):
        yield "preamble not zero"
    meta = dataset.file_meta
    if any(element.keyword not in _META for element in meta):
        yield "file meta information holds more than it needs"
    if meta.get("MediaStorageSOPInstanceUID") != dataset.get("SOPInstanceUID"):
        yield "file meta information names another object"
    for keyword, allowed in _STAMPS.items():
        if dataset.get(keyword) not in allowed:
            yield f"{keyword} missing"
    if not dataset.get("DeidentificationMethodCodeSequence"):
        yield "DeidentificationMethodCodeSequence missing"


def _elements(dataset: Dataset, expected: Expected, path: tuple[int, ...]) -> Iterator[str]:
    for tag in tags_of(dataset):
        here = (*path, tag)
        if is_foreign(tag):
            yield f"attribute that may not be there: {path_text(here)}"
            continue
        vr = vr_of(dataset, tag)
        if vr == "SQ":
            for item in items_of(dataset, tag) or ():
                yield from _elements(item, expected, here)
        problem = _problem(dataset, tag, vr, expected)
        if problem:
            yield f"{problem}: {path_text(here)}"


def _problem(dataset: Dataset, tag: int, vr: str, expected: Expected) -> str | None:
    rule = expected.book.rule(tag, vr)
    if rule is Rule.REMOVE:
        return "attribute not removed"
    if vr == "SQ":
        filled = rule is Rule.EMPTY and bool(items_of(dataset, tag))
        return "attribute not emptied" if filled else None
    if vr == "UI" or rule is Rule.UID:
        return _uid_problem(text_of(dataset, tag), tag, expected.names)
    if rule in (Rule.EMPTY, Rule.DUMMY) and not _says_nothing(dataset, tag, expected):
        return "attribute not emptied"
    return _text_problem(bytes_of(dataset, tag), expected) if vr in TEXT else None


def _uid_problem(value: str, tag: int, names: Pseudonyms) -> str | None:
    for text in value.split("\\"):
        uid = text.strip(" \0")
        if uid and tag != SOP_CLASS and uid not in names.issued and not is_public_uid(uid):
            return "identifier that was not given out here"
    return None


def _says_nothing(dataset: Dataset, tag: int, expected: Expected) -> bool:
    value = text_of(dataset, tag)
    if tag in (PATIENT_NAME, PATIENT_ID):
        return value.rstrip("^") == expected.subject.pseudonym
    return not value or value in _DUMMY_TEXTS


def _text_problem(value: bytes, expected: Expected) -> str | None:
    if expected.subject.sought.found_in(value):
        return "removed value in another attribute"
    if any(uid not in expected.names.issued for uid in uids_in(value)):
        return "identifier in a text"
    return "date in a text" if has_date(value) else None


def _dates(dataset: Dataset, expected: Expected) -> Iterator[str]:
    """Yield dates and times that stand where they stood."""
    for place, value in temporal_values(dataset):
        text = value.decode("latin-1")
        if expected.dates.get(place) == value and text not in _DUMMY_TEXTS and not _is_zero(text):
            yield f"date or time not changed: {path_text(tuple(place[0::2]))}"


def _is_zero(text: str) -> bool:
    return set(text) <= set("0.\\")
