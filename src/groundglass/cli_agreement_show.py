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

MOST_SCORES = 3
"""Scores and cohorts whose figures stand side by side; of more the main figures are printed."""
MAIN = (("pearson", 3), ("spearman", 3), ("mae", 2), ("rmse", 2), ("bias", 2))
"""Main figures and their decimals."""


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
    many = len(report.rows) > MOST_SCORES
    console.print(_scores_down(report) if many else _figures_down(report))
    if many:
        console.print("All figures with their intervals: -o OUT, or --json.", markup=False)
    for note in pairs.notes:
        console.print(f"Note: {note}.", markup=False)
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)
    return 0


def _figures_down(report: AgreementReport) -> Table:
    """Return all figures with their intervals, a column for each score."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Figure", no_wrap=True)
    for name, one in report.rows.items():
        table.add_column(f"{name} (n = {one.count})", justify="right")
    for key in MEANING:
        cells = []
        for one in report.rows.values():
            figure = one.figures[key]
            span = "" if figure.low is None else f" ({figure.low:.2f} to {figure.high:.2f})"
            cells.append(_told(figure.value, 3) + span)
        table.add_row(key, *cells)
    return table


def _scores_down(report: AgreementReport) -> Table:
    """Return the main figures, a row for each score."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("Score", overflow="fold")
    for head in ("n", *(name for name, _ in MAIN), "95 % limits", "within 1/2"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, one in report.rows.items():
        own = [_told(one.figures[key].value, digits) for key, digits in MAIN]
        low, high = (_told(one.figures[key].value, 1) for key in ("limit_low", "limit_high"))
        within = " / ".join(str(count) for count in one.patients_within.values())
        table.add_row(name, str(one.count), *own, f"{low} to {high}", within)
    return table


def _told(value: float | None, digits: int) -> str:
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"
