"""``groundglass compare``: two or more scans of one patient over time."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from groundglass.cli_settings import read_settings, require_convention


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
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--result",
            metavar="FOLDER",
            help="Earlier result of one of the scans, taken up instead of analyzing it again; once "
            "for each.",
        ),
    ] = None,
    lungs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MASK|-",
            help="Lung or lobe mask of a scan; once for each scan in their order, - for none.",
        ),
    ] = None,
    lungs_convention: Annotated[
        str | None, typer.Option(help="Meaning of their labels, where they do not tell themselves.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings of all analyses, e.g. a result's config.json.")
    ] = None,
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
    masks = _masks(lungs or [], len(scans))
    require_convention(lungs_convention, given=any(masks))
    settings = read_settings(config)
    from groundglass.cli_compare_run import Request, run  # noqa: PLC0415 - keeps --help quick

    request = Request(
        tuple(scans),
        out,
        same_patient=same_patient,
        register=register.value,
        as_json=as_json,
        force=force,
        quiet=quiet,
        results=tuple(results or ()),
        lungs=masks,
        lungs_convention=lungs_convention,
        config=settings,
        config_given=config is not None,
    )
    raise typer.Exit(run(request))


def _masks(given: list[Path], scans: int) -> tuple[Path | None, ...]:
    """Return the mask of each scan, ``None`` for a dash."""
    if given and len(given) != scans:
        msg = (
            f"--lungs is needed once for each of the {scans} scans, - for none; found {len(given)}"
        )
        raise typer.BadParameter(msg)
    return tuple(None if str(path) == "-" else path for path in given) or (None,) * scans
