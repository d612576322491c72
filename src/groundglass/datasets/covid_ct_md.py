"""COVID-CT-MD: chest CT series of COVID-19, pneumonia and normal, with slice and lobe labels.

Layout: ``COVID-19 subjects``, ``Cap subjects``, ``Normal subjects``, in each a folder of DICOM
files per patient; ``Index.csv``; ``Slice-level-labels*.npy`` (patients, slices) and
``Lobe-level-labels*.npy`` (patients, slices, 5). Two traps: the row of a patient is its place in
``Index.csv``, as the printed index skips a number; and column 0 is the slice nearest the head,
whatever the files are called.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.layout import require_file
from groundglass.errors import ReadError

NAME = "COVID-CT-MD"
FOLDERS = {"COVID-19": "COVID-19 subjects", "CAP": "Cap subjects", "NORMAL": "Normal subjects"}
"""Folder of each diagnosis."""
LOBE_ORDER = ("left_lower", "left_upper", "right_lower", "right_middle", "right_upper")
"""Lobes in the order of the label array."""
INDEX = "Index.csv"
SLICE_LABELS = ("Slice-level-labels-updated-1.npy", "Slice-level-labels.npy")
"""Names of the slice labels; the corrected file goes first."""
LOBE_LABELS = ("Lobe-level-labels-updated-1.npy", "Lobe-level-labels.npy")
"""Names of the lobe labels."""


@dataclass(frozen=True, eq=False)
class CtMdPatient:
    """One patient of the dataset."""

    patient: str
    """Name of the patient's folder, e.g. ``P001``."""
    diagnosis: str
    """``COVID-19``, ``CAP`` or ``NORMAL``."""
    folder: Path
    """Holds the DICOM files."""
    slice_labels: NDArray[np.bool_] | None
    """(columns,): whether each slice from the head shows infection, padded with False at the end;
    ``None`` for patients without labels."""
    lobe_labels: NDArray[np.bool_] | None
    """(columns, 5) in ``LOBE_ORDER``; ``None`` for patients without labels."""

    def labels_of(self, slices: int) -> NDArray[np.bool_]:
        """Return the label of each of a series' slices, head to feet; False for normal patients.

        Raises
        ------
        ReadError
            If an ill patient has no labels, or the series has more slices than labels or fewer than
            the last labelled one.
        """
        if self.slice_labels is None:
            if self.diagnosis != "NORMAL":
                msg = f"{NAME} has no slice labels for this patient, who is not normal"
                raise ReadError(msg)
            return np.zeros(slices, dtype=bool)
        if slices > self.slice_labels.size or self.slice_labels[slices:].any():
            msg = f"the slice labels of {NAME} do not fit a series of {slices} slices"
            raise ReadError(msg)
        return self.slice_labels[:slices]


def read_covid_ct_md(root: Path) -> tuple[CtMdPatient, ...]:
    """Return all patients whose folder is there, ill ones first.

    Parameters
    ----------
    root : Path
        The folder that holds ``Index.csv``.

    Raises
    ------
    ReadError
        If the layout is another: a missing file or folder, or label arrays that do not fit the
        index.
    """
    rows = _index_rows(require_file(root, (INDEX,), NAME))
    slices = _labels(require_file(root, SLICE_LABELS, NAME), len(rows), 2)
    lobes = _labels(require_file(root, LOBE_LABELS, NAME), len(rows), 3)
    patients = []
    for diagnosis, name in FOLDERS.items():
        parent = root / name
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if folder.is_dir():
                row = rows.get(folder.name)
                labels = (None, None) if row is None else (slices[row], lobes[row])
                patients.append(CtMdPatient(folder.name, diagnosis, folder, *labels))
    if not patients:
        wanted = ", ".join(f"'{name}'" for name in FOLDERS.values())
        msg = f"{NAME} in its original layout needs patients' folders in {wanted}, found none"
        raise ReadError(msg)
    return tuple(patients)


def _index_rows(file: Path) -> dict[str, int]:
    """Return the place of every patient in the index, not its printed number."""
    with file.open(newline="", encoding="utf-8-sig") as text:
        table = csv.DictReader(text)
        if "Folder/ID" not in (table.fieldnames or ()):
            msg = f"'{INDEX}' of {NAME} needs a column 'Folder/ID', found {table.fieldnames}"
            raise ReadError(msg)
        return {row["Folder/ID"].strip(): place for place, row in enumerate(table)}


def _labels(file: Path, patients: int, dimensions: int) -> NDArray[np.bool_]:
    array = np.load(file, allow_pickle=False)
    if array.ndim != dimensions or array.shape[0] != patients:
        msg = (
            f"labels of {NAME} need {dimensions} dimensions and one row for each of the {patients} "
            f"patients of '{INDEX}', found shape {array.shape}"
        )
        raise ReadError(msg)
    return np.asarray(array != 0)
