"""Scans in, a comparison out, as the command line does it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from groundglass.console import complain, debugging, hushed, out_console, progress_bar
from groundglass.core.progress import OnProgress, Progress
from groundglass.core.results import CaseResult, Estimate
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status
from groundglass.errors import GroundglassError, ReadError
from groundglass.followup.change import Change
from groundglass.followup.compare import Comparison, Visit, compare
from groundglass.followup.document import document
from groundglass.followup.earlier import Earlier, match_earlier, read_earlier, restore
from groundglass.followup.folder import check_folder, write_comparison
from groundglass.followup.identity import Identity, read_identity, require_one_patient
from groundglass.followup.page import signed, visit_name
from groundglass.followup.register import Kind
from groundglass.lungs.external import ExternalMasks
from groundglass.lungs.from_file import read_lung_masks
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.read import read_scan
from groundglass.writers import wording

FINE, NOT_COMPARED, STOPPED = 0, 1, 130


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    sources: tuple[Path, ...]
    """The scans, in the order given."""
    out: Path | None
    """Folder of the comparison; ``None`` to write nothing."""
    same_patient: bool
    """The user states that the scans are of one patient."""
    register: Kind
    """How later scans are laid over the first."""
    as_json: bool = False
    """Print the document instead of the table."""
    force: bool = False
    """Replace an earlier comparison."""
    quiet: bool = False
    """Say nothing but errors."""
    results: tuple[Path, ...] = ()
    """Folders of earlier results, each of one of the scans."""
    lungs: tuple[Path | None, ...] = ()
    """Mask of the lungs or lobes of each scan; empty without any."""
    lungs_convention: str | None = None
    """Meaning of their labels."""
    config: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    """Settings of the analyses that are made now."""
    config_given: bool = False
    """Whether the user named them."""


def run(request: Request) -> int:
    """Analyze every scan, compare, write, show; return the exit code."""
    files: tuple[Path, ...] = ()
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            comparison = _compare(request, on_progress)
            if request.out is not None:
                on_progress(Progress("writing", 0, 0))
                files = write_comparison(comparison, request.out, force=request.force)
    except KeyboardInterrupt:
        complain("Stopped; nothing was written.")
        return STOPPED
    except GroundglassError as error:
        complain(f"Not compared: {str(error).rstrip('.')}.")
        return NOT_COMPARED
    except MemoryError:
        complain("Not compared: the scans need more memory than this machine has free.")
        return NOT_COMPARED
    except Exception as error:  # a fault of ours must not end in a traceback either
        if debugging():
            raise
        complain(f"Not compared: groundglass failed as it should not ({type(error).__name__}).")
        return NOT_COMPARED
    _show(request, comparison, files)
    return FINE


def _compare(request: Request, on_progress: OnProgress) -> Comparison:
    if request.out is not None:
        check_folder(
            request.out,
            len(request.sources),
            force=request.force,
            sources=(*request.sources, *request.results, *(p for p in request.lungs if p)),
        )
    earlier = [read_earlier(folder) for folder in request.results]
    identities: list[Identity] = []
    scans = []
    for source in request.sources:
        scan = read_scan(source, on_progress=on_progress)
        identities.append(read_identity(source, scan.acquisition.series_uid))
        scans.append(scan)
    require_one_patient(identities, told=request.same_patient)  # before minutes of work
    results = _results(request, scans, match_earlier(earlier, scans), on_progress)
    return compare(
        results,
        identities,
        same_patient=request.same_patient,
        register=request.register,
        on_progress=on_progress,
    )


def _results(
    request: Request,
    scans: Sequence[Scan],
    earlier: Sequence[Earlier | None],
    on_progress: OnProgress,
) -> list[CaseResult]:
    """Return the analysis of each scan: taken up where there is one, else made now."""
    given = request.lungs or (None,) * len(scans)
    if request.config_given and None not in earlier:
        msg = "every scan has an earlier result, so --config would change nothing; leave it out"
        raise ReadError(msg)
    masks: list[ExternalMasks | None] = []
    for number, (scan, past, path) in enumerate(zip(scans, earlier, given, strict=True), start=1):
        if past is not None and path is not None:
            msg = f"scan {number} has an earlier result and a mask; give one of them"
            raise ReadError(msg)
        masks.append(
            None if path is None else read_lung_masks(path, scan, request.lungs_convention)
        )
    restored = [
        None if past is None else restore(past, scan)
        for scan, past in zip(scans, earlier, strict=True)
    ]
    return [
        _analyzed(scan, request.config, mask, on_progress) if known is None else known
        for scan, mask, known in zip(scans, masks, restored, strict=True)
    ]


def _analyzed(
    scan: Scan, config: AnalyzeConfig, masks: ExternalMasks | None, on_progress: OnProgress
) -> CaseResult:
    lungs, lobes = (None, None) if masks is None else (masks.lungs, masks.lobes)
    return analyze(scan, config, lungs=lungs, lobes=lobes, on_progress=on_progress)


def _show(request: Request, comparison: Comparison, files: tuple[Path, ...]) -> None:
    if request.as_json:
        sys.stdout.write(json.dumps(document(comparison), indent=2) + "\n")
        return
    if request.quiet:
        return
    console = out_console()
    console.print(_table(comparison))
    for verdict in comparison.verdicts:
        if verdict.status is not Status.OK:
            console.print(Text(verdict.sentence))
    if files:
        console.print("\nFiles written")
        for path in files:
            console.print(f"  {path}", soft_wrap=True, markup=False)


def _table(comparison: Comparison) -> Table:
    """Return the numbers, a column for each scan."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for number, visit in enumerate(comparison.visits, start=1):
        table.add_column(visit_name(number, visit), justify="right")
    columns = [_column(visit) for visit in comparison.visits]
    for title in columns[0]:
        table.add_row(title, *(column[title] for column in columns))
    return table


def _column(visit: Visit) -> dict[str, str]:
    total, score = visit.result.burden.regions["total"], visit.result.severity.ctss25.value
    change = Change(None, None)
    if visit.since_first is not None:
        change = visit.since_first.percent["total"]
    told = visit.since_first is not None
    return {
        "Lung": wording.ml(total.lung_ml.value),
        "Infected": wording.ml(total.infected_ml.value),
        "": wording.ml_range(_ends(total.infected_ml)),
        "Infected percent": wording.percent(total.percent.value),
        " ": wording.percent_range(_ends(total.percent)),
        "CTSS, 0 to 25": wording.UNKNOWN if score is None else str(score),
        "Change, points": signed(change, 2) if told else "",
        "Smallest real change": "" if change.smallest is None else f"{change.smallest:.2f}",
        "Since the first scan": change.word if told else "",
    }


def _ends(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.low, estimate.high
