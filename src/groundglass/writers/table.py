"""The table of slices as CSV, and the result as a table a doctor can read in a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from groundglass.core.verdict import Status
from groundglass.writers import wording
from groundglass.writers.document import (
    InfectionPart,
    ResultDocument,
    SlicePart,
    VerdictPart,
)

COLUMNS = (
    "index",
    "position_mm",
    "lung_area_mm2",
    "infected_percent",
    "infected_percent_plain",
    "selected",
    "selected_ctset",
)
_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "refused": "red"}


def slices_csv(slices: Sequence[SlicePart]) -> str:
    """Return the table of slices, head to feet; what is not known is left empty.

    Parameters
    ----------
    slices : sequence of SlicePart
        The slices of the document.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in slices:
        writer.writerow([_cell(getattr(one, name)) for name in COLUMNS])
    return stream.getvalue()


def _cell(value: float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else f"{value}"


def summary_table(document: ResultDocument) -> RenderableType:
    """Return what a terminal shows of a result: the numbers, then what was noticed.

    Parameters
    ----------
    document : ResultDocument
        Of an analyzed scan, or of a refused one, which has verdicts alone.
    """
    parts: list[RenderableType] = []
    if document.infection and document.lungs:
        parts += [_scan_line(document), _numbers(document), _scores(document)]
    noticed = [v for v in document.verdicts if Status(v.status) is not Status.OK]
    fine = len(document.verdicts) - len(noticed)
    parts += [_verdict_table(noticed)] if noticed else []
    if fine:
        word = "check found nothing" if fine == 1 else "checks found nothing"
        parts.append(Text(f"{fine} {word} that changes the numbers.", style="dim"))
    return Group(*parts)


def _scan_line(document: ResultDocument) -> Text:
    scan = document.scan
    assert scan is not None
    text = f"{scan.slices} slice{'' if scan.slices == 1 else 's'} of {scan.columns} x {scan.rows}"
    if scan.spacing_mm:
        known = [f"{mm:.3g}" for mm in reversed(scan.spacing_mm) if mm is not None]
        text += f", {' x '.join(known)} mm"
    return Text(f"{text}, {wording.VALUE_WORDS[scan.intensity]}", style="dim")


def _numbers(document: ResultDocument) -> Table:
    infection, lungs = document.infection, document.lungs
    assert infection is not None
    assert lungs is not None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for title in ("Lung", "Infected", "Percent", "Range"):
        table.add_column(title, justify="right", no_wrap=True)
    for side in ("total", "right", "left"):
        share = getattr(infection.percent, side)
        if share is None and side != "total":
            continue
        table.add_row(
            wording.region_words(side),
            wording.ml(getattr(lungs.volume_ml, side)),
            wording.ml(getattr(infection.volume_ml, side)),
            Text(wording.percent(share), style="bold"),
            wording.percent_range(getattr(infection.side_intervals_percent, side)),
        )
    _add_parts(table, infection)
    return table


def _add_parts(table: Table, infection: InfectionPart) -> None:
    for group in (infection.zones, infection.lobes):
        for name in type(group).model_fields if group else ():
            part = getattr(group, name)
            if part is None or part.percent is None:
                continue
            table.add_row(
                wording.region_words(name),
                wording.ml(part.lung_ml),
                wording.ml(part.volume_ml),
                wording.percent(part.percent),
                wording.percent_range(part.interval_percent),
            )
    for kind, title in (("ground_glass", "Ground glass"), ("consolidation", "Consolidation")):
        share = getattr(infection, f"{kind}_percent")
        if share is not None:
            volume = wording.ml(getattr(infection, f"{kind}_ml"))
            table.add_row(title, "", volume, wording.percent(share), "")


def _scores(document: ResultDocument) -> RenderableType:
    severity = document.severity
    assert severity is not None
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    shown = [("ct_grade", "CT grade"), ("ctss25", "CTSS-25"), ("tss20", "TSS-20")]
    if document.infection and document.infection.lobes:
        shown.insert(2, ("ctss25_published", "CTSS as published"))
    for name, title in shown:
        value, ends = getattr(severity, name), getattr(severity.intervals, name)
        spread = wording.plain_range(ends)
        why = document.reasons.get(f"severity.{name}") or getattr(severity.rules, name)
        table.add_row(
            title,
            wording.UNKNOWN if value is None else f"{value}",
            f"({spread})" if ends and ends[0] != ends[1] else "",
            Text(wording.sentence(why)),
        )
    return Padding(table, (0, 0, 1, 0))


def _verdict_table(verdicts: Sequence[VerdictPart]) -> Table:
    order = [str(status) for status in Status]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("Noticed", no_wrap=True)
    table.add_column("What was found, done, and what it changes")
    for verdict in sorted(verdicts, key=lambda v: -order.index(v.status)):
        symbol, word = wording.STATUS_WORDS[verdict.status]
        table.add_row(
            Text(f"{symbol} {word}", style=_COLOURS[verdict.status]),
            Text(wording.check_words(verdict.check)),
            Text(wording.sentence(verdict.found, verdict.done, verdict.effect)),
        )
    return table
