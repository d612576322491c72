"""DICOM segmentation objects: their frames as one label array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical
from groundglass.core.results import Labels
from groundglass.errors import ReadError, UnsupportedFormatError
from groundglass.readers.build import require_size

_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation, and label map segmentation."""
_SAME_SLICE_MM = 0.01


@dataclass(frozen=True, eq=False)
class _Frame:
    """Where one frame lies and which segment it shows; segment 0 holds labels themselves."""

    origin_mm: NDArray[np.float64]
    segment: int


def read_segmentation(path: Path) -> tuple[Labels, Geometry, dict[int, str]]:
    """Read a DICOM segmentation.

    Where segments overlap the one with the higher number counts; fractional ones from one half.

    Parameters
    ----------
    path : Path
        A DICOM file.

    Returns
    -------
    labels : ndarray of uint8
        (slices, rows, columns), canonical; slices are those that have a frame.
    geometry : Geometry
        Their grid, with the frame of reference.
    names : dict
        Label of every segment.

    Raises
    ------
    UnsupportedFormatError
        If the file is another kind of DICOM object.
    ReadError
        If it is damaged or its frames are not parallel.
    """
    try:
        dataset = pydicom.dcmread(path)
        if str(dataset.get("SOPClassUID", "")) in _SEGMENTATIONS:
            return _assemble(dataset, path.stat().st_size)
    except ReadError:
        raise
    except Exception as error:
        msg = "the DICOM segmentation is damaged or of a kind that is not read"
        raise ReadError(msg) from error
    msg = "a DICOM segmentation is needed as mask, found another kind of DICOM object"
    raise UnsupportedFormatError(msg)


def _assemble(dataset: Any, stored: int) -> tuple[Labels, Geometry, dict[int, str]]:
    frames = list(_frames(dataset))
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    packed = bool(dataset.file_meta.TransferSyntaxUID.is_compressed)
    bits = int(dataset.BitsAllocated)
    require_size(
        (len(frames), rows, columns), 1, stored * (8 // min(bits, 8)), compressed=packed, what="SEG"
    )
    pixels = dataset.pixel_array.reshape(len(frames), rows, columns)
    row_step, column_step = _steps(dataset)
    normal = np.cross(column_step, row_step)
    normal = normal / np.linalg.norm(normal)
    along = np.round(np.array([frame.origin_mm @ normal for frame in frames]) / _SAME_SLICE_MM)
    levels = np.unique(along)
    origins = np.stack([frames[int(np.argmax(along == level))].origin_mm for level in levels])
    labels = np.zeros((len(levels), rows, columns), np.uint8)
    half = int(dataset.get("MaximumFractionalValue", 1)) / 2
    for index in np.argsort([frame.segment for frame in frames], kind="stable"):
        place = labels[int(np.searchsorted(levels, along[index]))]
        if frames[index].segment == 0:
            place[...] = pixels[index]
        else:
            place[pixels[index] > half] = frames[index].segment
    geometry = Geometry(
        labels.shape,
        origins,
        row_step,
        column_step,
        _thickness(dataset),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID", "")) or None,
    )
    turned, grid = to_canonical(labels, geometry)
    return np.ascontiguousarray(turned), grid, _names(dataset)


def _frames(dataset: Any) -> Iterator[_Frame]:
    for group in dataset.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0].ImagePositionPatient
        named = group.get("SegmentIdentificationSequence")
        segment = int(named[0].ReferencedSegmentNumber) if named else 0
        yield _Frame(np.array([float(value) for value in place]), segment)


def _steps(dataset: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the vectors from row to row and from column to column, shared by all frames."""
    shared = _shared(dataset)
    spacing = shared("PixelMeasuresSequence").PixelSpacing
    cosines = np.array(
        [float(v) for v in shared("PlaneOrientationSequence").ImageOrientationPatient]
    )
    return cosines[3:] * float(spacing[0]), cosines[:3] * float(spacing[1])


def _thickness(dataset: Any) -> float | None:
    value = _shared(dataset)("PixelMeasuresSequence").get("SliceThickness")
    return float(value) if value else None


def _shared(dataset: Any) -> Any:
    """Return a getter of functional groups: the shared one, else that of the first frame."""
    groups: Sequence[Any] = (
        *dataset.get("SharedFunctionalGroupsSequence", []),
        dataset.PerFrameFunctionalGroupsSequence[0],
    )

    def get(name: str) -> Any:
        return next(group[name].value[0] for group in groups if name in group)

    return get


def _names(dataset: Any) -> dict[int, str]:
    return {
        int(segment.SegmentNumber): str(segment.get("SegmentLabel", ""))
        for segment in dataset.get("SegmentSequence", [])
        if int(segment.SegmentNumber) > 0
    }
