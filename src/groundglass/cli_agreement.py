"""``groundglass agreement``: how scores agree with a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_agreement(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(agreement)


def agreement(  # noqa: PLR0913, PLR0917 - one parameter for each option
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="CSV of patient and score; no heading needed."),
    ],
    scores: Annotated[
        Path,
        typer.Argument(
            metavar="SCORES",
            help="CSV of patient and scores, or of scores alone in the same order.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for tables, page and drawing.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")
    ] = False,
    cohorts: Annotated[
        bool, typer.Option("--cohorts", help="Also by cohort, told from the patients' names.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=0, help="Draws of the bootstrap; 0 for none.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Say how scores agree with a reference: correlation, differences, kappa, Bland-Altman."""
    from groundglass.cli_agreement_show import run_agreement  # noqa: PLC0415 - keeps --help quick

    code = run_agreement(
        reference, scores, out, as_json=as_json, cohorts=cohorts, rounds=rounds, seed=seed
    )
    raise typer.Exit(code)
