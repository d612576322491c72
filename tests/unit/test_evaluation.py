"""Figures under their conventions, their intervals, what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.core.scan import Intensity
from groundglass.datasets import covid_semiseg
from groundglass.datasets.covid_ct_rate import fake_slice
from groundglass.datasets.finding import open_slices
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import ReadError
from groundglass.evaluation.baselines import BASELINES
from groundglass.evaluation.compare import compare
from groundglass.evaluation.enhancement import gain_of, write_gains
from groundglass.evaluation.evaluate import Options, marker, predictor
from groundglass.evaluation.kinds import evaluate_model
from groundglass.evaluation.result import write_evaluation
from groundglass.evaluation.scores import SliceScore, score_all, score_slice
from groundglass.evaluation.summary import MEANING, conventions, summarise
from groundglass.evaluation.surfaces import hd95, normalised_surface_dice
from groundglass.metrics import infnet_scores
from groundglass.models.card import Preparation, Scale
from groundglass.models.catalogue import load_catalogue
from groundglass.models.runtime import Model
from tests.networks import write_model

FEW = Options(rounds=50)


def square(row: int, column: int, side: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def hu_items(count: int = 4) -> list[SliceItem]:
    generator = np.random.default_rng(0)
    found = []
    for index in range(count):
        hu, lesion, lungs = fake_slice(generator, side=64)
        read = partial(Slice, hu, Intensity.HU, lesion, False, lungs)
        found.append(SliceItem(f"s{index}", f"g{index // 2}", "train", "doctor", read))
    return found


def truth_of(one: Slice) -> np.ndarray:
    assert one.lesion is not None
    return (one.lesion > 0)[None].astype(np.float32)


def scores_of(shift: int = 0) -> list[SliceScore]:
    return score_all(hu_items(), lambda one: np.roll(truth_of(one), shift, axis=2), (0.5,))


def test_distances_of_outlines() -> None:
    one, other = square(5, 5, 10), square(5, 8, 10)
    assert hd95(one, one, (1, 1)) == 0
    assert hd95(one, other, (1, 1)) == pytest.approx(3)
    assert hd95(one, other, (1, 0.5)) == pytest.approx(1.5)
    nothing = np.zeros_like(one)
    assert hd95(nothing, nothing, (1, 1)) == 0
    assert hd95(one, nothing, (1, 1)) is None
    assert normalised_surface_dice(one, other, (1, 1), 3) == 1
    assert normalised_surface_dice(one, other, (1, 1), 1) < 1
    assert normalised_surface_dice(nothing, nothing, (1, 1), 1) == 1
    assert normalised_surface_dice(one, nothing, (1, 1), 1) == 0


def test_a_perfect_model_scores_perfectly() -> None:
    found = summarise(scores_of(), rounds=50)
    for name in ("dice", "dice_pooled", "dice_per_patient", "dice_max256", "sensitivity", "nsd"):
        assert found[name].value == 1, name
    for name in ("mae", "mae_binary", "hd95", "percent_mae", "percent_bias"):
        assert found[name].value == 0, name
    assert found["percent_pc"].value == pytest.approx(1)
    assert set(found) <= set(MEANING)


def test_conventions_differ_where_they_should() -> None:
    full, empty = square(5, 5, 10), np.zeros((40, 40), bool)
    pairs = [(full, full), (full, empty), (empty, empty), (square(5, 10, 10), full)]
    scores = []
    for index, (mask, truth) in enumerate(pairs):
        item = SliceItem(f"s{index}", f"g{index // 2}", "train", "doctor", lambda: None)  # type: ignore[arg-type,return-value]
        one = Slice(
            np.zeros((40, 40)), Intensity.HU, truth.astype(np.uint8), lungs=full * np.uint8(1)
        )
        scores.append(score_slice(item, one, mask[None].astype(np.float32), (0.5,)))
    found = {name: figure.value for name, figure in summarise(scores, rounds=20).items()}
    assert found["dice"] == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert found["dice_infected_only"] == pytest.approx(0.75)
    assert found["dice_pooled"] == pytest.approx(2 * 150 / (300 + 200))
    assert found["dice_per_patient"] == pytest.approx((200 / 300 + 100 / 200) / 2)
    assert found["sensitivity"] == pytest.approx(0.75)
    assert found["hd95"] == pytest.approx(5 / 3, abs=0.5)
    assert conventions(scores)["legacy"]["count"] == 3


def test_infnets_figures_are_those_of_its_toolbox() -> None:
    generator = np.random.default_rng(1)
    items = hu_items()
    maps = {item.name: generator.random((1, 64, 64)).astype(np.float32) for item in items}
    lookup = iter(items)
    scores = score_all(items, lambda _: maps[next(lookup).name], (0.5,))
    truths = [truth_of(item.read())[0] > 0 for item in items]
    wanted = infnet_scores([maps[item.name][0] for item in items], truths)
    found = {name: figure.value for name, figure in summarise(scores, rounds=20).items()}
    assert found["dice_mean256"] == pytest.approx(wanted.dice_mean)
    assert found["dice_max256"] == pytest.approx(wanted.dice_max)
    assert found["dice_adaptive"] == pytest.approx(wanted.dice_adaptive)
    assert found["sensitivity_mean256"] == pytest.approx(wanted.sensitivity_mean)
    assert found["specificity_mean256"] == pytest.approx(wanted.specificity_mean)
    assert found["mae_scaled"] == pytest.approx(wanted.mae)


def test_the_infected_percentage_is_that_of_the_lung() -> None:
    lungs = square(0, 0, 20).astype(np.uint8)
    truth, mask = square(0, 0, 10), square(0, 0, 5)
    one = Slice(np.zeros((40, 40)), Intensity.HU, truth.astype(np.uint8), lungs=lungs)
    score = score_slice(hu_items(1)[0], one, mask[None].astype(np.float32), (0.5,))
    assert score.percent_reference == pytest.approx(25)
    assert score.percent_found == pytest.approx(6.25)


@settings(max_examples=10)
@given(st.integers(0, 6))
def test_intervals_hold_their_figure(shift: int) -> None:
    for name, figure in summarise(scores_of(shift), rounds=100).items():
        if figure.low is not None and figure.value is not None and name != "dice_max256":
            assert figure.high is not None
            assert figure.low - 1e-9 <= figure.value <= figure.high + 1e-9, name


def test_one_source_has_no_interval_and_none_no_figures() -> None:
    one = summarise(scores_of()[:1], rounds=20)
    assert one["dice"].low is None
    assert one["percent_loa_low"].value is None
    with pytest.raises(ValueError, match="at least one slice"):
        summarise([])


def test_models_are_compared_slice_by_slice() -> None:
    better, worse = scores_of(), scores_of(4)
    found = compare(better, list(reversed(worse)))
    assert found.dice > 0
    assert found.p_value is not None
    assert compare(better, better).p_value is None
    with pytest.raises(ValueError, match="the same slices"):
        compare(better, worse[:2])


def test_a_slice_without_reference_is_refused() -> None:
    item = hu_items(1)[0]
    with pytest.raises(ReadError, match="without a reference"):
        score_slice(
            item,
            Slice(np.zeros((4, 4)), Intensity.HU, None),
            np.zeros((1, 4, 4), np.float32),
            (0.5,),
        )


def test_baselines_answer_for_pictures_and_hu(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    picture = open_slices(tmp_path, ["train"]).items[0].read()
    for one in (picture, hu_items(1)[0].read()):
        for predict in BASELINES.values():
            assert predict(one).shape == (2, *one.values.shape)
    hu = hu_items(1)[0]
    found = score_slice(hu, hu.read(), BASELINES["training-free"](hu.read()), (0.5, 0.5))
    assert found.overlap.dice > 0.6


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A network that marks tones above one half, which ground glass of the fake reaches."""
    write_model(tmp_path / "m", training_data=("covid-semiseg",), limits=())
    return Model(load_catalogue(tmp_path / "m").find("tiny"))


def test_an_evaluation_is_written_as_promised(model: Model, tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0), slices=3)
    slices = open_slices(tmp_path, ["train"])
    found = evaluate_model(model, slices, "train", FEW)
    assert any("was trained on this data set" in note for note in found.notes)
    out = tmp_path / "out"
    paths = write_evaluation(found, out, slices.items, marker(model))
    assert all(path.stat().st_size for path in paths)
    document = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert list(document) == ["system", "model", "split", "n", "metrics", "published"]
    assert document["n"] == 3
    assert set(document["metrics"]["dice"]) == {"value", "low", "high"}
    assert {"dice", "dice_mean256", "dice_max256", "mae"} <= set(document["metrics"])
    assert document["published"]["Inf-Net"]["dice_mean256"] == 0.682
    with (out / "slices.csv").open(encoding="utf-8") as text:
        assert [row["slice"] for row in csv.DictReader(text)] == [i.name for i in slices.items]
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 3
    assert "whole lung" in page
    assert not re.search(r"src=\"http|<script", page)


def test_a_model_that_wants_lungs_gets_them(tmp_path: Path) -> None:
    preparation = Preparation(Scale.HU_WINDOW, (-1000.0, 400.0), (32, 32), zero_outside_lungs=True)
    write_model(tmp_path, preparation=preparation)
    found = Model(load_catalogue(tmp_path).find("tiny"))
    hu, lesion, lungs = fake_slice(np.random.default_rng(0), side=128)
    own = predictor(found)(Slice(hu, Intensity.HU, lesion, lungs=lungs))
    none = predictor(found)(Slice(hu, Intensity.HU, lesion))
    for maps in (own, none):
        assert maps[0][:8].max() < 0.1
    picture = Slice(np.full((32, 32), 255, np.uint8), Intensity.DISPLAY, None)
    assert predictor(found)(picture).min() > 0.5


def test_the_gain_of_an_enhancement_is_told_by_what_was_chosen(tmp_path: Path) -> None:
    before, after = scores_of(4), scores_of()
    gain = gain_of(before, after, {"s0", "elsewhere"}, disjoint=False)
    assert gain.everything.dice > 0
    assert gain.chosen is not None
    assert gain.rest is not None
    assert (gain.everything.count, gain.chosen.count, gain.rest.count) == (4, 1, 3)
    assert gain_of(before, after, set(), disjoint=True).chosen is None
    write_gains({"whole": gain}, ("a caveat",), tmp_path / "gain.json")
    assert json.loads((tmp_path / "gain.json").read_text(encoding="utf-8"))["caveats"]
