"""The report: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from groundglass.core.results import LEFT, LOBES, RIGHT, CaseResult
from groundglass.core.verdict import Status, Verdict, worst
from groundglass.writers import wording
from groundglass.writers.checklist import things_to_check
from groundglass.writers.curve import draw_curve
from groundglass.writers.document import RegionPart, ResultDocument, ScanPart
from groundglass.writers.estimates import estimate_rows
from groundglass.writers.figures import Illustrator, Panel
from groundglass.writers.likeness import likeness_figures
from groundglass.writers.summary import result_verdicts

MOSAIC_SLICES = 12
MOSAIC_WIDTH_PX = 360
SECTION_WIDTH_PX = 420
LUNG_CHECKS = (
    "coverage",
    "lung_plausibility",
    "body_region",
    "lung_gaps",
    "lung_sides",
    "pleural_opacity",
    "picture_lungs",
)
DISCLAIMER = "Research use only. Not a medical device. Not for diagnosis."


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the report."""

    grey: str
    """Data URI of the grey picture."""
    layer: str
    """Data URI of the transparent layer."""
    width: int
    height: int
    alt: str
    """The picture in words."""
    title: str
    text: str
    marks: tuple[str, str]
    """What lies at the left and at the right edge, e.g. ``R`` and ``L``."""


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One row of the table of regions."""

    name: str
    lung: str
    infected: str
    percent: str
    interval: str
    ground_glass: str
    consolidation: str
    density: str
    bar: tuple[float, float, float] | None
    """Low, value and high in percent of the bar's length."""


def render_report(result: CaseResult, document: ResultDocument) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    result : CaseResult
        The masks and the scan, for the pictures.
    document : ResultDocument
        The numbers, as they stand in ``result.json``.
    """
    verdicts = result_verdicts(result)
    artist = Illustrator(result)
    low, high = artist.window
    unit = " HU" if document.scan and document.scan.intensity == "HU" else " (grey values)"
    return _template().render(
        doc=document,
        words=wording,
        verdicts=_worst_first(verdicts),
        counts={status: sum(v.status == status for v in verdicts) for status in Status},
        worst=str(worst(verdicts)),
        glance=_glance(document, verdicts),
        mosaic=_mosaic(result, document, artist),
        sections=_sections(result, artist),
        window=f"{low:.0f} to {high:.0f}{unit}".replace("-", "\N{MINUS SIGN}"),
        curve=draw_curve(document.slices),
        regions=_regions(result, document),
        estimates=estimate_rows(document),
        checks=things_to_check(result, verdicts),
        likeness=likeness_figures(result),
        disclaimer=DISCLAIMER,
        sides_known=result.lungs.sides_known,
    )


@cache
def _template() -> Template:
    """Return the template; everything put into it is escaped."""
    environment = Environment(
        loader=PackageLoader("groundglass.writers", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    order = list(Status)
    return sorted(verdicts, key=lambda verdict: -order.index(verdict.status))


def _length_known(scan: ScanPart) -> bool:
    return scan.spacing_mm is not None and scan.spacing_mm[0] is not None


def _glance(document: ResultDocument, verdicts: Sequence[Verdict]) -> list[tuple[str, str, str]]:
    """Return title, status and sentence of what a reader wants to know first."""
    scan = document.scan
    assert scan is not None
    steps = "steps are even" if scan.even_spacing else "steps differ"
    if scan.spacing_mm and scan.spacing_mm[0] is None:
        steps = "one slice of unknown thickness, so nothing is told in ml"
    elif scan.spacing_mm:
        steps += f", {scan.spacing_mm[0]:.2f} mm from slice to slice"
    else:
        steps = "no scale is known, so nothing is told in ml"
    usual = (
        (
            "Series",
            ("series_choice", "single_slice", "files_skipped"),
            f"slices read: {scan.slices}",
        ),
        ("Geometry", ("slice_gaps", "slice_spacing", "gantry_tilt", "duplicate_positions"), steps),
        (
            "Values",
            ("intensity", "picture", "picture_window", "picture_inverted"),
            f"values are {wording.VALUE_WORDS[scan.intensity]}",
        ),
        ("Lungs", LUNG_CHECKS, "no check objects to them"),
    )
    rows = []
    for title, checks, plain in usual:
        about = [verdict for verdict in verdicts if verdict.check in checks]
        notable = [v for v in _worst_first(about) if v.status is not Status.OK] or about[:1]
        text = " ".join(wording.sentence(v.found) for v in notable)
        status = worst(tuple(about))
        if title == "Geometry" and not _length_known(scan) and status is Status.OK:
            status = Status.NOTE
        rows.append((title, str(status), text or wording.sentence(plain)))
    return rows


def _figure(panel: Panel, title: str, text: str, marks: tuple[str, str]) -> Figure:
    width, height = panel.size_px
    return Figure(
        panel.grey_uri(), panel.layer_uri(), width, height, f"{title}: {text}", title, text, marks
    )


def _mosaic(result: CaseResult, document: ResultDocument, artist: Illustrator) -> list[Figure]:
    marks = ("R", "L") if result.lungs.sides_known else ("", "")
    figures = []
    for index in artist.axial_choice(MOSAIC_SLICES):
        row = document.slices[index]
        place = "" if row.position_mm is None else f", z {row.position_mm:.0f} mm"
        place = place.replace("-", "\N{MINUS SIGN}")
        ill = "no lung" if row.infected_percent is None else wording.percent(row.infected_percent)
        text = f"{ill} infected" if row.infected_percent is not None else ill
        text += "" if row.selected else ", not kept by the lung-area rule"
        figures.append(
            _figure(artist.axial(index, MOSAIC_WIDTH_PX), f"Slice {index}{place}", text, marks)
        )
    return figures


def _sections(result: CaseResult, artist: Illustrator) -> list[Figure]:
    if result.scan.shape[0] < 3 or not result.lungs.sides_known:
        return []
    width = SECTION_WIDTH_PX
    row = artist.coronal_row()
    figures = [
        _figure(
            artist.coronal(row, width), "Coronal", f"row {row}, seen from the front", ("R", "L")
        )
    ]
    for side, name in ((RIGHT, "right lung"), (LEFT, "left lung")):
        column = artist.sagittal_column(side)
        if column is not None:
            panel = artist.sagittal(column, width)
            text = f"{name}, column {column}, front on the left"
            figures.append(_figure(panel, "Sagittal", text, ("A", "P")))
    return figures


def _regions(result: CaseResult, document: ResultDocument) -> list[RegionRow]:
    """Return the rows of the table of regions, those that are known."""
    infection, lungs = document.infection, document.lungs
    if infection is None or lungs is None:
        return []
    parts: list[tuple[str, RegionPart]] = []
    for side in ("total", "right", "left"):
        measured = result.burden.regions.get(side)
        part = RegionPart(
            lung_ml=getattr(lungs.volume_ml, side),
            volume_ml=getattr(infection.volume_ml, side),
            interval_ml=getattr(infection.side_intervals_ml, side),
            percent=getattr(infection.percent, side),
            interval_percent=getattr(infection.side_intervals_percent, side),
            ground_glass_percent=measured.ground_glass_percent if measured else None,
            consolidation_percent=measured.consolidation_percent if measured else None,
            mean_hu=getattr(lungs.mean_hu, side),
            voxels=measured.voxels if measured else 0,
            infected_voxels=measured.infected_voxels if measured else 0,
        )
        parts.append((side, part))
    for group, names in ((infection.zones, ("upper", "middle", "lower")), (infection.lobes, LOBES)):
        parts += [(name, getattr(group, name)) for name in names if getattr(group, name, None)]
    parts = [(name, part) for name, part in parts if part.percent is not None]
    longest = max([_end(part) for _, part in parts], default=0.0) or 1.0
    return [_region_row(name, part, longest) for name, part in parts]


def _end(part: RegionPart) -> float:
    high = part.interval_percent[1] if part.interval_percent else 0.0
    return max(high, part.percent or 0.0)


def _region_row(name: str, part: RegionPart, longest: float) -> RegionRow:
    bar = None
    if part.percent is not None:
        low, high = part.interval_percent or (part.percent, part.percent)
        bar = (100 * low / longest, 100 * part.percent / longest, 100 * high / longest)
    return RegionRow(
        name=wording.region_words(name),
        lung=wording.ml(part.lung_ml),
        infected=wording.ml(part.volume_ml),
        percent=wording.percent(part.percent),
        interval=wording.percent_range(part.interval_percent),
        ground_glass=_optional(part.ground_glass_percent),
        consolidation=_optional(part.consolidation_percent),
        density=wording.hu(part.mean_hu),
        bar=bar,
    )


def _optional(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else wording.percent(value)
