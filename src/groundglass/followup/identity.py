"""Whether scans are of one patient, and in which order they were made.

Identifiers are compared and forgotten: they are never kept, printed or written. Dates are kept as
days since the first scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset

from groundglass.core.verdict import Status, Verdict
from groundglass.errors import IdentityError
from groundglass.readers.dicom_file import load_header, quiet_pydicom
from groundglass.readers.dicom_values import text, valid_uid
from groundglass.readers.tree import list_files

PLACEHOLDERS = frozenset(
    (
        "anon",
        "anonymous",
        "anonymized",
        "anonymised",
        "unknown",
        "none",
        "null",
        "na",
        "n/a",
        "test",
        "patient",
    )
)
"""Patient IDs that say nothing about who the patient is."""
_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a scan's headers say about whose it is and when it was made."""

    patient: str | None = None
    """Digest of the patient ID; ``None`` without one, or with a placeholder."""
    traits: tuple[str | None, str | None] = (None, None)
    """Digests of birth date and sex."""
    day: date | None = None
    """When the scan was made."""
    study: str | None = None
    """Digest of the study's UID; ``None`` without one. A study is of one patient."""


def read_identity(path: Path, series_uid: str | None = None) -> Identity:
    """Return what the DICOM headers at a path say; nothing for other formats.

    Parameters
    ----------
    path : Path
        What was read as a scan.
    series_uid : str, optional
        The series that was chosen there.

    Raises
    ------
    IdentityError
        If slices of the series name several patients.
    """
    found: list[Identity] = []
    files = list_files(path).files if path.is_dir() else (path,)
    with quiet_pydicom():
        for file in files:
            header = _header(file)
            if header is None:
                continue
            if series_uid is None or text(header, "SeriesInstanceUID") == series_uid:
                found.append(_identity(header))
    if not found:
        return Identity()
    if len({one.patient for one in found}) > 1:
        msg = "one scan names several patients in its slices; give the folder of one patient"
        raise IdentityError(msg)
    days = [one.day for one in found if one.day is not None]
    studies = {one.study for one in found}
    study = studies.pop() if len(studies) == 1 else None
    return Identity(found[0].patient, found[0].traits, min(days) if days else None, study)


def _header(file: Path) -> Dataset | None:
    try:
        return load_header(file)[0]
    except Exception:  # noqa: BLE001  pydicom raises anything on damage; another file will do
        return None


def _identity(header: Dataset) -> Identity:
    name = (text(header, "PatientID") or "").strip().lower()
    known = len(name) > 1 and name not in PLACEHOLDERS
    days = (_day(text(header, keyword)) for keyword in _DATES)
    return Identity(
        _digest(name) if known else None,
        (_digest(text(header, "PatientBirthDate")), _digest(text(header, "PatientSex"))),
        next((day for day in days if day is not None), None),
        _digest(valid_uid(text(header, "StudyInstanceUID"))),
    )


def _digest(value: str | None) -> str | None:
    kept = (value or "").strip().lower()
    return sha256(kept.encode()).hexdigest() if kept else None


def _day(value: str | None) -> date | None:
    try:
        day = datetime.strptime((value or "").strip()[:8], "%Y%m%d").date()
    except ValueError:
        return None
    return day if day.year > 1970 else None


def require_one_patient(identities: Sequence[Identity], *, told: bool) -> Verdict:
    """Return why the scans count as of one patient.

    Parameters
    ----------
    identities : sequence of Identity
        Of every scan.
    told : bool
        Whether the user says so.

    Raises
    ------
    IdentityError
        If neither the user nor the identifiers say so.
    """
    ids = {one.patient for one in identities}
    contradicting = any(len({one.traits[i] for one in identities} - {None}) > 1 for i in (0, 1))
    differ = len(ids - {None}) > 1 or contradicting
    by_id = len(ids) == 1 and None not in ids
    studies = {one.study for one in identities}
    by_study = len(studies) == 1 and None not in studies
    if told:
        found = "you state that the scans are of one patient"
        if differ:
            found += "; the identifiers in the headers differ"
        return Verdict(
            "same_patient",
            Status.WARNING if differ else Status.OK,
            found,
            "they were compared as told",
            "if they are of different patients, no change between them means anything",
        )
    if (by_id or by_study) and not differ:
        found = "all headers name one patient" if by_id else "all scans are of one study by its UID"
        return Verdict("same_patient", Status.OK, found, "they were compared", "")
    why = (
        "the identifiers in the headers differ"
        if differ
        else "the headers do not say who the patient is"
    )
    msg = (
        f"a comparison needs scans of one patient, and {why}; "
        "state it with --same-patient if you know it"
    )
    raise IdentityError(msg)


def time_order(identities: Sequence[Identity]) -> tuple[list[int], list[int | None], Verdict]:
    """Return the order of the scans in time, days since the first, and how that was told.

    Parameters
    ----------
    identities : sequence of Identity
        In the order the scans were given.

    Returns
    -------
    order : list of int
        Indices, earliest first; the order given where a date is missing.
    days : list of int or None
        Days since the earliest scan, in the new order; ``None`` where a date is missing.
    verdict : Verdict
    """
    days = [one.day for one in identities]
    known = [day for day in days if day is not None]
    if len(known) < len(days):
        return (
            list(range(len(days))),
            [None] * len(days),
            Verdict(
                "scan_dates",
                Status.NOTE,
                "not every scan says when it was made",
                "the scans stand in the order given",
                "rise and fall are as meant only if that is their order in time",
            ),
        )
    order = sorted(range(len(days)), key=lambda i: known[i])
    since = [(known[i] - known[order[0]]).days for i in order]
    turned = order != list(range(len(days)))
    return (
        order,
        [int(day) for day in since],
        Verdict(
            "scan_dates",
            Status.NOTE if turned or len(set(since)) < len(since) else Status.OK,
            "the headers date the scans"
            + (" in another order than given" if turned else "")
            + ("; some are of one day" if len(set(since)) < len(since) else ""),
            "they were put in order of time" if turned else "",
            "",
        ),
    )
