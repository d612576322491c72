"""Configuration dataclasses to JSON and back, unknown keys refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def to_json(value: Any) -> str:
    """Return a configuration dataclass as indented JSON."""
    return json.dumps(TypeAdapter(type(value)).dump_python(value, mode="json"), indent=2)


def from_json(kind: type[T], text: str) -> T:
    """Return the dataclass ``kind`` that ``text`` describes; missing keys take their defaults.

    Raises
    ------
    ValueError
        If the text is not JSON, holds NaN or infinity, a key the dataclass does not know, or a
        value of a wrong type.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        msg = f"a configuration must be JSON; this is not JSON: {error}"
        raise ValueError(msg) from error
    _refuse_unknown(kind, data, "")
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"configuration value '{where}': {first['msg']}"
        raise ValueError(msg) from error


def _refuse_constant(name: str) -> float:
    msg = f"a configuration holds finite numbers only, found {name}"
    raise ValueError(msg)


def _refuse_unknown(kind: Any, data: Any, path: str) -> None:
    """Refuse unknown keys of a dataclass, of an optional one, and of those inside it."""
    kind = next((part for part in get_args(kind) if dataclasses.is_dataclass(part)), kind)
    if not (dataclasses.is_dataclass(kind) and isinstance(data, Mapping)):
        return
    hints = get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            msg = f"unknown configuration key '{path}{key}'; known here: {', '.join(sorted(hints))}"
            raise ValueError(msg)
        _refuse_unknown(hints[key], value, f"{path}{key}.")
