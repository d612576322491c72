"""Element values of a DICOM dataset, read without trust: damage gives ``None``, never an error."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from pydicom.dataset import Dataset

_UID = re.compile(r"[0-2](\.(0|[1-9]\d*)){3,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element, ``None`` if missing, empty or not readable."""
    try:
        value = dataset.get(keyword)
    except Exception:  # noqa: BLE001  any damage to one value must not cost the file
        return None
    return None if value in (None, "") else value


def text(dataset: Dataset, keyword: str) -> str | None:
    """Return the first value as stripped text."""
    values = texts(dataset, keyword, upper=False)
    return values[0] if values else None


def texts(dataset: Dataset, keyword: str, *, upper: bool = True) -> tuple[str, ...]:
    """Return all values as stripped text."""
    stripped = [str(value).strip() for value in _many(value_of(dataset, keyword))]
    return tuple(value.upper() if upper else value for value in stripped if value)


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value as a finite number."""
    found = _floats(_many(value_of(dataset, keyword))[:1])
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` finite numbers, or ``None``."""
    found = _floats(_many(value_of(dataset, keyword)))
    return found if found is not None and len(found) == count else None


def whole(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value as a whole number."""
    value = number(dataset, keyword)
    return None if value is None else int(value)


def valid_uid(value: str | None) -> str | None:
    """Return a UID or UUID, ``None`` for anything else: other text may tell who the patient is."""
    if value is None or len(value) > 64:
        return None
    return value if _UID.fullmatch(value) or _UUID.fullmatch(value) else None


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _floats(values: list[Any]) -> tuple[float, ...] | None:
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found and all(isfinite(v) and abs(v) < 1e12 for v in found) else None
