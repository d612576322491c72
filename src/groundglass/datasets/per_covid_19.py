"""Per-COVID-19: lung-cropped slices with the infected percentage as radiologists read it.

Two layouts. The original: ``Images`` and ``Database_new.xlsx``, whose first sheet holds file name,
percentage, fold and subject in its first four columns, without a row of headings. That of the
challenge: ``Train`` and ``Val`` with pictures of whole slices, ``Train.csv`` and ``Val.csv`` with
``Slice_Name``, ``Covid-19_percentage`` and ``Subject``; the labels of ``Test`` were never released.
"""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.layout import require_file, require_folder
from groundglass.datasets.pictures import read_picture
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import ReadError

NAME = "Per-COVID-19"
SHEET = "Database_new.xlsx"
ORIGINAL, CHALLENGE = "per-covid-19", "per-covid-19-challenge"
TERMS = "research with citation, no commercial use"
CHALLENGE_PARTS = {"train": "Train", "val": "Val"}
CHALLENGE_COLUMNS = ("Slice_Name", "Covid-19_percentage", "Subject")
SAME_PATIENTS = (
    "the original data set and that of the challenge hold the same patients: a model trained on "
    "one must not be measured on the other"
)


@dataclass(frozen=True)
class RatedSlice:
    """One slice and what radiologists read in it."""

    name: str
    """File name, in the challenge with its part before it."""
    file: Path
    """The picture."""
    percent: float
    """Infected share of the lungs, 0 to 100."""
    fold: int | None
    """Fold of the published split, from 1; ``None`` in the challenge."""
    subject: str
    """Whose slice it is."""
    part: str = "train"
    """``train``, or ``val`` of the challenge."""

    def image(self) -> NDArray[np.uint8]:
        """Return the picture as (rows, columns) grey values."""
        with Image.open(self.file) as picture:
            return np.asarray(picture.convert("L"))

    def read(self) -> Slice:
        """Return the picture with its colours."""
        return read_picture(self.file)


def read_per_covid_19(root: Path) -> tuple[RatedSlice, ...]:
    """Return the slices of the original layout, in the order of the sheet.

    A fold none of whose pictures is there is left out.

    Parameters
    ----------
    root : Path
        The folder that holds ``Images``.

    Raises
    ------
    ReadError
        If the layout is another or the sheet cannot be read; if a percentage is outside 0 to 100, a
        picture is missing or named twice, or a subject is in two folds.
    """
    images = require_folder(root, "Images", NAME)
    require_file(root, (SHEET,), NAME)
    rated = [
        RatedSlice(name, images / name, percent, fold, subject)
        for name, percent, fold, subject in _sheet_rows(root / SHEET)
    ]
    _require_once(rated)
    _require_one_fold(rated)
    here = {one.name for one in rated if one.file.is_file()}
    folds = {one.fold for one in rated if one.name in here}
    chosen = [one for one in rated if one.fold in folds]
    if not chosen:
        msg = f"{NAME} needs pictures in 'Images' that its sheet names, found none"
        raise ReadError(msg)
    _require_pictures(chosen, here, "Images")
    return tuple(chosen)


def _sheet_rows(sheet: Path) -> Iterator[tuple[str, float, int, str]]:
    """Yield file, percentage, fold and subject of each row; a row of headings is left out."""
    for number, cells in enumerate(_cells(sheet), 1):
        if all(cell is None for cell in cells) or (number == 1 and not _is_number(cells[1:2])):
            continue
        try:
            name, percent, fold, subject = cells[:4]
            row = (str(name), float(percent), int(float(fold)), _text(subject))
        except (ValueError, TypeError) as error:
            msg = f"row {number} of '{SHEET}' needs a file, a percentage, a fold and a subject"
            raise ReadError(msg) from error
        yield _sound(row[0], row[1]), row[1], row[2], row[3]


def _cells(sheet: Path) -> list[Sequence[Any]]:
    import openpyxl  # noqa: PLC0415 - needed only here

    try:
        book = openpyxl.load_workbook(sheet, read_only=True, data_only=True)
        try:
            return list(book.worksheets[0].iter_rows(values_only=True))
        finally:
            book.close()
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        msg = f"'{SHEET}' of {NAME} needs rows of file, percentage, fold and subject"
        raise ReadError(msg) from error


def _is_number(cells: Sequence[Any]) -> bool:
    try:
        return math.isfinite(float(cells[0]))
    except (ValueError, TypeError, IndexError):
        return False


def _text(value: Any) -> str:
    """Return a subject as text, 7.0 as 7."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _sound(name: str, percent: float) -> str:
    """Return the name of a slice whose percentage can be one."""
    if not 0 <= percent <= 100:
        msg = f"'{name}' of {NAME} has the percentage {percent:g}; 0 to 100 are possible"
        raise ReadError(msg)
    return name


def _require_once(rated: Iterable[RatedSlice]) -> None:
    seen = set()
    for one in rated:
        if one.name in seen:
            msg = f"'{one.name}' of {NAME} has two rows; keep one"
            raise ReadError(msg)
        seen.add(one.name)


def _require_one_fold(rated: Iterable[RatedSlice]) -> None:
    fold_of: dict[str, int | None] = {}
    for one in rated:
        if fold_of.setdefault(one.subject, one.fold) != one.fold:
            msg = (
                f"a subject of {NAME} is in the folds {fold_of[one.subject]} and {one.fold} "
                f"('{one.name}'); keep each subject in one"
            )
            raise ReadError(msg)


def _require_pictures(rated: Sequence[RatedSlice], here: set[str], folder: str) -> None:
    missing = [one.file.name for one in rated if one.name not in here]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        msg = f"{NAME} names the picture '{missing[0]}'{more}, missing in '{folder}'"
        raise ReadError(msg)


def read_challenge(root: Path) -> tuple[RatedSlice, ...]:
    """Return the slices of the challenge that have a percentage, training part first.

    Parameters
    ----------
    root : Path
        The folder that holds ``Train``.

    Raises
    ------
    ReadError
        As for the original layout; also if a CSV file lacks a column.
    """
    found: list[RatedSlice] = []
    for part, folder in CHALLENGE_PARTS.items():
        if part != "train" and not (root / folder).is_dir():
            continue
        place = require_folder(root, folder, NAME)
        table = require_file(root, (f"{folder}.csv", f"{folder}/{folder}.csv"), NAME)
        rated = [
            RatedSlice(f"{folder}/{name}", place / name, percent, None, f"{part}-{subject}", part)
            for name, percent, subject in _challenge_rows(table)
        ]
        _require_once(rated)
        _require_pictures(rated, {one.name for one in rated if one.file.is_file()}, folder)
        found += rated
    if not found:
        msg = f"{NAME} needs percentages in its CSV files, found none"
        raise ReadError(msg)
    return tuple(found)


def _challenge_rows(table: Path) -> Iterator[tuple[str, float, str]]:
    """Yield file, percentage and subject of each row that has a percentage."""
    with table.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        if not set(CHALLENGE_COLUMNS) <= set(reader.fieldnames or ()):
            msg = f"'{table.name}' of {NAME} needs the columns {', '.join(CHALLENGE_COLUMNS)}"
            raise ReadError(msg)
        for number, row in enumerate(reader, 2):
            name, percent, subject = (
                str(row[column] or "").strip() for column in CHALLENGE_COLUMNS
            )
            if not percent:
                continue
            if not name or not subject or not _is_number([percent]):
                msg = f"row {number} of '{table.name}' needs a file, a percentage and a subject"
                raise ReadError(msg)
            number_of = float(subject) if _is_number([subject]) else subject
            yield _sound(name, float(percent)), float(percent), _text(number_of)


def _place_of(root: Path) -> Path:
    """Return the folder of the data set, where a folder of several was named."""
    return root / ORIGINAL if (root / ORIGINAL).is_dir() else root


def is_challenge(root: Path) -> bool:
    """Return whether a folder has the layout of the challenge."""
    return not (root / SHEET).is_file() and (root / CHALLENGE_PARTS["train"]).is_dir()


def rated_slices(root: Path) -> SliceSet:
    """Return all slices with a percentage, of either layout.

    Parameters
    ----------
    root : Path
        Folder of the data set, or of several with this one as ``per-covid-19``.

    Raises
    ------
    ReadError
        If the layout is neither, or something in it is not sound.
    """
    place = _place_of(root)
    challenge = is_challenge(place)
    rated = read_challenge(place) if challenge else read_per_covid_19(place)
    items = tuple(
        SliceItem(
            one.name,
            one.subject,
            "test" if one.part == "val" else "train",
            "doctor",
            one.read,
            one.percent,
            one.fold,
        )
        for one in rated
    )
    notes = (SAME_PATIENTS, "slices are whole, not cropped to the lungs") if challenge else ()
    dataset = CHALLENGE if challenge else ORIGINAL
    return SliceSet(dataset, TERMS, items, notes, groups_known=True)


def rated_parts(root: Path) -> tuple[str, ...]:
    """Return the parts that can be measured: ``all`` first, in the challenge ``val``."""
    found = rated_slices(root)
    if found.dataset == CHALLENGE:
        splits = {item.split for item in found.items}
        return ("val", "train") if "test" in splits else ("train",)
    folds = sorted({item.fold for item in found.items if item.fold is not None})
    return ("all", *(f"fold-{fold}" for fold in folds))


def rated_part(root: Path, part: str) -> SliceSet:
    """Return the slices of a part: ``all``, ``fold-1`` and so on, ``train``, or ``val``.

    Raises
    ------
    ReadError
        As ``rated_slices``.
    ValueError
        If the data set has no such part.
    """
    found = rated_slices(root)
    if part == "all":
        return found
    chosen = tuple(item for item in found.items if part in _parts_of(item, found.dataset))
    if not chosen:
        msg = f"parts here are all, {', '.join(rated_parts(root))}; found {part}"
        raise ValueError(msg.replace("all, all", "all"))
    return SliceSet(found.dataset, found.licence, chosen, found.notes, groups_known=True)


def _parts_of(item: SliceItem, dataset: str) -> set[str]:
    if dataset == CHALLENGE:
        return {"val" if item.split == "test" else "train"}
    return {"train", f"fold-{item.fold}"}
