"""Multi-frame files: one header per frame, from the shared and per-frame functional groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from groundglass.readers.dicom_header import ImageHeader, value_scale
from groundglass.readers.dicom_values import number, numbers, text, texts, value_of, whole

T = TypeVar("T")


def expand(dataset: Dataset, header: ImageHeader) -> tuple[ImageHeader, ...]:
    """Return the header of every frame of a file.

    Enhanced CT and Legacy Converted Enhanced CT keep geometry and rescaling in functional groups.
    Frames of other multi-frame files have no position; the order of the frames is all there is.

    Parameters
    ----------
    dataset : Dataset
        Elements before the pixel data.
    header : ImageHeader
        What the top level says.

    Returns
    -------
    tuple of ImageHeader
        The header itself for a file of one frame without functional groups.
    """
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    each = _items(dataset, "PerFrameFunctionalGroupsSequence")
    count = header.layout.frames
    if count == 1 and not (shared or each):
        return (header,)
    base = shared[0] if shared else Dataset()
    return tuple(
        _frame(dataset, header, [each[i], base] if i < len(each) else [base], i)
        for i in range(count)
    )


def _frame(dataset: Dataset, header: ImageHeader, groups: list[Dataset], index: int) -> ImageHeader:
    def find(sequence: str, read: Callable[[Dataset, str], T | None], keyword: str) -> T | None:
        for group in groups:
            for item in _items(group, sequence)[:1]:
                value = read(item, keyword)
                if value is not None and value != ():
                    return value
        return None

    def six(item: Dataset, keyword: str) -> tuple[float, ...] | None:
        return numbers(item, keyword, 6)

    def three(item: Dataset, keyword: str) -> tuple[float, ...] | None:
        return numbers(item, keyword, 3)

    def two(item: Dataset, keyword: str) -> tuple[float, ...] | None:
        return numbers(item, keyword, 2)

    measures, content = "PixelMeasuresSequence", "FrameContentSequence"
    frame_type = find("CTImageFrameTypeSequence", texts, "FrameType")
    return replace(
        header,
        frame=index,
        instance_number=index + 1,
        position_mm=find("PlanePositionSequence", three, "ImagePositionPatient"),
        orientation=find("PlaneOrientationSequence", six, "ImageOrientationPatient")
        or header.orientation,
        spacing_mm=find(measures, two, "PixelSpacing") or header.spacing_mm,
        thickness_mm=find(measures, number, "SliceThickness") or header.thickness_mm,
        between_mm=find(measures, number, "SpacingBetweenSlices") or header.between_mm,
        acquisition_number=find(content, whole, "FrameAcquisitionNumber"),
        temporal_position=find(content, whole, "TemporalPositionIndex"),
        time=_clock_time(find(content, text, "FrameAcquisitionDateTime")),
        image_type=frame_type or header.image_type,
        kernel=find("CTReconstructionSequence", text, "ConvolutionKernel") or header.kernel,
        scale=_scale(dataset, header, groups),
    )


def _scale(dataset: Dataset, header: ImageHeader, groups: list[Dataset]) -> Any:
    for group in groups:
        for item in _items(group, "PixelValueTransformationSequence")[:1]:
            if number(item, "RescaleSlope") is not None:
                return value_scale(dataset, item)
    return header.scale


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    found = value_of(dataset, keyword)
    if found is None or not hasattr(found, "__iter__"):
        return []
    return [item for item in found if isinstance(item, Dataset)]


def _clock_time(stamp: str | None) -> float | None:
    """Return HHMMSS of a date and time; dates stay behind."""
    try:
        return float(stamp[8:]) if stamp else None
    except ValueError:
        return None
