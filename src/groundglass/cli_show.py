"""Demo and doctor as the command line shows them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.demo import Demo, run_demo
from groundglass.doctor import Finding, State, examine
from groundglass.errors import GroundglassError
from groundglass.writers.table import summary_table

_SHOWN = {
    State.OK: ("✓ fine", "green"),
    State.NOTE: ("i note", "cyan"),
    State.FAILS: ("× fails", "red"),  # noqa: RUF001 - a cross, not a letter
}


def run_and_show_demo(out: Path) -> int:
    """Run the demo, print truth beside measured, return the exit code."""
    try:
        with hushed() as talk, progress_bar(talk, quiet=False) as on_progress:
            done = run_demo(out, on_progress)
    except KeyboardInterrupt:
        complain("Stopped; the demo is not complete.")
        return 130
    except GroundglassError as error:
        complain(f"The demo failed: {error}.")
        return 1
    _show_demo(done)
    return 0


def _show_demo(done: Demo) -> None:
    console = out_console()
    console.print(summary_table(done.document))
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="Truth beside measured", title_justify="left"
    )
    table.add_column("")
    for name in ("Truth", "Measured", "Difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in done.rows:
        digits = 2 if row.unit == "%" else 1
        gap = "not known" if row.measured is None else f"{row.measured - row.truth:+.{digits}f}"
        share = ""
        if row.measured is not None and row.unit == "ml":
            share = f" ({100 * (row.measured / row.truth - 1):+.1f} %)"
        measured = "not known" if row.measured is None else f"{row.measured:.{digits}f}"
        table.add_row(
            row.name,
            f"{row.truth:.{digits}f} {row.unit}",
            f"{measured} {row.unit}",
            f"{gap} {row.unit}{share}",
        )
    console.print(table)
    console.print(f"Phantom series: {done.series}", soft_wrap=True, markup=False)
    console.print(f"Report to open: {done.report}", soft_wrap=True, markup=False)


def run_and_show_doctor(*, as_json: bool) -> int:
    """Examine this machine, print the findings, return the exit code."""
    with hushed():
        findings = examine()
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        _show_findings(findings)
    return 1 if any(finding.state is State.FAILS for finding in findings) else 0


def _show_findings(findings: tuple[Finding, ...]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "What", "Found", "How to mend it"):
        table.add_column(name, no_wrap=name in ("", "What"))
    for finding in findings:
        text, colour = _SHOWN[finding.state]
        table.add_row(Text(text, style=colour), finding.name, finding.found, finding.mend)
    console = out_console()
    console.print(table)
    failing = [finding.name for finding in findings if finding.state is State.FAILS]
    if failing:
        console.print(f"Would fail: {', '.join(failing)}.", markup=False)
    else:
        console.print("Everything that an analysis needs works.")
