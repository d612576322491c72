"""Tables of scores: which patient, which numbers; two of them brought together."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundglass.errors import ReadError

_COHORT = re.compile(r"[A-Za-z]+(?:\d+(?=-))?")


@dataclass(frozen=True)
class ScoreTable:
    """One table of scores."""

    ids: tuple[str, ...] | None
    """Patient of each row; ``None`` where the table has none."""
    columns: tuple[tuple[float, ...], ...]
    """Scores, column by column."""
    names: tuple[str, ...]
    """Name of each column: its heading, else ``column 1`` and so on."""


@dataclass(frozen=True)
class Pairs:
    """A reference and one or more scores of the same patients in the same order."""

    ids: tuple[str, ...]
    """Patients; their row numbers where no table names them."""
    reference: tuple[float, ...]
    """Reference score."""
    scores: dict[str, tuple[float, ...]]
    """By name of the column."""
    notes: tuple[str, ...]
    """How the rows were brought together and what was left out."""


def read_scores(path: Path) -> ScoreTable:
    """Return the table in a CSV file: an optional column of patients, then numbers.

    A first row in which no score is a number is taken for headings. Semicolons and tabs part
    cells as commas do.

    Raises
    ------
    ReadError
        If the file cannot be read, has no rows, rows of different length, a cell that is neither
        a number nor in the first column, or a patient twice.
    """
    rows = _rows(path)
    heads = None
    if len(rows) > 1 and not any(_is_number(cell) for cell in rows[0]):
        heads, rows = rows[0], rows[1:]
    named = not all(_is_number(row[0]) for row in rows)
    ids = tuple(row[0] for row in rows) if named else None
    if ids is not None and len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        msg = f"'{path.name}' has the patient '{twice}' twice; every patient needs one row"
        raise ReadError(msg)
    start = 1 if named else 0
    width = len(rows[0])
    if width == start:
        msg = f"'{path.name}' needs at least one column of scores, found names alone"
        raise ReadError(msg)
    columns = tuple(_numbers(path, rows, place) for place in range(start, width))
    names = tuple(
        heads[place] if heads and heads[place] else f"column {place + 1}"
        for place in range(start, width)
    )
    return ScoreTable(ids, columns, names)


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"a table of scores as CSV is needed, '{path.name}' cannot be read as one"
        raise ReadError(msg) from error
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    table = csv.reader(text.splitlines(), delimiter=delimiter)
    rows = [[cell.strip() for cell in row] for row in table if any(cell.strip() for cell in row)]
    if not rows:
        msg = f"'{path.name}' holds no row of scores"
        raise ReadError(msg)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            msg = (
                f"'{path.name}' needs as many cells in every row, found {len(row)} in row {number} "
                f"and {len(rows[0])} in the first"
            )
            raise ReadError(msg)
    return rows


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _numbers(path: Path, rows: Sequence[Sequence[str]], place: int) -> tuple[float, ...]:
    for number, row in enumerate(rows, start=1):
        if not _is_number(row[place]):
            msg = (
                f"'{path.name}' needs numbers as scores, found '{row[place]}' in column "
                f"{place + 1} of row {number}"
            )
            raise ReadError(msg)
    return tuple(float(row[place]) for row in rows)


def paired(reference: ScoreTable, other: ScoreTable) -> Pairs:
    """Bring two tables together: by patient where both name them, else row by row.

    Where rows are paired by their order and a column of the other table repeats the reference, the
    order is confirmed by it and that column is no score.

    Raises
    ------
    ReadError
        If the reference has several columns, no patient is in both tables, or tables without names
        differ in length.
    """
    if len(reference.columns) != 1:
        msg = f"the reference needs one column of scores, found {', '.join(reference.names)}"
        raise ReadError(msg)
    if reference.ids is not None and other.ids is not None:
        return _by_patient(reference, reference.ids, other, other.ids)
    truth = reference.columns[0]
    if len(truth) != len(other.columns[0]):
        msg = (
            "tables without names of patients are paired row by row and need as many rows, found "
            f"{len(truth)} and {len(other.columns[0])}"
        )
        raise ReadError(msg)
    notes = ["rows are paired by their order, as not both tables name patients"]
    scores = dict(zip(other.names, other.columns, strict=True))
    if len(scores) > 1 and other.columns[0] == truth:
        del scores[other.names[0]]
        notes.append(f"{other.names[0]} repeats the reference, which confirms the order")
    elif len(scores) > 1 and sorted(other.columns[0]) == sorted(truth):
        notes.append(
            f"{other.names[0]} holds the scores of the reference in another order, so rows of the "
            "two tables may not belong together"
        )
    ids = reference.ids or other.ids or tuple(str(row + 1) for row in range(len(truth)))
    return Pairs(ids, truth, scores, tuple(notes))


def _by_patient(
    reference: ScoreTable, wanted: Sequence[str], other: ScoreTable, given: Sequence[str]
) -> Pairs:
    place = {name: row for row, name in enumerate(given)}
    kept = [(row, place[name]) for row, name in enumerate(wanted) if name in place]
    if not kept:
        msg = f"the tables share no patient, e.g. '{wanted[0]}' and '{given[0]}'"
        raise ReadError(msg)
    notes = []
    for table, names, shared in (("reference", wanted, place), ("scores", given, set(wanted))):
        alone = [name for name in names if name not in shared]
        if alone:
            shown = ", ".join(alone[:5])
            notes.append(f"{len(alone)} patients are in the table of {table} alone: {shown}")
    return Pairs(
        tuple(wanted[row] for row, _ in kept),
        tuple(reference.columns[0][row] for row, _ in kept),
        {
            name: tuple(column[row] for _, row in kept)
            for name, column in zip(other.names, other.columns, strict=True)
        },
        tuple(notes),
    )


def cohort_of(patient: str) -> str:
    """Return the cohort a name tells: ``IITM_003``, ``P014``, ``T1-008`` give IITM, P, T1.

    Names without letters are of one cohort, ``all``.
    """
    match = _COHORT.match(patient)
    return match[0] if match else "all"
