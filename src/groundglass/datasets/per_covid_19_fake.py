"""Tiny copies of Per-COVID-19 in both layouts, for tests."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.per_covid_19 import CHALLENGE_COLUMNS, SHEET

SIDE = 224


def fake_picture(percent: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return (rows, columns, 3) of two dark lungs, this percentage of each filled with opacity.

    Place and size of the lungs and the texture around them are drawn, so that no two look alike.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    coarse = Image.fromarray(generator.normal(200, 22, (14, 14)).astype(np.float32))
    grey = np.array(coarse.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    top, left, height, width = generator.integers((98, -14, 62, 30), (126, 14, 90, 44))
    for middle in (62 + left, 162 + left):
        lung = np.hypot((y - top) / height, (x - middle) / width) < 1
        grey[lung] = 40
        depth = np.quantile(y[lung], 1 - percent / 100) if percent else SIDE
        grey[lung & (y > depth)] = 130
    colours = grey[..., None] + generator.normal(0, 3, (SIDE, SIDE, 3))
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def write_sheet(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write rows as the first sheet of a workbook."""
    import openpyxl  # noqa: PLC0415 - needed only here

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.save(path)


def write_fake(
    root: Path,
    generator: np.random.Generator,
    slices: int = 4,
    *,
    folds: int = 2,
    subjects: int = 1,
) -> None:
    """Write the original layout, the percentages rising from 0 to below 50.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise.
    slices : int
        Slices in all, dealt to the subjects in turn.
    folds : int
        Folds, from 1.
    subjects : int
        Subjects of each fold.
    """
    (root / "Images").mkdir()
    rows = []
    people = folds * subjects
    for number in range(slices):
        person = number % people
        percent = 50 * (number / slices) ** 2
        name = f"{number}.png"
        Image.fromarray(fake_picture(percent, generator)).save(root / "Images" / name)
        rows.append((name, percent, person % folds + 1, f"S{person}"))
    write_sheet(root / SHEET, rows)


def write_challenge_fake(root: Path, generator: np.random.Generator, slices: int = 4) -> None:
    """Write the layout of the challenge: subjects of two slices, validation labels given."""
    for folder in ("Train", "Val"):
        (root / folder).mkdir()
        rows: list[Sequence[object]] = [CHALLENGE_COLUMNS]
        for number in range(slices):
            percent = round(100 * number / slices)
            name = f"Image_{number:04d}.png"
            Image.fromarray(fake_picture(percent, generator)).save(root / folder / name)
            rows.append((name, percent, number // 2))
        with (root / f"{folder}.csv").open("w", encoding="utf-8", newline="") as text:
            csv.writer(text).writerows(rows)
    (root / "Test").mkdir()
