"""The per-slice curve as an SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from groundglass.writers.document import SlicePart

WIDTH, HEIGHT = 960, 300
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 64, 64, 18, 82


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of an axis."""

    at: float
    """Place in the drawing."""
    text: str
    """What is written there."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Everything the template needs to draw; all places in pixels of a WIDTH x HEIGHT drawing."""

    area: str
    """Points of the filled lung area; empty where areas are not known."""
    lines: tuple[str, ...]
    """Points of the infected-percent line, broken where there is no number."""
    dots: tuple[tuple[float, float], ...]
    """Numbers that stand alone between gaps."""
    percent_ticks: tuple[Tick, ...]
    area_ticks: tuple[Tick, ...]
    position_ticks: tuple[Tick, ...]
    kept: tuple[tuple[float, float], ...]
    """Left edge and width of runs kept by the lung-area rule."""
    kept_ctset: tuple[tuple[float, float], ...]
    """The same for the COVID-CTset rule."""
    x_title: str
    summary: str
    """The drawing in words."""
    left: float = LEFT_PX
    right: float = WIDTH - RIGHT_PX
    top: float = TOP_PX
    bottom: float = HEIGHT - BOTTOM_PX
    width: int = WIDTH
    height: int = HEIGHT


def draw_curve(slices: Sequence[SlicePart]) -> Curve | None:
    """Return the curve of infected percent and lung area, head on the left; ``None`` for one slice.

    Parameters
    ----------
    slices : sequence of SlicePart
        Head to feet.
    """
    if len(slices) < 2:
        return None
    positions = [s.position_mm for s in slices]
    known = [p for p in positions if p is not None]
    by_mm = len(known) == len(slices) and known[0] > known[-1]
    along = [known[0] - p for p in known] if by_mm else [float(s.index) for s in slices]
    span = along[-1] - along[0] or 1.0
    xs = [LEFT_PX + (a - along[0]) / span * (WIDTH - LEFT_PX - RIGHT_PX) for a in along]
    percents = [s.infected_percent for s in slices]
    areas = [None if s.lung_area_mm2 is None else s.lung_area_mm2 / 100 for s in slices]
    highest = max((p for p in percents if p is not None), default=0.0)
    percent_top = min(nice_top(highest, 1.0), 100.0)
    area_top = nice_top(max((a for a in areas if a is not None), default=0.0), 10.0)
    runs = _runs(xs, [_height(p, percent_top) for p in percents])
    return Curve(
        area=_filled(xs, [_height(a, area_top) for a in areas]),
        lines=tuple(_points(run) for run in runs if len(run) > 1),
        dots=tuple(run[0] for run in runs if len(run) == 1),
        percent_ticks=_scale(percent_top),
        area_ticks=_scale(area_top) if any(a is not None for a in areas) else (),
        position_ticks=_positions(xs, slices, by_mm=by_mm),
        kept=_strips(xs, [s.selected for s in slices]),
        kept_ctset=_strips(xs, [bool(s.selected_ctset) for s in slices]),
        x_title="position of the slice in mm (patient z), head on the left"
        if by_mm
        else "number of the slice",
        summary=_summary(slices, percents),
    )


def nice_top(value: float, least: float) -> float:
    """Return the end of an axis: 1, 2, 2.5 or 5 times a power of ten, not below ``value``."""
    value = max(value * 1.05, least)
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)


def _height(value: float | None, top: float) -> float | None:
    room = HEIGHT - TOP_PX - BOTTOM_PX
    return None if value is None else HEIGHT - BOTTOM_PX - value / top * room


def _runs(xs: Sequence[float], ys: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((round(x, 1), round(y, 1)))
    return [run for run in runs if run]


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in run)


def _filled(xs: Sequence[float], ys: Sequence[float | None]) -> str:
    if all(y is None for y in ys):
        return ""
    floor = float(HEIGHT - BOTTOM_PX)
    top = [(round(x, 1), floor if y is None else round(y, 1)) for x, y in zip(xs, ys, strict=True)]
    return _points([(top[0][0], floor), *top, (top[-1][0], floor)])


def _scale(top: float) -> tuple[Tick, ...]:
    room = HEIGHT - TOP_PX - BOTTOM_PX
    parts = 5 if f"{top:.0e}"[0] in "15" else 4
    return tuple(
        Tick(round(HEIGHT - BOTTOM_PX - i / parts * room, 1), f"{top * i / parts:g}")
        for i in range(parts + 1)
    )


def _positions(
    xs: Sequence[float], slices: Sequence[SlicePart], *, by_mm: bool
) -> tuple[Tick, ...]:
    count = min(8, len(xs) - 1)
    chosen = sorted({round(i * (len(xs) - 1) / count) for i in range(count + 1)})
    return tuple(
        Tick(
            round(xs[i], 1),
            f"{slices[i].position_mm:.0f}".replace("-", "\N{MINUS SIGN}") if by_mm else f"{i}",
        )
        for i in chosen
    )


def _strips(xs: Sequence[float], kept: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    half = (xs[-1] - xs[0]) / (len(xs) - 1) / 2
    strips = []
    for keep, run in groupby(zip(kept, xs, strict=True), key=lambda pair: pair[0]):
        if keep:
            here = [x for _, x in run]
            strips.append((round(here[0] - half, 1), round(here[-1] - here[0] + 2 * half, 1)))
    return tuple(strips)


def _summary(slices: Sequence[SlicePart], percents: Sequence[float | None]) -> str:
    numbers = [(p, s.index) for p, s in zip(percents, slices, strict=True) if p is not None]
    if not numbers:
        return "No slice holds lung."
    top, index = max(numbers)
    return (
        f"Infected percent of {len(slices)} slices from head to feet; the highest is {top:.1f} % "
        f"in slice {index}."
    )
