"""Follow-up: growth of known volume, one patient or not, order in time, laying over, the folder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from groundglass.cli import app
from groundglass.core.results import (
    LOBES,
    CaseResult,
    Estimate,
    LungMask,
    PercentEstimate,
    Score,
)
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.errors import ExportError, IdentityError
from groundglass.followup.change import (
    FLOOR_PERCENT,
    UNLIKE_FLOOR_PERCENT,
    Change,
    cross_check,
    score_change,
    share_change,
)
from groundglass.followup.compare import KEPT, NEW, RESOLVED, Comparison, compare
from groundglass.followup.document import COLUMNS, timeline_csv
from groundglass.followup.folder import check_folder, names_of, write_comparison
from groundglass.followup.identity import (
    Identity,
    read_identity,
    require_one_patient,
    time_order,
)
from groundglass.followup.page import render_page
from groundglass.followup.register import overlay
from groundglass.followup.settings import unlike_verdicts
from groundglass.phantom import Chest, Ellipsoid
from groundglass.phantom_dicom import write_series
from groundglass.pipeline import AnalyzeConfig, analyze
from tests.phantoms import SMALL, phantom

PATIENT = Identity("a" * 8, (None, None), date(2020, 3, 1))
LATER = replace(PATIENT, day=date(2020, 3, 15))
RULE = AnalyzeConfig(infection_method="training-free", cross_check=False)
EARLY = replace(SMALL, ground_glass=(Ellipsoid((-88.0, 42.0, -35.0), (30.0, 26.0, 34.0)),))
LATE = replace(
    EARLY,
    ground_glass=(*EARLY.ground_glass, Ellipsoid((84.0, 30.0, 10.0), (34.0, 34.0, 40.0))),
)


def result_of(chest: Chest, seed: int = 0) -> CaseResult:
    return analyze(phantom(replace(chest, consolidation=()), seed=seed).scan, RULE)


@pytest.fixture(scope="module")
def early() -> CaseResult:
    return result_of(EARLY)


@pytest.fixture(scope="module")
def grown(early: CaseResult) -> Comparison:
    return compare([result_of(LATE, 5), early], [LATER, PATIENT], register="none")


def test_growth_of_known_volume_is_found_and_real(grown: Comparison) -> None:
    first, last = grown.visits
    assert (first.day, last.day) == (0, 14)  # given in the other order
    assert "another order" in next(v.found for v in grown.verdicts if v.check == "scan_dates")
    truth_ml = LATE.ground_glass[1].volume_ml
    truth_percent = 100 * truth_ml / LATE.lungs_ml
    changes = last.since_first
    assert changes is not None
    total = changes.percent["total"]
    assert total.by == pytest.approx(truth_percent, rel=0.15)
    assert total.real
    assert total.word == "rise"
    assert changes.infected_ml.by == pytest.approx(truth_ml, rel=0.15)
    assert changes.infected_ml.real
    assert changes.percent["right"].word == "no real change"
    assert changes.percent["left"].word == "rise"
    assert last.map_ml["new"] == pytest.approx(truth_ml, rel=0.2)
    assert last.map_ml["resolved"] < 0.1 * truth_ml
    assert last.map_ml["kept"] == pytest.approx(EARLY.ground_glass[0].volume_ml, rel=0.25)
    assert last.map is not None
    assert set(np.unique(last.map)) <= {0, RESOLVED, NEW, KEPT}


def test_the_same_chest_seen_again_has_not_changed(early: CaseResult) -> None:
    visits = compare([early, result_of(EARLY, 9)], [PATIENT, LATER], register="none").visits
    changes = visits[1].since_first
    assert changes is not None
    assert not any(one.real for one in changes.percent.values())
    assert not changes.infected_ml.real
    assert not any(one.real for one in changes.scores.values())


def test_lobes_found_in_other_ways_have_no_known_change(early: CaseResult) -> None:
    late = result_of(LATE, 5)
    assert late.lobes is not None
    late = replace(late, lobes=replace(late.lobes, method="external: lungmask-lobes"))
    found = compare([early, late], [PATIENT, LATER], register="none")
    changes = found.visits[1].since_first
    assert changes is not None
    told = {name: change.word for name, change in changes.percent.items()}
    assert {name for name, word in told.items() if word == "not known"} == set(LOBES)
    assert told["left"] == told["total"] == "rise"
    assert changes.scores["ctss25"].real is changes.scores["tss20"].real is None
    assert changes.scores["ct_grade"].real is not None
    warning = next(one for one in found.verdicts if one.check == "lobes")
    assert warning.status is Status.WARNING
    assert "scan 2: external: lungmask-lobes" in warning.found or "scan 2: " in warning.found
    assert "<td>not known</td>" in render_page(found)


def test_other_slice_spacing_is_told_and_is_no_change(early: CaseResult) -> None:
    scan, (step, row, column) = early.scan, early.scan.geometry.spacing_mm
    every_second = np.ascontiguousarray(scan.voxels[::2])
    thinned = Scan.from_array(every_second, (2 * step, row, column), intensity=scan.intensity)
    found = compare([early, analyze(thinned, RULE)], [PATIENT, LATER], register="none")
    (warning,) = (one for one in found.verdicts if one.check == "slice_spacing")
    assert f"{step:.3g} mm apart in one scan and {2 * step:.3g} mm" in warning.found
    changes = found.visits[1].since_first
    assert changes is not None
    assert not changes.percent["total"].real
    assert (
        min(one.smallest for one in changes.percent.values() if one.smallest)
        >= UNLIKE_FLOOR_PERCENT
    )
    assert unlike_verdicts([early, early]) == []


def test_the_smallest_real_change_is_the_stated_formula() -> None:
    before, after = Estimate(3.0, 2.6, 3.9), Estimate(5.0, 4.5, 6.2)
    change = share_change(before, after, 0.5)
    assert change.smallest == pytest.approx(math.sqrt(0.9**2 + 1.2**2 + 0.5**2))
    assert change.by == pytest.approx(2.0)
    assert change.real
    assert share_change(after, before).word == "fall"
    sure = share_change(Estimate(1.0, 1.0, 1.0), Estimate(1.1, 1.1, 1.1))
    assert sure.smallest == FLOOR_PERCENT
    assert sure.word == "no real change"
    unknown = share_change(Estimate.unknown("no lung"), after)
    assert unknown == Change(None, None)
    assert unknown.word == "not known"


def test_a_score_changed_if_the_ranges_lie_apart() -> None:
    one, other = (Score("ctss25", v, v - 1, v + 1, "rule") for v in (5, 7))
    assert not score_change(one, other).real
    assert score_change(one, replace(other, value=8, low=7, high=9)).real
    assert score_change(one, replace(other, value=None)).real is None


def test_another_way_that_disagrees_widens_the_smallest_change(early: CaseResult) -> None:
    own = early.burden.regions["total"].percent.value
    assert own is not None

    def with_other(percent: float) -> CaseResult:
        other = PercentEstimate("network", "m", Estimate(percent), "note")
        return replace(early, estimates=(other,))

    assert cross_check(with_other(4.0), with_other(5.5)) == pytest.approx(1.5)
    assert cross_check(early, with_other(5.5)) == 0


def test_who_is_compared_is_never_guessed() -> None:
    other = replace(PATIENT, patient="b" * 8)
    nobody = Identity()
    assert require_one_patient([PATIENT, LATER], told=False).status is Status.OK
    for pair in ([PATIENT, other], [PATIENT, nobody], [nobody, nobody]):
        with pytest.raises(IdentityError, match="--same-patient"):
            require_one_patient(pair, told=False)
    men = [replace(PATIENT, traits=(None, sex)) for sex in ("m", "f")]
    with pytest.raises(IdentityError, match="differ"):
        require_one_patient(men, told=False)
    assert require_one_patient([nobody, nobody], told=True).status is Status.OK
    assert require_one_patient([PATIENT, other], told=True).status is Status.WARNING


def test_one_study_is_of_one_patient_unless_its_headers_contradict() -> None:
    series_ = [Identity(study="s" * 8), Identity(study="s" * 8)]
    verdict = require_one_patient(series_, told=False)
    assert verdict.status is Status.OK
    assert "one study" in verdict.found
    for other in (
        Identity(study="t" * 8),
        Identity(),
        Identity(study="s" * 8, patient="b" * 8, traits=(None, "m")),
    ):
        pair = [replace(series_[0], patient="a" * 8) if other.patient else series_[0], other]
        with pytest.raises(IdentityError, match="--same-patient"):
            require_one_patient(pair, told=False)


def test_three_dates_have_their_rows_and_changes_against_first_and_last(
    grown: Comparison,
) -> None:
    first, second = (visit.result for visit in grown.visits)
    third = replace(first, provenance=replace(first.provenance, sha256="3" * 64))
    last = replace(PATIENT, day=date(2020, 4, 10))
    found = compare([third, second, first], [last, LATER, PATIENT], register="none")
    assert [visit.day for visit in found.visits] == [0, 14, 40]
    words = [
        tuple(
            "" if changes is None else changes.percent["total"].word
            for changes in (visit.since_first, visit.since_last)
        )
        for visit in found.visits
    ]
    assert words == [("", ""), ("rise", "rise"), ("no real change", "fall")]
    assert len(timeline_csv(found).splitlines()) == 4
    page = render_page(found)
    assert all(f"Scan {n}, day {day}" in page for n, day in ((1, 0), (2, 14), (3, 40)))
    assert page.count("<figure>") == 6 * 4


def test_order_is_that_of_dates_or_as_given() -> None:
    assert time_order([LATER, PATIENT])[:2] == ([1, 0], [0, 14])
    order, days, verdict = time_order([LATER, replace(PATIENT, day=None)])
    assert (order, days) == ([0, 1], [None, None])
    assert verdict.status is Status.NOTE
    assert time_order([PATIENT, PATIENT])[1] == [0, 0]


def test_the_same_files_twice_are_refused(early: CaseResult) -> None:
    same = replace(early, provenance=replace(early.provenance, sha256="f" * 64))
    with pytest.raises(IdentityError, match="same files"):
        compare([same, same], [PATIENT, LATER])
    with pytest.raises(ValueError, match="two or more"):
        compare([same], [PATIENT])


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_turned_and_shifted_chest_is_laid_back(early: CaseResult, kind: str) -> None:
    angle = 7.0
    turned = ndimage.rotate(
        early.scan.hu(), angle, axes=(1, 2), reshape=False, order=1, mode="constant", cval=-1000
    )
    lungs, ill = (
        ndimage.rotate(labels, angle, axes=(1, 2), reshape=False, order=0)
        for labels in (early.lungs.labels, early.infection.labels)
    )
    grid = replace(
        early.scan.geometry,
        origins_mm=early.scan.geometry.origins_mm + np.array([9.0, -14.0, 21.0]),
    )
    moved = replace(
        early,
        scan=Scan(turned, grid, Intensity.HU),
        lungs=LungMask(lungs, grid, "turned"),
        infection=replace(early.infection, labels=ill, geometry=grid),
    )
    laid = overlay(early, moved, kind)  # type: ignore[arg-type]
    assert laid.overlap > laid.overlap_before
    assert laid.overlap > 0.97
    both = (laid.infection > 0) & (early.infection.labels > 0)
    total = np.count_nonzero(laid.infection) + np.count_nonzero(early.infection.labels)
    assert 2 * both.sum() / total > 0.85
    assert laid.verdict.check == "registration"
    assert laid.verdict.status is Status.OK


def test_the_folder_holds_page_table_document_and_map(grown: Comparison, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = write_comparison(grown, out)
    assert sorted(path.name for path in files) == sorted(names_of(2))
    assert sorted(path.name for path in out.iterdir()) == sorted(names_of(2))
    document = json.loads((out / "compare.json").read_text())
    assert [scan["day"] for scan in document["scans"]] == [0, 14]
    assert document["scans"][1]["since_first"]["percent"]["total"]["word"] == "rise"
    table = timeline_csv(grown).splitlines()
    assert table[0] == ",".join(COLUMNS)
    assert len(table) == 3
    page = (out / "compare.html").read_text()
    assert ": rise" in page
    row = page.split("Infected volume</th>")[1].split("</tr>")[0]
    assert row.count(" to ") == 2  # ml of both dates with their ranges
    assert row.endswith("<td>rise</td>")
    assert "ml</td>" in row
    assert "2020" not in page.split("<footer>")[0].split("</head>")[1]  # days, no dates
    assert page.count("<figure>") == 6 * 3
    with pytest.raises(ExportError, match="--force"):
        write_comparison(grown, out)
    assert write_comparison(grown, out, force=True) == files
    inside = tmp_path / "scan"
    inside.mkdir()
    with pytest.raises(ExportError, match="inside an input"):
        check_folder(inside / "out", 2, sources=[inside])


def series(folder: Path, chest: Chest, patient: str, day: str, seed: int) -> Path:
    write_series(phantom(replace(chest, consolidation=()), seed=seed).scan, folder)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.PatientID, one.StudyDate = patient, day
        one.save_as(path)
    return folder


def test_the_command_compares_series_of_one_patient(tmp_path: Path) -> None:
    late = series(tmp_path / "b", LATE, "Q-4711", "20200320", 3)
    early = series(tmp_path / "a", EARLY, "Q-4711", "20200301", 2)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["compare", str(late), str(early), "-o", str(out), "--register", "none", "--json", "-q"],
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [scan["day"] for scan in told["scans"]] == [0, 19]
    assert told["scans"][1]["since_first"]["percent"]["total"]["word"] == "rise"
    written = "".join((out / name).read_text() for name in names_of(2)[1:])
    assert "4711" not in written + done.stdout
    assert "20200301" not in written


def test_the_command_refuses_two_patients(tmp_path: Path) -> None:
    tiny = replace(EARLY, shape=(12, 48, 48), spacing_mm=(20.0, 7.0, 7.0))
    one = series(tmp_path / "a", tiny, "Q-4711", "20200301", 2)
    other = series(tmp_path / "b", tiny, "Q-4712", "20200301", 3)
    done = CliRunner().invoke(app, ["compare", str(one), str(other), "--json"])
    assert done.exit_code == 1
    assert "--same-patient" in done.stderr
    assert "471" not in done.stderr
    assert CliRunner().invoke(app, ["compare", str(one), "--json"]).exit_code == 2
    mixed = next(one.iterdir())
    slice_ = pydicom.dcmread(mixed)
    slice_.PatientID = "Q-9"
    slice_.save_as(mixed)
    with pytest.raises(IdentityError, match="several patients"):
        read_identity(one)
    assert read_identity(tmp_path / "none.nii.gz") == Identity()
    assert read_identity(other).study is not None
    assert read_identity(other).day == date(2020, 3, 1)
