"""A tiny COVID-CTset in both of its layouts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from groundglass.datasets.covid_ctset import COVID_GROUPS, DETAILS, FOLDS, NORMAL_GROUPS

SIZE = 512
BODY, LUNG, LESION = 1050, 150, 700
"""Stored values of the fake."""


def write_fake(root: Path, generator: np.random.Generator, slices: int = 8) -> None:
    """Write 2 patients with COVID-19 and 3 normal ones, series ``SR_2``, and labelled slices.

    Lungs grow and shrink along a series, so that its ends are closed; names are not all of one
    length, so that the order of numbers is not that of letters. Middle slices are labelled.
    Odd folds train on the first patients of each class and test on the others, even ones the other
    way round. ``Patient_details.csv`` has its personal columns; ``Patients_metadata.csv`` is there
    too and is a file nobody can read, to show that nobody does.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise.
    slices : int
        Slices of a series.
    """
    labelled = []
    flat = root / "Train&Validation"
    flat.mkdir()
    patients = [(group, True) for group in COVID_GROUPS]
    patients += [(group, False) for group in (NORMAL_GROUPS[0], NORMAL_GROUPS[5], NORMAL_GROUPS[9])]
    for number, (group, covid) in enumerate(patients, start=1):
        patient = f"patient{number:03d}"
        folder = root / group / patient / "SR_2"
        folder.mkdir(parents=True)
        for place in range(slices):
            openness = 1 - abs(2 * place / (slices - 1) - 1)
            values = _slice(openness, generator, covid=covid)
            file = f"IM{place + 8}.tif"
            tifffile.imwrite(folder / file, values)
            if openness > 0.5:
                name = f"{group}_{patient}_SR_2_{file}"
                tifffile.imwrite(flat / name, values)
                labelled.append((name, patient, "covid" if covid else "normal"))
    _write_lists(root, labelled)
    _write_details(root, [covid for _, covid in patients])


def _slice(openness: float, generator: np.random.Generator, *, covid: bool) -> NDArray[np.uint16]:
    y, x = np.mgrid[:SIZE, :SIZE]
    values = np.full((SIZE, SIZE), 24.0)
    values[np.hypot((y - 256) / 180, (x - 256) / 230) < 1] = BODY
    for middle in (160, 352):
        size = max(openness, 1e-3)
        values[np.hypot((y - 270) / (130 * size), (x - middle) / (75 * size)) < 1] = LUNG
    if covid and openness > 0.3:
        for middle in (150, 340):
            values[np.hypot(y - 320, x - middle) < 22] = LESION
    values += generator.normal(0, 8, values.shape)
    return np.asarray(np.clip(np.rint(values), 0, 5000), np.uint16)


def _write_lists(root: Path, labelled: list[tuple[str, str, str]]) -> None:
    (root / "CSV").mkdir()
    _write_csv(root / "all.csv", [(name, label) for name, _, label in labelled])
    first = {"patient001", "patient003", "patient004"}
    for fold in FOLDS:
        trained = first if fold % 2 else {name for _, name, _ in labelled} - first
        parts: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
        for name, patient, label in labelled:
            parts["train" if patient in trained else "test"].append((name, label))
        parts["validation"] = parts["test"][::2]
        for part, rows in parts.items():
            _write_csv(root / "CSV" / f"{part}{fold}.csv", rows)


def _write_csv(file: Path, rows: list[tuple[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(("filename", "class"))
        table.writerows(rows)


def _write_details(root: Path, covid: list[bool]) -> None:
    heads = ["Patient ID", "SEX", "AGE", "Date", "COVID-19 Infection"]
    heads += [f"SR_{number} Thickness" for number in (2, 3, 4)]
    with (root / DETAILS).open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(heads)
        for number, one in enumerate(covid, start=1):
            infection = "Positive" if one else "Negative"
            age = f"0{40 + number}Y"
            table.writerow([f"patient{number:03d}", "F", age, "20200301", infection, "6", "5", "5"])
    (root / "Patients_metadata.csv").write_bytes(b"\xff\xfe\x00 not text")
