"""SPGC-COVID and the low-dose sets: DICOM series of COVID-19, pneumonia and normal.

Layouts: ``Train/<class>/<Positive or Negative>/<patient>`` with a table of slice labels (a heading,
then patient and 0 or 1 for each slice from the head); ``Test/.../<patient>`` with a table that has
a column ``Labels``, in the order of the patients where no column names them. The low-dose sets have
``Test/<patient>`` or ``Test/<category>/<patient>`` and labels COVID-19 and NORMAL alone. Folders of
COVID-CT-MD, from which the training patients come, are read as well.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.covid_ct_md import INDEX, read_covid_ct_md
from groundglass.datasets.covid_ct_md_fake import fake_hu, write_series
from groundglass.datasets.covid_ct_rate import natural
from groundglass.datasets.layout import require_folder
from groundglass.datasets.patients import CLASSES, PatientScan, class_of
from groundglass.errors import ReadError

NAME = "SPGC-COVID"
TRAIN, TEST = "Train", "Test"
ILL_FOLDER, WELL_FOLDER = "Positive", "Negative"
LABELS = "Labels"
_NAMES = ("patient", "patient id", "patientid", "id", "folder", "name", "case")


def read_spgc_train(root: Path) -> tuple[PatientScan, ...]:
    """Return the training patients, by class and name.

    Parameters
    ----------
    root : Path
        The folder that holds ``Train``, or a COVID-CT-MD.

    Raises
    ------
    ReadError
        If the layout is another, or a table of slice labels names patients that are not there.
    """
    if (root / INDEX).is_file():
        return _from_ct_md(root)
    train = require_folder(root, TRAIN, NAME)
    labels = _slice_labels(root)
    found = []
    for folder in sorted(train.iterdir()):
        label = class_of(folder.name)
        if label is None or not folder.is_dir():
            continue
        for side in (ILL_FOLDER, WELL_FOLDER):
            for place in _series_folders(folder / side):
                name = place.name
                found.append(PatientScan(name, place, label, labels.get(name), cohort=TRAIN))
    if not found:
        msg = f"{NAME} needs patients in '{TRAIN}/<class>/<Positive or Negative>', found none"
        raise ReadError(msg)
    strange = sorted(set(labels) - {one.patient for one in found})
    if strange and len(strange) == len(labels):
        msg = f"no patient of the table of slice labels is there, e.g. '{strange[0]}'"
        raise ReadError(msg)
    return tuple(found)


def _from_ct_md(root: Path) -> tuple[PatientScan, ...]:
    return tuple(
        PatientScan(one.patient, one.folder, one.diagnosis, one.slice_labels, cohort=TRAIN)
        for one in read_covid_ct_md(root)
    )


def read_spgc_test(root: Path, classes: Sequence[str] = CLASSES) -> tuple[PatientScan, ...]:
    """Return the test patients in the order of their folders, with labels where a table has them.

    Parameters
    ----------
    root : Path
        The folder that holds ``Test``.
    classes : sequence of str
        Labels that may occur: all three, or COVID-19 and NORMAL for the low-dose sets.

    Raises
    ------
    ReadError
        If the layout is another, a label is none of the classes, or the table has neither names
        nor as many rows as there are patients.
    """
    test = require_folder(root, TEST, NAME)
    folders = sorted(_series_folders(test), key=lambda one: natural(one.relative_to(test)))
    if not folders:
        msg = f"{NAME} needs folders of DICOM files in '{TEST}', found none"
        raise ReadError(msg)
    names = [folder.name for folder in folders]
    labels = _patient_labels(root, names, classes)
    return tuple(
        PatientScan(name, folder, labels.get(name), cohort=_cohort(folder, test))
        for name, folder in zip(names, folders, strict=True)
    )


def _cohort(folder: Path, test: Path) -> str:
    """Return the subset a patient lies in: ``T1`` of ``T1-001``, else the folder above."""
    head, dash, _ = folder.name.partition("-")
    if dash and head[:1] == "T" and head[1:].isdigit():
        return head
    return TEST if folder.parent == test else folder.parent.name


def _series_folders(root: Path) -> list[Path]:
    """Return the folders below that hold files themselves."""
    return [folder for folder in _folders(root) if any(f.is_file() for f in folder.iterdir())]


def _folders(root: Path) -> Iterator[Path]:
    for place in sorted(root.iterdir()) if root.is_dir() else ():
        if place.is_dir():
            yield place
            yield from _folders(place)


def _tables(root: Path) -> Iterator[tuple[Path, list[list[str]]]]:
    """Yield every table of a data set: beside the folders, or in the folder of a part."""
    for place in (root, root / TRAIN, root / TEST):
        for path in sorted(place.glob("*.csv")) if place.is_dir() else ():
            with path.open(newline="", encoding="utf-8-sig") as text:
                rows = [[cell.strip() for cell in row] for row in csv.reader(text)]
            yield path, [row for row in rows if any(row)]


def _slice_labels(root: Path) -> Mapping[str, NDArray[np.bool_]]:
    """Return slice labels by patient from the one table whose cells are all 0 or 1."""
    for _, rows in _tables(root):
        body = rows[1:]
        if body and all(len(row) > 2 and _are_flags(row[1:]) for row in body):
            return {row[0]: np.array([cell == "1" for cell in row[1:]]) for row in body}
    return {}


def _are_flags(cells: Sequence[str]) -> bool:
    return set(cells) <= {"0", "1", ""}


def _patient_labels(root: Path, names: Sequence[str], classes: Sequence[str]) -> Mapping[str, str]:
    for path, rows in _tables(root):
        heads = [cell.lower() for cell in rows[0]] if rows else []
        if LABELS.lower() not in heads:
            continue
        column = heads.index(LABELS.lower())
        labels = [_known(row[column], classes, path) for row in rows[1:]]
        named = next((heads.index(head) for head in _NAMES if head in heads), None)
        if named is not None:
            return dict(zip([row[named] for row in rows[1:]], labels, strict=True))
        if len(labels) != len(names):
            msg = (
                f"'{path.name}' names no patients, so it needs a row for each of the {len(names)} "
                f"in '{TEST}', found {len(labels)}"
            )
            raise ReadError(msg)
        return dict(zip(names, labels, strict=True))
    return {}


def _known(cell: str, classes: Sequence[str], path: Path) -> str:
    label = class_of(cell)
    if label not in classes:
        msg = f"labels in '{path.name}' are {', '.join(classes)}; found '{cell}'"
        raise ReadError(msg)
    return str(label)


def write_fake(
    root: Path, generator: np.random.Generator, patients: int = 2, slices: int = 12
) -> None:
    """Write a tiny SPGC: training and test patients of each class, one with intercept -1000.

    COVID-19 has a lesion of -450 HU, pneumonia one of -50 HU, in the middle third of the slices;
    all have a dense dot in each lung.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and file order.
    patients : int
        Patients of each class in each part.
    slices : int
        Slices of each series.
    """
    ill = np.zeros(slices, dtype=bool)
    ill[slices // 3 : 2 * slices // 3] = True
    densities = {"COVID-19": -450, "CAP": -50, "NORMAL": None}
    flags, results = [["patient", *map(str, range(slices))]], [["Patient", LABELS]]
    for label, density in densities.items():
        for number in range(1, patients + 1):
            intercept = -1000 if number == 2 else -1024
            shown = ill if density is not None else np.zeros_like(ill)
            name = f"{label.split('-')[0].lower()}{number:03}"
            side = WELL_FOLDER if density is None else ILL_FOLDER
            test = f"T1-{len(results):03}"
            for folder in (root / TRAIN / label / side / name, root / TEST / "SET1" / test):
                folder.mkdir(parents=True)
                hu = fake_hu(shown, generator, density or 0, vessels=True)
                write_series(folder, hu, generator, intercept)
            results.append([test, label])
            if density is not None:
                flags.append([name, *("1" if one else "0" for one in ill)])
    for file, rows in (("slice_labels.csv", flags), ("test_labels.csv", results)):
        with (root / file).open("w", newline="", encoding="utf-8") as text:
            csv.writer(text).writerows(rows)
