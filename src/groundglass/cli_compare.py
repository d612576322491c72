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


Scans = Annotated[
    list[Path],
    typer.Argument(metavar="SCAN...", help="Two or more scans of one patient, as for analyze."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the page; needed unless --json.")
]
SamePatient = Annotated[
    bool, typer.Option("--same-patient", help="State that the scans are of one patient.")
]
How = Annotated[Register, typer.Option(help="How later scans are laid over the first.")]
Results = Annotated[
    list[Path] | None,
    typer.Option(
        "--result",
        metavar="FOLDER",
        help="Earlier result of one of the scans, taken up instead of analyzing it again; once for "
        "each.",
    ),
]
Lungs = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MASK|-",
        help="Lung or lobe mask of a scan; once for each scan in their order, - for none.",
    ),
]
Convention = Annotated[
    str | None, typer.Option(help="Meaning of their labels, where they do not tell themselves.")
]
Config = Annotated[
    Path | None, typer.Option(help="Settings of all analyses, e.g. a result's config.json.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the comparison as JSON and nothing else.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the files of an earlier comparison.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def compare(  # noqa: PLR0913, PLR0917 - one parameter for each option
    scans: Scans,
    out: Out = None,
    same_patient: SamePatient = False,
    register: How = Register.RIGID,
    results: Results = None,
    lungs: Lungs = None,
    lungs_convention: Convention = None,
    config: Config = None,
    as_json: AsJson = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Compare scans of one patient: what changed, where, and whether it is real."""
    _require(len(scans), out, as_json=as_json)
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


def _require(scans: int, out: Path | None, *, as_json: bool) -> None:
    if scans < 2:
        msg = "needs two or more scans"
        raise typer.BadParameter(msg)
    if out is None and not as_json:
        msg = "needs a folder for the page (-o OUT), or --json to print the comparison"
        raise typer.BadParameter(msg)


def _masks(given: list[Path], scans: int) -> tuple[Path | None, ...]:
    """Return the mask of each scan, ``None`` for a dash."""
    if given and len(given) != scans:
        msg = (
            f"--lungs is needed once for each of the {scans} scans, - for none; found {len(given)}"
        )
        raise typer.BadParameter(msg)
    return tuple(None if str(path) == "-" else path for path in given) or (None,) * scans
