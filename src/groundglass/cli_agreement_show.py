"""What ``groundglass agreement`` does and prints."""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.table import Table

from groundglass.cli_models import plainly
from groundglass.console import out_console
from groundglass.evaluation.agreement import MEANING
from groundglass.evaluation.agreement_report import (
    AgreementReport,
    report_agreement,
    to_json,
    write_agreement,
)
from groundglass.evaluation.score_tables import paired, read_scores


@plainly
def run_agreement(  # noqa: PLR0913 - one parameter for each option
    reference: Path,
    scores: Path,
    out: Path | None,
    *,
    as_json: bool,
    cohorts: bool,
    rounds: int,
    seed: int,
) -> int:
    """Compare, show or print, return the exit code."""
    pairs = paired(read_scores(reference), read_scores(scores))
    report = report_agreement(pairs, rounds, seed, cohorts=cohorts)
    files = () if out is None else write_agreement(report, out)
    if as_json:
        sys.stdout.write(to_json(report))
        return 0
    console = out_console()
    console.print(_table(report))
    for note in pairs.notes:
        console.print(f"Note: {note}.", markup=False)
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)
    return 0


def _table(report: AgreementReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Figure", no_wrap=True)
    for name, one in report.rows.items():
        table.add_column(f"{name} (n = {one.count})", justify="right")
    for key in MEANING:
        cells = []
        for one in report.rows.values():
            figure = one.figures[key]
            span = "" if figure.low is None else f" ({figure.low:.2f} to {figure.high:.2f})"
            cells.append("" if figure.value is None else f"{figure.value:.3f}{span}")
        table.add_row(key, *cells)
    return table
