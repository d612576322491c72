"""Configuration to JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from groundglass.core.serial import from_json, to_json


@dataclass(frozen=True)
class Inner:
    radius_mm: float = 5.0
    limits_hu: tuple[float, float] = (-750.0, -250.0)


@dataclass(frozen=True)
class Outer:
    method: Literal["a", "b"] = "a"
    offset: float | None = None
    inner: Inner = field(default_factory=Inner)
    extra: Inner | None = None


def test_round_trip() -> None:
    value = Outer("b", -1024.0, Inner(2.5, (-1.0, 1.0)), Inner(1.0))
    assert from_json(Outer, to_json(value)) == value


def test_missing_keys_take_their_defaults() -> None:
    assert from_json(Outer, '{"inner": {"radius_mm": 7}}') == Outer(inner=Inner(7.0))


def test_json_is_plain() -> None:
    assert json.loads(to_json(Outer())) == {
        "method": "a",
        "offset": None,
        "inner": {"radius_mm": 5.0, "limits_hu": [-750.0, -250.0]},
        "extra": None,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"methd": "a"}', "unknown configuration key 'methd'; known here: extra, inner"),
        ('{"inner": {"radius": 5}}', "unknown configuration key 'inner.radius'; known here: lim"),
        ('{"extra": {"radius": 5}}', "unknown configuration key 'extra.radius'"),
        ('{"method": "c"}', "configuration value 'method'"),
        ('{"inner": {"radius_mm": "wide"}}', "configuration value 'inner.radius_mm'"),
        ('{"inner": 3}', "configuration value 'inner'"),
        ("[]", "configuration"),
        ("{", "not JSON"),
        ('{"inner": {"radius_mm": NaN}}', "NaN"),
    ],
)
def test_what_is_not_a_configuration_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Outer, text)
