"""The demo as the command line shows it."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table

from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.demo import Demo, run_demo
from groundglass.errors import GroundglassError
from groundglass.writers.table import summary_table


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
