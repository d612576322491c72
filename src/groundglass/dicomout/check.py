"""Written objects read back and compared with the result, by place and number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

from groundglass.core.results import CaseResult
from groundglass.dicomout.instance import IDENTITY
from groundglass.dicomout.numbers import Group, Number
from groundglass.dicomout.planes import on_grid, plane_of
from groundglass.dicomout.seg import Segment
from groundglass.dicomout.source import Source
from groundglass.errors import ExportError
from groundglass.writers import codes
from groundglass.writers.figures import Illustrator

DIGITS = 6
"""Digits behind the point of a range's end that are compared; numbers themselves must be equal."""


def check_identity(path: Path, source: Source, series_uid: str) -> Dataset:
    """Read an object afresh and make sure that it belongs to the study, as one new series.

    Parameters
    ----------
    path : Path
        The file.
    source : Source
        The slices.
    series_uid : str
        The series it must be in.

    Returns
    -------
    Dataset
        The object as read.

    Raises
    ------
    ExportError
        If it is not the source's patient and study, or its UIDs are not right.
    """
    dataset = pydicom.dcmread(path)
    for keyword in IDENTITY:
        if dataset.get(keyword) != source.first.get(keyword):
            _refuse(f"{keyword} differs from the source's")
    if dataset.SeriesInstanceUID != series_uid:
        _refuse("it is in another series than intended")
    if series_uid == source.first.SeriesInstanceUID or not UID(dataset.SOPInstanceUID).is_valid:
        _refuse("its UIDs are not new ones")
    return dataset


def check_seg(
    path: Path, parts: Sequence[Segment], result: CaseResult, source: Source, series_uid: str
) -> None:
    """Compare every voxel of every segment with the masks, by place in the patient.

    Parameters
    ----------
    path : Path
        The segmentation.
    parts : sequence of Segment
        Its segments, numbered from 1.
    result : CaseResult
        The masks.
    source : Source
        The slices.
    series_uid : str
        The series it must be in.

    Raises
    ------
    ExportError
        If one voxel differs.
    """
    dataset = check_identity(path, source, series_uid)
    found = read_segments(dataset, len(parts), result)
    for number, part in enumerate(parts):
        wrong = int(np.count_nonzero(found[number] != part.mask(result)))
        if wrong:
            _refuse(f"{wrong} voxels of '{part.label}' are not as they were found")
    named = {item.ReferencedSOPInstanceUID for item in _references(dataset)}
    if not named <= {each.SOPInstanceUID for each in source.datasets}:
        _refuse("it refers to other slices than those analyzed")


def read_segments(dataset: Dataset, count: int, result: CaseResult) -> list[NDArray[np.bool_]]:
    """Return the voxels of each segment on the scan's grid, from the frames' own positions.

    Raises
    ------
    ExportError
        If a frame does not lie on the grid.
    """
    volumes = [np.zeros(result.scan.shape, bool) for _ in range(count)]
    shape = (int(dataset.Rows), int(dataset.Columns))
    frames = dataset.pixel_array.reshape(-1, *shape)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for pixels, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        try:
            window = on_grid(plane_of(dataset, (groups, shared)), shape, result.scan.geometry)
        except ValueError as error:
            _refuse("a frame lies beside the scan", error)
        if dataset.SegmentationType == "LABELMAP":
            for number, volume in enumerate(volumes, 1):
                window.put(volume, pixels == number)
        else:
            which = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            window.put(volumes[which - 1], pixels > 0)
    return volumes


def _references(dataset: Dataset) -> Iterator[Dataset]:
    for series in dataset.ReferencedSeriesSequence:
        yield from series.ReferencedInstanceSequence


def check_sr(
    path: Path, groups: Sequence[Group], source: Source, series_uid: str, seg_uid: str
) -> None:
    """Compare every number of a structured report with the result.

    Parameters
    ----------
    path : Path
        The report.
    groups : sequence of Group
        What it must hold, no more and no less.
    source : Source
        The slices.
    series_uid : str
        The series it must be in.
    seg_uid : str
        Instance UID of the segmentation it must refer to.

    Raises
    ------
    ExportError
        If one number differs, is missing or is one too many.
    """
    dataset = check_identity(path, source, series_uid)
    told = Counter(read_numbers(dataset))
    wanted = Counter(
        row for group in groups for row in (_row(group, number) for number in group.numbers)
    )
    if told != wanted:
        names = sorted({row[1] for row in (told - wanted) + (wanted - told)})
        _refuse(f"numbers are not as they were measured: {', '.join(names)}")
    segments = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in _items(dataset)
        if item.ValueType == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
    }
    if segments != {seg_uid}:
        _refuse("it refers to another segmentation")


Row = tuple[str, str, str, float, float | None, float | None]


def read_numbers(dataset: Dataset) -> Iterator[Row]:
    """Yield place, name, unit, value, lower and upper end of every number of a report.

    Walks the content tree itself, not by the library that wrote it. Ends are rounded.
    """
    for group in _items(dataset):
        if group.ValueType != "CONTAINER" or _name(group) != ("125007", "DCM"):
            continue
        title = next(
            item.TextValue for item in group.ContentSequence if _name(item) == ("112039", "DCM")
        )
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                yield _told(title, item)


def _told(title: str, item: Dataset) -> Row:
    measured = item.MeasuredValueSequence[0]
    value = float(measured.NumericValue)
    off = {
        _name(more): float(more.MeasuredValueSequence[0].NumericValue)
        for more in item.get("ContentSequence", ())
        if more.ValueType == "NUM"
    }
    below, above = off.get(codes.BELOW.triple[:2]), off.get(codes.ABOVE.triple[:2])
    return (
        title,
        item.ConceptNameCodeSequence[0].CodeMeaning,
        measured.MeasurementUnitsCodeSequence[0].CodeValue,
        value,
        None if below is None else _rounded(value - below),
        None if above is None else _rounded(value + above),
    )


def _row(group: Group, number: Number) -> Row:
    known = number.low is not None and number.high is not None
    return (
        group.title,
        number.name.meaning,
        number.unit.value,
        float(format_number_as_ds(float(number.value))),
        _rounded(number.low) if known and number.low is not None else None,
        _rounded(number.high) if known and number.high is not None else None,
    )


def _rounded(value: float) -> float:
    return round(value, DIGITS)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _name(item: Dataset) -> tuple[str, str]:
    if "ConceptNameCodeSequence" not in item:
        return ("", "")
    code = item.ConceptNameCodeSequence[0]
    return str(code.CodeValue), str(code.CodingSchemeDesignator)


def check_pdf(path: Path, data: bytes, source: Source, series_uid: str) -> None:
    """Make sure that the document inside is the PDF, byte for byte.

    Raises
    ------
    ExportError
        If it is not.
    """
    dataset = check_identity(path, source, series_uid)
    if dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] != data:
        _refuse("the PDF inside is not the one that was made")


def check_captures(
    paths: Sequence[Path], result: CaseResult, source: Source, series_uid: str
) -> None:
    """Compare every pixel of the overlays with what belongs to its place in the patient.

    Parameters
    ----------
    paths : sequence of Path
        The pictures.
    result : CaseResult
        Scan and masks.
    source : Source
        The slices.
    series_uid : str
        The series they must be in.

    Raises
    ------
    ExportError
        If one pixel differs.
    """
    artist = Illustrator(result)
    corner = [artist.box.rows[0], artist.box.columns[0]]
    for path in paths:
        dataset = check_identity(path, source, series_uid)
        pixels = dataset.pixel_array
        try:
            window = on_grid(plane_of(dataset), pixels.shape[:2], result.scan.geometry)
        except ValueError as error:
            _refuse("a picture lies beside the scan", error)
        index, rows, columns = window.index
        if not isinstance(index, int) or [rows[0], columns[0]] != corner:
            _refuse("a picture lies at another place than it shows")
        if not np.array_equal(pixels, np.asarray(artist.plain(index).image())):
            _refuse("a picture does not show what lies at its place")


def _refuse(how: str, cause: Exception | None = None) -> NoReturn:
    msg = f"a DICOM object was written and read back, and {how}; nothing was kept, please report it"
    raise ExportError(msg) from cause
