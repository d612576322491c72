"""What becomes of our own objects when they are de-identified with their study."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from groundglass.deidentify.burned_in import CAPTURE
from groundglass.deidentify.codes import UNKNOWN_CODE
from groundglass.deidentify.run import Job, deidentify
from groundglass.dicomout import export
from groundglass.dicomout.check import read_numbers, read_segments
from groundglass.dicomout.export import write_dicom
from groundglass.dicomout.seg import SegKind
from groundglass.dicomout.source import open_source
from groundglass.readers.options import ReadOptions
from groundglass.writers.codes import SCHEME, SCHEME_UID
from groundglass.writers.summary import result_document
from tests.exports import axial, read_case, result_folder
from tests.series import SECRETS

KINDS = ("seg", "sr")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series and everything that we write beside it."""
    root = tmp_path_factory.mktemp("study")
    series = axial(root / "source" / "series")
    case = read_case(series)
    out = result_folder(case, root / "out")
    source = open_source(series, case.scan, ReadOptions())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "render_pdf", lambda _: b"%PDF-1.7 odd")  # the real one costs seconds
        write_dicom(case, result_document(case), source, out, SegKind.BINARY)
    (out / "dicom").rename(root / "source" / "dicom")
    summary = deidentify(Job(root / "source", root / "copies"))
    pictures = len(list((root / "source" / "dicom" / "overlay").iterdir()))
    assert summary.held == {CAPTURE: pictures, "document inside a DICOM file": 1}
    return root


def originals(study: Path) -> dict[str, Dataset]:
    return {name: pydicom.dcmread(study / "source" / "dicom" / f"{name}.dcm") for name in KINDS}


def copies(study: Path) -> dict[str, Dataset]:
    found = map(pydicom.dcmread, (study / "copies").rglob("*.dcm"))
    return {str(one.Modality).lower(): one for one in found}


def codes_in(dataset: Dataset) -> list[tuple[str, str, str]]:
    """Return every code at any depth, in order."""
    found: list[tuple[str, str, str]] = []

    def look(_: Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "SQ" and not element.keyword.startswith("Deidentification"):
            found.extend(
                (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
                for item in element.value
                if "CodeValue" in item
            )

    dataset.walk(look)
    return found


def test_codes_and_numbers_keep_their_meaning(study: Path) -> None:
    before, after = originals(study), copies(study)
    for name in KINDS:
        was, now = codes_in(before[name]), codes_in(after[name])
        assert len(was) == len(now) > 10
        assert [code[:2] for code in was] == [code[:2] for code in now]
        assert UNKNOWN_CODE not in {code[0] for code in now}
        assert {code for code in now if code[1] == SCHEME} == {c for c in was if c[1] == SCHEME}
    told = [row[1:] for row in read_numbers(before["sr"])]
    assert len(told) > 20
    assert [row[1:] for row in read_numbers(after["sr"])] == told
    (scheme,) = after["sr"].CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeUID) == (SCHEME, SCHEME_UID)


def test_segments_and_references_stay(study: Path) -> None:
    before, after, case = originals(study), copies(study), read_case(study / "source" / "series")
    pairs = zip(*(read_segments(one["seg"], 4, case) for one in (before, after)), strict=True)
    assert [int(np.count_nonzero(was != now)) for was, now in pairs] == [0, 0, 0, 0]
    slices = {
        str(one.SOPInstanceUID)
        for one in map(pydicom.dcmread, (study / "copies").rglob("*.dcm"))
        if one.Modality == "CT"
    }
    assert len(slices) == 12
    named = after["seg"].ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in named} <= slices
    assert str(after["seg"].SOPInstanceUID) in str(after["sr"].ContentSequence)
    assert len({str(one.StudyInstanceUID) for one in after.values()}) == 1


def test_the_copies_are_valid_and_tell_nobody(study: Path) -> None:
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for path in (study / "copies").rglob("*.dcm"):
        text = path.read_bytes()
        assert not any(secret.encode() in text for secret in SECRETS if secret)
        if pydicom.dcmread(path).Modality != "CT":
            done = subprocess.run([tool, "-new", path], capture_output=True, check=False)
            lines = done.stderr.decode("latin-1").splitlines()
            assert [line for line in lines if line.startswith("Error")] == []


def test_pictures_of_ours_are_copied_with_a_warning_if_asked(study: Path, tmp_path: Path) -> None:
    summary = deidentify(Job(study / "source" / "dicom", tmp_path / "copies", flag_only=True))
    assert summary.held == {"document inside a DICOM file": 1}
    assert set(summary.flagged) == {CAPTURE}
