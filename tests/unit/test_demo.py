from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from groundglass import cli_demo, demo
from groundglass.cli import app
from groundglass.core.progress import Progress
from groundglass.demo import SERIES_FOLDER, run_demo
from groundglass.errors import ExportError
from groundglass.phantom import Chest, build_chest
from groundglass.phantom_dicom import slice_dataset, write_series
from groundglass.writers.folder import FILES

SMALL = Chest(shape=(54, 96, 96), spacing_mm=(5.0, 3.75, 3.75))
runner = CliRunner()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[demo.Demo, Path, list[Progress]]:
    out = tmp_path_factory.mktemp("demo")
    told: list[Progress] = []
    return run_demo(out, told.append, SMALL), out, told


def test_measured_stands_beside_truth(done: tuple[demo.Demo, Path, list[Progress]]) -> None:
    rows = {row.name: row for row in done[0].rows}
    assert rows["Both lungs"].truth == pytest.approx(SMALL.lungs_ml)
    for name in ("Both lungs", "Right lung", "Left lung"):
        assert rows[name].measured == pytest.approx(rows[name].truth, rel=0.05)
    assert rows["Infected"].measured == pytest.approx(rows["Infected"].truth, rel=0.5)
    assert {row.unit for row in done[0].rows} == {"ml", "%"}


def test_the_demo_leaves_series_and_result(done: tuple[demo.Demo, Path, list[Progress]]) -> None:
    found, out, told = done
    assert len(list((out / SERIES_FOLDER).iterdir())) == SMALL.shape[0]
    assert {path.name for path in out.iterdir()} == {*FILES, SERIES_FOLDER}
    assert found.report.is_absolute()
    assert found.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert told[0].stage == "making the phantom"


def test_a_demo_can_be_repeated_but_replaces_no_other_result(
    done: tuple[demo.Demo, Path, list[Progress]], tmp_path: Path
) -> None:
    run_demo(done[1], chest=SMALL)
    (tmp_path / "result.json").write_text("theirs")
    with pytest.raises(ExportError, match="already holds"):
        run_demo(tmp_path, chest=SMALL)
    assert (tmp_path / "result.json").read_text() == "theirs"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / SERIES_FOLDER).write_text("a file")
    with pytest.raises(ExportError, match="the phantom cannot be written"):
        run_demo(tmp_path, chest=SMALL)


def test_the_command_prints_the_comparison(
    done: tuple[demo.Demo, Path, list[Progress]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli_demo, "run_demo", lambda *_: done[0])
    result = runner.invoke(app, ["demo", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0
    for words in ("Truth beside measured", "Both lungs", "Report to open:", str(done[0].report)):
        assert words in result.stdout, words

    def fail(*_: object) -> demo.Demo:
        msg = "the disk is full"
        raise ExportError(msg)

    monkeypatch.setattr(cli_demo, "run_demo", fail)
    result = runner.invoke(app, ["demo"])
    assert result.exit_code == 1
    assert result.stderr == "The demo failed: the disk is full.\n"


def test_the_phantom_is_a_proper_series(tmp_path: Path) -> None:
    scan = build_chest(SMALL)
    files = write_series(scan, tmp_path / "series")
    headers = [pydicom.dcmread(path) for path in files]
    assert len({str(header.SOPInstanceUID) for header in headers}) == len(files)
    assert len({str(header.SeriesInstanceUID) for header in headers}) == 1
    heights = [float(header.ImagePositionPatient[2]) for header in headers]
    assert heights == sorted(heights)
    first = headers[-1]
    hu = first.pixel_array.astype(int) * int(first.RescaleSlope) + int(first.RescaleIntercept)
    assert (hu == scan.hu()[0]).all()
    again = slice_dataset(scan, 0, len(files))
    assert again.SOPInstanceUID == first.SOPInstanceUID


def test_the_result_of_a_demo_is_a_document(
    done: tuple[demo.Demo, Path, list[Progress]],
) -> None:
    document = json.loads((done[1] / "result.json").read_text(encoding="utf-8"))
    assert document["scan"]["modality"] == "CT"
    assert document["provenance"]["input_sha256"]
