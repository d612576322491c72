"""Synthetic DICOM CT series for tests: any voxels, then any fault.

``make_slices`` gives sound datasets from head to feet; a test spoils them as it likes and calls
``save``. Patient data are marks that must never be seen again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import InconsistentSeriesError, NotAnalyzableError

SECRETS = ("Doe^Jane", "SECRET-ID-77", "19601231", "19991124", "Secret description")
"""Name, identifier, birth date, study date and description in every file."""
INTERCEPT = -1024
BLOCK_MM2 = 16 * 16 * 0.7 * 0.7
"""Area of the block of -850 HU in slices of 64 by 64."""
_BY_GDCM = {"1.2.840.10008.1.2.4.70": "JPEG", "1.2.840.10008.1.2.4.90": "JPEG2000"}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def block(shape: tuple[int, int, int] = (20, 64, 64)) -> NDArray[np.int16]:
    """Return air with a body and, in its middle, a block of -850 HU; every slice differs."""
    hu = np.full(shape, -1000, np.int16)
    _, rows, columns = shape
    hu[:, rows // 8 : -rows // 8, columns // 8 : -columns // 8] = 40
    hu[:, rows // 4 : rows // 2, columns // 4 : columns // 2] = -850
    hu[:, rows // 2, columns // 2] = 100 + 2 * np.arange(shape[0])
    return hu


def told(scan: Scan, check: str) -> Verdict:
    """Return the first verdict of a check, which must be there and be three plain sentences."""
    found = [verdict for verdict in scan.verdicts if verdict.check == check]
    assert found, f"no verdict '{check}' among {[v.check for v in scan.verdicts]}"
    assert found[0].found
    assert found[0].done
    assert not any(secret in v.sentence for v in scan.verdicts for secret in SECRETS)
    return found[0]


def warnings_of(scan: Scan) -> set[str]:
    return {v.check for v in scan.verdicts if v.status in (Status.WARNING, Status.REFUSED)}


def block_ml(scan: Scan) -> float:
    """Return the volume of the block of -850 HU."""
    volumes = scan.geometry.slice_volumes_mm3
    assert volumes is not None
    return float(np.count_nonzero(scan.hu() == -850, axis=(1, 2)) @ volumes) / 1000


def refusal(error: Exception) -> Verdict:
    assert isinstance(error, NotAnalyzableError | InconsistentSeriesError)
    return next(v for v in error.verdicts if v.status is Status.REFUSED)


def make_slices(
    hu: ArrayLike,
    step_mm: float = 5.0,
    *,
    spacing_mm: tuple[float, float] = (0.7, 0.7),
    z_mm: Sequence[float] | None = None,
    series: str | None = None,
    **tags: Any,
) -> list[Dataset]:
    """Return one dataset per slice, head to feet.

    Parameters
    ----------
    hu
        (slices, rows, columns), canonical.
    step_mm
        Distance between slices, where ``z_mm`` is not given.
    spacing_mm
        Step between rows and columns.
    z_mm
        Patient z of every slice.
    series
        Series Instance UID; a new one otherwise.
    tags
        Further elements by keyword, set on all slices last.
    """
    array = np.asarray(hu)
    places = [100.0 - step_mm * i for i in range(len(array))] if z_mm is None else list(z_mm)
    series, study, frame = series or generate_uid(), generate_uid(), generate_uid()
    datasets = []
    for number, (values, z) in enumerate(zip(array, places, strict=True), 1):
        dataset = _identified(series, study, frame)
        dataset.InstanceNumber, dataset.SliceLocation = number, z
        dataset.ImagePositionPatient = [-20.0, -30.0, z]
        dataset.ImageOrientationPatient = list(AXIAL)
        dataset.PixelSpacing, dataset.SliceThickness = list(spacing_mm), step_mm
        store(dataset, values)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        datasets.append(dataset)
    return datasets


def store(dataset: Dataset, hu: NDArray[Any]) -> None:
    """Put the pixels of a slice into a dataset, 12 of 16 bits, with their rescale."""
    stored = (np.asarray(hu).astype(np.int32) - INTERCEPT).astype("<u2")
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, INTERCEPT
    dataset.PixelData = stored.tobytes()


def save(datasets: Sequence[Dataset], folder: Path, name: Callable[[int], str] = str) -> Path:
    """Write datasets as files and return the folder; ``name`` gives the file names."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, dataset in enumerate(datasets):
        dataset.save_as(folder / name(index), enforce_file_format=True)
    return folder


def compress(dataset: Dataset, syntax: str) -> None:
    """Encode the pixels of a dataset without loss, as a transfer syntax asks."""
    if syntax in _BY_GDCM:
        frame = _gdcm_frame(dataset.pixel_array, _BY_GDCM[syntax])
        dataset.BitsStored, dataset.HighBit = 16, 15
        _encapsulate(dataset, [frame], syntax)
    elif syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    elif syntax == ImplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset["PixelData"].VR = "OW"
    elif syntax == ExplicitVRBigEndian:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    else:
        uid = dataset.SOPInstanceUID
        dataset.compress(UID(syntax))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid


def encapsulated(dataset: Dataset, frames: list[bytes], syntax: str) -> Dataset:
    """Return the dataset with pixels that are already encoded."""
    _encapsulate(dataset, frames, syntax)
    return dataset


def make_enhanced(
    hu: NDArray[Any], step_mm: float = 5.0, *, shared_scale: bool = True, shuffle: bool = False
) -> Dataset:
    """Return an enhanced multi-frame CT of (slices, rows, columns), head to feet.

    Without ``shared_scale`` every frame has a rescale of its own; with ``shuffle`` the frames lie
    in the file in a mixed order.
    """
    order = np.random.default_rng(3).permutation(len(hu)) if shuffle else np.arange(len(hu))
    template = make_slices(hu, step_mm)
    dataset = _identified(template[0].SeriesInstanceUID, generate_uid(), generate_uid())
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    store(dataset, np.zeros(hu.shape[1:]))
    dataset.NumberOfFrames = len(hu)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    slopes = [1 if shared_scale else 1 + i % 2 for i in range(len(hu))]
    dataset.PixelData = b"".join(
        ((hu[i].astype(np.int32) - INTERCEPT) // slopes[i]).astype("<u2").tobytes() for i in order
    )
    measures = _group(PixelSpacing=[0.7, 0.7], SliceThickness=step_mm)
    orientation = _group(ImageOrientationPatient=list(AXIAL))
    shared = _group(PixelMeasuresSequence=measures, PlaneOrientationSequence=orientation)
    if shared_scale:
        shared[0].PixelValueTransformationSequence = _scale(1)
    dataset.SharedFunctionalGroupsSequence = shared
    frames = []
    for i in order:
        place = _group(ImagePositionPatient=template[i].ImagePositionPatient)
        frame = _group(PlanePositionSequence=place)
        if not shared_scale:
            frame[0].PixelValueTransformationSequence = _scale(slopes[i])
        frames.append(frame[0])
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    return dataset


def _scale(slope: int) -> Items:
    return _group(RescaleSlope=slope, RescaleIntercept=INTERCEPT, RescaleType="HU")


def _group(**values: Any) -> Items:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Items([item])


def _identified(series: str, study: str, frame: str) -> Dataset:
    dataset = Dataset()
    instance = generate_uid()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.FrameOfReferenceUID = frame
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = SECRETS[:3]
    dataset.StudyDate, dataset.SeriesDescription = SECRETS[3:]
    dataset.StudyTime, dataset.PatientSex, dataset.StudyID = "120000", "O", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.SeriesNumber, dataset.ConvolutionKernel = 1, "B31f"
    return dataset


def _encapsulate(dataset: Dataset, frames: list[bytes], syntax: str) -> None:
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)


def _gdcm_frame(stored: NDArray[Any], compressor: str) -> bytes:
    """Return one frame as GDCM encodes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        itk: Any = SimpleITK
        writer = itk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(SimpleITK.GetImageFromArray(stored[None].astype(np.uint16)))
        return next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
