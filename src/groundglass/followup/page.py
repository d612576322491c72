"""The comparison as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.results import CaseResult, InfectionMask, LungMask
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.followup.change import REGIONS, RULE, SCORES, Change
from groundglass.followup.compare import KEPT, NEW, RESOLVED, Comparison, Visit
from groundglass.writers import wording
from groundglass.writers.figures import Illustrator, Panel
from groundglass.writers.report import DISCLAIMER

SLICES, WIDTH_PX = 6, 300
SCORE_WORDS = {
    "ctss25": "CTSS, 0 to 25",
    "ctss25_published": "CTSS as published, 0 to 25",
    "tss20": "TSS, 0 to 20",
    "ct_grade": "CT grade, 0 to 4",
}
"""Names of the scores for a reader."""
_COLOURS = {RESOLVED: (76, 201, 240, 170), NEW: (220, 38, 127, 190), KEPT: (255, 176, 0, 120)}
CHART_W, CHART_H, LEFT, RIGHT, TOP, BOTTOM = 720, 260, 60, 20, 16, 44


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: grey, and the layer above it."""

    grey: str
    layer: str
    width: int
    height: int
    alt: str
    title: str


def render_page(comparison: Comparison) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    comparison : Comparison
        Identifiers and dates do not stand in it, so they cannot get onto the page.
    """
    visits = comparison.visits
    return _template().render(
        words=wording,
        visits=visits,
        names=[visit_name(n, v) for n, v in enumerate(visits, start=1)],
        headline=_headline(visits),
        shares=[*_share_rows(visits), *_ml_rows(visits)],
        scores=_score_rows(visits),
        chart=_chart(visits),
        rows=_pictures(visits),
        verdicts=_verdicts(comparison),
        rule=RULE,
        register=comparison.register,
        disclaimer=DISCLAIMER,
        version=version("groundglass"),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("groundglass.followup", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("compare.html")


def visit_name(number: int, visit: Visit) -> str:
    """Return what a scan is called: its number, and the day where dates are known."""
    return f"Scan {number}" if visit.day is None else f"Scan {number}, day {visit.day}"


def _headline(visits: Sequence[Visit]) -> str:
    first, last = (v.result.burden.regions["total"].percent.value for v in (visits[0], visits[-1]))
    changes = visits[-1].since_first
    word = "not known" if changes is None else changes.percent["total"].word
    return f"{wording.percent(first)} to {wording.percent(last)} of the lungs infected: {word}"


def signed(change: Change, digits: int = 1) -> str:
    """Return a change with its sign, or that it is not known."""
    if change.by is None:
        return wording.UNKNOWN
    if round(change.by, digits) == 0:
        return "0"
    return f"{change.by:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _share_rows(visits: Sequence[Visit]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in REGIONS:
        found = [visit.result.burden.regions.get(name) for visit in visits]
        if any(region is None or region.percent.value is None for region in found):
            continue
        shares = [
            (
                wording.percent(region.percent.value),
                wording.percent_range(_pair(region.percent.low, region.percent.high)),
                wording.ml(region.infected_ml.value),
            )
            for region in found
            if region is not None
        ]
        last = visits[-1].since_first
        change = Change(None, None) if last is None else last.percent[name]
        rows.append({"name": wording.region_words(name), "shares": shares, **_told(change, 2)})
    return rows


def _ml_rows(visits: Sequence[Visit]) -> list[dict[str, object]]:
    """Return the row of infected ml with its ranges; none where a volume is not known."""
    found = [visit.result.burden.regions["total"].infected_ml for visit in visits]
    last = visits[-1].since_first
    if last is None or any(one.value is None for one in found):
        return []
    cells = [
        (wording.ml(one.value), wording.ml_range(_pair(one.low, one.high)), "") for one in found
    ]
    told = _told(last.infected_ml, 1)
    told |= {key: f"{told[key]}{wording.TIED}ml" for key in ("by", "smallest") if told[key]}
    return [{"name": "Infected volume", "shares": cells, **told}]


def _score_rows(visits: Sequence[Visit]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in SCORES:
        scores = [getattr(visit.result.severity, name) for visit in visits]
        values = [
            (
                wording.UNKNOWN if one.value is None else str(one.value),
                wording.plain_range(None if one.low is None else (one.low, one.high)),
            )
            for one in scores
        ]
        last = visits[-1].since_first
        change = Change(None, None) if last is None else last.scores[name]
        rows.append({"name": SCORE_WORDS[name], "values": values, **_told(change, 0)})
    return rows


def _told(change: Change, digits: int) -> dict[str, str]:
    smallest = "" if change.smallest is None else f"{change.smallest:.{digits}f}"
    return {"by": signed(change, digits), "smallest": smallest, "word": change.word}


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _chart(visits: Sequence[Visit]) -> dict[str, object] | None:
    """Return points of the curve of the infected share with its ranges, in pixels."""
    shares = [visit.result.burden.regions["total"].percent for visit in visits]
    values = [one.value for one in shares]
    if any(value is None for value in values):
        return None
    known = [value for value in values if value is not None]
    highs = [one.high if one.high is not None else one.value or 0.0 for one in shares]
    lows = [one.low if one.low is not None else one.value or 0.0 for one in shares]
    top = max(1.0, 1.1 * max(highs))
    days = [visit.day for visit in visits]
    even = None in days or days[-1] == days[0]
    at = list(range(len(visits))) if even else [day or 0 for day in days]
    span = max(at[-1], 1)

    def x(place: float) -> float:
        return round(LEFT + (CHART_W - LEFT - RIGHT) * (0.04 + 0.92 * place / span), 1)

    def y(percent: float) -> float:
        return round(TOP + (CHART_H - TOP - BOTTOM) * (1 - percent / top), 1)

    step = next(s for s in (0.2, 0.5, 1, 2, 5, 10, 20, 25) if top / s <= 5)
    return {
        "width": CHART_W,
        "height": CHART_H,
        "left": LEFT,
        "right": CHART_W - RIGHT,
        "bottom": CHART_H - BOTTOM,
        "line": " ".join(f"{x(a)},{y(v)}" for a, v in zip(at, known, strict=True)),
        "bars": [
            (x(a), y(low), y(high), y(v))
            for a, low, high, v in zip(at, lows, highs, known, strict=True)
        ],
        "ticks": [(y(t), f"{t:g}") for t in np.arange(0, top, step)],
        "names": [(x(a), n) for a, n in zip(at, _short(visits), strict=True)],
    }


def _short(visits: Sequence[Visit]) -> list[str]:
    return [f"scan {n}" if v.day is None else f"day {v.day}" for n, v in enumerate(visits, start=1)]


def _pictures(visits: Sequence[Visit]) -> list[list[Shot]]:
    """Return rows of slices at one height: every scan on the first one's grid, then the change."""
    first = Illustrator(visits[0].result)
    artists = [first]
    for visit in visits[1:]:
        if visit.laid is None:
            return []
        laid = Illustrator(_as_laid(visits[0].result, visit))
        laid.box = first.box
        artists.append(laid)
    last = visits[-1]
    rows = []
    for index in first.axial_choice(SLICES):
        shots = []
        for number, artist in enumerate(artists, start=1):
            panel = artist.axial(index, WIDTH_PX)
            name = _short(visits)[number - 1].capitalize()
            shots.append(_shot(panel, panel.layer_uri(), f"{name}, height of slice {index}"))
        assert last.map is not None
        panel = artists[-1].axial(index, WIDTH_PX)
        rows_, columns = (slice(*ends) for ends in (first.box.rows, first.box.columns))
        layer = _change_layer(last.map[index, rows_, columns], panel)
        shots.append(_shot(panel, layer, f"Change since the first scan, slice {index}"))
        rows.append(shots)
    return rows


def _as_laid(first: CaseResult, visit: Visit) -> CaseResult:
    """Return a later result on the first scan's grid, for drawing only."""
    laid, grid = visit.laid, first.scan.geometry
    assert laid is not None
    return replace(
        visit.result,
        scan=Scan(laid.voxels, grid, first.scan.intensity),
        lungs=LungMask(laid.lungs, grid, visit.result.lungs.method),
        infection=InfectionMask(
            laid.infection, (laid.infection > 0) * np.uint8(2), grid, visit.result.infection.method
        ),
        lobes=None,
    )


def _shot(panel: Panel, layer: str, title: str) -> Shot:
    width, height = panel.size_px
    return Shot(panel.grey_uri(), layer, width, height, title, title)


def _change_layer(labels: NDArray[np.uint8], panel: Panel) -> str:
    """Return the map of changes of a slice as a transparent picture."""
    colours = np.zeros((4, 4), np.uint8)
    for label, colour in _COLOURS.items():
        colours[label] = colour
    picture = Image.fromarray(colours[labels]).resize(panel.size_px, Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=6)
    return "data:image/png;base64," + b64encode(stream.getvalue()).decode("ascii")


def _verdicts(comparison: Comparison) -> list[tuple[str, Verdict]]:
    """Return what was noticed with the scan it is about, worst first; scans tell more than fine."""
    order = list(Status)
    told = [("comparison", verdict) for verdict in comparison.verdicts]
    for number, visit in enumerate(comparison.visits, start=1):
        told += [
            (f"scan {number}", verdict)
            for verdict in visit.result.verdicts
            if verdict.status is not Status.OK
        ]
    return sorted(told, key=lambda pair: -order.index(pair[1].status))
