from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from groundglass.core.results import (
    Burden,
    CaseResult,
    Estimate,
    PercentEstimate,
    RegionBurden,
)
from groundglass.core.scan import Acquisition, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError
from groundglass.writers import wording
from groundglass.writers.checklist import things_to_check
from groundglass.writers.curve import draw_curve, nice_top
from groundglass.writers.figures import Illustrator
from groundglass.writers.preview import preview_png
from groundglass.writers.report import render_report
from groundglass.writers.summary import refusal_document, result_document
from groundglass.writers.table import slices_csv, summary_table
from tests.cases import picture_case, volume_case

VOID = {"meta", "img", "br", "input", "line", "polygon", "polyline", "circle", "rect", "!doctype"}


class Page(HTMLParser):
    """Collects tags, attributes and text; refuses tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(case: CaseResult) -> tuple[str, Page]:
    html = render_report(case, result_document(case))
    return html, Page(html)


@pytest.mark.parametrize("case", [volume_case(), picture_case()], ids=["volume", "picture"])
def test_the_report_is_one_file_without_network_or_script(case: CaseResult) -> None:
    html, found = page(case)
    assert "script" not in {tag for tag, _ in found.tags}
    for tag, attributes in found.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"https?:|@import|url\(", html)
    assert "default-src 'none'" in html
    assert len(html) < 2_000_000


@pytest.mark.parametrize("case", [volume_case(), picture_case()], ids=["volume", "picture"])
def test_the_report_can_be_read_by_everybody(case: CaseResult) -> None:
    html, found = page(case)
    assert '<html lang="en">' in html
    assert all("alt" in attributes for tag, attributes in found.tags if tag == "img")
    assert sum(tag == "h1" for tag, _ in found.tags) == 1
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert found.text.count("Research use only") >= 2
    for svg in (attributes for tag, attributes in found.tags if tag == "svg"):
        assert svg["aria-label"]


def test_the_report_tells_numbers_verdicts_and_advice() -> None:
    _, found = page(volume_case())
    text = wording.plain_spaces(found.text)
    for words in (
        "3.5 % of the lungs infected, range 2.8 to 4.5 %",
        "CT-1",
        "Lungs complete",
        "What to check by eye",
        "Lungs are cut by the border of the scan",
        "−1350 to 150 HU",  # noqa: RUF001 - the minus sign that the report uses
        "Slice by slice",
        "published bands, five regions".capitalize(),
    ):
        assert words in text, words


def test_text_from_outside_cannot_break_out() -> None:
    evil = "<script>alert(1)</script>\"'>"
    case = volume_case(
        verdicts=(Verdict("series_choice", Status.WARNING, evil, evil, evil),),
    )
    case = replace(case, scan=replace(case.scan, acquisition=Acquisition(kernel=evil)))
    html, found = page(case)
    assert "<script" not in html
    assert evil[:8] in found.text


def test_a_picture_report_says_not_known_and_why() -> None:
    _, found = page(picture_case())
    assert "not known" in found.text
    assert "Pictures carry no scale." in found.text
    assert "right lung" not in found.text


def test_a_share_that_is_not_known_is_said_so() -> None:
    case = picture_case()
    nothing = Estimate.unknown("the window hides ground glass")
    total = RegionBurden("total", nothing, nothing, nothing, None, None, None)
    case = replace(case, burden=Burden({"total": total}, case.burden.slices))
    _, found = page(case)
    assert "Share not known of the lung in view infected" in found.text
    assert preview_png(case, result_document(case))
    assert "not known" in shown(result_document(case))


def test_every_check_has_a_name_for_readers() -> None:
    source = Path(wording.__file__).parent.parent
    made = re.compile(r"Verdict\(\s*\"([a-z_]+)\"")
    used = {name for path in source.rglob("*.py") for name in made.findall(path.read_text())}
    assert len(used) > 15
    assert used - set(wording.CHECK_WORDS) == set()


def test_the_preview_is_a_picture() -> None:
    for case in (volume_case(), picture_case()):
        picture = Image.open(io.BytesIO(preview_png(case, result_document(case))))
        picture.load()
        assert picture.width >= 700
        assert picture.info == {}


def test_panels_have_the_true_proportions() -> None:
    case = volume_case()
    artist = Illustrator(case)
    axial = artist.axial(4, 200)
    rows, columns = artist.box.rows, artist.box.columns
    assert axial.size_px[1] / 200 == pytest.approx(
        (rows[1] - rows[0]) / (columns[1] - columns[0]), abs=0.01
    )
    coronal = artist.coronal(24, 200)
    height_mm = 5.0 * (case.scan.shape[0] - 1)
    width_mm = 4.0 * (columns[1] - columns[0])
    assert coronal.size_px[1] / 200 == pytest.approx(height_mm / width_mm, rel=0.1)


def test_odd_proportions_stay_small() -> None:
    case = volume_case()
    tall, narrow = np.array([0, 60.0, 0]), np.array([0.05, 0, 0])
    grid = replace(case.scan.geometry, row_step_mm=tall, column_step_mm=narrow)
    scan = replace(case.scan, geometry=grid)
    artist = Illustrator(replace(case, scan=scan))
    for panel in (artist.axial(4, 300), artist.coronal(24, 300), artist.sagittal(10, 300)):
        assert max(panel.size_px) <= 1000


def test_uneven_slices_take_their_real_room() -> None:
    case = volume_case()
    origins = case.scan.geometry.origins_mm.copy()
    origins[6:, 2] -= 55
    scan = replace(case.scan, geometry=replace(case.scan.geometry, origins_mm=origins))
    plain = Illustrator(case).coronal(24, 200)
    gap = Illustrator(replace(case, scan=scan)).coronal(24, 200)
    assert gap.size_px[1] == pytest.approx(2 * plain.size_px[1], rel=0.1)


def test_the_patients_right_is_on_the_left_and_lesions_are_marked() -> None:
    case = volume_case()
    artist = Illustrator(case)
    layer = artist.axial(4, 300).layer
    right, left = (np.argwhere(layer == code)[:, 1].mean() for code in (4, 5))
    assert right < left
    assert {1, 2, 3} <= set(np.unique(layer).tolist())
    assert {4, 5} <= set(np.unique(artist.coronal(artist.coronal_row(), 200).layer).tolist())


def test_pictures_hold_the_grey_values_and_the_layer_is_transparent_elsewhere() -> None:
    panel = Illustrator(volume_case()).axial(4, 300)
    grey, layer = (
        Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        for uri in (panel.grey_uri(), panel.layer_uri())
    )
    assert grey.size == layer.size == panel.size_px
    alpha = np.asarray(layer.convert("RGBA"))[..., 3]
    assert ((alpha == 0) == (panel.layer == 0)).all()
    assert np.abs(np.asarray(grey).astype(int) - panel.grey).max() < 4


def test_the_mosaic_shows_the_worst_slice() -> None:
    case = volume_case(60)
    chosen = Illustrator(case).axial_choice(5)
    assert len(chosen) == 5
    areas = np.count_nonzero(case.infection.labels, axis=(1, 2))
    assert int(areas.argmax()) in chosen
    assert Illustrator(case).axial_choice(99) == list(range(1, 59))


def test_a_lungless_side_has_no_sagittal_view() -> None:
    case = volume_case()
    labels = np.where(case.lungs.labels == 2, 0, case.lungs.labels)
    alone = replace(case, lungs=replace(case.lungs, labels=labels))
    assert Illustrator(alone).sagittal_column(2) is None
    assert page(alone)


def test_the_curve_breaks_where_there_is_no_number() -> None:
    curve = draw_curve(result_document(volume_case()).slices)
    assert curve is not None
    assert len(curve.lines) == 1
    assert len(curve.lines[0].split()) == 10
    assert len(curve.kept) == 1
    assert len(curve.kept_ctset) == 6
    assert "12 slices" in curve.summary
    assert draw_curve(result_document(picture_case()).slices) is None


@given(st.floats(0, 1e7))
def test_axes_end_at_a_round_number_above_the_data(value: float) -> None:
    top = nice_top(value, 1.0)
    assert value <= top <= 2.7 * max(value, 1.0)


@given(st.one_of(st.none(), st.floats(0, 100)))
def test_percent_always_has_a_unit_or_says_unknown(value: float | None) -> None:
    text = wording.percent(value)
    assert text == wording.UNKNOWN if value is None else text.endswith("%")


def test_numbers_are_worded_as_read() -> None:
    assert wording.percent(0.1234) == "0.12\N{NO-BREAK SPACE}%"
    assert wording.percent_range((1.234, 25.0)) == "1.2 to 25.0\N{NO-BREAK SPACE}%"
    assert wording.ml(4712.3).replace(wording.THIN, "").startswith("4712")
    assert wording.ml(3.21) == "3.2\N{NO-BREAK SPACE}ml"
    assert wording.plain_range(("CT-1", "CT-1")) == "CT-1"
    assert wording.sentence("two slices", "", "none.") == "Two slices. None."
    assert wording.check_words("brand_new") == "Brand new"


def test_advice_comes_from_the_verdicts_worst_first() -> None:
    case = volume_case()
    verdicts = (
        Verdict("slice_thickness", Status.NOTE, "thick", "", ""),
        Verdict("intensity", Status.WARNING, "odd", "", ""),
        Verdict("modality", Status.OK, "CT", "", ""),
    )
    advice = things_to_check(case, verdicts)
    assert "density of air" in advice[0]
    assert "Thick slices" in advice[1]
    assert not any("Make sure that this is a CT" in text for text in advice)


def test_the_csv_has_units_and_leaves_unknowns_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(slices_csv(result_document(volume_case()).slices))))
    assert len(rows) == 12
    assert rows[0]["infected_percent"] == ""
    assert rows[4]["lung_area_mm2"] == "22528.0"
    assert (rows[4]["selected"], rows[5]["selected_ctset"]) == ("true", "false")


def shown(document: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100).print(summary_table(document))
    return wording.plain_spaces(stream.getvalue())


def test_the_terminal_shows_numbers_and_what_was_noticed() -> None:
    text = shown(result_document(volume_case()))
    for words in ("Both lungs", "1 126 ml", "3.5 %", "CTSS-25", "(3 to 5)", "Lungs complete"):
        assert words in text, words
    assert "1 check found nothing" in text


def test_brackets_in_a_verdict_are_shown_as_they_are() -> None:
    verdict = Verdict("intensity", Status.NOTE, "values lie in [0, 255] [bold]", "", "")
    assert "[0, 255] [bold]" in shown(result_document(volume_case(verdicts=(verdict,))))


def test_the_terminal_shows_pictures_and_refusals() -> None:
    assert "not known" in shown(result_document(picture_case()))
    verdict = Verdict("modality", Status.REFUSED, "the modality is MR", "stopped", "no numbers")
    text = shown(refusal_document(NotAnalyzableError("no", (verdict,))))
    assert "The modality is MR. Stopped. No numbers." in text


def test_one_slice_of_unknown_thickness_is_no_fine_geometry() -> None:
    alone = Verdict(
        "single_slice", Status.WARNING, "there is one slice only", "read alone", "no ml"
    )
    case = volume_case(1)
    grid = replace(case.scan.geometry, slice_width_mm=None)
    scan = Scan(case.scan.voxels, grid, case.scan.intensity, case.scan.provenance)
    case = replace(case, scan=scan, verdicts=(alone,))
    page = render_report(case, result_document(case))
    glance = page[page.index("At a glance") : page.index("What to check by eye")]
    assert "There is one slice only." in glance
    assert "from slice to slice" not in glance


def test_the_axis_of_percent_ends_at_a_hundred() -> None:
    slices = result_document(volume_case()).slices
    full = [row.model_copy(update={"infected_percent": 98.0}) for row in slices]
    curve = draw_curve(full)
    assert curve is not None
    assert max(float(tick.text) for tick in curve.percent_ticks) == 100


def test_other_estimates_have_a_table_and_none_without_them() -> None:
    told = PercentEstimate("network", "small <one>", Estimate(3.14, 2, 4), "made by a network")
    untold = PercentEstimate("by area", None, Estimate.unknown("no lung area"), "made by area")
    case = volume_case(estimates=(told, untold))
    text = Page(render_report(case, result_document(case))).text
    assert "Other estimates" in text
    assert "network (small <one>)" in text
    assert "2.0 to 4.0" in text
    assert "Made by area. By area: no lung area." in text
    case = volume_case()
    assert "Other estimates" not in Page(render_report(case, result_document(case))).text


def test_the_model_is_named_with_licence_and_hash() -> None:
    case = volume_case()
    facts = {"model": "small", "licence": "research only", "sha256": "ef" * 32}
    steps = case.provenance.after("infection", method="network", **facts)
    case = replace(case, provenance=steps)
    text = " ".join(Page(render_report(case, result_document(case))).text.split())
    assert f"small. Licence of its weights: research only. SHA-256 {'ef' * 32}" in text
    case = volume_case()
    assert "Licence" not in Page(render_report(case, result_document(case))).text
