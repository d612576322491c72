"""Slices with masks: COVID-CT-Rate in its likely layouts, and which data set a folder holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from groundglass.core.scan import Intensity
from groundglass.datasets import covid_semiseg
from groundglass.datasets.covid_ct_rate import (
    natural,
    read_covid_ct_rate,
    read_values,
    write_fake,
)
from groundglass.datasets.finding import open_slices, parts_in
from groundglass.errors import ReadError


@pytest.fixture
def rate(tmp_path: Path) -> Path:
    write_fake(tmp_path, np.random.default_rng(1))
    return tmp_path


def test_the_fake_is_read_back(rate: Path) -> None:
    found = read_covid_ct_rate(rate)
    assert [item.name for item in found.items][:2] == ["im001", "im002"]
    assert {item.group for item in found.items} == {"patient0", "patient1", "patient2"}
    one = found.items[0].read()
    assert one.intensity is Intensity.HU
    assert one.values.shape == (128, 128)
    assert one.lesion is not None
    assert one.lungs is not None
    assert set(np.unique(one.lungs)) == {0, 1, 2}
    assert -500 < one.values[one.lesion > 0].mean() < -250
    assert not (one.lesion[one.lungs == 0]).any()


def test_files_are_in_natural_order() -> None:
    names = [Path(f"im{n}.dcm") for n in (10, 2, 1)]
    assert [p.name for p in sorted(names, key=natural)] == ["im1.dcm", "im2.dcm", "im10.dcm"]


def test_other_names_pair_by_their_place_if_the_counts_agree(rate: Path) -> None:
    for path in sorted((rate / "Masks").iterdir()):
        path.rename(path.with_name(f"mask_{path.name[2:]}"))
    item = read_covid_ct_rate(rate).items[3].read()
    assert item.lesion is not None
    assert -500 < item.values[item.lesion > 0].mean() < -250
    next((rate / "Masks").iterdir()).unlink()
    with pytest.raises(ReadError, match="found 11 masks for 12 slices"):
        read_covid_ct_rate(rate)


def test_without_a_table_every_slice_is_a_patient(rate: Path) -> None:
    (rate / "patients.csv").unlink()
    found = read_covid_ct_rate(rate)
    assert len({item.group for item in found.items}) == 12
    assert "no table of patients" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("file,person\na,b\n", "needs the columns"), ("file,patient_id\nim001.npy,a\n", "has none")],
)
def test_a_table_that_does_not_fit_is_refused(rate: Path, text: str, message: str) -> None:
    (rate / "patients.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=message):
        read_covid_ct_rate(rate)


def test_a_missing_or_empty_folder_is_named(rate: Path) -> None:
    shutil.rmtree(rate / "Masks")
    with pytest.raises(ReadError, match="needs its masks in a folder named Masks or masks"):
        read_covid_ct_rate(rate)
    assert read_covid_ct_rate(rate, needs_masks=False).items[0].read().lesion is None
    (rate / "Masks").mkdir()
    with pytest.raises(ReadError, match="needs files in the folder 'Masks'"):
        read_covid_ct_rate(rate)


def test_a_mask_of_another_shape_is_refused(rate: Path) -> None:
    Image.new("L", (5, 5)).save(rate / "Masks" / "im001.png")
    with pytest.raises(ReadError, match="does not fit its slice"):
        read_covid_ct_rate(rate).items[0].read()


def test_every_format_gives_the_same_slice(tmp_path: Path) -> None:
    hu = np.arange(-300, 300, dtype=np.int16).reshape(20, 30)
    np.save(tmp_path / "a.npy", hu)
    nifti: Any = nibabel.Nifti1Image
    nibabel.save(nifti(hu.T, np.eye(4)), tmp_path / "a.nii.gz")
    image = sitk.GetImageFromArray(hu[None])
    sitk.WriteImage(image, str(tmp_path / "a.dcm"))
    for name in ("a.npy", "a.nii.gz", "a.dcm"):
        values, intensity = read_values(tmp_path / name)
        np.testing.assert_array_equal(values, hu, err_msg=name)
        assert intensity is Intensity.HU
    Image.fromarray((hu % 256).astype(np.uint8)).save(tmp_path / "a.png")
    assert read_values(tmp_path / "a.png")[1] is Intensity.DISPLAY


def test_a_volume_and_junk_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5)))
    with pytest.raises(ReadError, match="one slice"):
        read_values(tmp_path / "a.npy")
    (tmp_path / "a.dcm").write_bytes(b"junk")
    with pytest.raises(ReadError, match="cannot be read"):
        read_values(tmp_path / "a.dcm")


def test_a_folder_is_recognised(tmp_path: Path) -> None:
    for name in ("semi", "rate", "nothing"):
        (tmp_path / name).mkdir()
    covid_semiseg.write_fake(tmp_path / "semi", np.random.default_rng(0))
    write_fake(tmp_path / "rate", np.random.default_rng(0))
    semi = open_slices(tmp_path / "semi", ["train", "test"])
    assert semi.dataset == "covid-semiseg"
    assert [item.split for item in semi.items] == ["train", "train", "test", "test"]
    assert semi.items[2].read().kinds_known
    assert open_slices(tmp_path / "semi" / "Dataset", ["pseudo"]).items[0].annotator == "network"
    assert open_slices(tmp_path / "rate", ["train"]).dataset == "covid-ct-rate"
    assert parts_in(tmp_path / "semi") == ("train", "pseudo", "test")
    assert parts_in(tmp_path / "rate") == ("train",)
    (tmp_path / "semi").rename(tmp_path / "covid-semiseg")
    assert parts_in(tmp_path) == ("train", "pseudo", "test")
    assert parts_in(tmp_path / "nothing") == ()
    with pytest.raises(ReadError, match="no part but train"):
        open_slices(tmp_path / "rate", ["test"])
    with pytest.raises(ReadError, match="holds neither"):
        open_slices(tmp_path / "nothing", ["train"])
    with pytest.raises(ValueError, match="found exam"):
        open_slices(tmp_path / "semi", ["exam"])


def test_the_test_part_alone_is_enough(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    shutil.rmtree(tmp_path / "Dataset" / "TrainingSet")
    shutil.rmtree(tmp_path / "Dataset" / "TestingSet" / "MultiClassInfection-Test")
    one = open_slices(tmp_path, ["test"]).items[0].read()
    assert not one.kinds_known
    assert one.lesion is not None
    assert set(np.unique(one.lesion)) <= {0, 1}
