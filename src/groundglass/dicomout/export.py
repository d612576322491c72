"""All DICOM objects of a result, in a folder of their own: whole and read back, or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from groundglass.core.results import CaseResult
from groundglass.dicomout import check
from groundglass.dicomout.capture import build_captures
from groundglass.dicomout.instance import new_series, save
from groundglass.dicomout.numbers import coded_numbers
from groundglass.dicomout.pdf import PdfMissingError, build_pdf, render_pdf
from groundglass.dicomout.seg import SegKind, build_seg, segments
from groundglass.dicomout.source import Source
from groundglass.dicomout.sr import build_sr
from groundglass.errors import ExportError
from groundglass.readers.dicom_file import quiet_pydicom
from groundglass.writers.document import ResultDocument
from groundglass.writers.folder import DICOM_FOLDER, OVERLAY, told_os_errors

SEG, SR, PDF = "seg.dcm", "sr.dcm", "report.dcm"
"""Names in the folder: segmentation, structured report, report as PDF."""
REPORT = "report.html"
"""The report in the result folder."""
FIRST_SERIES = 9001
"""Number of the first new series; the others follow."""
_DONE = "done"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: tuple[Path, ...]
    """The objects, each read back and compared."""
    notes: tuple[str, ...] = ()
    """What could not be made on this machine, and how to mend that."""


def write_dicom(
    result: CaseResult,
    document: ResultDocument,
    source: Source,
    out: Path,
    kind: SegKind = SegKind.BINARY,
) -> Exported:
    """Add DICOM objects to a result folder that ``write_case`` has written, whole or not at all.

    Parameters
    ----------
    result : CaseResult
        Scan and masks.
    document : ResultDocument
        The numbers.
    source : Source
        The instances the scan was read from.
    out : Path
        The result folder; the objects come into ``dicom`` in it and replace an earlier result's.
    kind : SegKind
        How segments are stored.

    Returns
    -------
    Exported
        Files, and what could not be made.

    Raises
    ------
    ExportError
        If an object cannot be made, or does not read back as what was found.
    """
    with told_os_errors(), _workshop(out) as work:
        try:
            with quiet_pydicom():
                _make_seg_and_sr(result, document, source, work, kind)
                _make_captures(result, source, work)
                notes = _make_pdf((out / REPORT).read_text(encoding="utf-8"), source, work)
        except (ExportError, OSError):
            raise
        except Exception as error:
            msg = (
                "the DICOM objects cannot be made from this series "
                f"({type(error).__name__}); use the other files of the result"
            )
            raise ExportError(msg) from error
        target = out / DICOM_FOLDER
        if target.exists():
            target.rename(work / DICOM_FOLDER)
        (work / _DONE).rename(target)
    return Exported(tuple(sorted(target.rglob("*.dcm"))), notes)


def _make_seg_and_sr(
    result: CaseResult, document: ResultDocument, source: Source, work: Path, kind: SegKind
) -> None:
    """Write the segmentation, and the report that refers to it."""
    series = new_series("segmentation", FIRST_SERIES)
    seg = build_seg(result, source, series, kind)
    path = save(seg, work / _DONE / SEG)
    check.check_seg(path, segments(kind), result, source, series.uid)
    series = new_series("measurements", FIRST_SERIES + 1)
    groups = coded_numbers(document)
    path = save(build_sr(result, groups, source, seg, series), work / _DONE / SR)
    check.check_sr(path, groups, source, series.uid, seg.SOPInstanceUID)


def _make_captures(result: CaseResult, source: Source, work: Path) -> None:
    series = new_series("overlays", FIRST_SERIES + 3)
    folder = work / _DONE / OVERLAY
    paths = [
        save(dataset, folder / f"{dataset.InstanceNumber:04d}.dcm")
        for dataset in build_captures(result, source, series)
    ]
    check.check_captures(paths, result, source, series.uid)


def _make_pdf(report: str, source: Source, work: Path) -> tuple[str, ...]:
    """Write the report; return what to install where it cannot be made here."""
    series = new_series("report", FIRST_SERIES + 2)
    try:
        data = render_pdf(report)
    except PdfMissingError as error:
        return (str(error),)
    path = save(build_pdf(data, source, series), work / _DONE / PDF)
    check.check_pdf(path, data, source, series.uid)
    return ()


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside the objects' own and remove what is left of it in the end."""
    work = out / f".dicom-{secrets.token_hex(6)}"
    (work / _DONE).mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
