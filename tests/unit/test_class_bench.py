"""COVID-CT and COVID-CTset on the bench: parts, cues, figures by part, pages; no torch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from groundglass.cli_bench import TrainRequest
from groundglass.core.scan import Intensity
from groundglass.datasets import covid_ct, covid_ct_slices, covid_ctset_fake, covid_ctset_slices
from groundglass.datasets.slices import SliceSet
from groundglass.errors import ModelError, ReadError, UncalibratedError
from groundglass.evaluation.class_figures import ClassScore
from groundglass.evaluation.classes import ClassKind, part_figures, patient_row
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.kinds import evaluate_model, write_any
from groundglass.metrics import roc_auc
from groundglass.models.card import Preparation, Scale
from groundglass.models.catalogue import load_catalogue
from groundglass.models.runtime import Model
from groundglass.systems.covid_ctset import series
from groundglass.systems.pictures import input_of, slice_input
from groundglass.systems.registry import read_part, system_named
from tests.networks import write_classifier


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake COVID-CT."""
    root = tmp_path_factory.mktemp("covid-ct")
    covid_ct.write_fake(root, np.random.default_rng(0))
    return root


@pytest.fixture(scope="module")
def ctset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake COVID-CTset."""
    root = tmp_path_factory.mktemp("ctset")
    covid_ctset_fake.write_fake(root, np.random.default_rng(0))
    return root


def opened(folder: Path, **changes: object) -> Model:
    return Model(load_catalogue().find(str(write_classifier(folder, **changes))))


def test_test_is_measured_first_and_then_val(pictures: Path, tmp_path: Path) -> None:
    system = system_named("covid-ct")
    assert system.parts(pictures) == ("test", "val", "train")
    found, part = read_part(system, pictures, None)
    assert (part, len(found.items), found.classes) == ("test", 6, ("other", "COVID-19"))
    covid_ct.write_fake(tmp_path, np.random.default_rng(0))
    for lists in ("COVID", "NonCOVID"):
        for file in (tmp_path / "Data-split" / lists).glob("test*"):
            file.unlink()
    assert read_part(system, tmp_path, None)[1] == "val"
    with pytest.raises(ReadError, match="testCT_COVID"):
        read_part(system, tmp_path, "test")


def test_what_is_trained_on_holds_nothing_out_by_mistake(pictures: Path) -> None:
    found = covid_ct_slices.all_parts(pictures)
    train = [item for item in found.items if item.split == "train"]
    assert len(train) == 12
    assert [item.split for item in found.items].count("val") == 6
    assert len(found.items) == 24
    assert any("one source feeds several parts" in note for note in found.notes)


def test_pictures_that_stand_in_test_too_are_left_out(tmp_path: Path) -> None:
    covid_ct.write_fake(tmp_path, np.random.default_rng(0))
    file = tmp_path / "Data-split" / "NonCOVID" / "trainCT_NonCOVID.txt"
    names = file.read_bytes().decode().splitlines()
    folder = tmp_path / "images" / "CT_NonCOVID"
    (folder / names[0]).rename(folder / "71%0.jpg")
    file.write_text("\r\n".join(["71%0.jpg", *names[1:]]))
    found = covid_ct_slices.all_parts(tmp_path)
    assert "CT_NonCOVID/71%0.jpg" not in {item.name for item in found.items}
    assert any("71%0.jpg" in note and "left out" in note for note in found.notes)
    assert len(covid_ct_slices.class_part(tmp_path, "train").items) == 12


def test_nothing_but_grey_values_reaches_the_trainer(pictures: Path) -> None:
    """Format and mode tell the class in the files; of what is handed on, they tell nothing."""
    items = covid_ct_slices.class_part(pictures, "train").items
    seen = [item.read() for item in items]
    cues = {(one.values.dtype.str, one.values.ndim, one.colours is None) for one in seen}
    assert len(cues) == 1
    assert all(one.intensity is Intensity.DISPLAY for one in seen)
    preparation = Preparation(Scale.BYTES, None, (32, 32), 3)
    given = [slice_input(one, preparation) for one in seen]
    assert all((one[0] == one[1]).all() and (one[0] == one[2]).all() for one in given)
    labels = [item.target for item in items]
    only_cues = [hash((one.values.dtype.str, one.values.ndim)) % 97 for one in seen]
    assert roc_auc(np.array(labels), np.array(only_cues)) == 0.5


def test_cues_are_learnt_on_train(tmp_path: Path) -> None:
    covid_ct.write_fake(tmp_path, np.random.default_rng(0))
    scores = covid_ct_slices.cue_scores(tmp_path, "val")
    assert set(scores) == {"file format", "colour mode", "picture size", "mean grey"}
    assert {len(one) for one in scores.values()} == {6}
    own = covid_ct_slices.cue_scores(tmp_path, "train")
    train = covid_ct.read_covid_ct(tmp_path, "train")
    place = next(i for i, one in enumerate(train) if one.covid)
    mode = train[place].cues().mode
    alike = [other.covid for other in train if other.cues().mode == mode]
    assert own["colour mode"][place] == pytest.approx(np.mean(alike))


@pytest.mark.data
def test_cues_tell_the_class_of_the_real_pictures(data: Path) -> None:
    scores = covid_ct_slices.cue_scores(data / "covid-ct", "train")
    labels = [one.covid for one in covid_ct.read_covid_ct(data / "covid-ct", "train")]
    found = {name: roc_auc(np.array(labels), np.array(one)) for name, one in scores.items()}
    assert (found["file format"] or 0) > 0.7
    assert (found["colour mode"] or 0) > 0.7


def test_an_evaluation_stands_beside_cues_and_published_figures(
    pictures: Path, tmp_path: Path
) -> None:
    slices = covid_ct_slices.class_part(pictures, "val")
    found = evaluate_model(opened(tmp_path), slices, "val", Options(rounds=20))
    assert set(found.baselines) == {"file format", "colour mode", "picture size", "mean grey"}
    assert {"accuracy", "auc", "f1_covid", "f1_noncovid", "calibration_error"} <= set(found.metrics)
    assert found.metrics["auc"].value is not None
    assert found.metrics["abstained"].value == 0
    first = next(iter(found.published.values()))
    assert (first["accuracy"], first["auc"], first["f1_noncovid"]) == (0.7241, 0.8357, 0.7586)
    files = write_any(found, tmp_path / "out", slices.items, {})
    told = json.loads(files[0].read_text(encoding="utf-8"))
    assert (told["system"], told["n"]) == ("covid-ct", 6)
    page = files[-1].read_text(encoding="utf-8")
    assert "not a diagnosis" in page
    assert "COVID_CT: DenseNet-121, random weights" in page
    assert (tmp_path / "out" / "pictures.csv").read_text().count("\n") == 7


def test_three_classes_are_not_measured(pictures: Path, tmp_path: Path) -> None:
    slices = covid_ct_slices.class_part(pictures, "val")
    model = opened(tmp_path, labels=("a", "b", "c"), thresholds={})
    with pytest.raises(ModelError, match="has 3"):
        ClassKind().score(model, slices.items, lambda _: None)


def test_stored_values_reach_the_network_as_they_are(ctset: Path) -> None:
    item = covid_ctset_slices.class_part(ctset, "labelled").items[0]
    one = item.read()
    assert one.intensity is Intensity.HU
    given = slice_input(one, Preparation(Scale.STORED, None, (512, 512)))
    np.testing.assert_array_equal(given[0], one.values + 1024)
    assert given.max() > 1000
    with pytest.raises(UncalibratedError, match="stored values"):
        input_of(np.zeros((1, 4, 4)), Intensity.DISPLAY, Preparation(Scale.STORED, None, (4, 4)))


def test_parts_of_ctset(ctset: Path) -> None:
    parts = system_named("covid-ctset").parts(ctset)
    assert parts[0] == "labelled"
    assert {"test1", "train5", "series"} <= set(parts)
    assert len(covid_ctset_slices.class_part(ctset, "test1").items) > 0
    whole = covid_ctset_slices.all_parts(ctset)
    assert len({item.group for item in whole.items}) == 5
    with pytest.raises(ValueError, match="parts of COVID-CTset are"):
        covid_ctset_slices.class_part(ctset, "test")


def test_series_are_selected_before_they_are_classified(ctset: Path) -> None:
    found = series.part_of(ctset, "series")
    by_patient: dict[str, int] = {}
    for item in found.items:
        by_patient[item.group] = by_patient.get(item.group, 0) + 1
    assert len(by_patient) == 5
    assert all(1 <= count < 8 for count in by_patient.values())
    assert {item.stratum for item in found.items} == {"SR_2"}


def scores_of(rows: list[tuple[str, bool, bool, str]]) -> list[ClassScore]:
    return [
        ClassScore(str(n), patient, covid, 0.9 if called else 0.1, called, stratum=kind)
        for n, (patient, covid, called, kind) in enumerate(rows)
    ]


def test_patients_and_kinds_of_series_have_rows_of_their_own() -> None:
    """One patient with 2 of 20 slices, one with 1 of 20, a normal one with 1 of 20."""
    rows = [("a", True, n < 2, "SR_2") for n in range(20)]
    rows += [("b", True, n < 1, "SR_3") for n in range(20)]
    rows += [("c", False, n < 1, "SR_2") for n in range(20)]
    slices = SliceSet("covid-ctset", "terms", ())
    found = part_figures(slices, scores_of(rows))
    assert list(found)[:2] == ["series SR_2", "series SR_3"]
    any_, share = list(found.values())[2:]
    assert (any_["sensitivity"], any_["specificity"]) == (1, 0)
    assert (share["sensitivity"], share["specificity"]) == (0.5, 1)
    assert found["series SR_3"]["auc"] is None
    assert patient_row([], lambda vote: vote.by_any)["accuracy"] is None


def test_ages_and_the_unexplained_group_are_told_apart(ctset: Path) -> None:
    items = covid_ctset_slices.class_part(ctset, "labelled").items
    marks = {item.group: set(item.marks) for item in items}
    assert marks["patient001"] == {"age 40 to 59", "without group cdunnormal"}
    assert marks["patient005"] == {"age 40 to 59", "group cdunnormal"}
    kept = series.part_of(ctset, "series").items
    assert {mark for item in kept for mark in item.marks} == marks["patient001"] | {
        "group cdunnormal"
    }
    bands = [covid_ctset_slices.age_band(years) for years in (12, 39, 40, 59, 60, 90, None)]
    young, middle, old = (name for _, name in covid_ctset_slices.AGE_BANDS)
    assert bands == [young, young, middle, middle, old, old, "age not given"]


def test_marked_slices_and_folds_have_rows_and_folds_a_plain_mean() -> None:
    rows = [
        ("a", True, True, ""),
        ("b", False, True, ""),
        ("c", True, True, ""),
        ("d", False, False, ""),
    ]
    marks = [("fold 0", "age under 40"), ("fold 0",), ("fold 1",), ("fold 1", "age under 40")]
    scores = [replace(s, marks=m) for s, m in zip(scores_of(rows), marks, strict=True)]
    found = part_figures(SliceSet("other", "terms", ()), scores)
    assert list(found) == ["age under 40", "fold 0", "fold 1", "mean of folds"]
    accuracy = {name: row["accuracy"] for name, row in found.items()}
    assert accuracy == {
        "age under 40": 1,
        "fold 0": 0.5,
        "fold 1": 1,
        "mean of folds": 0.75,
    }
    alone = part_figures(SliceSet("other", "terms", ()), scores[:2])
    assert "mean of folds" not in alone


def test_a_published_fold_trains_on_its_list_and_holds_its_test_list_out(ctset: Path) -> None:
    for fold in (1, 2):
        found = covid_ctset_slices.published_fold(ctset, fold)
        by_split = {
            part: [item.name for item in found.items if item.split == part]
            for part in ("train", "test")
        }
        for part, names in by_split.items():
            assert names == [item.name for item in read_fold_names(ctset, part, fold)]
        groups = [{i.group for i in found.items if i.split == part} for part in by_split]
        assert not groups[0] & groups[1]
        assert found.dataset == f"covid-ctset, published fold {fold}"


def read_fold_names(root: Path, part: str, fold: int) -> tuple[Any, ...]:
    """Return the slices of a list of a fold."""
    return covid_ctset_slices.class_part(root, f"{part}{fold}").items


def test_which_published_fold_is_asked_for() -> None:
    def asked(system: str, fold: str | None) -> TrainRequest:
        place = Path("nowhere")
        return TrainRequest(
            system, place, place, "published", fold, "random", None, False, False, 0, True
        )

    assert asked("covid-ctset", "published-3").published_fold == "3"
    assert asked("covid-ctset", "3").published_fold is None
    assert asked("covid-ctset", None).published_fold is None
    for system, fold in (("covid-ct", "published-1"), ("covid-ctset", "published-x")):
        with pytest.raises(typer.BadParameter, match="a number or all"):
            asked(system, fold).slices()
