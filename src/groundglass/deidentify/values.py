"""Single values: what is in an element, and what may stand in its place."""

from __future__ import annotations

import re
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from groundglass.deidentify.words import REMOVED

TEXT = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Value representations of text."""
NUMERALS = frozenset({"DS", "IS"})
"""Value representations of numbers written as text."""
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Value representations of bytes."""
DUMMIES = {
    "AS": "000Y",
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "DS": "0",
    "IS": "0",
    "UR": "urn:removed",
}
"""What stands for a value that may not be empty; other text says that it was removed."""
_NUMERAL = re.compile(rb"[-+0-9.eE\\ \0]*")
_LONG_NUMERAL = re.compile(rb"\d{9,}")
_STRUCTURE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0xFFFA, 0xFFFC, 0xFFFE})
_REPEATING = frozenset({0x50, 0x60, 0x7F})


def is_foreign(tag: int) -> bool:
    """Return whether an attribute may not be in an object at all.

    That is everything private, unknown to the standard, part of file or transfer rather than of
    the object, overlays (60xx), curves (50xx), signatures, padding and group lengths.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2 or element == 0 or group in _STRUCTURE_GROUPS:
        return True
    if group >> 8 in _REPEATING:
        return group != 0x7FE0
    return not dictionary_has_tag(tag)


def tags_of(dataset: Dataset) -> list[int]:
    """Return the tags of a data set's elements."""
    return [int(tag) for tag in dataset.keys()]  # noqa: SIM118 - a data set yields its elements


def vr_of(dataset: Dataset, tag: int) -> str:
    """Return the value representation of an element, the dictionary's if the file gives none."""
    written = dataset.get_item(tag).VR
    if written in (None, "UN") and dictionary_has_tag(tag):
        return dictionary_VR(tag)[:2]
    return str(written)


def bytes_of(dataset: Dataset, tag: int) -> bytes:
    """Return the value of an element as it stands in the file."""
    item = dataset.get_item(tag)
    if isinstance(item, RawDataElement):
        return item.value or b""
    value = item.value
    if value is None or isinstance(value, bytes):
        return value or b""
    if isinstance(value, str | PersonName) or not hasattr(value, "__iter__"):
        return str(value).encode("utf-8", "replace")
    return "\\".join(str(part) for part in value).encode("utf-8", "replace")


def text_of(dataset: Dataset, tag: int) -> str:
    """Return the value of an element as text of single bytes."""
    return bytes_of(dataset, tag).decode("latin-1").strip(" \0")


def items_of(dataset: Dataset, tag: int) -> Sequence | None:
    """Return the items of a sequence; ``None`` if it cannot be read as one."""
    try:
        value = dataset[tag].value
    except Exception:  # noqa: BLE001 - whatever a damaged sequence raises, it cannot be read
        return None
    return value if isinstance(value, Sequence) else None


def put(dataset: Dataset, tag: int, vr: str, value: Any) -> None:
    """Set an element, whatever it was before."""
    dataset[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


def put_empty(dataset: Dataset, tag: int, vr: str) -> None:
    """Empty an element."""
    put(dataset, tag, vr, Sequence() if vr == "SQ" else None)


def put_dummy(dataset: Dataset, tag: int, vr: str) -> None:
    """Set an element to a value that says nothing and is valid."""
    if vr in BINARY:
        put(dataset, tag, vr, b"\0\0")
    elif vr in TEXT or vr in DUMMIES:
        put(dataset, tag, vr, DUMMIES.get(vr, REMOVED))
    else:
        put_empty(dataset, tag, vr)


def is_number(value: bytes) -> bool:
    """Return whether a number written as text is one, and not a long identifier."""
    return (
        _NUMERAL.fullmatch(value) is not None and _LONG_NUMERAL.search(value.split(b".")[0]) is None
    )
