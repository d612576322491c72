"""Dataset adapters on fakes of the original layouts."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from groundglass.datasets import covid_ct_md, covid_ct_md_fake, covid_semiseg
from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.datasets.covid_semiseg import Split, read_covid_semiseg, upright
from groundglass.errors import ReadError
from groundglass.readers.read import read_scan


@pytest.fixture
def semiseg(tmp_path: Path) -> Path:
    """A fake COVID-SemiSeg."""
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    return tmp_path


@pytest.fixture
def ct_md(tmp_path: Path) -> Path:
    """A fake COVID-CT-MD."""
    covid_ct_md_fake.write_fake(tmp_path, np.random.default_rng(0))
    return tmp_path


@pytest.mark.parametrize("split", ["train", "pseudo", "test"])
def test_semiseg_samples_fit_together(semiseg: Path, split: Split) -> None:
    samples = read_covid_semiseg(semiseg, split)
    assert [sample.name for sample in samples] == ["0", "1"]
    for sample in samples:
        image, mask, classes = sample.image(), sample.mask(), sample.classes()
        assert image.shape == mask.shape == (128, 96)
        assert mask.any()
        if split == "pseudo":
            assert classes is None
        else:
            assert classes is not None
            np.testing.assert_array_equal(classes > 0, mask)
            assert set(np.unique(classes)) == {0, 1, 2}


def test_semiseg_numbers_are_in_order(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0), slices=11)
    assert [s.name for s in read_covid_semiseg(tmp_path)] == [str(n) for n in range(11)]


def test_semiseg_upright_swaps_the_axes() -> None:
    picture = np.arange(6).reshape(2, 3)
    assert upright(picture).shape == (3, 2)
    assert upright(picture)[2, 0] == 2


def test_semiseg_in_another_layout_is_refused(semiseg: Path) -> None:
    with pytest.raises(
        ReadError, match="needs the folder 'Dataset/TrainingSet/LungInfection-Train"
    ):
        read_covid_semiseg(semiseg / "Dataset")
    masks = semiseg / "Dataset/TestingSet/LungInfection-Test/GT"
    (masks / "1.png").unlink()
    with pytest.raises(ReadError, match="a mask of the same name"):
        read_covid_semiseg(semiseg, "test")
    for image in (masks.parent / "Imgs").iterdir():
        image.unlink()
    with pytest.raises(ReadError, match="JPEG pictures"):
        read_covid_semiseg(semiseg, "test")


def test_semiseg_refuses_other_class_masks(semiseg: Path) -> None:
    sample = read_covid_semiseg(semiseg)[0]
    assert sample.classes_file is not None
    Image.fromarray(np.full((4, 4), 38, dtype=np.uint8)).save(sample.classes_file)
    with pytest.raises(ReadError, match="values 0, 1 and 2"):
        sample.classes()
    sample.classes_file.unlink()
    assert read_covid_semiseg(semiseg)[0].classes() is None


def test_ct_md_patients_have_their_own_labels(ct_md: Path) -> None:
    patients = {p.patient: p for p in read_covid_ct_md(ct_md)}
    assert [p.diagnosis for p in patients.values()] == ["COVID-19", "CAP", "NORMAL"]
    for name in ("P001", "cap001"):
        assert patients[name].labels_of(12).tolist() == [4 <= n < 8 for n in range(12)]
        lobes = patients[name].lobe_labels
        assert lobes is not None
        assert lobes[:, 0].sum() == 4
    assert not patients["normal001"].labels_of(12).any()


def test_ct_md_row_is_the_place_in_the_index_not_its_number(ct_md: Path) -> None:
    with (ct_md / "Index.csv").open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [row["Label Index"] for row in rows] == ["0", "2"]
    labels = np.zeros((2, 200), dtype=np.uint8)
    labels[1, 3] = 1
    np.save(ct_md / "Slice-level-labels-updated-1.npy", labels)
    patients = {p.patient: p for p in read_covid_ct_md(ct_md)}
    assert patients["cap001"].labels_of(12).nonzero()[0].tolist() == [3]


def test_ct_md_series_lies_head_to_feet_whatever_the_names(ct_md: Path) -> None:
    patient = read_covid_ct_md(ct_md)[0]
    files = sorted(patient.folder.iterdir(), key=lambda f: int(f.stem.split("_")[1]))
    heights = [float(pydicom.dcmread(file).SliceLocation) for file in files]
    assert heights != sorted(heights, reverse=True)
    scan = read_scan(patient.folder)
    assert scan.shape == (12, 64, 64)
    dense = (scan.hu()[:, 36, 46] > -600).tolist()
    assert dense == patient.labels_of(12).tolist()


def test_ct_md_labels_must_fit_the_series(ct_md: Path) -> None:
    ill = read_covid_ct_md(ct_md)[0]
    with pytest.raises(ReadError, match="do not fit a series of 6"):
        ill.labels_of(6)
    with pytest.raises(ReadError, match="do not fit a series of 201"):
        ill.labels_of(201)


def test_ct_md_ill_patient_outside_the_index_has_no_labels(ct_md: Path) -> None:
    shutil.copytree(ct_md / "Cap subjects/cap001", ct_md / "Cap subjects/cap009")
    stranger = {p.patient: p for p in read_covid_ct_md(ct_md)}["cap009"]
    with pytest.raises(ReadError, match="no slice labels for this patient"):
        stranger.labels_of(12)


def test_ct_md_in_another_layout_is_refused(ct_md: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"needs the file 'Index\.csv'"):
        read_covid_ct_md(tmp_path / "COVID-19 subjects")
    for folder in covid_ct_md.FOLDERS.values():
        shutil.rmtree(ct_md / folder)
    with pytest.raises(ReadError, match="needs patients' folders in 'COVID-19 subjects'"):
        read_covid_ct_md(ct_md)
    np.save(ct_md / "Slice-level-labels-updated-1.npy", np.zeros((7, 200)))
    with pytest.raises(ReadError, match=r"found shape \(7, 200\)"):
        read_covid_ct_md(ct_md)
    (ct_md / "Index.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ReadError, match="column 'Folder/ID'"):
        read_covid_ct_md(ct_md)
