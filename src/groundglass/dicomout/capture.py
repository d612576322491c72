"""Overlays as colour pictures that any viewer shows, each at its place in the patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pydicom.valuerep import format_number_as_ds

from groundglass.core.geometry import Geometry
from groundglass.core.results import CaseResult
from groundglass.dicomout.instance import NOTICE, Series, blank_instance
from groundglass.dicomout.source import Source, centre_mm, reference
from groundglass.writers.figures import Illustrator

MOST_SLICES = 48
"""Most pictures of a series: enough to scroll through, few enough to send."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """One slice in colour."""

    index: int
    """Slice of the scan."""
    corner: tuple[int, int]
    """Row and column of the scan where the picture begins."""
    rgb: NDArray[np.uint8]
    """(rows, columns, 3), one pixel per voxel."""


def overlays(result: CaseResult) -> Iterator[Overlay]:
    """Yield slices spread over the lungs, the most infected one among them, cropped to the lungs.

    Parameters
    ----------
    result : CaseResult
        Scan and masks.
    """
    artist = Illustrator(result)
    corner = (artist.box.rows[0], artist.box.columns[0])
    for index in artist.axial_choice(MOST_SLICES):
        yield Overlay(index, corner, np.asarray(artist.plain(index).image()))


def build_captures(result: CaseResult, source: Source, series: Series) -> Iterator[Dataset]:
    """Yield overlays as secondary captures, head to feet.

    Parameters
    ----------
    result : CaseResult
        Scan and masks.
    source : Source
        The slices they lie on.
    series : Series
        The new series.
    """
    for number, overlay in enumerate(overlays(result), 1):
        dataset = blank_instance(source.first, SecondaryCaptureImageStorage, "OT", series)
        dataset.InstanceNumber = number
        _describe(dataset)
        _place(dataset, overlay, result.scan.geometry, source)
        _fill(dataset, overlay.rgb)
        yield dataset


def _describe(dataset: Dataset) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ConversionType = "WSD"
    dataset.BodyPartExamined = "CHEST"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.ImageComments = (
        "Contours: lungs. Amber: ground glass. Striped magenta: consolidation. "
        f"{NOTICE.capitalize()}."
    )
    dataset.DerivationDescription = "Lungs and infection found by groundglass, drawn over the CT"


def _place(dataset: Dataset, overlay: Overlay, grid: Geometry, source: Source) -> None:
    row, column = overlay.corner
    origin = grid.origins_mm[overlay.index] + row * grid.row_step_mm + column * grid.column_step_mm
    way = (*grid.column_step_mm / grid.column_mm, *grid.row_step_mm / grid.row_mm)
    dataset.ImagePositionPatient = [_ds(value) for value in origin]
    dataset.ImageOrientationPatient = [_ds(value) for value in way]
    dataset.PatientOrientation = [_letters(grid.column_step_mm), _letters(grid.row_step_mm)]
    dataset.PixelSpacing = [_ds(grid.row_mm), _ds(grid.column_mm)]
    dataset.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    behind = source.instance_at(centre_mm(grid, overlay.index))
    if behind is not None:
        dataset.SourceImageSequence = [reference(*behind)]


def _letters(way: NDArray[np.float64]) -> str:
    """Return the side of the patient a direction leads to, e.g. ``L``."""
    axis = int(np.abs(way).argmax())
    return ("LR", "PA", "HF")[axis][int(way[axis] < 0)]


def _ds(value: float) -> str:
    return format_number_as_ds(float(value))


def _fill(dataset: Dataset, rgb: NDArray[np.uint8]) -> None:
    dataset.Rows, dataset.Columns = rgb.shape[:2]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = rgb.tobytes() + b"\0" * (rgb.size % 2)
