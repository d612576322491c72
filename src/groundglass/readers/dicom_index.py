"""Which of many files are CT images, from their headers alone, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.readers.dicom_enhanced import expand
from groundglass.readers.dicom_file import NotDicomError, load_header, quiet_pydicom
from groundglass.readers.dicom_header import ImageHeader, describe
from groundglass.readers.dicom_values import text

_CLASSES = {
    "1.2.840.10008.1.3.10": "index of a medium (DICOMDIR)",
    "1.2.840.10008.5.1.4.1.1.66": "segmentation or registration object",
    "1.2.840.10008.5.1.4.1.1.88": "structured or dose report",
    "1.2.840.10008.5.1.4.1.1.104": "encapsulated document",
    "1.2.840.10008.5.1.4.1.1.11": "presentation state",
    "1.2.840.10008.5.1.4.1.1.9": "waveform",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.481": "radiotherapy object",
}
"""Beginnings of SOP Class UIDs that never hold a CT slice."""
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LOCALIZERS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SCANOGRAM", "SURVIEW"})
_STAGE = "reading headers"


@dataclass(frozen=True)
class Index:
    """What a set of files holds."""

    images: tuple[ImageHeader, ...]
    """Grey images with pixels, localizers left out, of any modality."""
    skipped: Mapping[str, int]
    """Number of DICOM files left out, by reason."""
    others: tuple[Path, ...]
    """Files that are not DICOM."""


class _SkipError(Exception):
    """A DICOM file that is no slice of a CT; the message says why."""


def index_dicom(paths: Sequence[Path], on_progress: OnProgress = silent) -> Index:
    """Read the header of every file.

    A damaged file costs itself only. Nothing is decoded.

    Parameters
    ----------
    paths : sequence of Path
        Regular files, in any order.
    on_progress : callable
        Told now and then.

    Returns
    -------
    Index
        Images in the order of the paths.
    """
    images: list[ImageHeader] = []
    skipped: Counter[str] = Counter()
    others: list[Path] = []
    with quiet_pydicom():
        for number, path in enumerate(paths):
            if number % 32 == 0:
                on_progress(Progress(_STAGE, number, len(paths)))
            try:
                images += _images(path)
            except NotDicomError:
                others.append(path)
            except _SkipError as reason:
                skipped[str(reason)] += 1
            except OSError:
                skipped["file that cannot be opened"] += 1
            except Exception:  # noqa: BLE001  pydicom raises anything on damage; one file only
                skipped["damaged header"] += 1
    on_progress(Progress(_STAGE, len(paths), len(paths)))
    return Index(tuple(images), dict(skipped), tuple(others))


def _images(path: Path) -> tuple[ImageHeader, ...]:
    dataset, offset = load_header(path)
    _refuse_class(dataset)
    if offset < 0:
        msg = "object without pixels" if "Rows" not in dataset else "image without pixels"
        raise _SkipError(msg)
    try:
        header = describe(dataset, path, offset)
    except ValueError as error:
        raise _SkipError(str(error)) from error
    if header.layout.samples != 1:
        msg = "colour picture"
        raise _SkipError(msg)
    frames = tuple(frame for frame in expand(dataset, header) if not is_localizer(frame))
    if not frames:
        msg = "localizer"
        raise _SkipError(msg)
    if header.sop_class.startswith(_CAPTURE) and frames[0].position_mm is None:
        msg = "secondary capture"
        raise _SkipError(msg)
    return frames


def is_localizer(header: ImageHeader) -> bool:
    """Return whether the image type calls the image a localizer."""
    return not _LOCALIZERS.isdisjoint(header.image_type)


def _refuse_class(dataset: Dataset) -> None:
    meta = getattr(dataset, "file_meta", Dataset())
    sop_class = text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID") or ""
    for beginning, reason in _CLASSES.items():
        if sop_class == beginning or sop_class.startswith(beginning + "."):
            raise _SkipError(reason)
