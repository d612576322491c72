"""DICOM objects are refused, replaced and asked for as a user would see it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from groundglass import cli_analyze
from groundglass.dicomout import export, pdf
from groundglass.dicomout.source import open_source
from groundglass.errors import ExportError
from groundglass.pipeline import AnalyzeConfig
from groundglass.readers.options import ReadOptions
from groundglass.writers.folder import write_case
from tests.cases import volume_case
from tests.exports import SHAPE, axial, case_on, names_in, pattern, read_case
from tests.series import SECRETS, make_slices, save

pytestmark = pytest.mark.filterwarnings("ignore")
DEFAULT = ReadOptions()


@pytest.fixture(autouse=True)
def quick_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a few bytes in the place of the PDF, which costs seconds."""
    monkeypatch.setattr(export, "render_pdf", lambda _: b"%PDF-1.7 odd")


def refused(spoil: Callable[[Dataset, int], object], tmp_path: Path) -> str:
    datasets = make_slices(pattern(SHAPE))
    for number, dataset in enumerate(datasets):
        spoil(dataset, number)
    series = save(datasets, tmp_path / "series")
    with pytest.raises(ExportError) as caught:
        open_source(series, read_case(series).scan, DEFAULT)
    return str(caught.value)


def put(keyword: str, value: Any) -> Callable[[Dataset, int], object]:
    return lambda dataset, _: setattr(dataset, keyword, value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (put("FrameOfReferenceUID", ""), "12 of 12 files have a frame of reference UID that is"),
        (put("SOPInstanceUID", ""), "an instance UID that is missing or invalid"),
        (put("StudyInstanceUID", "study of Jane"), "a study UID that is missing or invalid"),
        (put("SOPInstanceUID", "1.2.3.4"), "instance UIDs that repeat"),
        (lambda d, i: setattr(d, "FrameOfReferenceUID", f"1.2.3.{i}"), "more than a frame of"),
        (lambda d, i: setattr(d, "StudyInstanceUID", f"1.2.3.{i // 6}"), "more than a study UID"),
    ],
)
def test_slices_that_cannot_be_referred_to_are_refused(
    spoil: Callable[[Dataset, int], object], words: str, tmp_path: Path
) -> None:
    said = refused(spoil, tmp_path)
    assert words in said
    assert "groundglass deidentify" in said
    assert not any(secret in said for secret in (*SECRETS, "Jane"))


def test_slices_without_a_place_and_other_objects_are_refused(tmp_path: Path) -> None:
    gone = lambda dataset, _: delattr(dataset, "ImagePositionPatient")  # noqa: E731
    assert "say where they lie" in refused(gone, tmp_path / "a")
    capture = put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    assert "another kind of object" in refused(capture, tmp_path / "b")


def test_other_formats_are_refused_with_a_way_on() -> None:
    case = volume_case()
    scan = replace(case.scan, provenance=replace(case.scan.provenance, source_format="nifti"))
    with pytest.raises(ExportError, match="the input is nifti; analyze the original DICOM"):
        open_source(Path("x.nii.gz"), scan, DEFAULT)


def test_files_that_went_or_changed_are_noticed(tmp_path: Path) -> None:
    series = axial(tmp_path / "series")
    case = read_case(series)
    next(series.iterdir()).unlink()
    with pytest.raises(ExportError, match="changed while"):
        open_source(series, case.scan, DEFAULT)
    shutil.rmtree(series)
    series.mkdir()
    with pytest.raises(ExportError, match="cannot be found again"):
        open_source(series, case.scan, DEFAULT)


def test_a_new_result_takes_the_old_objects_away(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_case(volume_case(), out)
    (out / "dicom" / "overlay").mkdir(parents=True)
    (out / "dicom" / "seg.dcm").write_bytes(b"old")
    with pytest.raises(ExportError, match=r"already holds .*dicom"):
        write_case(volume_case(), out)
    write_case(volume_case(), out, force=True)
    assert not (out / "dicom").exists()


def test_a_folder_of_others_is_never_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "dicom").mkdir(parents=True)
    (out / "dicom" / "mine.dcm").write_bytes(b"mine")
    with pytest.raises(ExportError, match="files of others"):
        write_case(volume_case(), out, force=True)
    assert (out / "dicom" / "mine.dcm").read_bytes() == b"mine"


def request(series: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> cli_analyze.Request:
    """Return a request whose analysis costs nothing."""
    monkeypatch.setattr(cli_analyze, "analyze", lambda scan, *_, **__: case_on(scan))
    settings = AnalyzeConfig()
    return cli_analyze.Request(series, out, settings, DEFAULT, quiet=True, dicom="binary")


def test_the_command_writes_the_objects_beside_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = request(axial(tmp_path / "series"), tmp_path / "out", monkeypatch)
    assert cli_analyze.run(asked) == 0
    assert capsys.readouterr().err == ""
    assert "seg.dcm" in names_in(tmp_path / "out" / "dicom")
    assert cli_analyze.run(replace(asked, force=True)) == 0
    assert not list((tmp_path / "out").glob(".dicom-*"))


def test_the_command_says_why_there_are_no_objects_and_keeps_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = make_slices(pattern(SHAPE), FrameOfReferenceUID="")
    series = save(datasets, tmp_path / "series")
    asked = request(series, tmp_path / "out", monkeypatch)
    assert cli_analyze.run(asked) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("Analyzed, but no DICOM was written: DICOM results must refer to")
    assert (tmp_path / "out" / "result.json").exists()
    assert not (tmp_path / "out" / "dicom").exists()

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("groundglass.dicomout.source.open_source", fail)
    assert cli_analyze.run(replace(asked, force=True)) == 1
    assert "more memory" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").exists()


def test_a_pdf_opens_no_file(tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")
    from PIL import Image

    Image.new("RGB", (200, 200), "red").save(tmp_path / "secret.png")
    plain = pdf.render_pdf("<p>text</p>")
    asked = pdf.render_pdf(f"<p>text</p><img src='{(tmp_path / 'secret.png').as_uri()}'>")
    assert plain.startswith(b"%PDF")
    assert b"/Image" not in asked
