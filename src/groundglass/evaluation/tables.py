"""Results as tables of numbers: printed, JSON, CSV, one HTML page."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundglass.evaluation.pages import template

Cell = float | int | str | None
NOT_FOUND = "n/a"
"""What is printed where a number was never published."""
MOST_COLUMNS = 12
"""A table with more is turned on its side on the page."""


@dataclass(frozen=True)
class NumberTable:
    """One table."""

    title: str
    """What it shows."""
    columns: tuple[str, ...]
    """Headings, that of the rows' names first."""
    rows: tuple[tuple[Cell, ...], ...]
    """Cells; the first of each row is its name."""

    def lines(self, most: int) -> list[tuple[Cell, ...]]:
        """Return headings and rows; on its side where there are more columns than ``most``."""
        lines: list[tuple[Cell, ...]] = [self.columns, *self.rows]
        return list(zip(*lines, strict=True)) if len(self.columns) > most else lines


@dataclass(frozen=True)
class TaskResult:
    """What a published task gives with our code."""

    system: str
    """The system."""
    task: str
    """Name of the task."""
    model: str
    """What was measured."""
    dataset: str
    """On what."""
    count: int
    """Slices or patients."""
    tables: tuple[NumberTable, ...]
    """Our figures."""
    published: NumberTable
    """Published figures, ``n/a`` where none was found."""
    items: tuple[Mapping[str, Cell], ...]
    """Every slice or patient."""
    notes: tuple[str, ...] = ()
    """What a reader should know."""

    def to_json(self) -> str:
        """Return the figures as JSON."""
        document = {
            "system": self.system,
            "task": self.task,
            "model": self.model,
            "dataset": self.dataset,
            "n": self.count,
            "tables": [_as_dict(table) for table in self.tables],
            "published": _as_dict(self.published),
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _as_dict(table: NumberTable) -> dict[str, object]:
    rows = {str(row[0]): dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    return {"title": table.title, "rows": rows}


def told(cell: Cell) -> str:
    """Return a cell as text: three decimals, ``n/a`` for what is not there."""
    if cell is None:
        return NOT_FOUND
    return f"{round(cell, 3) + 0.0:.3f}" if isinstance(cell, float) else str(cell)  # no -0.000


def span(low: float | None, high: float | None) -> str:
    """Return an interval as text; empty without one."""
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def write_result(result: TaskResult, folder: Path) -> tuple[Path, ...]:
    """Write ``evaluation.json``, ``tables.csv``, ``items.csv`` and ``evaluation.html``.

    Parameters
    ----------
    result : TaskResult
        What to write.
    folder : Path
        Where to; made if needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("evaluation.json", "tables.csv", "items.csv", "evaluation.html")
    paths = tuple(folder / name for name in names)
    paths[0].write_text(result.to_json(), encoding="utf-8")
    rows: list[Sequence[Cell]] = []
    for table in (*result.tables, result.published):
        rows += [(table.title,), table.columns, *table.rows, ()]
    with paths[1].open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows(rows)
    with paths[2].open("w", newline="", encoding="utf-8") as text:
        items = csv.DictWriter(text, list(result.items[0]) if result.items else ["item"])
        items.writeheader()
        items.writerows(result.items)
    paths[3].write_text(
        template("tables.html").render(it=result, told=told, most=MOST_COLUMNS), encoding="utf-8"
    )
    return paths
