from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from groundglass.core.results import CaseResult, Prediction
from groundglass.dicomout import check, export, pdf
from groundglass.dicomout.check import read_numbers
from groundglass.dicomout.export import Exported, write_dicom
from groundglass.dicomout.numbers import coded_numbers
from groundglass.dicomout.seg import SegKind, segments
from groundglass.dicomout.source import Source, open_source
from groundglass.errors import ExportError
from groundglass.readers.options import ReadOptions
from groundglass.readers.read import read_scan
from groundglass.writers.document import EstimatePart
from groundglass.writers.summary import result_document
from tests.cases import volume_case
from tests.exports import (
    LAYOUTS,
    SHAPE,
    axial,
    case_on,
    names_in,
    pattern,
    read_case,
    result_folder,
)
from tests.series import make_slices, save

pytestmark = pytest.mark.filterwarnings("ignore")
DEFAULT = ReadOptions()


@pytest.fixture(autouse=True)
def quick_pdf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a few bytes in the place of the PDF where a test is not about it; that costs seconds."""
    if "exported" not in request.fixturenames:
        monkeypatch.setattr(export, "render_pdf", lambda _: b"%PDF-1.7 odd")


def source_of(series: Path, case: CaseResult) -> Source:
    return open_source(series, case.scan, DEFAULT)


def export_of(
    series: Path, out: Path, kind: SegKind = SegKind.BINARY, case: CaseResult | None = None
) -> tuple[CaseResult, Exported]:
    case = case or read_case(series)
    result_folder(case, out)
    source = source_of(series, case)
    return case, write_dicom(case, result_document(case), source, out, kind)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseResult, Path, Path]:
    """One export of an axial series: the result, the series and the folder of the objects."""
    folder = tmp_path_factory.mktemp("export")
    series = axial(folder / "series")
    case, _ = export_of(series, folder / "out")
    return case, series, folder / "out" / "dicom"


def test_every_kind_of_object_is_written(exported: tuple[CaseResult, Path, Path]) -> None:
    pytest.importorskip("weasyprint")
    names = names_in(exported[2])
    assert names[-3:] == ["report.dcm", "seg.dcm", "sr.dcm"]
    assert names[:2] == ["overlay/0001.dcm", "overlay/0002.dcm"]
    assert [path.name for path in exported[2].parent.iterdir()].count("dicom") == 1
    assert not list(exported[2].parent.glob(".dicom-*"))


def test_each_object_is_a_new_series_of_the_same_study(
    exported: tuple[CaseResult, Path, Path],
) -> None:
    _, series, folder = exported
    first = pydicom.dcmread(next(series.iterdir()))
    written = [pydicom.dcmread(folder / name) for name in names_in(folder)]
    for dataset in written:
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "StudyDate", "StudyID"):
            assert dataset[keyword].value == first[keyword].value
        assert "research use only" in dataset.SeriesDescription
        assert len(dataset.SeriesDescription) <= 64
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    kinds = Counter((dataset.Modality, dataset.SeriesInstanceUID) for dataset in written)
    assert sorted(modality for modality, _ in kinds) == ["DOC", "OT", "SEG", "SR"]
    assert first.SeriesInstanceUID not in {uid for _, uid in kinds}
    assert len({dataset.SOPInstanceUID for dataset in written}) == len(written)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, SegKind.BINARY) for name in LAYOUTS),
        ("sagittal", SegKind.LABELMAP),
        ("enhanced", SegKind.LABELMAP),
    ],
)
def test_voxels_come_back_wherever_the_slices_lie(name: str, kind: SegKind, tmp_path: Path) -> None:
    case, made = export_of(LAYOUTS[name](tmp_path / "series"), tmp_path / "out", kind)
    assert len(made.files) > 3
    path = tmp_path / "out" / "dicom" / "seg.dcm"
    parts = segments(kind)
    found = check.read_segments(pydicom.dcmread(path), len(parts), case)
    for voxels, part in zip(found, parts, strict=True):
        assert voxels.any()
        assert np.array_equal(voxels, part.mask(case))
    if case.scan.geometry.is_regular:
        assert_another_library_agrees(path, kind, case)


def assert_another_library_agrees(path: Path, kind: SegKind, case: CaseResult) -> None:
    seg = highdicom.seg.segread(path)
    inverse = np.linalg.inv(case.scan.geometry.affine)
    for number, part in enumerate(segments(kind), 1):
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        to_grid = inverse @ volume.affine
        at = np.argwhere(volume.array > 0) @ to_grid[:3, :3].T + to_grid[:3, 3]
        assert np.abs(at - np.rint(at)).max() < 1e-3
        there = np.zeros(case.scan.shape, bool)
        there[tuple(np.rint(at).astype(int).T)] = True
        assert np.array_equal(there, part.mask(case))


def test_labelmap_segments_add_up_to_the_masks(tmp_path: Path) -> None:
    case = read_case(axial(tmp_path / "series"))
    parts = {part.label: part.mask(case) for part in segments(SegKind.LABELMAP)}
    assert np.sum(list(parts.values()), axis=0).max() == 1
    right = np.any([m for label, m in parts.items() if "right" in label.lower()], axis=0)
    assert np.array_equal(right, case.lungs.labels == 1)
    glass = np.any([m for label, m in parts.items() if "Ground" in label], axis=0)
    assert np.array_equal(glass, case.infection.labels == 1)


def test_numbers_of_the_report_are_those_of_the_document(
    exported: tuple[CaseResult, Path, Path],
) -> None:
    case, _, folder = exported
    document = result_document(case)
    rows = {(row[0], row[1]): row for row in read_numbers(pydicom.dcmread(folder / "sr.dcm"))}
    assert document.infection is not None
    assert document.lungs is not None
    share = rows["Both lungs", "Infected share of volume"]
    assert share[3] == document.infection.percent.total
    assert share[4:] == pytest.approx(document.infection.interval_percent)
    assert rows["Right lung", "Volume"][2:4] == ("mL", document.lungs.volume_ml.right)
    assert rows["Severity", "CT severity score, 0 to 25"][3:] == pytest.approx((4, 3, 5))
    assert rows["Lower third of both lungs", "Infected share of volume"][3] == 1.5
    assert len(rows) == sum(len(group.numbers) for group in coded_numbers(document)) > 25


def test_the_report_names_rules_model_and_hash(exported: tuple[CaseResult, Path, Path]) -> None:
    report = pydicom.dcmread(exported[2] / "sr.dcm")
    text = " ".join(str(e.value) for e in report.iterall() if e.keyword == "TextValue")
    assert "published bands, five regions" in text
    assert "ab" * 32 in text
    assert "some-net" in text
    seg = pydicom.dcmread(exported[2] / "seg.dcm")
    lesion = seg.SegmentSequence[2].SegmentationAlgorithmIdentificationSequence[0]
    assert lesion.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    assert lesion.AlgorithmName == "by hand"


def test_the_report_opens_as_template_1500(exported: tuple[CaseResult, Path, Path]) -> None:
    report: Any = highdicom.sr.srread(exported[2] / "sr.dcm").content
    lungs = report.get_volumetric_roi_measurement_groups()
    assert len(lungs) == 4
    assert {group.reference_type.meaning for group in lungs} == {"Referenced Segment"}


def test_classifiers_are_told_too() -> None:
    said = Prediction("net", "covid", {"covid": 0.75, "other": 0.25}, "trained on few")
    groups = coded_numbers(result_document(volume_case(predictions=(said,))))
    told = [group for group in groups if group.title.startswith("Classifier")]
    assert [group.numbers[0].value for group in told] == [0.75, 0.25]
    assert "trained on few" in told[0].numbers[0].rule[1]


def test_other_estimates_keep_their_own_ranges() -> None:
    document = result_document(volume_case())
    assert document.infection is not None
    part = EstimatePart(
        method="regression",
        model="net",
        percent=7.5,
        interval_percent=[5.0, 9.0],
        note="by slice",
        slices_percent=[],
    )
    unknown = part.model_copy(update={"percent": None})
    infection = document.infection.model_copy(update={"estimates": [part, unknown]})
    groups = coded_numbers(document.model_copy(update={"infection": infection}))
    told = [group for group in groups if group.title.startswith("Other estimate")]
    assert [group.title for group in told] == ["Other estimate 1: regression"]
    number = told[0].numbers[0]
    assert (number.value, number.low, number.high) == (7.5, 5.0, 9.0)
    assert number.rule == ("net", "by slice")


def test_overlays_say_where_they_lie(exported: tuple[CaseResult, Path, Path]) -> None:
    case, series, folder = exported
    sources = {pydicom.dcmread(path).SOPInstanceUID: path for path in series.iterdir()}
    for path in sorted((folder / "overlay").iterdir()):
        overlay = pydicom.dcmread(path)
        named = overlay.SourceImageSequence[0].ReferencedSOPInstanceUID
        behind = pydicom.dcmread(sources[named])
        assert float(overlay.ImagePositionPatient[2]) == float(behind.ImagePositionPatient[2])
        assert overlay.PatientOrientation == ["L", "P"]
        assert overlay.pixel_array.shape[2] == 3
    assert len(list((folder / "overlay").iterdir())) == case.scan.shape[0] - 2


def test_a_frame_of_a_multi_frame_file_is_named(tmp_path: Path) -> None:
    export_of(LAYOUTS["enhanced"](tmp_path / "series"), tmp_path / "out")
    whole = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    overlay = pydicom.dcmread(tmp_path / "out" / "dicom" / "overlay" / "0001.dcm")
    frame = overlay.SourceImageSequence[0].ReferencedFrameNumber
    groups = whole.PerFrameFunctionalGroupsSequence[frame - 1]
    place = groups.PlanePositionSequence[0].ImagePositionPatient
    assert float(overlay.ImagePositionPatient[2]) == float(place[2])


@pytest.mark.parametrize(
    ("name", "charset"), [("Müller^Jörg", "ISO_IR 100"), ("山田^太郎", "ISO_IR 192")]
)
def test_names_keep_their_letters_and_missing_attributes_are_filled(
    name: str, charset: str, tmp_path: Path
) -> None:
    datasets = make_slices(pattern(SHAPE), SpecificCharacterSet=charset, PatientName=name)
    for dataset in datasets:
        del dataset.PatientBirthDate, dataset.StudyTime, dataset.ReferringPhysicianName
    export_of(save(datasets, tmp_path / "series"), tmp_path / "out")
    for path in (tmp_path / "out" / "dicom").rglob("*.dcm"):
        written = pydicom.dcmread(path)
        assert str(written.PatientName) == name
        assert written.PatientBirthDate == written.StudyTime == ""


def test_values_that_break_the_standard_are_passed_on(tmp_path: Path) -> None:
    series = axial(tmp_path / "series")
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.add_new("PatientAge", "AS", "39")
        dataset.StudyDescription = "x" * 70
        dataset.save_as(path)
    _, made = export_of(series, tmp_path / "out")
    assert len(made.files) > 3


def test_slices_dropped_by_the_reader_are_left_out(tmp_path: Path) -> None:
    series = axial(tmp_path / "series")
    scan = read_scan(series)
    kept = [i for i in range(scan.shape[0]) if i != 4]
    grid = replace(
        scan.geometry, shape=(11, *scan.shape[1:]), origins_mm=scan.geometry.origins_mm[kept]
    )
    case = case_on(replace(scan, voxels=scan.voxels[kept], geometry=grid))
    _, made = export_of(series, tmp_path / "out", case=case)
    assert len(made.files) > 3


def test_an_archive_is_a_source_too(tmp_path: Path) -> None:
    series = axial(tmp_path / "series")
    archive = Path(shutil.make_archive(str(tmp_path / "series"), "zip", series))
    _, made = export_of(archive, tmp_path / "out")
    assert len(made.files) > 3


def test_a_voxel_that_does_not_come_back_is_noticed(
    exported: tuple[CaseResult, Path, Path], tmp_path: Path
) -> None:
    case, series, folder = exported
    seg = pydicom.dcmread(folder / "seg.dcm")
    pixels = bytearray(seg.PixelData)
    pixels[100] ^= 1
    seg.PixelData = bytes(pixels)
    seg.save_as(tmp_path / "seg.dcm")
    with pytest.raises(ExportError, match="1 voxels of 'Right lung' are not as they were found"):
        check.check_seg(
            tmp_path / "seg.dcm",
            segments(SegKind.BINARY),
            case,
            source_of(series, case),
            seg.SeriesInstanceUID,
        )


def test_a_number_that_does_not_come_back_is_noticed(
    exported: tuple[CaseResult, Path, Path],
) -> None:
    case, series, folder = exported
    report = pydicom.dcmread(folder / "sr.dcm")
    groups = coded_numbers(result_document(case))
    first, *rest = groups
    wrong = replace(first, numbers=(replace(first.numbers[0], value=1.0), *first.numbers[1:]))
    source = source_of(series, case)
    seg_uid = pydicom.dcmread(folder / "seg.dcm").SOPInstanceUID
    uid = report.SeriesInstanceUID
    check.check_sr(folder / "sr.dcm", groups, source, uid, seg_uid)
    with pytest.raises(ExportError, match="not as they were measured: Volume"):
        check.check_sr(folder / "sr.dcm", [wrong, *rest], source, uid, seg_uid)
    with pytest.raises(ExportError, match="another segmentation"):
        check.check_sr(folder / "sr.dcm", groups, source, uid, "1.2.3")
    with pytest.raises(ExportError, match="another series"):
        check.check_sr(folder / "sr.dcm", groups, source, "1.2.3", seg_uid)


def test_a_picture_at_a_wrong_place_is_noticed(
    exported: tuple[CaseResult, Path, Path], tmp_path: Path
) -> None:
    case, series, folder = exported
    overlay = pydicom.dcmread(folder / "overlay" / "0002.dcm")
    overlay.ImagePositionPatient[2] = float(overlay.ImagePositionPatient[2]) + 5
    overlay.save_as(tmp_path / "moved.dcm")
    with pytest.raises(ExportError, match="does not show what lies at its place"):
        check.check_captures(
            [tmp_path / "moved.dcm"], case, source_of(series, case), overlay.SeriesInstanceUID
        )


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = axial(tmp_path / "series")
    case = read_case(series)

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(export, "build_captures", fail)
    with pytest.raises(ExportError, match=r"cannot be made from this series \(RuntimeError\)"):
        export_of(series, tmp_path / "out", case=case)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_without_the_pdf_library_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "find_spec", lambda _: None)
    monkeypatch.setattr(export, "render_pdf", pdf.render_pdf)
    _, made = export_of(axial(tmp_path / "series"), tmp_path / "out")
    assert made.notes == (pdf.NO_WEASYPRINT,)
    assert "pip install 'groundglass[pdf]'" in made.notes[0]
    assert "report.dcm" not in names_in(tmp_path / "out" / "dicom")
    assert {"seg.dcm", "sr.dcm"} <= set(names_in(tmp_path / "out" / "dicom"))


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: dicom3tools, dcmtk)")
    return found


def test_dciodvfy_finds_no_error(exported: tuple[CaseResult, Path, Path]) -> None:
    command = tool("dciodvfy")
    for name in names_in(exported[2]):
        done = subprocess.run(
            [command, "-new", exported[2] / name], capture_output=True, text=True, check=False
        )
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == [], name


def test_dcmtk_reads_the_objects(exported: tuple[CaseResult, Path, Path]) -> None:
    command = tool("dcmdump")
    for name in names_in(exported[2]):
        subprocess.run([command, "-q", exported[2] / name], capture_output=True, check=True)
    done = subprocess.run(
        [tool("dsrdump"), exported[2] / "sr.dcm"], capture_output=True, text=True, check=True
    )
    assert "Comprehensive 3D SR Document" in done.stdout
    assert '"Infected share of volume")="3.457"' in done.stdout


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("patient", ["P001", "cap001", "normal001"])
def test_real_series_come_back_to_the_voxel(patient: str, data: Path, tmp_path: Path) -> None:
    series = next((data / "covid-ct-md").glob(f"*/{patient}"))
    case, made = export_of(series, tmp_path / "out")
    assert len(made.files) > 40
    seg = pydicom.dcmread(tmp_path / "out" / "dicom" / "seg.dcm")
    found = check.read_segments(seg, 4, case)
    different = [
        int((voxels != part.mask(case)).sum())
        for voxels, part in zip(found, segments(SegKind.BINARY), strict=True)
    ]
    assert different == [0, 0, 0, 0]
