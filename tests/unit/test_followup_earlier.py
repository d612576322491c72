"""Earlier results, given masks and settings in a comparison: taken up, or refused with a reason."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from groundglass import cli_compare_run
from groundglass.cli import app
from groundglass.core.results import LOBES, CaseResult, LobeMask
from groundglass.core.scan import Scan
from groundglass.core.serial import to_json
from groundglass.core.verdict import Status
from groundglass.errors import GridMismatchError, IdentityError, ReadError, UncalibratedError
from groundglass.followup.change import SCORES
from groundglass.followup.compare import compare
from groundglass.followup.document import document
from groundglass.followup.earlier import match_earlier, read_earlier, restore
from groundglass.followup.settings import TAKEN_UP, settings_verdict
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.read import read_scan
from groundglass.writers.folder import write_case
from groundglass.writers.masks import mask_bytes
from groundglass.writers.summary import refusal_document
from tests.phantoms import phantom
from tests.unit.test_followup import EARLY, LATE, LATER, PATIENT, RULE, series

GRID: Any = {"shape": (36, 56, 56), "spacing_mm": (9.0, 6.4, 6.4)}
"""Coarse, for speed: only what is written and read back counts here."""


@dataclass(frozen=True)
class Patient:
    """Two dates of one patient: series, analyses, result folders."""

    scans: dict[str, Path]
    analyses: dict[str, CaseResult]
    results: dict[str, Path]
    config: Path


@pytest.fixture(scope="module")
def who(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    root = tmp_path_factory.mktemp("patient")
    config = root / "config.json"
    config.write_text(to_json(RULE), encoding="utf-8")
    found = Patient({}, {}, {}, config)
    for name, chest, day in (("early", EARLY, "20200301"), ("late", LATE, "20200320")):
        folder = series(root / name, replace(chest, **GRID), "Q-4711", day, len(name))
        uid = f"1.2.826.0.1.3680043.8.498.{len(day) + len(name)}"
        for path in folder.iterdir():
            one = pydicom.dcmread(path)
            one.SeriesInstanceUID = uid
            one.save_as(path)
        found.scans[name] = folder
        found.analyses[name] = analyze(read_scan(folder), RULE)
        found.results[name] = root / f"{name}_result"
        write_case(found.analyses[name], found.results[name])
    return found


def changed(result: Path, to: Path, **more: object) -> Path:
    """Return a copy of a result folder, values of its document replaced."""
    shutil.copytree(result, to)
    numbers = json.loads((to / "result.json").read_text())
    (to / "result.json").write_text(json.dumps(numbers | more))
    return to


def told(arguments: list[object]) -> dict[str, Any]:
    done = CliRunner().invoke(
        app, ["compare", *(str(a) for a in arguments), "--json", "-q", "--register", "none"]
    )
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def without_words(scan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scan.items() if key != "verdicts"}


def flat(value: Any, at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {at: value}
    return {k: v for key, one in value.items() for k, v in flat(one, f"{at}.{key}").items()}


def test_earlier_results_give_the_same_comparison_without_analyzing_again(
    who: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = document(compare(list(who.analyses.values()), [PATIENT, LATER], register="none"))

    def never(*_: object, **__: object) -> CaseResult:
        pytest.fail("a scan with a result was analyzed again")

    monkeypatch.setattr(cli_compare_run, "analyze", never)
    given = ["--result", who.results["late"], "--result", who.results["early"]]  # any order
    taken = told([*who.scans.values(), *given])
    for one, other in zip(anew["scans"], taken["scans"], strict=True):
        wanted, found = flat(without_words(one)), flat(without_words(other))
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            # Numbers of a result are rounded; a difference of two is off by twice that.
            expected = pytest.approx(value, abs=0.021) if isinstance(value, float) else value
            assert found[key] == expected or key == ".day", key
        assert "earlier_result" in {verdict["check"] for verdict in other["verdicts"]}
    assert taken["scans"][1]["since_first"]["percent"]["total"]["word"] == "rise"
    assert settings_of(taken)["status"] == "ok"


def test_the_table_fits_a_narrow_terminal(who: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    given = [a for name in who.results.values() for a in ("--result", str(name))]
    out = who.config.parent / "page"
    scans = [str(path) for path in who.scans.values()]
    done = CliRunner().invoke(
        app, ["compare", *scans, *given, "-o", str(out), "--register", "none"]
    )
    assert done.exit_code == 0, done.output
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "Scan 1, day 0" in lines[1]
    assert "Scan 2, day 19" in lines[1]
    assert any(line.startswith("Since the first scan") and "rise" in line for line in lines)
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("Since"))]
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(table)


def settings_of(found: dict[str, Any]) -> dict[str, str]:
    verdict: dict[str, str] = next(v for v in found["verdicts"] if v["check"] == "settings")
    return verdict


def test_what_is_taken_up_is_what_was_written(who: Patient) -> None:
    scan = read_scan(who.scans["early"])
    was = who.analyses["early"]
    found = restore(read_earlier(who.results["early"]), scan)
    for one, other in ((found.lungs, was.lungs), (found.infection, was.infection)):
        assert np.array_equal(one.labels, other.labels)
        assert one.method == other.method
    assert found.lobes is not None
    assert was.lobes is not None
    assert np.array_equal(found.lobes.labels, was.lobes.labels)
    assert set(found.burden.regions) == set(was.burden.regions) >= {"total", "upper", *LOBES}
    for name, region in was.burden.regions.items():
        again = found.burden.regions[name]
        for quantity in ("lung_ml", "infected_ml", "percent"):
            own, back = getattr(region, quantity), getattr(again, quantity)
            ends = [(own.value, back.value)]
            if quantity != "lung_ml":
                ends += [(own.low, back.low), (own.high, back.high)]
            for wanted, got in ends:
                assert got == pytest.approx(wanted, abs=0.006), (name, quantity)
    for name in SCORES:
        own, back = getattr(was.severity, name), getattr(found.severity, name)
        assert (back.value, back.low, back.high) == (own.value, own.low, own.high)
        assert back.rule == own.rule
        if name != "ct_grade":
            assert dict(back.points) == dict(own.points)
    assert len(found.burden.slices) == scan.shape[0]


def test_other_settings_masks_models_and_versions_are_told(who: Patient) -> None:
    one = who.analyses["early"]
    past = one.provenance
    assert settings_verdict([one, who.analyses["late"]]).status is Status.OK
    other_lobes = replace(RULE, lobes=replace(RULE.lobes, method="none"))
    for changed_, what in (
        (replace(one, config=other_lobes), "lobes.method"),
        (replace(one, lungs=replace(one.lungs, method="external: sides")), "lungs by"),
        (replace(one, provenance=past.after("infection", sha256="ab")), "model.sha256"),
        (replace(one, provenance=past.after(TAKEN_UP, version="0.0.9")), "version"),
    ):
        verdict = settings_verdict([one, changed_])
        assert verdict.status is Status.WARNING
        assert verdict.found.endswith(f"what differs: {what}")


def test_masks_and_settings_of_the_user_reach_the_analysis(
    who: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = tmp_path / "late.nii.gz"
    drawn = phantom(replace(LATE, consolidation=(), **GRID))
    scan = who.analyses["late"].scan
    mask.write_bytes(mask_bytes(drawn.lungs, scan.geometry))
    asked = []

    def analyzed(scan: Scan, config: AnalyzeConfig, **given: Any) -> CaseResult:
        asked.append((config, given["lungs"]))
        return analyze(scan, config, lungs=given["lungs"], lobes=given["lobes"])

    monkeypatch.setattr(cli_compare_run, "analyze", analyzed)
    arguments = [*who.scans.values(), "--lungs", "-", "--lungs", mask, "--config", who.config]
    found = told([*arguments, "--result", who.results["early"], "--lungs-convention", "sides"])
    ((config, lungs),) = asked
    assert config == RULE
    assert np.array_equal(lungs.labels, drawn.lungs)
    late = found["scans"][1]
    assert late["lungs"] == "external: sides"
    assert late["lung_ml"] == pytest.approx(drawn.truth["lungs_ml"], rel=0.02)
    assert "lungs by" in settings_of(found)["found"]


def refused(arguments: list[object], code: int, complaint: str) -> None:
    done = CliRunner().invoke(app, ["compare", *(str(a) for a in arguments), "--json"])
    assert done.exit_code == code, done.output
    assert complaint in " ".join(done.stderr.replace("│", " ").split())
    assert "4711" not in done.stderr


def test_what_contradicts_itself_is_refused(who: Patient, tmp_path: Path) -> None:
    scans: list[object] = [who.scans["early"], who.scans["late"]]
    results: list[object] = ["--result", who.results["early"], "--result", who.results["late"]]
    refused([*scans, *results, "--config", who.config], 1, "would change nothing")
    refused([*scans, "--lungs", "a.nii.gz"], 2, "once for each of the 2 scans")
    refused([*scans, "--lungs-convention", "sides"], 2, "give both")
    refused([*scans, "--config", tmp_path / "none.json"], 2, "cannot be read")
    refused([*scans, *results[:2], "--lungs", "a", "--lungs", "-"], 1, "scan 1 has an earlier")
    refused([*scans, *results[:2], *results[:2]], 1, "two results")
    inside = who.results["early"] / "inside"
    refused([*scans, *results, "-o", inside], 1, "inside an input folder")


def test_results_of_other_scans_are_refused(who: Patient) -> None:
    early, late = (read_scan(who.scans[name]) for name in ("early", "late"))
    own = read_earlier(who.results["early"])
    assert match_earlier([own], [late, early]) == [None, own]
    with pytest.raises(IdentityError, match="of none of the scans"):
        match_earlier([own], [late])
    resaved = replace(early, provenance=replace(early.provenance, sha256="0" * 64))
    assert match_earlier([own], [late, resaved]) == [None, own]  # by its series UID
    verdict = next(one for one in restore(own, resaved).verdicts if one.check == "earlier_result")
    assert verdict.status is Status.NOTE
    assert "not the bytes" in verdict.found


def test_masks_and_numbers_that_do_not_belong_together_are_refused(
    who: Patient, tmp_path: Path
) -> None:
    scan, result = read_scan(who.scans["early"]), who.results["early"]
    grid = scan.geometry
    fewer = replace(
        grid, shape=(grid.shape[0] - 1, *grid.shape[1:]), origins_mm=grid.origins_mm[:-1]
    )
    smaller = Scan(scan.voxels[:-1], fewer, scan.intensity)
    with pytest.raises(GridMismatchError, match="voxels and its scan"):
        restore(read_earlier(result), smaller)
    edited = changed(result, tmp_path / "edited")
    shutil.copy(edited / "lungs.nii.gz", edited / "infection.nii.gz")
    with pytest.raises(GridMismatchError, match=r"mask 'infection'.*changed since"):
        restore(read_earlier(edited), scan)
    (edited / "lungs.nii.gz").unlink()
    with pytest.raises(ReadError, match=r"lacks lungs\.nii\.gz"):
        restore(read_earlier(edited), scan)
    moved = replace(scan.geometry, origins_mm=scan.geometry.origins_mm + 400.0)
    with pytest.raises(GridMismatchError):
        restore(read_earlier(result), replace(scan, geometry=moved))
    part = json.loads((result / "result.json").read_text())["scan"]
    shown = changed(result, tmp_path / "shown", scan=part | {"intensity": "display"})
    with pytest.raises(UncalibratedError, match="pictures"):
        restore(read_earlier(shown), scan)


def test_folders_that_are_no_result_are_refused(who: Patient, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="as analyze writes"):
        read_earlier(who.scans["early"])
    result = who.results["early"]
    with pytest.raises(ReadError, match="another version"):
        read_earlier(changed(result, tmp_path / "a", more=1))
    odd = changed(result, tmp_path / "b")
    (odd / "config.json").write_text('{"gone": 1}')
    with pytest.raises(ReadError, match=r"of another version; analyze anew .*gone"):
        read_earlier(odd)
    refusal = changed(result, tmp_path / "c")
    text = refusal_document(ReadError("no")).to_json()
    (refusal / "result.json").write_text(text)
    with pytest.raises(ReadError, match="refusal"):
        read_earlier(refusal)


def test_uneven_slices_are_taken_up_by_their_own_grid(tmp_path: Path) -> None:
    chest = replace(EARLY, consolidation=(), **GRID)
    kept = [i for i in range(chest.shape[0]) if i not in (12, 13, 20)]
    scan = phantom(chest, keep=kept).scan
    scan = replace(scan, provenance=replace(scan.provenance, sha256="1" * 64))
    was = analyze(scan, RULE)
    write_case(was, tmp_path / "out")
    own = read_earlier(tmp_path / "out")
    assert match_earlier([own], [scan]) == [own]
    found = restore(own, scan)
    assert (found.lungs.labels == was.lungs.labels).mean() > 0.999
    later = replace(was, provenance=replace(was.provenance, sha256="2" * 64))
    changes = compare([found, later], [PATIENT, LATER], register="none").visits[1].since_first
    assert changes is not None
    assert changes.percent["total"].by == pytest.approx(0, abs=0.001)


def test_given_lobes_stay_given(tmp_path: Path) -> None:
    drawn = phantom(replace(EARLY, consolidation=(), **GRID))
    scan = replace(drawn.scan, provenance=replace(drawn.scan.provenance, sha256="1" * 64))
    lobes = np.where(drawn.lungs == 2, 1, np.where(drawn.lungs == 1, 3, 0)).astype(np.uint8)
    given = LobeMask(lobes, scan.geometry, "external: lungmask-lobes")
    was = analyze(scan, RULE, lobes=given)
    write_case(was, tmp_path / "out")
    found = restore(read_earlier(tmp_path / "out"), scan)
    assert found.lobes is not None
    assert found.lobes.method == given.method
    assert np.array_equal(found.lobes.labels, lobes)
