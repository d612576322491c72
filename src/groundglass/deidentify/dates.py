"""Dates and times moved by one amount a patient."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from groundglass.deidentify.secret import Shift

_DATE = re.compile(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)")
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?")
_MOMENT = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d{1,6})?(?:[+-]\d{4})?")
_ANY_DAY = "20000102"
_CHARACTERS = (0, 4, 6, 8, 10, 12, 14)
"""Length of a date and time with year, month, day, hour, minute, second."""


def shift_pair(date: str, time: str, shift: Shift) -> tuple[str, str]:
    """Return a date and the time that belongs to it, moved; empty where they cannot be read.

    The time keeps its precision; without a time the date moves by whole days alone, and without
    a date the time moves round the clock.
    """
    clock = _TIME.fullmatch(time.strip(" \0"))
    day = _parse(_DATE, date)
    if clock is None:
        return ("" if day is None else _shown(day, timedelta(shift.days)), "")
    start = _parse(_DATE, _ANY_DAY) if day is None else day
    assert start is not None
    moved = _moved(start + _since_midnight(clock), timedelta(shift.days, shift.seconds))
    if moved is None:
        return "", ""
    shown = _clock(moved, clock)
    return ("" if day is None else moved.strftime("%Y%m%d").zfill(8)), shown


def shift_moment(text: str, shift: Shift) -> str:
    """Return a date and time in one (DT), moved; its time zone, which tells a place, is left out.

    A year or month alone, which no shift in days moves, becomes empty, and so does what cannot
    be read.
    """
    found = _MOMENT.fullmatch(text.strip(" \0"))
    if found is None or found[3] is None:
        return ""
    parts = [int(found[i]) for i in range(1, 7) if found[i] is not None]
    try:
        start = datetime(*(parts + [0] * (6 - len(parts))))  # type: ignore[arg-type]
    except ValueError:
        return ""
    amount = timedelta(shift.days, shift.seconds if len(parts) > 3 else 0)
    moved = _moved(start, amount)
    if moved is None:
        return ""
    text = moved.strftime("%Y%m%d%H%M%S").zfill(14)[: _CHARACTERS[len(parts)]]
    return text + (found[7] or "") if len(parts) == 6 else text


def _parse(pattern: re.Pattern[str], text: str) -> datetime | None:
    found = pattern.fullmatch(text.strip(" \0"))
    try:
        return None if found is None else datetime(*(int(part) for part in found.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None


def _moved(start: datetime, amount: timedelta) -> datetime | None:
    try:
        return start + amount
    except OverflowError:
        return None


def _shown(day: datetime, amount: timedelta) -> str:
    moved = _moved(day, amount)
    return "" if moved is None else moved.strftime("%Y%m%d").zfill(8)


def _since_midnight(clock: re.Match[str]) -> timedelta:
    hours, minutes, seconds = (int(part or 0) for part in clock.groups()[:3])
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _clock(moved: datetime, clock: re.Match[str]) -> str:
    """Return a time of day with the parts the original had."""
    parts = 1 + sum(clock[i] is not None for i in (2, 3))
    return moved.strftime("%H%M%S")[: 2 * parts] + (clock[4] or "")
