"""The DICOM instances a scan was read from: what every object made from it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical
from groundglass.core.results import Labels
from groundglass.core.scan import Scan
from groundglass.errors import ExportError, GroundglassError
from groundglass.readers.dicom_file import load_header, quiet_pydicom
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_order import Placement
from groundglass.readers.options import ReadOptions
from groundglass.readers.slice_files import placed_slices
from groundglass.writers import codes

SAME_PLACE_MM = 0.01
"""Distance of slice centres below which two slices are one."""
FILLED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes that every object must have and may have empty (type 2)."""
_NEEDED_UIDS = {
    "SOPInstanceUID": "an instance UID",
    "SeriesInstanceUID": "a series UID",
    "StudyInstanceUID": "a study UID",
    "FrameOfReferenceUID": "a frame of reference UID",
}
_MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_MEND = "groundglass deidentify SOURCE NEW writes copies with valid UIDs to analyze instead"


@dataclass(frozen=True, eq=False)
class Source:
    """The instances of one series that a scan lies on."""

    datasets: tuple[Dataset, ...]
    """Headers without pixels: one per slice in slice order, or the one of a multi-frame file."""
    frames: tuple[int, ...]
    """Index of each slice's frame in its file; all 0 for files of one slice."""
    geometry: Geometry
    """Grid of the slices as the files hold them, before they were turned to the scan's."""

    @property
    def is_multi_frame(self) -> bool:
        """Whether all slices lie in one file."""
        return self.datasets[0].SOPClassUID in _MULTI_FRAME

    @property
    def first(self) -> Dataset:
        """The instance that patient and study are taken from."""
        return self.datasets[0]

    def turned(self, labels: Labels) -> NDArray[np.uint8]:
        """Return labels of the scan's grid as the files hold their slices.

        Parameters
        ----------
        labels : ndarray
            On the scan's canonical grid.

        Returns
        -------
        ndarray
            One plane per frame of the file if it is multi-frame (0 where a frame is no slice of
            the scan), else one per dataset.
        """
        stored = np.zeros(self.geometry.shape, np.uint8)
        view, _ = to_canonical(stored, self.geometry)
        view[...] = labels
        if not self.is_multi_frame:
            return stored
        whole = np.zeros((int(self.first.NumberOfFrames), *stored.shape[1:]), np.uint8)
        whole[list(self.frames)] = stored
        return whole

    def instance_at(self, centre: NDArray[np.float64]) -> tuple[Dataset, int | None] | None:
        """Return the instance, and the frame's number in it, of the slice with this centre."""
        away = np.abs(_centres(self.geometry) - centre).max(axis=1)
        nearest = int(away.argmin())
        if away[nearest] > SAME_PLACE_MM:
            return None
        if self.is_multi_frame:
            return self.first, self.frames[nearest] + 1
        return self.datasets[nearest], None


def reference(dataset: Dataset, frame: int | None = None) -> Dataset:
    """Return an item of a sequence that names an instance, or one frame of it, as the source."""
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    item.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE.item()]
    return item


def centre_mm(grid: Geometry, index: int) -> NDArray[np.float64]:
    """Return the place of the middle of a slice: the same however its rows and columns run."""
    return np.asarray(_centres(grid)[index])


def open_source(path: Path, scan: Scan, options: ReadOptions) -> Source:
    """Return the instances a scan was read from, fit to be referred to.

    Parameters
    ----------
    path : Path
        What was read.
    scan : Scan
        What it became.
    options : ReadOptions
        How it was read, the wanted series among them.

    Raises
    ------
    ExportError
        If the scan is not DICOM, the files lack what a result must refer to, or they do not lie
        where the scan does.
    """
    if scan.provenance.source_format != "dicom":
        msg = (
            "DICOM results belong to a DICOM study, and the input is "
            f"{scan.provenance.source_format}; analyze the original DICOM series"
        )
        raise ExportError(msg)
    try:
        with placed_slices(path, options) as placement, quiet_pydicom():
            kept = _slices_of(scan, placement)
            datasets = tuple(_datasets(kept.headers))
    except ExportError:
        raise
    except (GroundglassError, OSError, ValueError) as error:
        msg = "the DICOM files that were analyzed cannot be found again; leave them in place"
        raise ExportError(msg) from error
    _require(datasets, scan)
    frames = tuple(header.frame for header in kept.headers)
    return Source(tuple(_filled(each) for each in datasets), frames, kept.geometry)


def _slices_of(scan: Scan, placement: Placement) -> Placement:
    """Return the slices that the scan was made of, and make sure that they lie where it does."""
    if np.prod(placement.geometry.shape) != np.prod(scan.shape):
        wanted = _centres(scan.geometry)
        here = _centres(placement.geometry)
        near = np.abs(here[:, None] - wanted[None]).max(axis=2).min(axis=1) <= SAME_PLACE_MM
        placement = placement.keep([int(i) for i in np.flatnonzero(near)])
    shape = placement.geometry.shape
    _, turned = to_canonical(np.broadcast_to(np.uint8(0), shape), placement.geometry)
    if not turned.same_grid(scan.geometry):
        msg = "the DICOM files changed while they were analyzed; analyze them again"
        raise ExportError(msg)
    return placement


def _centres(grid: Geometry) -> NDArray[np.float64]:
    _, rows, columns = grid.shape
    middle = grid.row_step_mm * (rows - 1) / 2 + grid.column_step_mm * (columns - 1) / 2
    return np.asarray(grid.origins_mm + middle)


def _datasets(headers: Sequence[ImageHeader]) -> Iterator[Dataset]:
    """Yield the header of every file once, in slice order."""
    seen: set[Path] = set()
    for header in headers:
        if header.path not in seen:
            seen.add(header.path)
            yield load_header(header.path)[0]


def _require(datasets: Sequence[Dataset], scan: Scan) -> None:
    """Refuse instances that a result cannot refer to.

    Raises
    ------
    ExportError
        With one sentence that says what lacks and how to go on.
    """
    _require_uids(datasets)
    kinds = {str(each.get("SOPClassUID", "")) for each in datasets}
    if not scan.geometry.spacing_known or any(_no_place(each) for each in datasets):
        msg = (
            "DICOM results need slices that say where they lie (position, orientation and pixel "
            "spacing), and these do not; use the NIfTI masks of the result folder"
        )
        raise ExportError(msg)
    multi = kinds <= set(_MULTI_FRAME)
    if not (kinds == {CTImageStorage} or (multi and len(datasets) == 1)):
        msg = (
            "DICOM results need a series of CT images or one enhanced CT file, and the input is "
            "stored as another kind of object; ask the sender for the CT images"
        )
        raise ExportError(msg)


def _require_uids(datasets: Sequence[Dataset]) -> None:
    for keyword, words in _NEEDED_UIDS.items():
        values = [str(each.get(keyword, "") or "") for each in datasets]
        bad = sum(not UID(value).is_valid for value in values)
        if bad:
            msg = (
                f"DICOM results must refer to the slices by UID, and {bad} of {len(values)} files "
                f"have {words} that is missing or invalid; {_MEND}"
            )
            raise ExportError(msg)
        alone = keyword == "SOPInstanceUID"
        if len(set(values)) != (len(values) if alone else 1):
            what = "instance UIDs that repeat" if alone else f"more than {words}"
            msg = f"DICOM results need one series with UIDs of its own, found {what}; {_MEND}"
            raise ExportError(msg)


def _no_place(dataset: Dataset) -> bool:
    if dataset.get("SOPClassUID") in _MULTI_FRAME:
        return "PerFrameFunctionalGroupsSequence" not in dataset
    needed = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    return any(not dataset.get(keyword) for keyword in needed)


def _filled(dataset: Dataset) -> Dataset:
    for keyword in FILLED:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    return dataset
