"""What every object of ours shares: whose it is, what made it, how it is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

MAKER = "groundglass"
NOTICE = "research use only"
PATIENT_AND_STUDY = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDsSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
"""Attributes taken from the slices as they are, where they have them."""
IDENTITY = ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber")
"""What an archive files by; must be the source's to the letter."""


@dataclass(frozen=True, slots=True)
class Series:
    """One new series of the study."""

    title: str
    """What it holds, for the series description."""
    number: int
    """Series number; high, so that viewers list it after the scanner's own."""
    uid: str
    """Its UID."""

    @property
    def description(self) -> str:
        """The series description: says that this is not for diagnosis."""
        return f"groundglass {self.title}, {NOTICE}"


def new_series(title: str, number: int) -> Series:
    """Return a series with a UID of its own."""
    return Series(title, number, new_uid())


def new_uid() -> str:
    """Return a UID nobody has used."""
    return str(generate_uid(prefix=None))


def software_version() -> str:
    """Return name and version of what makes the objects."""
    return version(MAKER)


def blank_instance(source: Dataset, sop_class: str, modality: str, series: Series) -> Dataset:
    """Return an object of the source's patient and study with nothing in it yet.

    Parameters
    ----------
    source : Dataset
        Instance of the scan.
    sop_class : str
        SOP Class UID.
    modality : str
        Modality of the new series.
    series : Series
        The new series.
    """
    now = datetime.now()
    dataset = Dataset()
    for keyword in PATIENT_AND_STUDY:
        if keyword in source:
            dataset[keyword] = source[keyword]
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), UID(new_uid())
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series.uid, series.number
    dataset.SeriesDescription = series.description
    dataset.Modality = modality
    dataset.SeriesDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = now.strftime("%H%M%S")
    dataset.Manufacturer = dataset.ManufacturerModelName = MAKER
    dataset.SoftwareVersions = software_version()
    dataset.DeviceSerialNumber = MAKER
    dataset.InstanceNumber = 1
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def save(dataset: Any, path: Path) -> Path:
    """Write an object as a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
