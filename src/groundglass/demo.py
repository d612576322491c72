"""A phantom chest from DICOM files to report, its truth beside what was measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.errors import ExportError
from groundglass.phantom import Chest, build_chest
from groundglass.phantom_dicom import write_series
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.read import read_scan
from groundglass.writers.document import ResultDocument
from groundglass.writers.folder import check_out, write_case
from groundglass.writers.summary import result_document

SERIES_FOLDER = "phantom-series"
CONFIG = AnalyzeConfig(infection_method="training-free", cross_check=False)
"""By the rule alone: a network knows patients' lungs, and what it says of ellipsoids means
nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number, as built and as measured."""

    name: str
    """What it is."""
    unit: str
    """``ml`` or ``%``."""
    truth: float
    """From the radii of the ellipsoids."""
    measured: float | None
    """From the analysis."""


@dataclass(frozen=True)
class Demo:
    """What the demo made."""

    rows: tuple[Row, ...]
    """Truth beside measured."""
    document: ResultDocument
    """The result."""
    series: Path
    """Folder of the phantom's DICOM files."""
    report: Path
    """The report, absolute."""


def run_demo(out: Path, on_progress: OnProgress = silent, chest: Chest | None = None) -> Demo:
    """Make a phantom series, analyze it as a user would, and compare.

    Parameters
    ----------
    out : Path
        Folder for the series and the result. An earlier demo in it is replaced; any other result
        is not.
    on_progress : callable
        Told about every stage.
    chest : Chest, optional
        The phantom.

    Raises
    ------
    ExportError
        If the folder cannot be used.
    """
    chest = chest or Chest()
    series = out / SERIES_FOLDER
    check_out(out, force=series.is_dir())
    on_progress(Progress("making the phantom", 0, 0))
    try:
        write_series(build_chest(chest), series)
    except OSError as error:
        msg = f"the phantom cannot be written: {error.strerror or type(error).__name__}"
        raise ExportError(msg) from error
    start = time.perf_counter()
    scan = read_scan(series, on_progress=on_progress)
    seconds = {"reading": time.perf_counter() - start}
    result = analyze(scan, CONFIG, on_progress=on_progress)
    on_progress(Progress("writing", 0, 0))
    document = result_document(result, seconds)
    write_case(result, out, force=True, source=series, document=document)
    report = (out / "report.html").resolve()
    return Demo(_compare(chest, document), document, series, report)


def _compare(chest: Chest, document: ResultDocument) -> tuple[Row, ...]:
    lungs, infection = document.lungs, document.infection
    assert lungs is not None
    assert infection is not None
    volume = lungs.volume_ml
    return (
        Row("Both lungs", "ml", chest.lungs_ml, volume.total),
        Row("Right lung", "ml", chest.right.volume_ml, volume.right),
        Row("Left lung", "ml", chest.left.volume_ml, volume.left),
        Row("Ground glass", "ml", chest.ground_glass_ml, infection.ground_glass_ml),
        Row("Consolidation", "ml", chest.consolidation_ml, infection.consolidation_ml),
        Row("Infected", "%", chest.infected_percent, infection.percent.total),
    )
