"""COVID-CT and COVID-CTset: original layouts, their traps, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from groundglass.datasets import covid_ct, covid_ctset_fake
from groundglass.datasets.covid_ct import group_of, parts_of, read_covid_ct
from groundglass.datasets.covid_ctset import (
    folds_of,
    read_fold,
    read_labelled,
    read_patients,
    read_series,
    read_stored,
)
from groundglass.errors import ReadError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A fake COVID-CT."""
    covid_ct.write_fake(tmp_path, np.random.default_rng(0))
    return tmp_path


@pytest.fixture(scope="module")
def ctset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake COVID-CTset."""
    root = tmp_path_factory.mktemp("ctset")
    covid_ctset_fake.write_fake(root, np.random.default_rng(0))
    return root


def list_of(root: Path, part: str = "train", folder: str = "CT_COVID") -> Path:
    lists = {"CT_COVID": "COVID", "CT_NonCOVID": "NonCOVID"}[folder]
    return root / "Data-split" / lists / f"{part}{folder}.txt"


def test_parts_have_their_sizes_and_share_no_name(pictures: Path) -> None:
    assert parts_of(pictures) == ("train", "val", "test")
    parts = {part: read_covid_ct(pictures, part) for part in parts_of(pictures)}
    assert [len(part) for part in parts.values()] == [12, 6, 6]
    assert all(2 * sum(one.covid for one in part) == len(part) for part in parts.values())
    names = [one.name for part in parts.values() for one in part]
    assert len(set(names)) == 24
    assert not any(name.endswith("\r") for name in names)


def test_every_mode_becomes_grey_or_three_channels(pictures: Path) -> None:
    found = [one for part in parts_of(pictures) for one in read_covid_ct(pictures, part)]
    assert {one.cues().mode for one in found} == {"L", "RGB", "RGBA"}
    assert {one.cues().format for one in found} == {"PNG", "JPEG"}
    assert any(one.file.suffix == ".png" and one.cues().format == "JPEG" for one in found)
    for one in found:
        grey, colours = one.image(), one.rgb()
        assert grey.shape == colours.shape[:2] == (one.cues().height_px, one.cues().width_px)
        assert colours.shape[2] == 3
        assert grey.dtype == colours.dtype == np.uint8
    assert min(one.cues().height_px for one in found) == 61


def test_transparency_is_dropped_not_blended(tmp_path: Path, pictures: Path) -> None:
    one = next(one for one in read_covid_ct(pictures) if one.cues().mode == "RGBA")
    clear = np.full((70, 70, 4), (90, 90, 90, 0), np.uint8)
    Image.fromarray(clear).save(one.file, "PNG")
    assert (one.image() == 90).all()
    assert tmp_path == pictures


@pytest.mark.parametrize("name", ["Images-processed", "images", "."])
def test_pictures_may_lie_in_either_folder(tmp_path: Path, name: str) -> None:
    covid_ct.write_fake(tmp_path, np.random.default_rng(0), name)
    assert len(read_covid_ct(tmp_path)) == 12


def test_groups_are_source_papers_and_figures() -> None:
    paper = "CT_COVID/2020.02.10.20021584"
    assert group_of("CT_COVID", "2020.02.10.20021584-p6-52%10.png") == paper
    assert group_of("CT_COVID", "2020.01.24.919183-p27-133.png") == "CT_COVID/2020.01.24.919183"
    assert group_of("CT_COVID", "kjr-21-e24-p5-29.png") == "CT_COVID/kjr-21-e24"
    assert group_of("CT_NonCOVID", "71%0.jpg") == group_of("CT_NonCOVID", "71%12.jpg")
    assert group_of("CT_NonCOVID", "71.png") != group_of("CT_NonCOVID", "71%0.jpg")


def test_a_listed_picture_that_is_missing_is_refused(pictures: Path) -> None:
    read_covid_ct(pictures, "val")[0].file.unlink()
    with pytest.raises(ReadError, match=r"its part val, and the picture is missing"):
        read_covid_ct(pictures, "val")
    assert len(read_covid_ct(pictures, "train")) == 12


def test_a_name_in_two_parts_is_refused(pictures: Path) -> None:
    name = read_covid_ct(pictures, "train")[0].name.split("/")[1]
    file = list_of(pictures, "test")
    file.write_bytes(file.read_bytes() + f"\n{name}".encode())
    for part in ("train", "test"):
        with pytest.raises(ReadError, match="stands twice"):
            read_covid_ct(pictures, part)


def test_a_broken_picture_is_refused(pictures: Path) -> None:
    one = read_covid_ct(pictures)[0]
    whole = one.file.read_bytes()
    one.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="cannot be read"):
        read_covid_ct(pictures)[0].image()
    one.file.write_bytes(b"no picture")
    with pytest.raises(ReadError, match="cannot be read"):
        read_covid_ct(pictures)


def test_a_part_that_is_not_there_is_told_in_one_sentence(pictures: Path) -> None:
    list_of(pictures, "test").unlink()
    assert parts_of(pictures) == ("train", "val")
    with pytest.raises(ReadError, match=r"needs the file 'Data-split/COVID/testCT_COVID.txt'"):
        read_covid_ct(pictures, "test")
    with pytest.raises(ValueError, match="parts of COVID-CT are"):
        read_covid_ct(pictures, "all")


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="'CT_COVID' and 'CT_NonCOVID'"):
        read_covid_ct(tmp_path)


@pytest.mark.data
def test_the_real_pictures_are_all_there(data: Path) -> None:
    root = data / "covid-ct"
    train, val = (read_covid_ct(root, part) for part in ("train", "val"))
    assert [(len(part), sum(one.covid for one in part)) for part in (train, val)] == [
        (425, 191),
        (118, 60),
    ]
    assert {one.cues().format for one in train if one.covid} == {"PNG"}
    assert sum(one.cues().format == "JPEG" for one in train if not one.covid) == 119
    assert not any(one.cues().mode == "RGBA" for one in (*train, *val) if not one.covid)
    figures = [{one.group for one in part if not one.covid} for part in (train, val)]
    assert not figures[0] & figures[1]


def test_series_are_ordered_by_number(ctset: Path) -> None:
    series = read_series(ctset)
    assert [(one.patient, one.covid) for one in series] == [
        (f"patient{number:03d}", number < 3) for number in range(1, 6)
    ]
    names = [file.name for file in series[0].files]
    assert names != sorted(names)
    stored = series[0].stored()
    assert stored.shape == (8, 512, 512)
    dark = (stored[:, 240:340, 120:370] < 300).sum((1, 2))
    assert dark.argmax() in {3, 4}
    assert max(dark[0], dark[-1]) < 300
    assert dark.max() > 3000
    with pytest.raises(ReadError, match="SR_3"):
        read_series(ctset, ["SR_3"])


def test_all_sixteen_bits_survive(tmp_path: Path, ctset: Path) -> None:
    values = np.array([[0, 300, 3000], [4095, 4999, 65535]], np.uint16)
    tifffile.imwrite(tmp_path / "IM1.tif", values)
    np.testing.assert_array_equal(read_stored(tmp_path / "IM1.tif"), values)
    assert read_series(ctset)[0].stored().max() > 1000


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((4, 4), np.uint8), "found uint8"),
        (np.zeros((4, 4), np.float32), "found float32"),
        (np.zeros((4, 4, 3), np.uint16), "one channel"),
    ],
)
def test_other_pictures_are_refused(tmp_path: Path, values: np.ndarray, told: str) -> None:
    tifffile.imwrite(
        tmp_path / "IM1.tif", values, photometric="minisblack" if values.ndim < 3 else "rgb"
    )
    with pytest.raises(ReadError, match=told):
        read_stored(tmp_path / "IM1.tif")


def test_eight_bits_only_on_request_and_rubbish_never(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "IM1.tif", np.full((4, 4), 7, np.uint8))
    assert (read_stored(tmp_path / "IM1.tif", allow_8_bit=True) == 7).all()
    (tmp_path / "IM2.tif").write_bytes(b"rubbish")
    with pytest.raises(ReadError, match="cannot be read as TIFF"):
        read_stored(tmp_path / "IM2.tif", allow_8_bit=True)


def test_folds_keep_patients_apart(ctset: Path) -> None:
    assert folds_of(ctset) == (1, 2, 3, 4, 5)
    for fold in (1, 2):
        train, test = (read_fold(ctset, fold, part) for part in ("train", "test"))
        assert {one.covid for one in train} == {one.covid for one in test} == {True, False}
        assert not {one.patient for one in train} & {one.patient for one in test}
        assert {one.name for one in read_fold(ctset, fold, "validation")} <= {o.name for o in test}
    assert len(read_labelled(ctset)) == 20
    one = read_labelled(ctset)[0]
    assert (one.group, one.patient, one.series) == ("137covid", "patient001", "SR_2")
    assert one.stored().shape == (512, 512)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two labelled slices with lists, tiny."""
    names = {"137covid_patient7_SR_2_IM1.tif": "covid", "normal1_patient8_SR_2_IM2.tif": "normal"}
    (tmp_path / "CSV").mkdir()
    for name in names:
        tifffile.imwrite(tmp_path / name, np.zeros((4, 4), np.uint16))
    write_list(tmp_path / "CSV" / "train1.csv", names)
    write_list(tmp_path / "CSV" / "test1.csv", {})
    return tmp_path


def write_list(file: Path, rows: dict[str, str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("filename", "class"), *rows.items()])
    file.write_text(text.getvalue())


def test_lists_that_contradict_are_refused(small: Path) -> None:
    assert len(read_fold(small, 1, "train")) == 2
    for rows, told in (
        ({"137covid_patient7_SR_2_IM1.tif": "normal"}, "group of the other class"),
        ({"137covid_patient7_SR_2_IM9.tif": "covid"}, "slice is missing"),
        ({"137covid_patient7_SR_2_IM1.tif": "maybe"}, "as covid or normal"),
        ({"picture.tif": "covid"}, "are called group_patientN"),
        ({"other_patient7_SR_2_IM1.tif": "covid"}, "slice is missing"),
    ):
        write_list(small / "CSV" / "train1.csv", rows)
        with pytest.raises(ReadError, match=told):
            read_fold(small, 1, "train")
    tifffile.imwrite(small / "other_patient7_SR_2_IM1.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(ReadError, match="whose label is not known"):
        read_fold(small, 1, "train")


def test_a_patient_on_both_sides_is_refused(small: Path) -> None:
    write_list(small / "CSV" / "test1.csv", {"137covid_patient7_SR_3_IM4.tif": "covid"})
    for part in ("train", "test"):
        with pytest.raises(ReadError, match="1 patients stand in training and testing of fold 1"):
            read_fold(small, 1, part)
    (small / "CSV" / "train1.csv").write_text("file;class\n")
    with pytest.raises(ReadError, match="needs columns 'filename' and 'class'"):
        read_fold(small, 1, "train")
    with pytest.raises(ReadError, match=r"'train2.csv'"):
        read_fold(small, 2, "train")


def test_personal_columns_are_not_read(ctset: Path) -> None:
    found = read_patients(ctset / "Patient_details.csv")
    assert found["patient001"].age_years == 41
    assert [one.covid for one in found.values()] == [True, True, False, False, False]
    assert "20200301" not in repr(found)
    read_series(ctset)
    with pytest.raises(UnicodeDecodeError):
        (ctset / "Patients_metadata.csv").read_text(encoding="utf-8")


def test_a_patient_of_both_classes_is_refused(small: Path) -> None:
    for group in ("157covid", "normal2"):
        folder = small / group / "patient3" / "SR_2"
        folder.mkdir(parents=True)
        tifffile.imwrite(folder / "IM00001.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(ReadError, match="both classes"):
        read_series(small)
