"""Per-COVID-19: lung-cropped slices with the infected percentage as radiologists read it.

Layout: ``Images`` and ``Database_new.xlsx``, whose first sheet holds file name, percentage, fold
and subject in its first four columns.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.layout import require_file, require_folder
from groundglass.errors import ReadError

NAME = "Per-COVID-19"
SHEET = "Database_new.xlsx"
_INSIDE = "xl/worksheets/sheet1.xml"
_TAG = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass(frozen=True)
class RatedSlice:
    """One slice and what radiologists read in it."""

    name: str
    """File name."""
    file: Path
    """The picture."""
    percent: float
    """Infected share of the lungs, 0 to 100."""
    fold: int
    """Fold of the published split, from 1."""
    subject: str
    """Whose slice it is."""

    def image(self) -> NDArray[np.uint8]:
        """Return the picture as (rows, columns) grey values."""
        with Image.open(self.file) as picture:
            return np.asarray(picture.convert("L"))


def read_per_covid_19(root: Path) -> tuple[RatedSlice, ...]:
    """Return the slices whose picture is there, in the order of the sheet.

    Parameters
    ----------
    root : Path
        The folder that holds ``Images``.

    Raises
    ------
    ReadError
        If the layout is another, or the sheet cannot be read.
    """
    images = require_folder(root, "Images", NAME)
    sheet = require_file(root, (SHEET,), NAME)
    found = []
    try:
        for name, percent, fold, subject, *_ in _rows(sheet):
            if (images / name).is_file():
                rated = RatedSlice(name, images / name, float(percent), int(float(fold)), subject)
                found.append(rated)
    except (ValueError, KeyError, zipfile.BadZipFile, ET.ParseError) as error:
        msg = f"'{SHEET}' of {NAME} needs rows of file, percentage, fold and subject"
        raise ReadError(msg) from error
    if not found:
        msg = f"{NAME} needs pictures in 'Images' that its sheet names, found none"
        raise ReadError(msg)
    return tuple(found)


def _rows(sheet: Path) -> list[list[str]]:
    """Return the cells of the first sheet as text; rows of headings are left out."""
    with zipfile.ZipFile(sheet) as book:
        tree = ET.fromstring(book.read(_INSIDE))  # noqa: S314 - a data set the user chose
    rows = []
    for row in tree.iter(f"{_TAG}row"):
        cells = []
        for cell in row.iter(f"{_TAG}c"):
            value = cell.find(f"{_TAG}v")
            value = cell.find(f"{_TAG}is/{_TAG}t") if value is None else value
            cells.append("" if value is None or value.text is None else value.text)
        if len(cells) >= 4 and cells[1].replace(".", "", 1).isdigit():
            rows.append(cells)
    return rows


def write_fake(root: Path, generator: np.random.Generator, slices: int = 4) -> None:
    """Write a tiny dataset of the same layout, the percentages rising from 0.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise.
    slices : int
        Slices of two subjects.
    """
    (root / "Images").mkdir()
    cells = []
    y, x = np.mgrid[:224, :224]
    for number in range(slices):
        grey = np.full((224, 224), 200.0)
        for middle in (62, 162):
            grey[np.hypot((y - 112) / 90, (x - middle) / 42) < 1] = 40
        share = number / slices
        grey[(np.hypot((y - 150) / 90, (x - 62) / 42) < share) & (grey < 100)] = 120
        grey += generator.normal(0, 3, grey.shape)
        picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
        picture.save(root / "Images" / f"{number}.jpg", quality=95)
        texts = (f"{number}.jpg", str(100 * share**2 / 2), str(1 + number % 2), f"S{number % 2}")
        cells.append("".join(_cell(text) for text in texts))
    body = "".join(f"<row>{one}</row>" for one in cells)
    text = f'<worksheet xmlns="{_TAG[1:-1]}"><sheetData>{body}</sheetData></worksheet>'
    with zipfile.ZipFile(root / SHEET, "w") as book:
        book.writestr(_INSIDE, text)


def _cell(text: str) -> str:
    if text.replace(".", "", 1).isdigit():
        return f'<c t="n"><v>{text}</v></c>'
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'
