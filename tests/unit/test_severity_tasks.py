"""The published tasks on fakes of their layouts: averages by hand, lists, notes, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import stats

from groundglass.datasets import covid_semiseg, ctss, medseg, mosmed
from groundglass.datasets.covid_ct_md_fake import fake_hu
from groundglass.datasets.mosmed import fake_mask, save_nifti
from groundglass.errors import ReadError
from groundglass.evaluation import infection_tasks
from groundglass.evaluation.five_averages import Legacy, ScoredSlice, five_averages
from groundglass.evaluation.infection_tasks import (
    TaskOptions,
    infection_48,
    infection_638,
    infection_mosmed,
)
from groundglass.evaluation.patient_figures import class_table, confusion, exact_interval
from groundglass.evaluation.patient_tasks import grades_task, scores_task
from groundglass.evaluation.severity_masks import Method
from groundglass.evaluation.tables import NumberTable, TaskResult, write_result
from groundglass.metrics import Overlap
from groundglass.readers.read import read_scan
from groundglass.systems.identification_severity.published import SLICES_48, SLICES_636

QUICK = TaskOptions(Method.PUBLISHED, rounds=20, resize=False)


def cell(table: NumberTable, row: str, column: str) -> float | int | str | None:
    found = next(one for one in table.rows if one[0] == row)
    return found[table.columns.index(column)]


def scored(patient: str, tp: int, fp: int, fn: int) -> ScoredSlice:
    counts = Overlap(tp, fp, fn, 100)
    return ScoredSlice(f"{patient}{tp}{fp}{fn}", patient, counts, counts)


def test_five_averages_by_hand() -> None:
    slices = [
        scored("a", 10, 0, 10),  # Dice 2/3
        scored("a", 0, 0, 20),  # missed: 0, and not in legacy
        scored("a", 0, 0, 0),  # nothing to find, nothing found: 1, and not in legacy
        scored("b", 0, 5, 0),  # false mark: 0
        scored("b", 30, 10, 10),  # 0.75
    ]
    table = five_averages(slices, Legacy.FOUND, "t", rounds=50)
    assert cell(table, "legacy", "Dice") == pytest.approx((2 / 3 + 0 + 0.75) / 3)
    assert cell(table, "legacy", "slices") == 3
    assert cell(table, "slice_mean", "Dice") == pytest.approx((2 / 3 + 0 + 1 + 0 + 0.75) / 5)
    assert cell(table, "infected_only", "Dice") == pytest.approx((2 / 3 + 0 + 0.75) / 3)
    assert cell(table, "infected_only", "slices") == 3
    assert cell(table, "per_patient", "Dice") == pytest.approx((20 / 50 + 60 / 85) / 2)
    assert cell(table, "pooled", "Dice") == pytest.approx(80 / 135)
    low, _, high = str(cell(table, "pooled", "95 %")).split(" ")
    assert float(low) <= 80 / 135 <= float(high)


def test_legacy_of_mosmed_is_a_running_mean_over_all_patients_so_far() -> None:
    slices = [
        scored("a", 1, 0, 0),
        scored("b", 1, 1, 1),
        scored("b", 1, 0, 2),
        scored("b", 0, 9, 0),
    ]
    table = five_averages(slices, Legacy.RUNNING, "t", rounds=10)
    # Patient a: 1; patient b: mean of 1, 0.5 and 0.5; the false mark has no reference.
    assert cell(table, "legacy", "Dice") == pytest.approx((1 + 2 / 3) / 2)
    assert cell(table, "legacy", "slices") == 3
    assert cell(table, "legacy", "95 %") == ""


def test_exact_interval_is_that_of_the_binomial_test() -> None:
    for hits, count in ((0, 10), (119, 130), (10, 10)):
        wanted = stats.binomtest(hits, count).proportion_ci(method="exact")
        assert exact_interval(hits, count) == pytest.approx((wanted.low, wanted.high))


def test_classes_by_hand_and_undetermined_is_wrong() -> None:
    truth = ["NORMAL", "NORMAL", "CAP", "COVID-19"]
    found = ["NORMAL", "CAP", "CAP", "undetermined"]
    classes = ("NORMAL", "CAP", "COVID-19")
    table = class_table(truth, {"vote": found}, classes)
    assert cell(table, "vote", "accuracy") == 0.5
    assert cell(table, "vote", "sens. NORMAL") == 0.5
    assert cell(table, "vote", "prec. CAP") == 0.5
    assert cell(table, "vote", "sens. COVID-19") == 0
    assert cell(table, "vote", "prec. COVID-19") is None
    assert cell(table, "vote", "macro F1") == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    counts = confusion(truth, found, classes, "c")
    assert counts.columns == ("reference", *classes, "undetermined")
    assert counts.rows[2] == ("COVID-19", 0, 0, 0, 1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("medseg")
    medseg.write_fake(folder, np.random.default_rng(0))
    return folder


def test_48_slices_are_those_of_the_list_in_the_order_of_the_file(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def marks(hu: np.ndarray, *_: object) -> tuple[np.ndarray, np.ndarray]:
        seen.append(hu)
        return hu > -600, (hu > -600) & (hu < -300)

    monkeypatch.setattr(infection_tasks, "slice_masks", marks)
    found = infection_48(stack, QUICK)
    assert found.count == 48
    assert [item["slice"] for item in found.items] == [f"slice {n}" for n in SLICES_48]
    # The file runs from feet to head: its slice k is slice 100 - k of the scan, ill if divisible.
    wanted = [(100 - number) % 3 == 0 for number in SLICES_48]
    assert [int(item["reference_pixels"] or 0) > 0 for item in found.items] == wanted
    image: Any = nibabel.load(stack / "tr_im.nii.gz")
    values = np.asarray(image.dataobj)
    np.testing.assert_array_equal(seen[0], values[:, ::-1, SLICES_48[0] - 1].T)
    assert [table.title.split(" ")[0] for table in found.tables] == ["All", "Without", "Inf-Net's"]
    whole, without = (cell(t, "pooled", "sensitivity") for t in found.tables[:2])
    assert isinstance(whole, float)
    assert isinstance(without, float)
    assert without > whole
    assert cell(found.published, "Semi-Inf-Net", "Dice mean") == 0.739
    assert found.published.rows[-1][1:] == (None,) * 9


def test_stack_of_another_length_is_refused(tmp_path: Path) -> None:
    ill = np.zeros(12, bool)
    save_nifti(tmp_path / "tr_im.nii.gz", fake_hu(ill, np.random.default_rng(0)))
    save_nifti(tmp_path / "tr_mask.nii.gz", fake_mask(ill))
    with pytest.raises(ReadError, match="needs 100 slices, found 12"):
        infection_48(tmp_path, QUICK)


def test_pictures_of_covid_semiseg_are_measured_and_said_to_be_others(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    found = infection_48(tmp_path, replace(QUICK, method=Method.OURS))
    assert found.dataset == "COVID-SemiSeg, test, JPEG"
    assert "JPEG" in found.notes[0]
    assert "HU" in found.notes[0]
    for table in found.tables[:1]:
        assert [row[0] for row in table.rows] == [
            "legacy",
            "slice_mean",
            "infected_only",
            "per_patient",
            "pooled",
        ]
    for picture in (tmp_path / "Dataset" / "TestingSet").rglob("*.jpg"):
        picture.unlink()
    again = infection_48(tmp_path, replace(QUICK, method=Method.OURS))
    assert "training slices" in again.notes[1]


def test_volumes_count_all_slices_without_the_nine_and_say_so(stack: Path) -> None:
    found = infection_638(stack, replace(QUICK, method=Method.OURS))
    assert found.count == 24
    assert "found 2" in found.notes[0]
    dice = cell(found.tables[1], "infected_only", "Dice")
    assert isinstance(dice, float)
    assert dice > 0.6


def test_nine_volumes_are_cut_to_their_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    for folder in ("Test", "Mask"):
        (tmp_path / folder).mkdir()
    lists = tuple((2, 3 + number % 3) for number in range(9))
    for number in range(9):
        ill = np.zeros(6, bool)
        ill[5 - 1] = True  # the second slice of the file, which runs from the feet
        save_nifti(tmp_path / "Test" / f"{number}.nii", fake_hu(ill, generator))
        save_nifti(tmp_path / "Mask" / f"{number}.nii", fake_mask(ill))

    def nothing(*_: object) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((6, 64, 64), np.uint8), np.zeros((6, 64, 64), bool)

    monkeypatch.setattr(infection_tasks, "volume_masks", nothing)
    monkeypatch.setattr(infection_tasks, "SLICES_636", lists)
    found = infection_638(tmp_path, QUICK)
    assert found.count == sum(last - first + 1 for first, last in lists)
    ill_slices = [item for item in found.items if item["reference_pixels"]]
    assert len(ill_slices) == 9
    assert "636 entries" in found.notes[0]
    monkeypatch.setattr(infection_tasks, "SLICES_636", SLICES_636)
    with pytest.raises(ReadError, match="at least 43 slices, has 6"):
        infection_638(tmp_path, QUICK)


def test_resizing_grows_the_legacy_reference_alone() -> None:
    reference = np.zeros((630, 630), np.uint8)
    reference[300:340, 300:340] = 1
    one = infection_tasks._measured(
        "s", "p", np.zeros((512, 512), bool), reference, TaskOptions(Method.PUBLISHED)
    )
    assert one.reference.shape == one.grown.shape == (512, 512)
    wanted = 40 * 40 * (512 / 630) ** 2
    assert one.reference.sum() == pytest.approx(wanted, rel=0.05)
    wider = np.sqrt(one.grown.sum()) - np.sqrt(wanted)
    assert 0.5 < wider / 2 < 1.5  # about a pixel at each side
    ours = infection_tasks._measured("s", "p", reference > 0, reference, TaskOptions(Method.OURS))
    assert ours.reference.shape == (630, 630)


def test_mosmed_masks_are_measured_on_slices_with_enough_lung(tmp_path: Path) -> None:
    mosmed.write_fake(tmp_path, np.random.default_rng(0))
    found = infection_mosmed(tmp_path, replace(QUICK, method=Method.OURS))
    assert "2 studies" in found.dataset
    assert {item["patient"] for item in found.items} == {"study_0255", "study_0256"}
    assert cell(found.published, "Identification and Severity (IEEE)", "Dice") is None
    for mask in (tmp_path / "masks").iterdir():
        mask.unlink()
    with pytest.raises(ReadError, match="found none"):
        infection_mosmed(tmp_path, QUICK)


def test_grades_of_mosmed_are_compared_with_those_by_percent(tmp_path: Path) -> None:
    mosmed.write_fake(tmp_path, np.random.default_rng(0))
    found = grades_task(tmp_path, Method.OURS)
    assert [item["reference"] for item in found.items] == ["CT-0", "CT-0", "CT-1", "CT-1"]
    assert [item["grade"] for item in found.items] == [0, 0, 1, 1]
    assert cell(found.tables[0], "ours", "accuracy") == 1
    assert cell(found.tables[2], "ours", "kappa_quadratic") == 1


def test_scores_of_the_cohort_stand_beside_radiologists(tmp_path: Path) -> None:
    ctss.write_fake(tmp_path, np.random.default_rng(0))
    found = scores_task(tmp_path, Method.OURS)
    assert [item["reference"] for item in found.items] == [5, 3, 0]
    names = [row[0] for row in found.tables[0].rows]
    assert names == [
        "published rule, mean over slices",
        "published rule, max over slices",
        "ctss25 of ours",
    ]
    assert found.items[2]["ctss25 of ours"] == 0
    assert cell(found.published, "published, mean over slices", "pearson") == 0.823
    assert read_scan(tmp_path / "P001").shape[0] == 14


def test_result_is_written_and_read_again(tmp_path: Path) -> None:
    table = NumberTable("T", ("row", "a", "b"), (("x", 0.5, None), ("y", 3, "z")))
    result = TaskResult(
        "s", "t", "m", "d", 2, (table,), table, ({"slice": "1", "dice": 0.5},), ("n",)
    )
    paths = write_result(result, tmp_path / "out")
    found = json.loads(paths[0].read_text(encoding="utf-8"))
    assert found["tables"][0]["rows"]["x"] == {"a": 0.5, "b": None}
    assert found["n"] == 2
    page = paths[3].read_text(encoding="utf-8")
    assert "n/a" in page
    assert "0.500" in page
    with paths[2].open(encoding="utf-8", newline="") as text:
        assert list(csv.DictReader(text)) == [{"slice": "1", "dice": "0.5"}]
