"""What the doctor found, as the command line shows it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from rich import box
from rich.table import Table
from rich.text import Text

from groundglass.console import hushed, out_console
from groundglass.doctor import Finding, State, examine

_SHOWN = {
    State.OK: ("✓ fine", "green"),
    State.NOTE: ("i note", "cyan"),
    State.FAILS: ("× fails", "red"),  # noqa: RUF001 - a cross, not a letter
}


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
        parts = (Text(part) for part in (finding.name, finding.found, finding.mend))
        table.add_row(Text(text, style=colour), *parts)
    console = out_console()
    console.print(table)
    failing = [finding.name for finding in findings if finding.state is State.FAILS]
    if failing:
        console.print(f"Would fail: {', '.join(failing)}.", markup=False)
    else:
        console.print("Everything that an analysis needs works.")
