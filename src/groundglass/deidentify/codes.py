"""Coded concepts: what a public code means is kept, what somebody wrote beside it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import cast

from pydicom.dataset import Dataset

from groundglass.deidentify.words import REMOVED, harmless
from groundglass.writers.codes import SCHEME, known_codes

UNKNOWN_CODE = "unknown"
"""Code value put in place of one that no public list holds."""
SUBJECT_CODES = frozenset(
    {"121029", "121030", "121031", "121032", "121033", "121034", "121035", "8302-2", "3141-9"}
    | {"29463-7", "121024", "121025", "121026", "121022", "121023", "121028"}
)
"""Concepts of structured reports that hold who the subject is."""
_SHORT = re.compile(r"[A-Za-z]{0,4}-?\d{0,5}")


@cache
def public_codes() -> Mapping[tuple[str, str], str]:
    """Return the meaning of every code of DICOM's context groups and of our own objects.

    The keys are scheme and value.
    """
    from pydicom.sr._concepts_dict import concepts  # noqa: PLC0415 - large, needed for few files
    from pydicom.sr._snomed_dict import mapping  # noqa: PLC0415

    known = cast("Mapping[str, Mapping[str, Mapping[str, tuple[str, list[int]]]]]", concepts)
    found = {
        (scheme, value): meaning
        for scheme, words in known.items()
        for entries in words.values()
        for value, (meaning, _) in entries.items()
    }
    older: Mapping[str, str] = mapping["SCT"]
    for new, old in older.items():
        if ("SCT", new) in found:
            found["SRT", old] = found["SCT", new]
            found["SNM3", old] = found["99SDM", old] = found["SCT", new]
    return {**found, **known_codes()}


def is_coded(item: Dataset) -> bool:
    """Return whether an item of a sequence is a coded concept."""
    return "CodeMeaning" in item or "CodeValue" in item or "CodingSchemeDesignator" in item


def clean_code(item: Dataset) -> bool:
    """Put the public meaning beside a public code, and replace a code nobody knows.

    Returns
    -------
    bool
        Whether something was changed.
    """
    scheme, value = _text(item, "CodingSchemeDesignator"), _text(item, "CodeValue")
    written = _text(item, "CodeMeaning")
    meaning = public_codes().get((scheme, value))
    if meaning is None and _is_harmless_own(scheme, value, written):
        return False
    if meaning is None:
        item.CodeValue, item.CodingSchemeDesignator = UNKNOWN_CODE, SCHEME
        item.CodeMeaning = REMOVED
        for keyword in ("LongCodeValue", "URNCodeValue", "CodingSchemeVersion"):
            if keyword in item:
                del item[keyword]
        return True
    if written != meaning[:64]:
        item.CodeMeaning = meaning[:64]
        return True
    return False


def _is_harmless_own(scheme: str, value: str, meaning: str) -> bool:
    """Return whether a private code says in terms of the field what it means."""
    if scheme == SCHEME and value == UNKNOWN_CODE:
        return meaning == REMOVED
    known_scheme = scheme.startswith("99") and len(scheme) <= 16
    return known_scheme and harmless(meaning) and _SHORT.fullmatch(value) is not None


def _text(item: Dataset, keyword: str) -> str:
    try:
        value = item.get(keyword)
    except Exception:  # noqa: BLE001 - whatever a broken value raises, it is no known code
        return ""
    return value.strip() if isinstance(value, str) else ""
