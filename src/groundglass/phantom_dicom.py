"""A phantom as a DICOM CT series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from groundglass.core.scan import Scan

INTERCEPT_HU = -1024


def write_series(scan: Scan, folder: Path) -> tuple[Path, ...]:
    """Write a scan in HU as a DICOM CT series and return the files, feet first as scanners do.

    Parameters
    ----------
    scan : Scan
        What to write.
    folder : Path
        Where to; made if missing. Files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, index in enumerate(reversed(range(scan.shape[0])), start=1):
        path = folder / f"slice{number:04d}.dcm"
        slice_dataset(scan, index, number).save_as(path, enforce_file_format=True)
        files.append(path)
    return tuple(files)


def slice_dataset(scan: Scan, index: int, number: int) -> Dataset:
    """Return slice ``index`` of a scan as CT image ``number`` of a series.

    The unique identifiers depend on the number of slices alone, so that the same phantom always
    gives the same files.
    """
    study, series, instance = (
        generate_uid(entropy_srcs=["groundglass phantom", str(scan.shape), part])
        for part in ("study", "series", f"instance {number}")
    )
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["groundglass phantom frame"])
    dataset.PatientName, dataset.PatientID = "Phantom^Chest", "PHANTOM"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200101", "120000", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
    dataset.Modality, dataset.Manufacturer = "CT", "groundglass phantom"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.SeriesDescription = "Chest phantom"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    _place(dataset, scan, index)
    _fill(dataset, scan, index)
    return dataset


def _place(dataset: Dataset, scan: Scan, index: int) -> None:
    grid = scan.geometry
    origin = grid.origins_mm[index]
    rows, columns = grid.row_step_mm / grid.row_mm, grid.column_step_mm / grid.column_mm
    dataset.ImagePositionPatient = [round(float(v), 4) for v in origin]
    dataset.ImageOrientationPatient = [float(v) for v in (*columns, *rows)]
    dataset.PixelSpacing = [grid.row_mm, grid.column_mm]
    dataset.SliceThickness = grid.slice_width_mm or grid.step_mm
    dataset.SliceLocation = round(float(origin[2]), 4)
    dataset.PositionReferenceIndicator = ""
    dataset.KVP, dataset.ConvolutionKernel = "120", "B40"


def _fill(dataset: Dataset, scan: Scan, index: int) -> None:
    stored = (scan.hu()[index].astype(np.int32) - INTERCEPT_HU).astype("<u2")
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, INTERCEPT_HU, "HU"
    dataset.WindowCenter, dataset.WindowWidth = -600, 1500
    dataset.PixelData = stored.tobytes()
