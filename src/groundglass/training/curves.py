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
    validation_dice: float | None
    """Mean Dice of the validation slices; ``None`` without such."""


def write_curves(points: Sequence[Point], folder: Path, name: str) -> None:
    """Write ``<name>.curve.csv`` and ``<name>.curve.png``."""
    with (folder / f"{name}.curve.csv").open("w", newline="", encoding="utf-8") as text:
        table = csv.DictWriter(text, [field.name for field in fields(Point)])
        table.writeheader()
        table.writerows(asdict(point) for point in points)
    _draw(points, folder / f"{name}.curve.png")


def _draw(points: Sequence[Point], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    steps = [point.step for point in points]
    axes.plot(steps, [point.loss for point in points], color="tab:blue", label="loss")
    seen = [(p.step, p.validation_dice) for p in points if p.validation_dice is not None]
    if seen:
        other = axes.twinx()
        other.plot(*zip(*seen, strict=True), color="tab:orange", label="validation Dice")
        other.set(ylim=(0, 1), ylabel="validation Dice")
    figure.savefig(path, dpi=100)
