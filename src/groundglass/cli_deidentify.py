"""De-identification as the command line does it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from groundglass.deidentify.audit import Summary
    from groundglass.deidentify.run import Job

STOPPED = 130


class Profile(StrEnum):
    """Profiles of PS3.15."""

    BASIC = "basic"


class Kept(StrEnum):
    """What may stay of a patient's data."""

    DATES = "dates-shifted"
    AGE_SEX = "age-sex"
    DEVICE = "device"
    DESCRIPTIONS = "descriptions"


class BurnedIn(StrEnum):
    """What becomes of images that may show names."""

    HOLD = "hold"
    FLAG = "flag"


Source = Annotated[
    Path, typer.Argument(metavar="SRC", help="Folder of any depth, DICOM file, ZIP or tar.")
]
Target = Annotated[
    Path, typer.Argument(metavar="DST", help="Folder for the copies, outside the source.")
]
ProfileOption = Annotated[
    Profile, typer.Option(help="Profile: basic is DICOM PS3.15 Annex E, Table E.1-1.")
]
KeepOption = Annotated[
    list[Kept] | None,
    typer.Option(help="What may stay; repeat for several. Nothing stays if left out."),
]
Key = Annotated[
    Path | None,
    typer.Option(help="File with the secret, made if absent: same key, same pseudonyms."),
]
Report = Annotated[
    Path | None, typer.Option(help="Audit of every attribute, .json or .csv; holds no value.")
]
Table = Annotated[
    Path | None, typer.Option(help="Which copy stands for which original; keep it secret.")
]
BurnedInOption = Annotated[
    BurnedIn, typer.Option(help="Images that may show names: hold them back, or write and flag.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def add_deidentify(app: typer.Typer) -> None:
    """Add the command ``deidentify``."""

    @app.command()
    def deidentify(  # noqa: PLR0913, PLR0917 - one parameter for each option
        source: Source,
        out: Target,
        profile: ProfileOption = Profile.BASIC,  # noqa: ARG001 - one profile so far
        keep: KeepOption = None,
        key: Key = None,
        report: Report = None,
        table: Table = None,
        burned_in: BurnedInOption = BurnedIn.HOLD,
        resume: Resume = False,
        force: Force = False,
        quiet: Quiet = False,
    ) -> None:
        """Copy DICOM files without what tells who the patient is, and verify every copy."""
        from groundglass.deidentify.rules import Keep  # noqa: PLC0415 - keeps --help quick
        from groundglass.deidentify.run import Job  # noqa: PLC0415

        job = Job(
            source=source,
            out=out,
            keep=frozenset(Keep(option.value) for option in keep or ()),
            key=key,
            report=report,
            table=table,
            resume=resume,
            force=force,
            flag_only=burned_in is BurnedIn.FLAG,
        )
        raise typer.Exit(run_and_show(job, quiet=quiet))


def run_and_show(job: Job, *, quiet: bool) -> int:
    """De-identify, say what was done, return the exit code: 1 if files were held back."""
    from groundglass.console import complain, hushed, progress_bar  # noqa: PLC0415
    from groundglass.deidentify.run import deidentify  # noqa: PLC0415
    from groundglass.errors import GroundglassError  # noqa: PLC0415

    try:
        with hushed() as talk, progress_bar(talk, quiet=quiet) as on_progress:
            summary = deidentify(job, on_progress)
    except KeyboardInterrupt:
        again = "; the same command with --resume goes on" if job.key else ""
        complain(f"Stopped{again}.")
        return STOPPED
    except GroundglassError as error:
        complain(f"Not de-identified: {str(error).rstrip('.')}.")
        return 1
    _show(summary, quiet=quiet)
    return 1 if summary.held or not summary.written else 0


def _show(summary: Summary, *, quiet: bool) -> None:
    from groundglass.console import complain, out_console  # noqa: PLC0415

    if not quiet:
        console = out_console()
        console.print(
            f"{summary.written} of {summary.found} files written and verified: "
            f"{summary.patients} patients, {summary.studies} studies, {summary.series} series."
        )
        _list("Left out", summary.left_out)
        _list("To be looked at", summary.flagged)
    for reason, count in summary.held.most_common():
        complain(f"Held back: {count} files, {reason}.")
    for fault, count in summary.faults.most_common():
        complain(f"Verifier: {count} times, {fault}.")
    if not summary.found or not summary.written + summary.held.total():
        complain("No DICOM object was found.")


def _list(head: str, reasons: Mapping[str, int]) -> None:
    from groundglass.console import out_console  # noqa: PLC0415

    for reason, count in reasons.items():
        out_console().print(f"{head}: {count} files, {reason}.", markup=False)
