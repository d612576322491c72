"""Which series is read, how others are told, and what is never told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from groundglass.errors import InconsistentSeriesError
from groundglass.readers.read import read_scan
from tests.series import (
    SECRETS,
    block,
    make_slices,
    save,
    told,
)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_identifiers_that_are_text_are_kept_to_ourselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.SeriesInstanceUID = dataset.StudyInstanceUID = SECRETS[1]
        dataset.SOPInstanceUID = ""
    other = make_slices(block()[:5], SeriesInstanceUID="Doe^Jane")
    for dataset in slices:
        dataset.Modality, dataset.PatientPosition = "ct", SECRETS[0]
        dataset.BodyPartExamined = "DOE JANE"
    save([*slices, *other], tmp_path)
    caplog.clear()
    scan = read_scan(tmp_path)
    assert not caplog.records
    assert scan.acquisition.body_part is None
    assert scan.acquisition.patient_position is None
    assert scan.acquisition.modality == "CT"
    assert scan.acquisition.series_uid is None
    assert scan.acquisition.study_uid is None
    assert scan.provenance.instance_uids == ()
    with pytest.raises(InconsistentSeriesError, match="UID withheld") as caught:
        read_scan(tmp_path, series="9.9.9")
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert "1: UID withheld, it is not a valid one, 5 images" in str(caught.value)
    told(scan, "series_choice")


def test_unknown_and_ambiguous_series_list_what_there_is(tmp_path: Path) -> None:
    for number in (1, 2):
        uid = f"1.2.826.{number}"
        save(make_slices(block()[:4], series=uid, SeriesNumber=number), tmp_path / uid)
    with pytest.raises(InconsistentSeriesError, match=r"no series has.*1: 1\.2\.826\.1, 4 images"):
        read_scan(tmp_path, series="9")
    with pytest.raises(InconsistentSeriesError, match="several series begin"):
        read_scan(tmp_path, series="1.2.826")


def test_several_patients_in_a_folder_are_a_warning(tmp_path: Path) -> None:
    for name in ("A", "B"):
        save(make_slices(block(), PatientID=name), tmp_path / name)
    assert "2 series of 2 patients" in told(read_scan(tmp_path), "series_choice").found


def test_soft_thin_original_axial_chest_series_wins(tmp_path: Path) -> None:
    hu = block((60, 32, 32))
    save(make_slices(hu, 5, series=generate_uid(), ConvolutionKernel="B70f"), tmp_path / "sharp")
    wanted = generate_uid()
    save(make_slices(hu, 5, series=wanted), tmp_path / "soft")
    save(make_slices(hu, 5, series=generate_uid(), BodyPartExamined="HEAD"), tmp_path / "head")
    derived = ["DERIVED", "SECONDARY", "MIP"]
    save(make_slices(hu, 5, series=generate_uid(), ImageType=derived), tmp_path / "mip")
    coronal = make_slices(hu, 5, series=generate_uid())
    for number, dataset in enumerate(coronal):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [0, 5 * number, 0]
    save(coronal, tmp_path / "coronal")
    scan = read_scan(tmp_path)
    assert scan.acquisition.series_uid == wanted
    assert "5 series were found" in told(scan, "series_choice").found


def test_many_phases_are_told_in_one_sentence(tmp_path: Path) -> None:
    hu = block((4, 16, 16))
    for phase in range(9):
        slices = make_slices(hu + phase, series="1.2.3.4", TemporalPositionIdentifier=phase + 1)
        save(slices, tmp_path / str(phase))
    scan = read_scan(tmp_path)
    assert "9 sets of slices on the same places (up to 4 slices)" in (
        told(scan, "duplicate_positions").found
    )
    assert np.array_equal(scan.voxels, hu)


def test_many_series_are_told_in_one_sentence(tmp_path: Path) -> None:
    for number in range(10):
        save(make_slices(block()[:4], series=f"1.2.826.{number}"), tmp_path / str(number))
    assert told(read_scan(tmp_path), "series_choice").done.endswith("and 3 more")
