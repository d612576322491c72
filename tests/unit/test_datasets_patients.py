"""Adapters of whole scans on fakes of their layouts: labels, order, orientation, refusals."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from groundglass.checks.intensity import calibrate
from groundglass.core.scan import Scan
from groundglass.datasets import covid_ct_md_fake, ctss, medseg, mosmed, spgc
from groundglass.datasets.covid_ct_md import LOBE_LABELS, LOBE_ORDER, read_covid_ct_md
from groundglass.datasets.covid_ct_md_fake import fake_hu, write_series
from groundglass.datasets.ctss import read_ctss
from groundglass.datasets.medseg import read_medseg_slices, read_medseg_volumes
from groundglass.datasets.mosmed import fake_mask, read_mosmed, save_nifti
from groundglass.datasets.patients import PatientScan, class_of
from groundglass.datasets.spgc import read_spgc_test, read_spgc_train
from groundglass.errors import ReadError
from groundglass.readers.masks import read_labels
from groundglass.readers.read import read_scan

Write = Callable[[Path, np.random.Generator], None]
ILL = [4 <= number < 8 for number in range(12)]


def made(write: Write, folder: Path) -> Path:
    write(folder, np.random.default_rng(0))
    return folder


def has_lesion(scan: Scan) -> list[bool]:
    """Return whether the lesion, at the patient's left towards the back, is in each slice."""
    middle = scan.hu()[:, 33:40, 43:50].astype(float).mean(axis=(1, 2))
    return [bool(one) for one in middle > -650]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Covid", "COVID-19"),
        ("COVID-19 subjects", "COVID-19"),
        ("Cap subjects", "CAP"),
        (" normal", "NORMAL"),
        ("flu", None),
    ],
)
def test_classes_are_told_by_words(text: str, label: str | None) -> None:
    assert class_of(text) == label


def test_spgc_training_patients_have_class_and_slice_labels(tmp_path: Path) -> None:
    patients = {one.patient: one for one in read_spgc_train(made(spgc.write_fake, tmp_path))}
    assert {one.label for one in patients.values()} == {"COVID-19", "CAP", "NORMAL"}
    assert len(patients) == 6
    labels = patients["cap002"].labels_of(12)
    assert labels is not None
    assert labels.tolist() == ILL
    assert patients["normal001"].labels_of(12) is None
    assert patients["normal001"].path.parent.name == "Negative"
    assert patients["covid001"].path.parent.name == "Positive"


def test_spgc_slices_lie_head_to_feet_whatever_their_names(tmp_path: Path) -> None:
    for patient in read_spgc_train(made(spgc.write_fake, tmp_path)):
        names = sorted(patient.path.iterdir(), key=lambda f: int(f.stem.split("_")[1]))
        numbers = [int(pydicom.dcmread(file).InstanceNumber) for file in names]
        assert numbers != sorted(numbers)
        scan = read_scan(patient.path)
        wanted = patient.labels_of(12)
        assert has_lesion(scan) == ([False] * 12 if wanted is None else wanted.tolist())


def test_an_intercept_of_another_scanner_is_read_from_the_header(tmp_path: Path) -> None:
    patients = {one.patient: one for one in read_spgc_train(made(spgc.write_fake, tmp_path))}
    stored, hu = {}, {}
    for name in ("covid001", "covid002"):
        file = next(patients[name].path.iterdir())
        header = pydicom.dcmread(file)
        stored[name] = int(header.RescaleIntercept)
        hu[name] = float(np.median(read_scan(patients[name].path).hu()[:, 30, 18]))
    assert stored == {"covid001": -1024, "covid002": -1000}
    assert hu["covid001"] == pytest.approx(hu["covid002"], abs=20)
    assert hu["covid001"] == pytest.approx(-850, abs=20)


def test_spgc_test_labels_come_with_names_or_in_order(tmp_path: Path) -> None:
    root = made(spgc.write_fake, tmp_path)
    named = read_spgc_test(root)
    assert [one.patient for one in named] == [f"T1-{n:03}" for n in range(1, 7)]
    assert [one.label for one in named] == ["COVID-19"] * 2 + ["CAP"] * 2 + ["NORMAL"] * 2
    assert {one.cohort for one in named} == {"T1"}
    rows = [["Labels"], *([str(one.label)] for one in named)]
    with (root / "test_labels.csv").open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows(rows)
    assert [one.label for one in read_spgc_test(root)] == [one.label for one in named]
    (root / "test_labels.csv").write_text("Labels\nCAP\n", encoding="utf-8")
    with pytest.raises(ReadError, match="a row for each of the 6"):
        read_spgc_test(root)
    (root / "test_labels.csv").unlink()
    assert {one.label for one in read_spgc_test(root)} == {None}


def test_low_dose_sets_have_two_classes_and_may_have_categories(tmp_path: Path) -> None:
    generator, well = np.random.default_rng(0), np.zeros(12, bool)
    for place in ("Test/PCR positive/10", "Test/PCR positive/9", "Test/PCR negative/2"):
        (tmp_path / place).mkdir(parents=True)
        write_series(tmp_path / place, fake_hu(well, generator), generator)
    table = "patient,Labels\n9,COVID-19\n10,COVID-19\n2,NORMAL\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    found = read_spgc_test(tmp_path, ("COVID-19", "NORMAL"))
    assert [(one.patient, one.label, one.cohort) for one in found] == [
        ("2", "NORMAL", "PCR negative"),
        ("9", "COVID-19", "PCR positive"),
        ("10", "COVID-19", "PCR positive"),
    ]
    (tmp_path / "labels.csv").write_text(table.replace("NORMAL", "CAP"), encoding="utf-8")
    with pytest.raises(ReadError, match="COVID-19, NORMAL; found 'CAP'"):
        read_spgc_test(tmp_path, ("COVID-19", "NORMAL"))


def test_spgc_in_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="needs the folder 'Train'"):
        read_spgc_train(tmp_path)
    (tmp_path / "Train" / "Covid").mkdir(parents=True)
    with pytest.raises(ReadError, match="Positive or Negative"):
        read_spgc_train(tmp_path)
    (tmp_path / "Test").mkdir()
    with pytest.raises(ReadError, match="folders of DICOM files"):
        read_spgc_test(tmp_path)
    root = tmp_path / "fake"
    root.mkdir()
    made(spgc.write_fake, root)
    (root / "slice_labels.csv").write_text("patient,0,1\nstranger,0,1\n", encoding="utf-8")
    with pytest.raises(ReadError, match="'stranger'"):
        read_spgc_train(root)


def test_covid_ct_md_is_a_training_set_with_the_row_of_its_index(tmp_path: Path) -> None:
    patients = {
        one.patient: one for one in read_spgc_train(made(covid_ct_md_fake.write_fake, tmp_path))
    }
    assert [one.label for one in patients.values()] == ["COVID-19", "CAP", "NORMAL"]
    labels = patients["cap001"].labels_of(12)
    assert labels is not None
    assert labels.tolist() == ILL
    with pytest.raises(ReadError, match="do not fit 6 slices"):
        patients["P001"].labels_of(6)


def test_mosmed_studies_have_grades_and_masks_on_their_grid(tmp_path: Path) -> None:
    studies = {one.patient: one for one in read_mosmed(made(mosmed.write_fake, tmp_path))}
    assert [(name, one.label) for name, one in studies.items()] == [
        ("study_0001", "CT-0"),
        ("study_0002", "CT-0"),
        ("study_0255", "CT-1"),
        ("study_0256", "CT-1"),
    ]
    assert studies["study_0001"].mask is None
    one = studies["study_0255"]
    scan = calibrate(read_scan(one.path))
    assert has_lesion(scan) == ILL
    assert one.mask is not None
    labels, _ = read_labels(one.mask, scan.geometry)
    np.testing.assert_array_equal(labels, fake_mask(np.array(ILL)))


def test_mosmed_grade_is_told_by_the_number_without_folders(tmp_path: Path) -> None:
    made(mosmed.write_fake, tmp_path)
    for file in (tmp_path / "studies").rglob("*.gz"):
        shutil.move(file, tmp_path / file.name)
    assert [one.label for one in read_mosmed(tmp_path)] == ["CT-0", "CT-0", "CT-1", "CT-1"]
    shutil.copy(tmp_path / "study_0001.nii.gz", tmp_path / "masks" / "study_0001.nii.gz")
    with pytest.raises(ReadError, match="in two places"):
        read_mosmed(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match=r"study_0001\.nii\.gz"):
        read_mosmed(tmp_path / "empty")


def test_medseg_pairs_have_labels_up_to_three(tmp_path: Path) -> None:
    made(medseg.write_fake, tmp_path)
    volumes = read_medseg_volumes(tmp_path)
    assert [one.patient for one in volumes] == ["1", "2"]
    for one, slices in ((read_medseg_slices(tmp_path), 100), (volumes[0], 12)):
        scan = read_scan(one.path)
        assert one.mask is not None
        labels, _ = read_labels(one.mask, scan.geometry)
        assert labels.shape == (slices, 64, 64)
        assert set(np.unique(labels)) == {0, 1, 2, 3}
    (tmp_path / "Mask" / "2.nii.gz").unlink()
    with pytest.raises(ReadError, match="a mask of the same name"):
        read_medseg_volumes(tmp_path)
    (tmp_path / "tr_mask.nii.gz").unlink()
    with pytest.raises(ReadError, match="tr_mask"):
        read_medseg_slices(tmp_path)


def test_cohort_of_scores_is_read_without_heading(tmp_path: Path) -> None:
    found = read_ctss(made(ctss.write_fake, tmp_path))
    assert [(one.patient, one.score) for one in found] == [
        ("IITM_001", 5),
        ("P001", 3),
        ("T1-001", 0),
    ]
    shutil.rmtree(tmp_path / "P001")
    assert [one.patient for one in read_ctss(tmp_path)] == ["IITM_001", "T1-001"]
    (tmp_path / "CTSS_GT.csv").write_text("IITM_001,26", encoding="utf-8")
    with pytest.raises(ReadError, match="from 0 to 25 in row 1"):
        read_ctss(tmp_path)
    (tmp_path / "CTSS_GT.csv").write_text("IITM_001", encoding="utf-8")
    with pytest.raises(ReadError, match="row 1 has not"):
        read_ctss(tmp_path)
    (tmp_path / "CTSS_GT.csv").write_text("P009,1", encoding="utf-8")
    with pytest.raises(ReadError, match="found none"):
        read_ctss(tmp_path)


def marked(slices: int = 12) -> np.ndarray:
    """Return a fake volume with one bright voxel at the apex and one in the left lung."""
    hu = fake_hu(np.zeros(slices, bool), np.random.default_rng(0))
    hu[0, 20, 18] = 2000
    hu[7, 30, 46] = 1500
    return hu


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_apex_is_cranial_and_left_is_left_after_every_reader(tmp_path: Path, kind: str) -> None:
    hu = marked()
    if kind == "dicom":
        write_series(tmp_path, hu, np.random.default_rng(1), -1000)
        scan = read_scan(tmp_path)
    else:
        save_nifti(tmp_path / "a.nii.gz", hu)
        scan = calibrate(read_scan(tmp_path / "a.nii.gz"))
    assert np.argwhere(scan.hu() > 1800).tolist() == [[0, 20, 18]]
    assert np.argwhere((scan.hu() > 1200) & (scan.hu() < 1800)).tolist() == [[7, 30, 46]]
    np.testing.assert_array_equal(np.maximum(hu, -1000), np.maximum(scan.hu(), -1000))


def test_a_mask_may_lie_transposed_in_its_file(tmp_path: Path) -> None:
    import nibabel

    nib: Any = nibabel
    save_nifti(tmp_path / "a.nii.gz", marked())
    truth = fake_mask(np.array(ILL))
    save_nifti(tmp_path / "m.nii.gz", truth)
    image = nib.load(tmp_path / "m.nii.gz")
    swapped = image.affine[:, [1, 0, 2, 3]]
    values = np.asarray(image.dataobj).transpose(1, 0, 2)
    nib.save(nib.Nifti1Image(values, swapped), tmp_path / "t.nii.gz")
    labels, _ = read_labels(tmp_path / "t.nii.gz", read_scan(tmp_path / "a.nii.gz").geometry)
    np.testing.assert_array_equal(labels, truth)


@pytest.mark.data
def test_upper_lobe_labels_lie_above_lower_lobe_labels(data: Path) -> None:
    labelled = {p.patient: p.lobe_labels for p in read_covid_ct_md(data / "covid-ct-md")}
    everyone = np.load(data / "covid-ct-md" / LOBE_LABELS[0])
    for lobes in (*(one for one in labelled.values() if one is not None), everyone.any(axis=0)):
        places = np.arange(len(lobes))
        mean = {
            name: places[lobes[:, number] > 0].mean()
            for number, name in enumerate(LOBE_ORDER)
            if (lobes[:, number] > 0).any()
        }
        for side in ("left", "right"):
            if {f"{side}_upper", f"{side}_lower"} <= set(mean):
                assert mean[f"{side}_upper"] < mean[f"{side}_lower"]
    means = [np.argwhere(everyone[..., number])[:, 1].mean() for number in range(len(LOBE_ORDER))]
    assert means == pytest.approx([92, 52, 88, 78, 43], abs=2)


def test_a_scan_without_labels_says_so() -> None:
    assert PatientScan("a", Path("a")).labels_of(7) is None
