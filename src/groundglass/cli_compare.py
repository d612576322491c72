"""``groundglass compare``: two or more scans of one patient over time."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Register(StrEnum):
    """How later scans are laid over the first."""

    NONE = "none"
    RIGID = "rigid"
    AFFINE = "affine"


def add_compare(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(compare)


def compare(  # noqa: PLR0913, PLR0917 - one parameter for each option
    scans: Annotated[
        list[Path],
        typer.Argument(metavar="SCAN...", help="Two or more scans of one patient, as for analyze."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the page; needed unless --json.")
    ] = None,
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="State that the scans are of one patient.")
    ] = False,
    register: Annotated[
        Register, typer.Option(help="How later scans are laid over the first.")
    ] = Register.RIGID,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON and nothing else.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier comparison.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Compare scans of one patient: what changed, where, and whether it is real."""
    if len(scans) < 2:
        msg = "needs two or more scans"
        raise typer.BadParameter(msg)
    if out is None and not as_json:
        msg = "needs a folder for the page (-o OUT), or --json to print the comparison"
        raise typer.BadParameter(msg)
    from groundglass.cli_compare_run import Request, run  # noqa: PLC0415 - keeps --help quick

    request = Request(
        tuple(scans),
        out,
        same_patient=same_patient,
        register=register.value,
        as_json=as_json,
        force=force,
        quiet=quiet,
    )
    raise typer.Exit(run(request))
