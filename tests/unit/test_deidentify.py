from __future__ import annotations

import csv
import json
import re
import shutil
import stat
import subprocess
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from typer.testing import CliRunner

from groundglass.cli import app
from groundglass.deidentify.audit import Summary
from groundglass.deidentify.copy import PART_NAME
from groundglass.deidentify.journal import NAME
from groundglass.deidentify.rules import Keep, table
from groundglass.deidentify.run import Job, deidentify
from groundglass.errors import ExportError, ReadError
from groundglass.readers.read import read_scan
from tests.phi import IDENTIFIER, Marks, dates_left, element, marks_left, write_worst
from tests.series import SECRETS, block, compress, make_slices, save

runner = CliRunner()
ALL = frozenset(Keep)


def copies(out: Path) -> list[Path]:
    return sorted(out.rglob("*.dcm"))


def read(paths: list[Path]) -> list[Dataset]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the crafted originals
        return [pydicom.dcmread(path) for path in paths]


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Marks]:
    folder = tmp_path_factory.mktemp("worst") / "source"
    return folder, write_worst(folder)


@pytest.fixture(scope="module")
def basic(
    worst: tuple[Path, Marks], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("basic") / "out"
    return out, deidentify(Job(worst[0], out))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return save(make_slices(block((5, 64, 64))), tmp_path / "source")


def test_no_mark_of_the_worst_files_is_left(
    worst: tuple[Path, Marks], basic: tuple[Path, Summary]
) -> None:
    marks = worst[1]
    assert len(marks.where) > 4000
    originals = sorted(worst[0].rglob("*.dcm"))
    assert len(marks_left(originals, marks)) == len(marks.where)
    out, summary = basic
    assert (summary.written, summary.held, summary.faults) == (5, {}, {})
    assert marks_left(copies(out), marks) == {}
    names = [path.relative_to(out).as_posix().lower() for path in out.rglob("*")]
    told = ("zqname", "zqfirst", "zq-id", "id-4711", "1960-12-31")
    assert all(part in originals[0].as_posix().lower() for part in told)
    assert [name for name in names if any(part in name for part in told)] == []


def test_no_date_of_the_worst_files_is_left(worst: tuple[Path, Marks], tmp_path: Path) -> None:
    deidentify(Job(worst[0], tmp_path / "out", frozenset({Keep.DATES})))
    before = {
        str(d.SOPClassUID) + str(d.get("InstanceNumber")): d
        for d in read(sorted(worst[0].rglob("*.dcm")))
    }
    for after in read(copies(tmp_path / "out")):
        key = str(after.SOPClassUID) + str(after.get("InstanceNumber"))
        assert dates_left(before[key], after) == []
        assert after.LongitudinalTemporalInformationModified == "MODIFIED"


def test_every_row_of_the_table_is_in_the_audit(basic: tuple[Path, Summary]) -> None:
    document = basic[1].document()
    acted = {row["attribute"]: row["action"] for row in document["attributes"]}
    rows = [tag for tag in table() if tag >> 16 > 4 and tag >> 16 != 0xFFFA]
    names = [f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in rows]
    assert len(names) > 600
    assert [name for name in names if name not in acted] == []
    kept = {name for name in names if acted[name] == "kept"}
    assert kept <= {"(0008,1140)", "(0008,2112)"}  # references, mapped inside
    text = json.dumps(document)
    assert not re.search(r"ZQ\d|4711|1960", text)


def test_references_follow_their_objects(basic: tuple[Path, Summary]) -> None:
    slices = [d for d in read(copies(basic[0])) if d.SOPClassUID.endswith("1.1.2")]
    assert len(slices) == 3
    objects = {d.SOPInstanceUID for d in slices}
    assert len(objects) == 3
    assert {d.ReferencedImageSequence[0].ReferencedSOPInstanceUID for d in slices} == objects
    for attribute in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert len({d[attribute].value for d in slices}) == 1, attribute
    assert all(d.file_meta.MediaStorageSOPInstanceUID == d.SOPInstanceUID for d in slices)
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{10,38}", uid) for uid in objects)


def test_a_report_keeps_its_structure_and_no_text(basic: tuple[Path, Summary]) -> None:
    report = next(d for d in read(copies(basic[0])) if d.Modality == "SR")
    kinds = [item.ValueType for item in report.ContentSequence]
    assert kinds == ["TEXT", "PNAME", "UIDREF", "DATE", "CODE"]
    first = report.ContentSequence[0]
    assert first.TextValue == "REMOVED"
    assert first.ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert len(first.ContentSequence) == 0  # it said who the subject is
    methods = [item.CodeValue for item in report.DeidentificationMethodCodeSequence]
    assert methods == ["113100", "113104"]


def test_image_and_geometry_stay(series: Path, tmp_path: Path) -> None:
    before = read_scan(series)
    summary = deidentify(Job(series, tmp_path / "out", ALL))
    after = read_scan(tmp_path / "out")
    assert summary.written == 5
    assert np.array_equal(before.voxels, after.voxels)
    assert np.allclose(before.geometry.origins_mm, after.geometry.origins_mm)
    assert before.geometry.row_mm == after.geometry.row_mm


def test_type_two_attributes_are_emptied_not_deleted(series: Path, tmp_path: Path) -> None:
    deidentify(Job(series, tmp_path / "out"))
    for dataset in read(copies(tmp_path / "out")):
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                        "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
            assert keyword in dataset
            assert not dataset[keyword].value
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        assert dataset.PatientID.startswith("GG-")


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.5",
        DeflatedExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ],
)
def test_pixel_data_stay_byte_for_byte(syntax: str, tmp_path: Path) -> None:
    slices = make_slices(block((2, 64, 64)))
    for dataset in slices:
        compress(dataset, syntax)
    source = save(slices, tmp_path / "source")
    assert deidentify(Job(source, tmp_path / "out")).written == 2
    before = {int(d.InstanceNumber): d for d in read(sorted(source.iterdir()))}
    for after in read(copies(tmp_path / "out")):
        assert after.file_meta.TransferSyntaxUID == syntax
        assert after.PixelData == before[int(after.InstanceNumber)].PixelData
    assert np.array_equal(read_scan(source).voxels, read_scan(tmp_path / "out").voxels)


def test_same_key_same_pseudonyms_other_key_others(series: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    for name, file in (("a", key), ("b", key), ("c", tmp_path / "other")):
        deidentify(Job(series, tmp_path / name, frozenset({Keep.DATES}), key=file))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    one, other = (read(copies(tmp_path / name))[0] for name in "ac")
    assert one.PatientID != other.PatientID
    assert one.StudyDate != other.StudyDate
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_dates_keep_their_distance(tmp_path: Path) -> None:
    slices = make_slices(block((2, 64, 64)))
    slices[0].StudyDate, slices[0].StudyTime = "20200228", "235959"
    slices[1].StudyDate, slices[1].StudyTime = "20200301", "000001"
    for dataset, age in zip(slices, ("093Y", "045Y"), strict=True):
        dataset.PatientAge = age
    source = save(slices, tmp_path / "source")
    deidentify(Job(source, tmp_path / "out", frozenset({Keep.DATES, Keep.AGE_SEX})))
    first, second = sorted(read(copies(tmp_path / "out")), key=lambda d: d.InstanceNumber)
    moments = [np.datetime64(f"{d.StudyDate[:4]}-{d.StudyDate[4:6]}-{d.StudyDate[6:]}T"
                             f"{d.StudyTime[:2]}:{d.StudyTime[2:4]}:{d.StudyTime[4:6]}")
               for d in (first, second)]  # fmt: skip
    assert moments[1] - moments[0] == np.timedelta64(24 * 3600 + 2, "s")
    assert not first.PatientBirthDate
    assert (first.PatientAge, first.PatientSex) == ("090Y", "O")
    assert second.PatientAge == "045Y"
    codes = [item.CodeValue for item in first.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113108", "113107"]


def test_descriptions_lose_the_words_that_name_somebody(tmp_path: Path) -> None:
    slices = make_slices(block((1, 64, 64)))
    slices[0].PatientName = "Sharp^Anna"
    slices[0].SeriesDescription = "ThorRoutine  2.0  D40s Sharp Dr. Miller"
    slices[0].StationName, slices[0].DeviceSerialNumber = "CTROOM7", "93005"
    source = save(slices, tmp_path / "source")
    deidentify(Job(source, tmp_path / "out", frozenset({Keep.DESCRIPTIONS, Keep.DEVICE})))
    (after,) = read(copies(tmp_path / "out"))
    assert after.SeriesDescription == "Thor Routine 2.0 D40s"
    assert (after.StationName, after.DeviceSerialNumber) == ("CTROOM7", "93005")


def test_broken_identifiers_are_mended(tmp_path: Path) -> None:
    slices = make_slices(block((4, 64, 64)))
    source = tmp_path / "source"
    source.mkdir()
    for index, dataset in enumerate(slices):
        dataset.SOPInstanceUID = ""
        dataset.add(element(0x0020000D, "UI", "98C14734-0000-4000-8000-000000000000"))
        dataset.add(element(0x0020000E, "UI", "not a UID"))
        del dataset.FrameOfReferenceUID
        dataset.save_as(source / str(index))
    summary = deidentify(Job(source, tmp_path / "out"))
    assert summary.written == 4
    found = read(copies(tmp_path / "out"))
    assert len({d.SOPInstanceUID for d in found}) == 4
    for dataset in found:
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
                        "FrameOfReferenceUID"):  # fmt: skip
            assert re.fullmatch(r"2\.25\.\d+", dataset[keyword].value), keyword


def test_a_name_in_another_attribute_is_found(series: Path, tmp_path: Path) -> None:
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.Manufacturer = "made for jane"
        dataset.save_as(path)
    deidentify(Job(series, tmp_path / "out"))
    assert {d.Manufacturer for d in read(copies(tmp_path / "out"))} == {"REMOVED"}


def test_originals_are_never_touched(series: Path, tmp_path: Path) -> None:
    before = digest(series)
    for out in (series, series / "inside", tmp_path):
        with pytest.raises(ExportError, match="outside"):
            deidentify(Job(series, out))
    with pytest.raises(ExportError, match="report must not lie in the source"):
        deidentify(Job(series, tmp_path / "out", report=series / "report.json"))
    job, inside = Job(series, tmp_path / "out"), tmp_path / "out" / "x"
    for telling in (replace(job, key=inside), replace(job, table=inside)):
        with pytest.raises(ExportError, match="who the patients are"):
            deidentify(telling)
    with pytest.raises(ReadError, match="does not exist"):
        deidentify(Job(tmp_path / "nothing", tmp_path / "out"))
    deidentify(Job(series, tmp_path / "out"))
    assert digest(series) == before


class _KilledError(BaseException):
    """Stands for a kill: nothing may catch it."""


def test_a_killed_run_goes_on_with_the_same_result(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(series, tmp_path / "out", frozenset({Keep.DATES}), key=tmp_path / "key")
    whole = deidentify(replace(job, out=tmp_path / "whole", report=tmp_path / "whole.json"))
    renamed: Iterator[int] = iter(range(100))
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if next(renamed) == 2:
            raise _KilledError
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(_KilledError):
            deidentify(job)
    assert len(copies(job.out)) == 2
    with (job.out / NAME).open("a") as journal:
        journal.write('{"mark": "cut o')
    (job.out / PART_NAME).write_bytes(b"half")
    copies(job.out)[0].write_bytes(b"damaged meanwhile")
    with pytest.raises(ExportError, match="--resume"):
        deidentify(job)
    with pytest.raises(ExportError, match="another key or other options"):
        deidentify(replace(job, keep=frozenset(), resume=True))
    again = deidentify(replace(job, resume=True, report=tmp_path / "again.json"))
    assert again.document() == whole.document()
    assert digest(job.out) == digest(tmp_path / "whole")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    with pytest.raises(ExportError, match="no unfinished run"):
        deidentify(replace(job, resume=True))
    with pytest.raises(ExportError, match="not empty"):
        deidentify(job)
    with pytest.raises(ExportError, match="only with its key"):
        deidentify(Job(series, tmp_path / "new", resume=True))


def test_archives_and_other_files(series: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in series.iterdir():
            file.write(path, f"{SECRETS[0]}/{path.name}.dcm")
        file.writestr("notes.txt", "Jane Doe")
        file.writestr("DICOM/deep/broken", bytes(128) + b"DICM" + b"\xff" * 50)
    summary = deidentify(Job(archive, tmp_path / "out"))
    assert summary.written == 5
    assert summary.left_out == {"not DICOM": 1}
    assert summary.held.total() == 1


def test_the_command_says_nothing_personal(series: Path, tmp_path: Path) -> None:
    named = series.rename(tmp_path / "Doe Jane")
    (named / "SECRET-ID-77.dcm").write_bytes((named / "0").read_bytes()[:600])
    out, report, known = tmp_path / "out", tmp_path / "audit.csv", tmp_path / "table.csv"
    result = runner.invoke(
        app,
        ["deidentify", str(named), str(out), "--keep", "age-sex", "--report", str(report),
         "--table", str(known)],
    )  # fmt: skip
    assert result.exit_code == 1
    assert "5 of 6 files written and verified: 1 patients, 1 studies, 1 series." in result.stdout
    assert "Held back: 1 files" in result.stderr
    for secret in (*SECRETS, "Doe", "Jane"):
        assert secret not in result.output
        assert secret not in report.read_text()
    rows = list(csv.DictReader(known.read_text().splitlines()))
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert {row["patient"] for row in rows} == {"SECRET-ID-77"}
    assert len(rows) == 5
    refused = runner.invoke(app, ["deidentify", str(named), str(out)])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Not de-identified: the destination is not empty")
    assert runner.invoke(app, ["deidentify", str(named), str(out), "--keep", "all"]).exit_code == 2


def dciodvfy_errors(path: Path) -> set[str]:
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run([tool, str(path)], capture_output=True, check=False)
    lines = done.stderr.decode("latin-1").splitlines()
    return {line for line in lines if line.startswith("Error")}


@pytest.mark.parametrize("keep", [frozenset(), ALL], ids=["basic", "all options"])
def test_dciodvfy_finds_no_new_error(keep: frozenset[Keep], tmp_path: Path) -> None:
    from groundglass.phantom import Chest, build_chest
    from groundglass.phantom_dicom import write_series

    chest = Chest(shape=(3, 96, 96), spacing_mm=(100.0, 3.75, 3.75))
    source = tmp_path / "source"
    write_series(build_chest(chest), source)
    assert deidentify(Job(source, tmp_path / "out", keep)).written == 3
    before = set().union(*(dciodvfy_errors(path) for path in source.iterdir()))
    after = set().union(*(dciodvfy_errors(path) for path in copies(tmp_path / "out")))
    assert after - before == set()


def test_the_worst_ct_gets_more_valid(
    worst: tuple[Path, Marks], basic: tuple[Path, Summary]
) -> None:
    before = set().union(*(dciodvfy_errors(p) for p in worst[0].rglob(f"{IDENTIFIER}-ct*.dcm")))
    plain = [p for p in copies(basic[0]) if read([p])[0].SOPClassUID.endswith("1.1.2")]
    after = set().union(*(dciodvfy_errors(path) for path in plain))
    assert len(plain) == 3
    assert after - before == set()
