"""One DICOM image as its header describes it: few fields, each read without trust.

Values that cannot be read become ``None``. Names, identifiers, dates and free text never enter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset

from groundglass.readers.dicom_layout import PixelLayout, pixel_layout
from groundglass.readers.dicom_terms import CHEST_PARTS, MODALITIES, OTHER_PARTS, UNKNOWN
from groundglass.readers.dicom_values import (
    number,
    numbers,
    text,
    texts,
    valid_uid,
    value_of,
    whole,
)

_POSITION = re.compile(r"(HF|FF|LF|RF|AF|PF)(S|P|DR|DL)")
_KERNEL = re.compile(r"[\w ./+\\-]{1,24}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ValueScale:
    """How stored values become HU, and what the header says about them."""

    slope: float | None
    """HU per stored step; ``None`` if the header has none, or none that makes sense."""
    intercept: float | None
    """HU of stored 0."""
    unit: str | None
    """Rescale type: ``HU``, ``US`` ..."""
    padding: tuple[float, float] | None
    """Lowest and highest stored value that stands for no measurement."""
    extremes: tuple[float, float] | None
    """Smallest and largest stored value of the image."""

    @property
    def is_hu(self) -> bool:
        """Whether the header says how to get HU."""
        unit_fits = self.unit in (None, "HU", "HU_MOD")
        return self.slope is not None and self.intercept is not None and unit_fits


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of one slice image before its pixels are read."""

    path: Path
    """File that holds the image."""
    frame: int
    """Index of the image in its file."""
    series_key: str
    """Series Instance UID as it stands in the file; may be empty or text."""
    series_number: int | None
    """Series number."""
    study_uid: str | None
    """Study Instance UID, where it is one."""
    instance_uid: str | None
    """SOP Instance UID, where it is one."""
    frame_of_reference: str | None
    """Frame of reference UID, where it is one."""
    patient_key: str
    """Digest that tells patients apart and nothing else; empty where there is no identifier."""
    sop_class: str
    """SOP Class UID."""
    modality: str | None
    """Modality; ``unknown`` for a word that is none, ``None`` if missing."""
    image_type: tuple[str, ...]
    """Image type values, upper case; empty if missing."""
    orientation: tuple[float, ...] | None
    """Directions of growing columns and rows (ImageOrientationPatient)."""
    position_mm: tuple[float, ...] | None
    """LPS position of the first pixel (ImagePositionPatient)."""
    spacing_mm: tuple[float, ...] | None
    """Step between rows and between columns."""
    diameter_mm: float | None
    """Reconstruction diameter."""
    slice_location_mm: float | None
    """Slice location."""
    thickness_mm: float | None
    """Slice thickness."""
    between_mm: float | None
    """Spacing between slices, as the tag says."""
    tilt_degrees: float | None
    """Gantry tilt, as the tag says."""
    instance_number: int | None
    """Instance number, or number of the frame."""
    acquisition_number: int | None
    """Acquisition number."""
    temporal_position: int | None
    """Temporal position identifier or index."""
    time: float | None
    """Content time, else acquisition time, as HHMMSS; only ever compared."""
    kernel: str | None
    """Reconstruction kernel."""
    patient_position: str | None
    """Patient position: ``HFS`` ..."""
    body_part: str | None
    """Body part examined, upper case; ``None`` for a word that is none."""
    contrast: bool | None
    """Whether a contrast agent is named; ``None`` where nothing is said."""
    lossy: bool
    """Whether the pixels have been compressed with loss."""
    burned_in: bool
    """Whether the header says that text is burned into the pixels."""
    scale: ValueScale
    """How values become HU."""
    layout: PixelLayout
    """How the pixels are stored."""


def describe(dataset: Dataset, path: Path, offset: int) -> ImageHeader:
    """Return the header of one image.

    Parameters
    ----------
    dataset : Dataset
        Elements before the pixel data.
    path : Path
        File they come from.
    offset : int
        Where the pixel data element begins in the (inflated) file.

    Raises
    ------
    ValueError
        If the pixels are stored in a way no CT is.
    """
    return ImageHeader(
        path=path,
        frame=0,
        series_key=text(dataset, "SeriesInstanceUID") or "",
        series_number=whole(dataset, "SeriesNumber"),
        study_uid=valid_uid(text(dataset, "StudyInstanceUID")),
        instance_uid=valid_uid(text(dataset, "SOPInstanceUID")),
        frame_of_reference=valid_uid(text(dataset, "FrameOfReferenceUID")),
        patient_key=_patient_key(dataset),
        sop_class=text(dataset, "SOPClassUID") or "",
        modality=_modality(text(dataset, "Modality")),
        image_type=texts(dataset, "ImageType"),
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        position_mm=numbers(dataset, "ImagePositionPatient", 3),
        spacing_mm=_positive(numbers(dataset, "PixelSpacing", 2)),
        diameter_mm=_above_zero(number(dataset, "ReconstructionDiameter")),
        slice_location_mm=number(dataset, "SliceLocation"),
        thickness_mm=_above_zero(number(dataset, "SliceThickness")),
        between_mm=_above_zero(abs(number(dataset, "SpacingBetweenSlices") or 0)),
        tilt_degrees=number(dataset, "GantryDetectorTilt"),
        instance_number=whole(dataset, "InstanceNumber"),
        acquisition_number=whole(dataset, "AcquisitionNumber"),
        temporal_position=whole(dataset, "TemporalPositionIdentifier"),
        time=number(dataset, "ContentTime") or number(dataset, "AcquisitionTime"),
        kernel=_matching(_KERNEL, text(dataset, "ConvolutionKernel")),
        patient_position=_matching(_POSITION, text(dataset, "PatientPosition")),
        body_part=_body_part(text(dataset, "BodyPartExamined")),
        contrast=_contrast(dataset),
        lossy=text(dataset, "LossyImageCompression") == "01",
        burned_in=(text(dataset, "BurnedInAnnotation") or "").upper() == "YES",
        scale=value_scale(dataset),
        layout=pixel_layout(dataset, offset),
    )


def value_scale(dataset: Dataset, transform: Dataset | None = None) -> ValueScale:
    """Return how values become HU, from ``transform`` (a functional group) where it is given."""
    source = dataset if transform is None else transform
    slope = number(source, "RescaleSlope")
    unit = text(source, "RescaleType")
    low, high = number(dataset, "PixelPaddingValue"), number(dataset, "PixelPaddingRangeLimit")
    smallest = number(dataset, "SmallestImagePixelValue")
    largest = number(dataset, "LargestImagePixelValue")
    high = low if high is None else high
    return ValueScale(
        slope=slope if slope else None,
        intercept=number(source, "RescaleIntercept"),
        unit=unit.upper() if unit else None,
        padding=None if low is None or high is None else (min(low, high), max(low, high)),
        extremes=None if smallest is None or largest is None else (smallest, largest),
    )


def _positive(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return values if values is not None and all(1e-3 < v < 1e3 for v in values) else None


def _above_zero(value: float | None) -> float | None:
    return value if value is not None and 1e-3 < value < 1e4 else None


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def _modality(value: str | None) -> str | None:
    if value is None:
        return None
    return value.upper() if value.upper() in MODALITIES else UNKNOWN


def _body_part(value: str | None) -> str | None:
    word = (value or "").upper().replace(" ", "_")
    return word if word in CHEST_PARTS | OTHER_PARTS else None


def _contrast(dataset: Dataset) -> bool | None:
    if value_of(dataset, "ContrastBolusAgentSequence"):
        return True
    agent = text(dataset, "ContrastBolusAgent")
    if agent is None:
        return None
    return agent.upper() not in {"NO", "NONE", "N", "NATIVE", "WITHOUT", "UNENHANCED"}


def _patient_key(dataset: Dataset) -> str:
    names = [text(dataset, keyword) or "" for keyword in ("PatientID", "PatientName")]
    return sha256("\n".join(names).encode()).hexdigest()[:16] if any(names) else ""
