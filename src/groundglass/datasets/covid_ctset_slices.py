"""COVID-CTset for the bench: labelled slices in patient-grouped folds, published folds, series.

The parts are ``labelled`` (all slices of ``all.csv`` or of the folds' lists) and ``train1`` to
``test5`` (the published lists). What a selection keeps of whole series is added where selections
are known, in `groundglass.systems.covid_ctset.series`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity
from groundglass.datasets.covid_ctset import (
    COVID_GROUPS,
    DETAILS,
    LISTS,
    NORMAL_GROUPS,
    STORED_OFFSET,
    UNEXPLAINED_GROUP,
    CtsetSlice,
    folds_of,
    read_fold,
    read_labelled,
    read_patients,
    read_stored,
)
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import ReadError

DATASET = "covid-ctset"
TERMS = "terms of the data set are not stated"
CLASSES = ("normal", "COVID-19")
"""Classes by number; the published code has them the other way round."""
NOTES = (
    "normal slices are of series SR_2 alone, COVID-19 slices of three: the series tells the class; "
    "look at the rows of SR_2",
    "slices of COVID-19 patients were chosen for clear signs; the rows of patients are the honest "
    "ones",
)
AGE_BANDS = ((40, "age under 40"), (60, "age 40 to 59"), (200, "age 60 and over"))
"""Ages below which a patient belongs to a band; patients with COVID-19 are older on average."""
AGE_UNKNOWN = "age not given"
UNEXPLAINED = (f"group {UNEXPLAINED_GROUP}", f"without group {UNEXPLAINED_GROUP}")
"""Marks of normal slices of the group whose name nobody explains, and of all others."""
VALIDATION_NOTE = "the validation slices are part of the published test set"


def class_parts(root: Path) -> tuple[str, ...]:
    """Return the parts there are, the one to measure first."""
    folds = [f"{name}{fold}" for fold in folds_of(root) for name in ("test", "train")]
    labelled = ("labelled",) if _has_list(root) else ()
    return (*labelled, *folds)


def _has_list(root: Path) -> bool:
    return (root / "all.csv").is_file() or (root / "CSV" / "all.csv").is_file()


def has_series(root: Path) -> bool:
    """Return whether the full data set is there."""
    return any((root / group).is_dir() for group in (*COVID_GROUPS, *NORMAL_GROUPS))


def class_part(root: Path, part: str) -> SliceSet:
    """Return the slices of a part.

    Raises
    ------
    ReadError
        If the data set is not as expected.
    ValueError
        If there is no such part.
    """
    if part == "labelled":
        return set_of(_items(root, read_labelled(root), "train"))
    name, number = part[:-1], part[-1:]
    if name not in LISTS or not number.isdigit():
        known = "labelled, series, train1 to train5, validation1 to validation5, test1 to test5"
        msg = f"parts of COVID-CTset are {known}; found '{part}'"
        raise ValueError(msg)
    more = (VALIDATION_NOTE,) if name == "validation" else ()
    return set_of(_items(root, read_fold(root, int(number), name), name), *more)


def all_parts(root: Path) -> SliceSet:
    """Return all labelled slices; folds are made of them by patient, each patient in one.

    The published folds use normal patients several times for testing; ours do not.
    """
    if _has_list(root):
        return set_of(_items(root, read_labelled(root), "train"))
    folds = folds_of(root)
    if not folds:
        msg = "COVID-CTset needs 'all.csv', or a folder 'CSV' with the lists of a fold"
        raise ReadError(msg)
    parts = [read_fold(root, folds[0], name) for name in ("train", "test")]
    return set_of(tuple(item for part in parts for item in _items(root, part, "train")))


def published_fold(root: Path, fold: int) -> SliceSet:
    """Return a fold as published: its list for training, and its list for testing held out.

    Raises
    ------
    ReadError
        If a list of the fold or a slice is missing.
    """
    parts = {name: read_fold(root, fold, name) for name in ("train", "test")}
    items = tuple(item for name, part in parts.items() for item in _items(root, part, name))
    return replace(set_of(items), dataset=f"{DATASET}, published fold {fold}")


def set_of(items: tuple[SliceItem, ...], *more: str) -> SliceSet:
    """Return items as a set with the notes of the data set."""
    return SliceSet(DATASET, TERMS, items, (*NOTES, *more), CLASSES, groups_known=True)


def marks_of(root: Path) -> Callable[[str, str], tuple[str, ...]]:
    """Return a function from patient and group to the parts that are told apart.

    Bands of age where ``Patient_details.csv`` is there, and the group nobody explains.
    """
    file = root / DETAILS
    patients = read_patients(file) if file.is_file() else {}

    def marks(patient: str, group: str) -> tuple[str, ...]:
        own = UNEXPLAINED[0 if group == UNEXPLAINED_GROUP else 1]
        return (own, age_band(patients[patient].age_years)) if patient in patients else (own,)

    return marks


def age_band(years: int | None) -> str:
    """Return the band of an age."""
    if years is None:
        return AGE_UNKNOWN
    return next((name for end, name in AGE_BANDS if years < end), AGE_UNKNOWN)


def _items(root: Path, slices: tuple[CtsetSlice, ...], split: str) -> tuple[SliceItem, ...]:
    marks = marks_of(root)
    return tuple(
        SliceItem(
            one.name,
            one.patient,
            split,
            "doctor",
            partial(read_in_hu, one.file),
            target=float(one.covid),
            stratum=one.series,
            marks=marks(one.patient, one.group),
        )
        for one in slices
    )


def read_in_hu(file: Path) -> Slice:
    """Return a slice in HU."""
    return in_hu(read_stored(file))


def in_hu(stored: NDArray[np.uint16]) -> Slice:
    """Return a slice of stored values in HU."""
    return Slice(stored.astype(np.int32) - STORED_OFFSET, Intensity.HU, None)
