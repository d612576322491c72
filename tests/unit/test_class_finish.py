"""How a training of pictures ends: best weights, temperature, what is familiar, figures, votes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("lightning")

from groundglass.cli import app  # noqa: E402
from groundglass.core.progress import Progress  # noqa: E402
from groundglass.core.serial import to_json  # noqa: E402
from groundglass.datasets import covid_ct, covid_ct_slices, covid_ctset_fake  # noqa: E402
from groundglass.datasets.covid_ctset_slices import published_fold  # noqa: E402
from groundglass.datasets.slices import SliceSet  # noqa: E402
from groundglass.evaluation.card_figures import FIGURES, put_figures  # noqa: E402
from groundglass.evaluation.evaluate import Options  # noqa: E402
from groundglass.evaluation.kinds import evaluate_model  # noqa: E402
from groundglass.metrics import roc_auc  # noqa: E402
from groundglass.models.card import card_path, read_card  # noqa: E402
from groundglass.models.runtime import Model  # noqa: E402
from groundglass.systems.calibration import fit_temperature  # noqa: E402
from groundglass.systems.class_views import classify_pictures  # noqa: E402
from groundglass.systems.covid_ct.ours.recipe import SmallConfig, SmallRecipe  # noqa: E402
from groundglass.systems.covid_ct.recipe import PublishedRecipe  # noqa: E402
from groundglass.systems.covid_ct.vote import vote_rows  # noqa: E402
from groundglass.systems.covid_ctset import recipe as ctset  # noqa: E402
from groundglass.systems.covid_ctset.series import part_of  # noqa: E402
from groundglass.systems.covid_rate.ours.network import NetworkConfig  # noqa: E402
from groundglass.systems.recipes import Source, TrainingData, VotingRecipe  # noqa: E402
from groundglass.training.export import Origins  # noqa: E402
from groundglass.training.finish import finish_model  # noqa: E402
from groundglass.training.fit import train_network  # noqa: E402
from groundglass.training.run import FULL, Run, RunOptions, train_run  # noqa: E402
from groundglass.training.votes import Ballot, last_vote  # noqa: E402

TINY = NetworkConfig(widths=(4, 4, 8, 8, 8), blocks=(1, 1, 1, 1))
QUICK = Options(rounds=2, baselines=False)
SHORT = SmallConfig(TINY, epochs=6, batch=12, side_px=64, kept_px=64, learning_rate=0.01)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, SliceSet, Path]:
    """The small classifier trained shortly on a fake, its figures put onto its card."""
    root = tmp_path_factory.mktemp("covid-ct")
    covid_ct.write_fake(root, np.random.default_rng(0))
    slices = covid_ct_slices.all_parts(root)
    out = tmp_path_factory.mktemp("run") / "run"
    run = train_run(SmallRecipe(SHORT), slices, out, RunOptions(allow_leak=True))
    put_figures(run, slices)
    return run, slices, out / FULL


def _curve(folder: Path) -> list[float]:
    with (folder / "main.curve.csv").open(encoding="utf-8") as text:
        return [float(row["validation_auc"]) for row in csv.DictReader(text)]


def test_val_chooses_the_pass_and_is_not_trained_on(trained: tuple[Run, SliceSet, Path]) -> None:
    run, slices, folder = trained
    val = [item for item in slices.items if item.split == "val"]
    assert [item.name for item in run.watched[FULL]] == [item.name for item in val]
    curve = _curve(folder)
    assert len(curve) == SHORT.epochs
    found = classify_pictures(Model(run.entries[FULL]), [item.read().values for item in val])
    kept = roc_auc([int(item.target or 0) for item in val], found.probabilities[:, 1])
    assert kept == pytest.approx(max(curve), abs=0.12)  # resized once here, twice on the way
    assert (folder / "main.last.safetensors").is_file()


def test_the_temperature_is_that_of_val(trained: tuple[Run, SliceSet, Path]) -> None:
    from safetensors.torch import load_file

    run, _, folder = trained
    recipe = SmallRecipe(SHORT)
    network = recipe.network()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    network.eval()
    val = run.watched[FULL]
    with torch.no_grad():
        logits = [
            sum(network(side)[0].numpy() for side in (given, given.flip(3))) / 2
            for item in val
            for given in [torch.from_numpy(recipe.prepared(item.read()))[None]]
        ]
    wanted = fit_temperature(np.array(logits), np.array([int(item.target or 0) for item in val]))
    config = run.entries[FULL].card.architecture_config
    assert config["temperature"] == pytest.approx(wanted, rel=0.02)
    assert config["temperature"] != 1


def test_figures_of_val_stand_on_the_card(trained: tuple[Run, SliceSet, Path]) -> None:
    run, slices, folder = trained
    card = read_card(card_path(folder / "model.onnx"))
    figures = {score.metric: score for score in card.scores}
    assert set(figures) <= set(FIGURES)
    assert {"accuracy", "auc", "f1_covid"} <= set(figures)
    val = run.watched[FULL]
    answers = classify_pictures(Model(run.entries[FULL]), [item.read().values for item in val])
    right = (answers.probabilities[:, 1] >= 0.5) == [item.target == 1 for item in val]
    assert figures["accuracy"].value == pytest.approx(right.mean(), abs=1e-4)
    assert figures["accuracy"].count == 6
    assert "chosen by them" in figures["auc"].data
    before = card_path(folder / "model.onnx").read_text()
    put_figures(run, slices)
    assert card_path(folder / "model.onnx").read_text() == before


def test_what_is_familiar_is_learnt_from_the_training_pictures(
    trained: tuple[Run, SliceSet, Path], tmp_path: Path
) -> None:
    run, slices, _ = trained
    assert run.entries[FULL].card.familiarity is None  # twelve pictures cannot tell
    train = [item for item in slices.items if item.split == "train"]
    recipe = SmallRecipe(SHORT)
    origins = Origins("some", "own", ("fake",))
    network = recipe.network().eval()
    entry = finish_model(recipe, network, train * 5, (), origins, tmp_path / "one")
    known = entry.card.familiarity
    assert known is not None
    assert known.strangeness(train[1].read().values) < 1
    assert known.strangeness(np.zeros((80, 80), np.uint8)) > 1
    assert entry.card.architecture_config["temperature"] == 1


def test_votes_are_counted_as_the_published_scripts_do() -> None:
    answers = [np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]) for _ in range(5)]
    answers += [np.array([[0.0, 2.0], [0.0, 1.0], [3.0, 0.0]]) for _ in range(6)]
    (row,) = vote_rows(answers, np.array([1.0, 1.0, 0.0]))
    # of the first ten passes five call each of the first and third other: both are COVID-19
    assert (row["first_pass"], row["last_pass"], row["pictures"]) == (0, 9, 3)
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["f1_covid"] == pytest.approx(4 / 5)
    assert row["f1_noncovid"] == 0
    soft = [[1 / (1 + np.exp(b - a)) for a, b in one] for one in answers[:10]]
    assert row["auc"] == roc_auc([0, 0, 1], np.mean(soft, axis=0))


class Told(PublishedRecipe):
    """Answers what it is told, pass by pass, in place of the network."""

    def __init__(self, answers: Any) -> None:
        super().__init__()
        self.told = iter(answers)

    def answered(self, network: Any, sources: Any, device: Any) -> Any:
        """Return the next answers."""
        del network, sources, device
        return next(self.told)


def test_passes_vote_in_groups_of_ten_and_all_votes_are_kept(tmp_path: Path) -> None:
    answers = np.random.default_rng(0).normal(size=(25, 4, 2))
    targets = np.array([1, 0, 0, 1], np.float32)
    source = Source("pictures", np.zeros((4, 1, 2, 2)), 1.0, targets=targets)
    ballot = Ballot(Told(answers), [source])
    looked = [ballot.look(torch.nn.Identity(), "cpu") for _ in answers]
    assert looked[3] == roc_auc(targets, answers[3, :, 1] - answers[3, :, 0])
    ballot.write(tmp_path, "main")
    with (tmp_path / "main.votes.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [row["first_pass"] for row in rows] == ["0", "10"]
    assert last_vote(tmp_path) == rows[1]
    assert float(rows[1]["accuracy"]) == vote_rows(list(answers[10:20]), targets)[0]["accuracy"]


class VotingRecipeOfTiny(SmallRecipe):
    """The small recipe, whose passes vote."""

    votes = staticmethod(vote_rows)


def test_every_pass_votes_on_sources_set_apart_where_there_is_no_val(
    trained: tuple[Run, SliceSet, Path], tmp_path: Path
) -> None:
    _, slices, _ = trained
    train = tuple(item for item in slices.items if item.split == "train")
    only = SliceSet(slices.dataset, slices.licence, train, (), slices.classes, groups_known=True)
    config = SmallConfig(TINY, epochs=10, batch=12, side_px=32, kept_px=32, patience=10)
    run = train_run(VotingRecipeOfTiny(config), only, tmp_path / "run", RunOptions(allow_leak=True))
    watched = run.watched[FULL]
    assert 0 < len({item.group for item in watched}) < len({item.group for item in train})
    vote = last_vote(tmp_path / "run" / FULL)
    assert (vote["first_pass"], vote["last_pass"]) == ("0", "9")
    assert vote["pictures"] == str(len(watched))
    assert isinstance(PublishedRecipe(), VotingRecipe)
    assert not isinstance(SmallRecipe(), VotingRecipe)
    assert last_vote(tmp_path) == {}


class Little(ctset.CtsetRecipe):
    """The published recipe with a network of a few weights."""

    def network(self) -> Any:
        """Return a new one."""
        conv = torch.nn.Conv2d(1, 4, 5, 4)
        return torch.nn.Sequential(
            conv, torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, 2)
        )


@pytest.mark.parametrize("leak", [None, ctset.BEST_ON_TEST])
def test_a_published_fold_is_chosen_on_training_patients_unless_the_leak_is_asked_for(
    leak: str | None, tmp_path: Path
) -> None:
    covid_ctset_fake.write_fake(tmp_path, np.random.default_rng(0), slices=6)
    slices = published_fold(tmp_path, 1)
    config = ctset.PublishedConfig(epochs=2, side_px=64, published_leak=leak)
    options = RunOptions(allow_leak=True)  # drawn chests look alike
    run = train_run(Little(config), slices, tmp_path / "run", options)
    put_figures(run, slices)
    split = "train" if leak is None else "test"
    own = {item.group for item in slices.items if item.split == split}
    watched = {item.group for item in run.watched[FULL]}
    assert watched <= own
    assert (watched == own) is (leak is not None)
    card = run.entries[FULL].card
    assert ("held-out" in (card.leak or "")) is (leak is not None)
    assert card.training_data == ("covid-ctset, published fold 1",)
    assert card.scores
    model = Model(run.entries[FULL])
    notes = {
        part: " ".join(evaluate_model(model, part_of(tmp_path, part), part, QUICK).notes)
        for part in ("test1", "test2")
    }
    assert "trained on" not in notes["test1"].replace("in training", "")
    assert "the model was trained on this data set" in notes["test2"]


def test_a_stopped_training_votes_as_one_that_was_not(
    trained: tuple[Run, SliceSet, Path], tmp_path: Path
) -> None:
    _, slices, _ = trained
    config = SmallConfig(TINY, epochs=10, batch=12, side_px=32, kept_px=32)
    recipe = VotingRecipeOfTiny(config)
    train, val = (
        TrainingData([item for item in slices.items if item.split == part])
        for part in ("train", "val")
    )
    watched = recipe.sources(0, val, torch.nn.Identity())

    def stop(progress: Progress) -> None:
        if progress.done == 7:
            raise KeyboardInterrupt

    whole = train_network(recipe, train, tmp_path / "whole", validation=watched)
    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, train, tmp_path / "parts", validation=watched, on_progress=stop)
    resumed = train_network(recipe, train, tmp_path / "parts", validation=watched)
    votes = [(tmp_path / name / "main.votes.csv").read_text() for name in ("whole", "parts")]
    assert votes[0] == votes[1]
    assert torch.equal(resumed.classifier.weight, whole.classifier.weight)


def test_the_command_line_trains_and_fills_the_card(
    trained: tuple[Run, SliceSet, Path], tmp_path: Path
) -> None:
    covid_ct.write_fake(tmp_path, np.random.default_rng(0))
    settings = SmallConfig(TINY, epochs=2, batch=12, side_px=32, kept_px=32)
    (tmp_path / "tiny.json").write_text(to_json(settings))
    out = tmp_path / "run"
    told = ["train", "covid-ct", "--data", str(tmp_path), "-o", str(out), "--allow-leak", "-q"]
    chosen = ["--model", "small", "--recipe", str(tmp_path / "tiny.json")]
    done = CliRunner().invoke(app, [*told, *chosen])
    assert done.exit_code == 0, done.output
    card = read_card(out / FULL / "model.card.json")
    assert {score.metric for score in card.scores} >= {"accuracy", "auc", "sensitivity"}
    assert card.leak
    notes = evaluate_model(
        Model(trained[0].entries[FULL]), covid_ct_slices.class_part(tmp_path, "val"), "val", QUICK
    ).notes
    assert any("chose what was kept" in note for note in notes)
    refused = CliRunner().invoke(
        app,
        ["evaluate", "covid-ctset", "--data", str(tmp_path), "--fold", "published-1", "-o", "x"],
    )
    assert refused.exit_code == 2
    assert "overlap" in refused.output
