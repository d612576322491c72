"""The cohort of the CT severity score: DICOM series and one score of a radiologist for each.

Layout: ``<patient>/*.dcm`` and ``CTSS_GT.csv`` with patient and score, without heading.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from groundglass.datasets.covid_ct_md_fake import fake_hu, write_series
from groundglass.datasets.layout import require_file
from groundglass.datasets.patients import PatientScan
from groundglass.errors import ReadError

NAME = "the CTSS cohort"
TABLE = "CTSS_GT.csv"
LARGEST = 25


def read_ctss(root: Path) -> tuple[PatientScan, ...]:
    """Return the patients whose folder is there, in the order of the table.

    Raises
    ------
    ReadError
        If the table is missing, a row is not patient and score from 0 to 25, or no patient is
        there.
    """
    table = require_file(root, (TABLE,), NAME)
    found = []
    with table.open(newline="", encoding="utf-8-sig") as text:
        for number, row in enumerate(csv.reader(text), start=1):
            if not any(row):
                continue
            name, score = _scored(row, number)
            if (root / name).is_dir():
                found.append(PatientScan(name, root / name, score=score))
    if not found:
        msg = f"{NAME} needs a folder of DICOM files for the patients of '{TABLE}', found none"
        raise ReadError(msg)
    return tuple(found)


def _scored(row: list[str], number: int) -> tuple[str, float]:
    try:
        name, score = row[0].strip(), float(row[1])
    except (IndexError, ValueError) as error:
        msg = f"'{TABLE}' needs patient and score in every row, row {number} has not"
        raise ReadError(msg) from error
    if not name or not 0 <= score <= LARGEST:
        msg = f"'{TABLE}' needs a patient and a score from 0 to {LARGEST} in row {number}"
        raise ReadError(msg)
    return name, score


def write_fake(root: Path, generator: np.random.Generator, slices: int = 14) -> None:
    """Write a tiny cohort: three patients, the last without lesion and with a score of 0.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and file order.
    slices : int
        Slices of each series.
    """
    scores = {"IITM_001": 5, "P001": 3, "T1-001": 0}
    for place, (name, score) in enumerate(scores.items()):
        ill = np.full(slices, score > 0)
        (root / name).mkdir()
        intercept = -1000 if place == 1 else -1024
        write_series(root / name, fake_hu(ill, generator), generator, intercept)
    text = "\n".join(f"{name},{score}" for name, score in scores.items())
    (root / TABLE).write_text(text, encoding="utf-8")
