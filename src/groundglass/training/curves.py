"""The curve of a training: what the loss did, as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    stage: str
    """Name of the stage."""
    step: int
    """Optimiser steps taken in it."""
    loss: float
    """Mean loss since the last point."""
    learning_rate: float
    """Learning rate at that step."""
    validation: float | None
    """Figure of the validation slices, by the recipe's yardstick; ``None`` without such."""


def write_curves(points: Sequence[Point], folder: Path, name: str, yardstick: str = "Dice") -> None:
    """Write ``<name>.curve.csv`` and ``<name>.curve.png``.

    Parameters
    ----------
    points : sequence of Point
        In order.
    folder : Path
        Where to.
    name : str
        Name of the stage.
    yardstick : str
        Name of the validation figure, for the picture and the table's head.
    """
    names = [field.name for field in fields(Point)]
    heads = [*names[:-1], f"validation_{yardstick.lower().replace(' ', '_')}"]
    with (folder / f"{name}.curve.csv").open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(heads)
        table.writerows(asdict(point).values() for point in points)
    _draw(points, folder / f"{name}.curve.png", f"validation {yardstick}")


def _draw(points: Sequence[Point], path: Path, label: str) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    steps = [point.step for point in points]
    axes.plot(steps, [point.loss for point in points], color="tab:blue", label="loss")
    seen = [(p.step, p.validation) for p in points if p.validation is not None]
    if seen:
        other = axes.twinx()
        other.plot(*zip(*seen, strict=True), color="tab:orange", label=label)
        other.set_ylabel(label)
    figure.savefig(path, dpi=100)
