"""The command line: reads what was asked for, calls what does it."""

from __future__ import annotations

import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass import __version__
from groundglass.cli_agreement import add_agreement
from groundglass.cli_compare import add_compare
from groundglass.cli_deidentify import add_deidentify
from groundglass.cli_pacs import add_pacs
from groundglass.cli_settings import read_settings, require_convention
from groundglass.cli_train import add_bench
from groundglass.sealed import sealed

if TYPE_CHECKING:
    from groundglass.pipeline import AnalyzeConfig
    from groundglass.readers.options import ReadOptions

DEMO_FOLDER = Path("groundglass-demo")
SEALED = ("analyze", "compare", "deidentify", "demo", "doctor", "schema")
"""Commands that open no network connection, even where the environment does not forbid it."""

app = typer.Typer(
    name="groundglass",
    help="Reads a chest CT: how much of the lung is ill, where, how badly. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
add_bench(app)
add_pacs(app)
add_agreement(app)
add_deidentify(app)
add_compare(app)


class InfectionMethod(StrEnum):
    """Ways to find infection."""

    NETWORK = "network"
    TRAINING_FREE = "training-free"
    PUBLISHED = "published"


class DicomSegments(StrEnum):
    """Ways a DICOM segmentation stores its segments."""

    BINARY = "binary"
    LABELMAP = "labelmap"


class LungMethod(StrEnum):
    """Ways to find the lungs of a volume."""

    NETWORK = "network"
    TRAINING_FREE = "training-free"


class LobeMethod(StrEnum):
    """Whether lobes are found where none are given."""

    APPROXIMATE = "approximate"
    NONE = "none"


def numbers(text: str, count: int) -> tuple[float, ...]:
    """Return ``count`` numbers separated by commas.

    Raises
    ------
    typer.BadParameter
        If there are more, fewer, or other things.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        msg = f"needs {count} numbers separated by commas, found '{text}'"
        raise typer.BadParameter(msg)
    return values


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"groundglass {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback prints and leaves
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Read a chest CT: how much of the lung is ill, where, how badly. Research use only."""
    context.with_resource(sealed(by_default=context.invoked_subcommand in SEALED))


Source = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="Folder, DICOM file, ZIP or tar, NIfTI, NRRD, MetaImage, TIFF, PNG or JPEG.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the result; needed unless --json.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result document and nothing else.")]
Series = Annotated[str | None, typer.Option(help="Series UID to take, or how it begins.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the files of an earlier result.")]
Lungs = Annotated[
    Path | None, typer.Option(help="Lung or lobe mask on the scan's grid, used as it is.")
]
Convention = Annotated[
    str | None, typer.Option(help="Meaning of its labels, where they do not tell themselves.")
]
LungRule = Annotated[
    LungMethod | None,
    typer.Option("--lung-method", help="Whether a network completes the lungs of a volume."),
]
Infection = Annotated[
    InfectionMethod | None, typer.Option(help="How infection is found; the network by default.")
]
Lobes = Annotated[
    LobeMethod | None, typer.Option(help="Find approximate lobes where none are given, or not.")
]
Offset = Annotated[
    float | None, typer.Option(help="What to add to the values to get Hounsfield units.")
]
Spacing = Annotated[
    str | None,
    typer.Option(metavar="Z,Y,X", help="Steps in mm for pictures and TIFF without a scale."),
]
Window = Annotated[
    str | None, typer.Option(metavar="LO,HI", help="HU shown black and white in pictures.")
]
Config = Annotated[
    Path | None, typer.Option(help="Settings, e.g. the config.json of an earlier result.")
]
Dicom = Annotated[
    bool,
    typer.Option("--dicom", help="Write SEG, SR, PDF and overlays for the PACS into OUT/dicom."),
]
DicomSeg = Annotated[
    DicomSegments, typer.Option(help="How the SEG stores segments; not all viewers know labelmap.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


@app.command()
def analyze(  # noqa: PLR0913, PLR0917 - one parameter for each option
    source: Source,
    out: Out = None,
    as_json: AsJson = False,
    series: Series = None,
    force: Force = False,
    lungs: Lungs = None,
    lungs_convention: Convention = None,
    lung_method: LungRule = None,
    infection: Infection = None,
    lobes: Lobes = None,
    hu_offset: Offset = None,
    spacing: Spacing = None,
    window: Window = None,
    config: Config = None,
    dicom: Dicom = False,
    dicom_seg: DicomSeg = DicomSegments.BINARY,
    quiet: Quiet = False,
) -> None:
    """Measure a chest CT and write a report."""
    _require_folder(out, as_json=as_json, dicom=dicom)
    options = _read_options(hu_offset, spacing, window)
    settings = _settings(config, infection, lobes, hu_offset, lung_method)
    require_convention(lungs_convention, given=lungs is not None)

    from groundglass.cli_analyze import Request, run  # noqa: PLC0415 - keeps --help quick

    request = Request(
        source=source,
        out=out,
        config=settings,
        options=options,
        series=series,
        lungs=lungs,
        lungs_convention=lungs_convention,
        force=force,
        as_json=as_json,
        quiet=quiet,
        dicom=dicom_seg.value if dicom else None,
    )
    raise typer.Exit(run(request))


def _require_folder(out: Path | None, *, as_json: bool, dicom: bool) -> None:
    if out is None and not as_json:
        msg = "needs a folder for the result (-o OUT), or --json to print it"
        raise typer.BadParameter(msg)
    if out is None and dicom:
        msg = "--dicom writes into the folder of the result: give -o OUT"
        raise typer.BadParameter(msg)


def _read_options(hu_offset: float | None, spacing: str | None, window: str | None) -> ReadOptions:
    from groundglass.readers.options import ReadOptions  # noqa: PLC0415

    try:
        steps = None if spacing is None else numbers(spacing, 3)
        ends = None if window is None else numbers(window, 2)
        return ReadOptions(
            spacing_mm=None if steps is None else (steps[0], steps[1], steps[2]),
            hu_offset=hu_offset,
            window_hu=None if ends is None else (ends[0], ends[1]),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _settings(
    path: Path | None,
    infection: InfectionMethod | None,
    lobes: LobeMethod | None,
    hu_offset: float | None,
    lung_method: LungMethod | None,
) -> AnalyzeConfig:
    from dataclasses import replace  # noqa: PLC0415

    settings = read_settings(path)
    if infection is not None:
        settings = replace(settings, infection_method=infection.value)
    if lung_method is not None:
        settings = replace(settings, lungs=replace(settings.lungs, method=lung_method.value))
    if lobes is not None:
        settings = replace(settings, lobes=replace(settings.lobes, method=lobes.value))
    return settings if hu_offset is None else replace(settings, hu_offset=hu_offset)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the demo.")] = DEMO_FOLDER,
) -> None:
    """Analyze a phantom chest and print truth beside measured."""
    from groundglass.cli_demo import run_and_show_demo  # noqa: PLC0415

    raise typer.Exit(run_and_show_demo(out))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look whether everything works on this machine, and say how to mend what does not."""
    from groundglass.cli_doctor import run_and_show_doctor  # noqa: PLC0415

    raise typer.Exit(run_and_show_doctor(as_json=as_json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of result.json."""
    from groundglass.writers.document import schema_text  # noqa: PLC0415

    typer.echo(json.dumps(json.loads(schema_text()), indent=2))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; being told to stop cleans up like Ctrl-C does."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except ImportError as error:
        from groundglass.console import debugging  # noqa: PLC0415

        if debugging():
            raise
        missing = error.name or "a library"
        typer.echo(f"{missing} is missing or broken; groundglass doctor says more.", err=True)
        sys.exit(1)
