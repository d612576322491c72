"""One input in, one result folder out, as the command line does it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from groundglass.console import (
    DEBUG_VARIABLE,
    complain,
    debugging,
    hushed,
    out_console,
    progress_bar,
)
from groundglass.core.progress import OnProgress, Progress
from groundglass.core.results import CaseResult
from groundglass.core.scan import Scan
from groundglass.errors import ExportError, GroundglassError
from groundglass.lungs.external import ExternalMasks
from groundglass.lungs.from_file import read_lung_masks
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.options import ReadOptions
from groundglass.readers.read import read_scan
from groundglass.writers.document import ResultDocument
from groundglass.writers.folder import OVERLAY, check_out, write_case, write_refusal
from groundglass.writers.summary import refusal_document, result_document
from groundglass.writers.table import summary_table

FINE, NOT_ANALYZED, STOPPED = 0, 1, 130


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    source: Path
    """The input."""
    out: Path | None
    """Folder of the result; ``None`` to write nothing."""
    config: AnalyzeConfig
    """Settings."""
    options: ReadOptions
    """What the user states about the input."""
    series: str | None = None
    """Series to take."""
    lungs: Path | None = None
    """Lung mask to use."""
    lungs_convention: str | None = None
    """Meaning of its labels."""
    force: bool = False
    """Replace an earlier result."""
    as_json: bool = False
    """Print the document instead of the table."""
    quiet: bool = False
    """Say nothing but errors."""
    dicom: str | None = None
    """How segments are stored if DICOM objects are wanted: ``binary`` or ``labelmap``."""


@dataclass(frozen=True)
class _Outcome:
    document: ResultDocument
    files: tuple[Path, ...]
    problem: str | None = None
    no_dicom: str | None = None
    notes: tuple[str, ...] = ()


def run(request: Request) -> int:
    """Analyze, write, show; return the exit code.

    Bad data never ends in a traceback: it becomes a refusal with its reason.
    """
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            outcome = _outcome(request, on_progress)
    except KeyboardInterrupt:
        complain("Stopped; no result was written.")
        return STOPPED
    _show(request, outcome)
    return FINE if (outcome.problem or outcome.no_dicom) is None else NOT_ANALYZED


def _outcome(request: Request, on_progress: OnProgress) -> _Outcome:
    seconds: dict[str, float] = {}
    scan: Scan | None = None
    try:
        if request.out is not None:
            for source in (request.source, request.lungs):
                check_out(request.out, force=request.force, source=source)
        scan = _read(request, on_progress, seconds)
        result = _analyze(request, scan, on_progress)
        document = result_document(result, seconds)
        on_progress(Progress("writing", 0, 0))
        files = _write(request, result, document)
        return _with_dicom(request, result, _Outcome(document, files), on_progress)
    except (GroundglassError, MemoryError) as error:
        return _refusal(request, error, seconds, scan)
    except Exception as error:  # a fault of ours must not end in a traceback either
        if debugging():
            raise
        return _refusal(request, error, seconds, scan)


def _read(request: Request, on_progress: OnProgress, seconds: dict[str, float]) -> Scan:
    start = time.perf_counter()
    on_progress(Progress("reading", 0, 0))
    try:
        return read_scan(
            request.source, request.series, options=request.options, on_progress=on_progress
        )
    finally:
        seconds["reading"] = time.perf_counter() - start


def _analyze(request: Request, scan: Scan, on_progress: OnProgress) -> CaseResult:
    masks = _masks(request, scan)
    if masks is None:
        return analyze(scan, request.config, on_progress=on_progress)
    return analyze(
        scan, request.config, lungs=masks.lungs, lobes=masks.lobes, on_progress=on_progress
    )


def _masks(request: Request, scan: Scan) -> ExternalMasks | None:
    if request.lungs is None:
        return None
    return read_lung_masks(request.lungs, scan, request.lungs_convention)


def _write(request: Request, result: CaseResult, document: ResultDocument) -> tuple[Path, ...]:
    if request.out is None:
        return ()
    return write_case(
        result, request.out, force=request.force, source=request.source, document=document
    )


def _with_dicom(
    request: Request, result: CaseResult, outcome: _Outcome, on_progress: OnProgress
) -> _Outcome:
    """Add DICOM objects if they are wanted; where that fails the result stands without them."""
    if request.dicom is None or request.out is None:
        return outcome
    on_progress(Progress("writing DICOM", 0, 0))
    from groundglass.dicomout.export import write_dicom  # noqa: PLC0415 - two seconds
    from groundglass.dicomout.seg import SegKind  # noqa: PLC0415
    from groundglass.dicomout.source import open_source  # noqa: PLC0415

    options = replace(request.options, series=request.series or request.options.series)
    try:
        source = open_source(request.source, result.scan, options)
        kind = SegKind(request.dicom)
        made = write_dicom(result, outcome.document, source, request.out, kind)
    except KeyboardInterrupt:
        return replace(outcome, no_dicom="it was stopped")
    except Exception as error:  # the result is written and stands, whatever happens here
        if debugging() and not isinstance(error, GroundglassError):
            raise
        return replace(outcome, no_dicom=_sentence(error))
    return replace(outcome, files=(*outcome.files, *made.files), notes=made.notes)


def _refusal(
    request: Request, error: BaseException, seconds: dict[str, float], scan: Scan | None
) -> _Outcome:
    """Return a refusal, written to the folder if that can be used."""
    document = refusal_document(error, request.config, seconds, _sentence(error), scan)
    files: tuple[Path, ...] = ()
    if request.out is not None and not isinstance(error, ExportError):
        try:
            files = write_refusal(document, request.out, force=request.force, source=request.source)
        except GroundglassError as also:
            return _Outcome(document, (), f"{_sentence(error)}; {also}")
    return _Outcome(document, files, _sentence(error))


def _sentence(error: BaseException) -> str:
    """Return what went wrong in one sentence, without a traceback."""
    if isinstance(error, GroundglassError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "the scan needs more memory than this machine has free; close programs or use a "
            "machine with more"
        )
    return (
        f"groundglass failed in a way it should not ({type(error).__name__}); "
        f"set {DEBUG_VARIABLE}=1 to see where, and please report it"
    )


def _show(request: Request, outcome: _Outcome) -> None:
    if outcome.problem is not None:
        complain(f"Not analyzed: {outcome.problem.rstrip('.')}.")
    if outcome.no_dicom is not None:
        complain(f"Analyzed, but no DICOM was written: {outcome.no_dicom.rstrip('.')}.")
    for note in outcome.notes:
        complain(f"Left out: {note}.")
    if request.as_json:
        sys.stdout.write(outcome.document.to_json())
        return
    if request.quiet:
        return
    console = out_console()
    if outcome.problem is None or outcome.document.verdicts:
        console.print(summary_table(outcome.document))
    if outcome.files:
        console.print("\nFiles written")
        for path in _told_files(outcome.files):
            console.print(f"  {path}", soft_wrap=True, markup=False)


def _told_files(files: tuple[Path, ...]) -> list[str]:
    """Return files one by one, a series of overlays as its folder."""
    overlays = [path for path in files if path.parent.name == OVERLAY]
    told = [str(path) for path in files if path not in overlays]
    if overlays:
        told.append(f"{overlays[0].parent} ({len(overlays)} pictures)")
    return told
