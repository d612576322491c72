"""What a de-identified object says of itself, and what it needs to be valid."""

from __future__ import annotations

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from groundglass import __version__
from groundglass.deidentify.rules import BASIC_CODE, CONTENT_CODE, EDITION, OPTION_CODES, Keep
from groundglass.deidentify.secret import Pseudonyms
from groundglass.deidentify.values import put, put_empty, text_of
from groundglass.deidentify.walk import CONTENT_SEQUENCE, Action, Audit, Subject

IMPLEMENTATION_UID = "2.25.7810535783137818229919549514319565673"
"""Names this program in file meta information; a random UUID."""
_NEEDED = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
)  # fmt: skip
"""Type 2 attributes of patient and study, which every object has."""


def mend_identifiers(dataset: Dataset, names: Pseudonyms, patient_key: str, identity: str) -> None:
    """Give an object the identifiers that it lacks; done before they are mapped.

    Parameters
    ----------
    dataset : Dataset
        The original, changed in place.
    names : Pseudonyms
        Where identifiers come from.
    patient_key : str
        What the patient is known by.
    identity : str
        What tells this object from all others.
    """
    study = _mend(dataset, "StudyInstanceUID", names, f"study of {patient_key}")
    number = text_of(dataset, Tag("SeriesNumber")) if "SeriesNumber" in dataset else ""
    series = _mend(dataset, "SeriesInstanceUID", names, f"series {number} of {study}")
    _mend(dataset, "SOPInstanceUID", names, f"object {identity}")
    if "ImagePositionPatient" in dataset or "FrameOfReferenceUID" in dataset:
        _mend(dataset, "FrameOfReferenceUID", names, f"frame of reference of {series}")


def _mend(dataset: Dataset, keyword: str, names: Pseudonyms, otherwise: str) -> str:
    tag = int(Tag(keyword))
    present = text_of(dataset, tag) if tag in dataset else ""
    if present:
        return present
    made = names.digest("missing", otherwise).hex()
    put(dataset, tag, "UI", made)
    return made


def stamp(dataset: Dataset, subject: Subject, keep: frozenset[Keep], audit: Audit) -> None:
    """Add what is needed to be valid, and what was done by which method."""
    for keyword in _NEEDED:
        tag = Tag(keyword)
        if tag in dataset:
            continue
        if keyword in ("PatientName", "PatientID"):
            caret = "^" if keyword == "PatientName" else ""
            put(dataset, tag, dictionary_VR(tag), subject.pseudonym + caret)
        else:
            put_empty(dataset, tag, dictionary_VR(tag))
        audit[(int(tag),), Action.ADDED] += 1
    codes = [BASIC_CODE, *(OPTION_CODES[option] for option in sorted(keep))]
    if CONTENT_SEQUENCE in dataset:
        codes.append(CONTENT_CODE)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [
        f"PS3.15 {EDITION} Basic Application Confidentiality Profile",
        *(f"{code} {meaning}"[:64] for code, meaning in codes[1:]),
        f"groundglass {__version__}",
    ]
    dataset.DeidentificationMethodCodeSequence = Sequence(_coded(*code) for code in codes)
    kept = Keep.DATES in keep
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if kept else "REMOVED"
    for keyword in (
        "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
    ):  # fmt: skip
        audit[(int(Tag(keyword)),), Action.ADDED] += 1


def _coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def new_meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    """Return file meta information that holds nothing of the original but its transfer syntax."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = f"GGLASS_{__version__}"[:16]
    return meta
