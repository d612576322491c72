"""A tiny COVID-CT-MD of the same layout, with its traps: shuffled names and a skipped index."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from groundglass.datasets.covid_ct_md import FOLDERS, INDEX, LOBE_LABELS, SLICE_LABELS

_SIZE = 64
_STEP_MM = 8.0
_LABEL_COLUMNS = 200


def write_fake(root: Path, generator: np.random.Generator, slices: int = 12) -> None:
    """Write three patients: COVID-19 (``P001``), CAP (``cap001``), normal (``normal001``).

    The two ill ones carry a ground-glass ball in the middle third of the slices, labelled; file
    numbers are shuffled, positions fall from head to feet, and the printed index skips a number.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and file order.
    slices : int
        Slices of each series.
    """
    ill = np.zeros(slices, dtype=bool)
    ill[slices // 3 : 2 * slices // 3] = True
    nothing = np.zeros_like(ill)
    for diagnosis, patient, lesion in (
        ("COVID-19", "P001", ill),
        ("CAP", "cap001", ill),
        ("NORMAL", "normal001", nothing),
    ):
        folder = root / FOLDERS[diagnosis] / patient
        folder.mkdir(parents=True)
        write_series(folder, fake_hu(lesion, generator), generator)
    _write_labels(root, ill)


def _write_labels(root: Path, ill: NDArray[np.bool_]) -> None:
    rows = ((0, "COVID-19", "P001"), (2, "CAP", "cap001"))
    with (root / INDEX).open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(["Label Index", "Diagnosis", "Relative Path", "Folder/ID"])
        table.writerows((number, kind, f"./{kind}/", patient) for number, kind, patient in rows)
    slices = np.zeros((2, _LABEL_COLUMNS), dtype=np.uint8)
    slices[:, : ill.size] = ill
    lobes = np.zeros((2, _LABEL_COLUMNS, 5), dtype=np.uint8)
    lobes[:, : ill.size, 0] = ill
    np.save(root / SLICE_LABELS[0], slices)
    np.save(root / LOBE_LABELS[0], lobes)


def fake_hu(
    ill: NDArray[np.bool_],
    generator: np.random.Generator,
    density: float = -450,
    *,
    vessels: bool = False,
) -> NDArray[np.int16]:
    """Return HU (slices, rows, columns) of two lungs, canonical, a lesion at the left where ill.

    Parameters
    ----------
    ill : ndarray
        (slices,): whether each slice has the lesion, a disk of radius 6 at row 36, column 46.
    generator : numpy.random.Generator
        Source of noise.
    density : float
        Of the lesion, in HU.
    vessels : bool
        Draw a dense dot of 2 x 2 pixels in each lung of every slice.
    """
    y, x = np.mgrid[:_SIZE, :_SIZE]
    hu = np.full((ill.size, _SIZE, _SIZE), -1000.0)
    hu[:, ((y - 32) / 26) ** 2 + ((x - 32) / 31) ** 2 < 1] = 40
    for middle in (18, 46):
        hu[:, ((y - 32) / 18) ** 2 + ((x - middle) / 10) ** 2 < 1] = -850
    hu[ill[:, None, None] & (np.hypot(y - 36, x - 46) < 6)] = density
    if vessels:
        for column in (18, 44):
            hu[:, 24:26, column : column + 2] = 60
    hu += generator.normal(0, 15, hu.shape)
    return np.asarray(np.clip(np.rint(hu), -1024, 3071), dtype=np.int16)


def write_series(
    folder: Path,
    hu: NDArray[np.int16],
    generator: np.random.Generator,
    intercept: int = -1024,
) -> None:
    """Write a series of which file names say nothing; instance numbers run from head to feet.

    Parameters
    ----------
    folder : Path
        An existing folder.
    hu : ndarray
        (slices, rows, columns), canonical; values below the intercept are stored as 0.
    generator : numpy.random.Generator
        Source of the order of names.
    intercept : int
        What is added to stored values to get HU.
    """
    stored = np.clip(hu.astype(np.int32) - intercept, 0, 4095).astype(np.uint16)
    uid = generate_uid()
    for number, index in enumerate(generator.permutation(len(stored))):
        file = folder / f"FAKE-ASSH_{number}.dcm"
        header = _dataset(file, stored[index], int(index), uid)
        header.RescaleIntercept = intercept
        header.save_as(file, enforce_file_format=True)


def _dataset(file: Path, pixels: NDArray[np.uint16], index: int, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    height = -_STEP_MM * index
    fields: dict[str, object] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": series,
        "StudyInstanceUID": generate_uid(),
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientName": "Fake",
        "PatientID": "Fake",
        "PatientPosition": "HFS",
        "InstanceNumber": index + 1,
        "ImagePositionPatient": [-160.0, -160.0, height],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "SliceLocation": height,
        "SliceThickness": _STEP_MM,
        "PixelSpacing": [5.0, 5.0],
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "PixelData": pixels.tobytes(),
    }
    for name, value in fields.items():
        setattr(header, name, value)
    return header
