"""COVID-CTset: 16-bit chest CT series as TIFF files, and a labelled choice of their slices.

Two layouts. Series: ``<group>/<patientNNN>/<SR_2|SR_3|SR_4>/IM00001.tif``. Labelled slices: one
flat folder of ``<group>_<patientNNN>_<SR_k>_<IMnnnnn>.tif`` and ``CSV/train1.csv``,
``validation1.csv``, ``test1.csv`` and so on, or ``all.csv``. Stored values are HU + 1024.

Of ``Patient_details.csv`` the columns of identifier, age and infection are read and no other;
``Patients_metadata.csv``, which holds birth dates and study UIDs, is never opened.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from groundglass.datasets.layout import require_file, require_folder
from groundglass.errors import ReadError

NAME = "COVID-CTset"
COVID_GROUPS = ("137covid", "157covid")
"""Folders of patients with COVID-19."""
NORMAL_GROUPS = (
    *(f"normal{number}" for number in range(1, 6)),
    *(f"normalcd{number}" for number in range(1, 4)),
    "cdnormal4",
    "cdunnormal",
)
"""Folders of patients labelled normal; what ``cdunnormal`` means is not explained."""
UNEXPLAINED_GROUP = "cdunnormal"
SERIES = ("SR_2", "SR_3", "SR_4")
"""Reconstructions of a patient; not all are there for all."""
FOLDS = (1, 2, 3, 4, 5)
LISTS = ("train", "validation", "test")
STORED_OFFSET = 1024
"""What stored values have more than HU."""
DETAILS = "Patient_details.csv"
FLAT_FOLDERS = ("Train&Validation", "Train&validation", "train_validation", ".")
_FLAT = re.compile(
    r"(?P<group>[^_]+)_(?P<patient>patient\d+)_(?P<series>SR_\d)_IM(?P<number>\d+)\.tif"
)
_NUMBER = re.compile(r"IM(\d+)\.tiff?", re.IGNORECASE)

Stored = NDArray[np.uint16]


@dataclass(frozen=True)
class CtsetSeries:
    """One series of one patient."""

    patient: str
    """``patientNNN``: the key of a patient, who may appear in several groups."""
    group: str
    """Folder the series lies in."""
    series: str
    """``SR_2``, ``SR_3`` or ``SR_4``."""
    covid: bool
    """True for COVID-19."""
    files: tuple[Path, ...]
    """Slices in the order of their numbers."""

    @property
    def name(self) -> str:
        """Group, patient and series."""
        return f"{self.group}/{self.patient}/{self.series}"

    def stored(self) -> Stored:
        """Return stored values, (slices, rows, columns).

        Raises
        ------
        ReadError
            If a slice is not a 16-bit picture, or slices differ in size.
        """
        slices = [read_stored(file) for file in self.files]
        sizes = {one.shape for one in slices}
        if len(sizes) > 1:
            msg = f"the slices of {self.name} of {NAME} differ in size: {sorted(sizes)}"
            raise ReadError(msg)
        return np.stack(slices)


@dataclass(frozen=True)
class CtsetSlice:
    """One labelled slice."""

    name: str
    """File name."""
    file: Path
    """The picture."""
    covid: bool
    """True for COVID-19 with clear signs in this slice."""
    patient: str
    """``patientNNN``."""
    group: str
    """Folder the slice came from."""
    series: str
    """``SR_2``, ``SR_3`` or ``SR_4``."""

    def stored(self) -> Stored:
        """Return stored values, (rows, columns)."""
        return read_stored(self.file)


def read_stored(file: Path, *, allow_8_bit: bool = False) -> Stored:
    """Return the stored values of a slice, all 16 bits of them.

    Parameters
    ----------
    file : Path
        A TIFF picture.
    allow_8_bit : bool
        Take 8-bit values as they are; they are no longer HU + 1024 then.

    Raises
    ------
    ReadError
        If it cannot be read, has several channels, or holds other than unsigned 16-bit values.
    """
    try:
        values = np.asarray(tifffile.imread(file))
    except (OSError, ValueError, KeyError, IndexError, tifffile.TiffFileError) as error:
        msg = f"'{file.name}' of {NAME} cannot be read as TIFF; unpack the data set again"
        raise ReadError(msg) from error
    if values.ndim != 2:
        msg = f"'{file.name}' of {NAME} needs one channel of rows and columns, found {values.shape}"
        raise ReadError(msg)
    if values.dtype != np.uint16 and not (allow_8_bit and values.dtype == np.uint8):
        msg = (
            f"'{file.name}' of {NAME} needs unsigned 16-bit values, found {values.dtype}; pictures "
            "made for viewing have lost their density"
        )
        raise ReadError(msg)
    return values.astype(np.uint16)


def read_series(root: Path, series: Sequence[str] = ("SR_2",)) -> tuple[CtsetSeries, ...]:
    """Return the series of the full data set, by patient.

    Parameters
    ----------
    root : Path
        The folder that holds the groups.
    series : sequence of str
        Reconstructions wanted; patients who lack one are passed over.

    Raises
    ------
    ReadError
        If no series is there, a group is unknown, or a patient is in groups of both classes.
    """
    found = []
    for group in sorted(folder for folder in root.iterdir() if folder.is_dir()):
        for patient in sorted(group.glob("patient*")):
            if patient.is_dir():
                covid = _label_of(group.name)
                found += _series_of(patient, group.name, series, covid=covid)
    if not found:
        msg = f"{NAME} needs folders group/patient/{'|'.join(series)} with TIFF slices, found none"
        raise ReadError(msg)
    _require_one_class((one.patient, one.covid) for one in found)
    return tuple(sorted(found, key=lambda one: (one.patient, one.group, one.series)))


def _series_of(
    patient: Path, group: str, series: Sequence[str], *, covid: bool
) -> list[CtsetSeries]:
    found = []
    for name in series:
        folder = patient / name
        numbered = [
            (int(match[1]), file)
            for file in (folder.iterdir() if folder.is_dir() else ())
            if (match := _NUMBER.fullmatch(file.name))
        ]
        if numbered:
            files = tuple(file for _, file in sorted(numbered))
            found.append(CtsetSeries(patient.name, group, name, covid, files))
    return found


def _label_of(group: str) -> bool:
    if group in COVID_GROUPS:
        return True
    if group in NORMAL_GROUPS:
        return False
    known = ", ".join((*COVID_GROUPS, *NORMAL_GROUPS))
    msg = f"groups of {NAME} are {known}; found '{group}', whose label is not known"
    raise ReadError(msg)


def _require_one_class(members: Iterable[tuple[str, bool]]) -> None:
    known: dict[str, bool] = {}
    for patient, covid in members:
        if known.setdefault(patient, covid) != covid:
            msg = f"a patient of {NAME} stands in both classes; correct folders or lists"
            raise ReadError(msg)


def folds_of(root: Path) -> tuple[int, ...]:
    """Return the folds whose lists for training and testing are there."""
    return tuple(
        fold
        for fold in FOLDS
        if all((root / "CSV" / f"{name}{fold}.csv").is_file() for name in ("train", "test"))
    )


def looks_like_covid_ctset(root: Path) -> bool:
    """Return whether a folder holds labelled slices of COVID-CTset or its series."""
    groups = (*COVID_GROUPS, *NORMAL_GROUPS)
    labelled = bool(folds_of(root)) or (root / "all.csv").is_file()
    return labelled or any((root / group).is_dir() for group in groups)


def read_fold(root: Path, fold: int, part: str) -> tuple[CtsetSlice, ...]:
    """Return the labelled slices of a part of a fold, in the order of the list.

    Parameters
    ----------
    root : Path
        The folder that holds ``CSV`` and the flat folder of slices.
    fold : int
        1 to 5.
    part : str
        ``train``, ``validation`` (part of the published test set), or ``test``.

    Raises
    ------
    ReadError
        If a list or slice is missing, a list is not as expected, or training and testing share a
        patient.
    """
    if part not in LISTS:
        msg = f"parts of a fold of {NAME} are {', '.join(LISTS)}; found '{part}'"
        raise ValueError(msg)
    lists = require_folder(root, "CSV", NAME)
    wanted = _listed(require_file(lists, (f"{part}{fold}.csv",), NAME))
    for other in {"train", "test"} - {part}:
        file = lists / f"{other}{fold}.csv"
        if file.is_file() and "train" in {part, other}:
            _require_apart(wanted, _listed(file), fold)
    return _slices(root, wanted)


def read_labelled(root: Path) -> tuple[CtsetSlice, ...]:
    """Return all labelled slices, of ``all.csv``.

    Raises
    ------
    ReadError
        If the list or a slice is missing, or the list is not as expected.
    """
    lists = root / "CSV" if (root / "CSV" / "all.csv").is_file() else root
    return _slices(root, _listed(require_file(lists, ("all.csv",), NAME)))


def _listed(file: Path) -> dict[str, bool]:
    """Return file names and whether each is COVID-19."""
    with file.open(newline="", encoding="utf-8-sig") as text:
        table = csv.DictReader(text)
        if not {"filename", "class"} <= set(table.fieldnames or ()):
            msg = f"'{file.name}' of {NAME} needs columns 'filename' and 'class'"
            raise ReadError(msg)
        found: dict[str, bool] = {}
        for row in table:
            name, label = row["filename"].strip(), row["class"].strip()
            if label not in {"covid", "normal"} or name in found:
                msg = f"'{file.name}' of {NAME} needs each slice once, as covid or normal"
                raise ReadError(msg)
            found[name] = label == "covid"
    return found


def _require_apart(one: Iterable[str], other: Iterable[str], fold: int) -> None:
    patients = [{_parsed(name)["patient"] for name in names} for names in (one, other)]
    shared = patients[0] & patients[1]
    if shared:
        msg = (
            f"{len(shared)} patients stand in training and testing of fold {fold} of {NAME}; a "
            "fold needs them apart"
        )
        raise ReadError(msg)


def _parsed(name: str) -> dict[str, str]:
    match = _FLAT.fullmatch(Path(name).name)
    if match is None:
        msg = f"slices of {NAME} are called group_patientN_SR_k_IMn.tif; found '{name}'"
        raise ReadError(msg)
    return match.groupdict()


def _slices(root: Path, listed: dict[str, bool]) -> tuple[CtsetSlice, ...]:
    folder = next((root / name for name in FLAT_FOLDERS if any((root / name).glob("*.tif"))), root)
    found = []
    for name, covid in listed.items():
        parts, file = _parsed(name), folder / Path(name).name
        if not file.is_file():
            msg = f"{NAME} lists '{name}', and the slice is missing"
            raise ReadError(msg)
        if _label_of(parts["group"]) != covid:
            msg = f"'{name}' of {NAME} lies in a group of the other class"
            raise ReadError(msg)
        found.append(
            CtsetSlice(file.name, file, covid, parts["patient"], parts["group"], parts["series"])
        )
    _require_one_class((one.patient, one.covid) for one in found)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CtsetPatient:
    """What is read about a patient, and no more."""

    patient: str
    """``patientNNN``."""
    age_years: int | None
    """Age; ``None`` where it is not given."""
    covid: bool
    """Whether infection is stated."""


def read_patients(file: Path) -> dict[str, CtsetPatient]:
    """Return age and infection by patient, of ``Patient_details.csv``.

    Raises
    ------
    ReadError
        If a needed column is missing.
    """
    with file.open(newline="", encoding="utf-8-sig") as text:
        rows = csv.reader(text)
        heads = [head.strip().lower() for head in next(rows, [])]
        try:
            places = [heads.index(head) for head in ("patient id", "age", "covid-19 infection")]
        except ValueError as error:
            msg = f"'{DETAILS}' of {NAME} needs columns 'Patient ID', 'AGE', 'COVID-19 Infection'"
            raise ReadError(msg) from error
        found = {}
        for row in rows:
            name, age, infection = (row[place].strip() for place in places)
            years = int(age.rstrip("Yy")) if age.rstrip("Yy").isdigit() else None
            found[name] = CtsetPatient(name, years, infection.lower() == "positive")
    return found
