"""Percentages trained on the bench: losses, networks, recipes, folds, leaks, resume, export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("timm")

import timm
import torch
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner, Result

from groundglass.cli import app
from groundglass.core.progress import Progress
from groundglass.datasets.per_covid_19 import rated_slices
from groundglass.datasets.per_covid_19_fake import write_challenge_fake, write_fake
from groundglass.errors import LeakError, SealedError, WeightsError
from groundglass.models.catalogue import FOLDER_VARIABLE
from groundglass.models.runtime import Model, verify
from groundglass.sealed import OFFLINE_VARIABLE
from groundglass.systems.per_covid_19 import network as networks
from groundglass.systems.per_covid_19 import recipe as recipes
from groundglass.systems.per_covid_19.losses import (
    Loss,
    LossConfig,
    dynamic_beta,
    huber,
    percent_loss,
)
from groundglass.systems.per_covid_19.network import BACKBONES
from groundglass.systems.per_covid_19.ours.augment import PercentAugmentConfig
from groundglass.systems.per_covid_19.ours.network import PercentNetworkConfig
from groundglass.systems.per_covid_19.ours.recipe import SmallConfig, SmallRecipe
from groundglass.systems.per_covid_19.recipe import (
    OursConfig,
    OursRecipe,
    PublishedConfig,
    PublishedRecipe,
)
from groundglass.systems.picture_batches import RestartedSGD, turned
from groundglass.systems.pictures import answers
from groundglass.systems.recipes import Source, Stage, TrainingData
from groundglass.training.export import Origins, export_model
from groundglass.training.fit import FitOptions, Job, rows_of_step, save_weights, train_network
from groundglass.training.presets import recipe_for
from groundglass.training.run import RunOptions, train_run
from groundglass.training.start import initial_network
from tests.backbones import TINY, Small

FIT = FitOptions(accelerator="cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny network in the place of ResNeXt-50."""
    monkeypatch.setitem(BACKBONES, "resnext50", TINY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    write_fake(place, np.random.default_rng(0), 12, folds=2, subjects=2)
    return place


def published(**changes: Any) -> PublishedRecipe:
    config = PublishedConfig(model="resnext50", epochs=3, batch=4, learning_rate=1e-3)
    return PublishedRecipe(replace(config, **changes))


def test_thresholds_of_the_dynamic_loss() -> None:
    wanted = {0: 14.962, 1: 14.847, 4: 14.062, 9: 11.5, 14: 8, 19: 4.5, 24: 1.938, 29: 1}
    for epoch, beta in wanted.items():
        assert dynamic_beta(epoch, 30) == pytest.approx(beta, abs=5e-4)


@pytest.mark.parametrize("beta", [1.0, 4.5, 15.0])
def test_hubers_loss_is_continuous_and_its_slope_bounded(beta: float) -> None:
    gap = torch.tensor([-100.0, -beta, -beta / 2, 0, beta / 2, beta, 100.0], requires_grad=True)
    nothing = torch.zeros(7)
    loss = huber(gap, nothing, beta)
    reference = functional.huber_loss(gap, nothing, delta=beta)
    assert loss.item() == pytest.approx(reference.item())
    loss.backward()
    assert gap.grad is not None
    slopes = gap.grad * 7
    assert slopes.abs().max() == pytest.approx(beta)
    np.testing.assert_allclose(slopes[1:6], [-beta, -beta / 2, 0, beta / 2, beta], rtol=1e-6)
    near = torch.tensor([beta])
    assert huber(near, nothing[:1], beta).item() == pytest.approx(0.5 * beta**2)


def test_losses_by_name() -> None:
    one, other = torch.tensor([10.0, 20.0]), torch.tensor([12.0, 0.0])
    assert percent_loss(Loss.MSE, one, other, 0, 30).item() == pytest.approx(202)
    fixed = percent_loss(Loss.HUBER, one, other, 0, 30, LossConfig(fixed=5))
    assert fixed.item() == pytest.approx((2 + 5 * 20 - 12.5) / 2)
    last = percent_loss(Loss.DYNAMIC_HUBER, one, other, 29, 30)
    assert last.item() == pytest.approx((1.5 + 19.5) / 2)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("densenet161", 26_474_209), ("resnext50", 22_981_953), ("inception3", 21_787_617)],
)
def test_backbones_have_the_published_size(name: str, parameters: int) -> None:
    with torch.device("meta"):
        made = BACKBONES[name].network(1)
    assert sum(one.numel() for one in made.parameters()) == parameters
    side = BACKBONES[name].side_px
    answer = made.eval()(torch.zeros(1, 3, side, side, device="meta"))
    assert answer.shape == (1, 1)


def test_turns_keep_the_middle_and_fill_with_nothing() -> None:
    picture = torch.ones(4, 1, 65, 65)
    found = turned(picture, 30.0, torch.Generator().manual_seed(0))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert found[:, :, 32, 32].min() == 1
    assert torch.equal(turned(picture, 0.0, torch.Generator()), picture)


def test_momentum_is_forgotten_after_each_pass() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = RestartedSGD([weight], 1.0, 0.9, 2)
    moves = []
    for _ in range(4):
        before = weight.item()
        weight.grad = torch.ones(1)
        optimiser.step()
        moves.append(weight.item() - before)
    assert moves == pytest.approx([-1, -1.9, -1, -1.9])
    again = RestartedSGD([weight], 1.0, 0.9, 2)
    again.load_state_dict(optimiser.state_dict())
    assert again.param_groups[0]["taken"] == 4


def test_a_pass_sees_every_slice_once() -> None:
    source = Source("all", np.zeros((10, 3, 4, 4), np.uint8), 1.0)
    stage = Stage("main", 8, 4, shuffled=True)
    job = Job(published(), 0, stage, [source], (), seed=1)
    first = [rows_of_step(job, step) for step in range(3)]
    assert sorted(row for rows in first for row in rows) == list(range(10))
    assert [len(rows) for rows in first] == [4, 4, 2]
    assert rows_of_step(job, 3) != first[0]
    assert len(rows_of_step(job, 2, devices=3)) == 3


@pytest.mark.usefixtures("small")
def test_the_published_recipe_is_that_of_the_script() -> None:
    recipe = PublishedRecipe(PublishedConfig(model="resnext50"))
    (stage,) = recipe.stages(101)
    assert (stage.steps, stage.batch, stage.check_steps) == (180, 20, 6)
    optimiser, factor = recipe.optimiser(stage, recipe.network())
    group = optimiser.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (1e-4, 0.9, 0)
    rates = [factor(6 * epoch) for epoch in (0, 9, 10, 19, 20, 29)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    picture = np.full((3, 224, 224), 100, np.uint8)
    source = Source("one", [picture], 1.0, targets=np.array([7], np.float32))
    batch = recipe.batch(0, [source], 1, torch.Generator().manual_seed(0))
    assert batch["image"].shape == (1, 3, 32, 32)
    assert batch["image"].max() == pytest.approx(100 / 255)
    assert batch["percent"].tolist() == [7]
    assert recipe.leak is None
    assert recipe.patience is None


@pytest.mark.usefixtures("small")
def test_blue_green_red_is_read_inside_and_never_asked_for() -> None:
    picture = np.stack([np.full((224, 224), tone, np.uint8) for tone in (10, 100, 200)])
    source = Source("one", [picture], 1.0, targets=np.array([7], np.float32))
    batches = {}
    for colours in ("rgb", "bgr"):
        recipe = PublishedRecipe(PublishedConfig(model="resnext50", colours=colours))
        batches[colours] = recipe.batch(0, [source], 1, torch.Generator().manual_seed(0))["image"]
    assert torch.equal(batches["bgr"], batches["rgb"].flip(1))
    assert batches["bgr"][0, 2].max() == pytest.approx(10 / 255)
    network = recipe.network().eval()
    given = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(recipe.exported(network)(given), network(given.flip(1)))


@pytest.mark.usefixtures("small")
def test_folds_are_the_data_sets_own(root: Path, tmp_path: Path) -> None:
    slices = rated_slices(root)
    run = train_run(published(), slices, tmp_path / "run", RunOptions((1,), fit=FIT))
    assert list(run.entries) == ["fold-1"]
    assert run.split is not None
    assert run.split.numbers == (1, 2)
    card = run.entries["fold-1"].card
    assert (card.task, card.labels, card.folds_seen) == ("percent", ("percent",), (2,))
    assert card.leak is None
    assert verify(run.entries["fold-1"]) is None
    found = answers(Model(run.entries["fold-1"]), [slices.items[0].read()])
    assert found.shape == (1, 1)
    with pytest.raises(ValueError, match="folds are 1 to 2, found 5"):
        train_run(published(), slices, tmp_path / "other", RunOptions((5,), fit=FIT))


@pytest.mark.usefixtures("small")
def test_the_leak_of_the_published_code_is_told(root: Path, tmp_path: Path) -> None:
    slices, leaky = rated_slices(root), published(published_leak="best-on-test")
    run = train_run(leaky, slices, tmp_path / "run", RunOptions((2,), fit=FIT))
    assert "best one on the held-out fold" in str(run.entries["fold-2"].card.leak)
    folder = tmp_path / "run" / "fold-2"
    head = (folder / "main.curve.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.endswith("validation_pc")
    assert (folder / "main.last.safetensors").is_file()
    with pytest.raises(ValueError, match="needs a held-out fold"):
        train_run(leaky, slices, tmp_path / "full", RunOptions(fit=FIT))
    with pytest.raises(ValueError, match="published leak is best-on-test"):
        published(published_leak="another")


@pytest.mark.usefixtures("small")
def test_our_recipe_watches_patients_of_the_training_part(root: Path, tmp_path: Path) -> None:
    config = OursConfig(model="resnext50", epochs=2, batch=4)
    slices = rated_slices(root)
    run = train_run(OursRecipe(config), slices, tmp_path / "run", RunOptions((1,), fit=FIT))
    rows = (tmp_path / "run" / "fold-1" / "main.curve.csv").read_text(encoding="utf-8")
    assert rows.splitlines()[0].endswith("validation_mae")
    assert float(rows.splitlines()[1].split(",")[-1]) > 0
    assert run.entries["fold-1"].card.preparation.views == ("as_is", "columns")


class StopAtStepError(Exception):
    pass


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("moment", [2, 5])
def test_a_stopped_run_ends_with_the_same_weights(moment: int, root: Path, tmp_path: Path) -> None:
    data = TrainingData(rated_slices(root).items[:7], seed=3)
    whole = train_network(published(), data, tmp_path / "whole", options=FIT).state_dict()
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if len(told) == moment:
            raise StopAtStepError

    with pytest.raises(StopAtStepError):
        train_network(published(), data, tmp_path / "parts", options=FIT, on_progress=stop)
    again = train_network(published(), data, tmp_path / "parts", options=FIT).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name


def test_a_few_passes_beat_the_constant(root: Path, tmp_path: Path) -> None:
    items = rated_slices(root).items
    recipe = SmallRecipe(
        SmallConfig(
            network=PercentNetworkConfig((8, 8, 16, 16, 16), (1, 1, 1, 1), 16, 0.0),
            augment=PercentAugmentConfig(mixup=0.0),
            kept_px=64,
            side_px=64,
            epochs=30,
            batch=6,
            warm_up_steps=5,
            average_decay=0.9,
        )
    )
    network = train_network(recipe, TrainingData(items), tmp_path, options=FIT)
    percents = np.array([item.target for item in items])
    inputs = np.stack([recipe.prepared(item.read()) for item in items])
    with torch.no_grad():
        found = network(torch.from_numpy(inputs))[:, 0].numpy()
    constant = np.abs(percents - np.median(percents)).mean()
    assert np.abs(found - percents).mean() < 0.8 * constant
    entry = export_model(recipe, network, Origins("small", "x", ("fake",)), tmp_path / "out")
    views = answers(Model(entry), [items[-1].read()])
    assert views[0, 0] == pytest.approx(found[-1], abs=15)
    assert 0 <= views[0, 0] <= 100


@pytest.mark.usefixtures("small")
def test_a_copy_in_another_fold_stops_the_run(root: Path, tmp_path: Path) -> None:
    images = root / "Images"
    (images / "1.png").write_bytes((images / "0.png").read_bytes())
    with pytest.raises(LeakError, match=r"0\.png|1\.png"):
        train_run(published(), rated_slices(root), tmp_path / "run", RunOptions((1,), fit=FIT))


@pytest.mark.usefixtures("small")
def test_weights_under_another_head_are_taken_up(tmp_path: Path) -> None:
    torch.manual_seed(5)
    xray = Small(5)
    save_weights(xray, tmp_path / "xray.safetensors")
    found = initial_network(published(), str(tmp_path / "xray.safetensors"), seed=1)
    again = initial_network(published(), str(tmp_path / "xray.safetensors"), seed=1)
    assert found is not None
    assert again is not None
    assert torch.equal(found.body.weight, xray.body.weight)
    assert found.fc.weight.shape == (1, 4)
    assert torch.equal(found.fc.weight, again.fc.weight)
    save_weights(nn.Linear(2, 2), tmp_path / "strange.safetensors")
    with pytest.raises(WeightsError, match="another network"):
        initial_network(published(), str(tmp_path / "strange.safetensors"))


@pytest.mark.usefixtures("small")
def test_imagenet_weights_come_from_the_folder_or_one_sentence_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))

    def offline(*_: object, **__: object) -> nn.Module:
        msg = "no network"
        raise OSError(msg)

    monkeypatch.setattr(timm, "create_model", offline)
    with monkeypatch.context() as forbidden:
        forbidden.setenv(OFFLINE_VARIABLE, "1")
        forbidden.setattr(timm, "create_model", None)  # must not even be tried
        with pytest.raises(SealedError, match=r"OFFLINE forbids it.* put .* as tiny\.none\."):
            initial_network(published(), "imagenet")
    with pytest.raises(
        WeightsError, match=r"as tiny\.none\.safetensors into the folder 'imagenet'"
    ):
        initial_network(published(), "imagenet")
    (tmp_path / "imagenet").mkdir()
    weights = Small(1000)
    save_weights(weights, tmp_path / "imagenet" / "tiny.none.safetensors")
    found = initial_network(published(), "imagenet")
    assert found is not None
    assert torch.equal(found.body.weight, weights.body.weight)
    save_weights(nn.Linear(2, 2), tmp_path / "imagenet" / "tiny.none.safetensors")
    with pytest.raises(WeightsError, match="does not hold the ImageNet weights"):
        initial_network(published(), "imagenet")


def test_choices_of_the_command_line() -> None:
    one = recipe_for("per-covid-19", "published", None, {"model": "densenet161", "loss": "mse"})
    assert isinstance(one, PublishedRecipe)
    assert (one.config.model, one.config.loss) == ("densenet161", Loss.MSE)
    assert networks.BACKBONES["inception3"].side_px == 299
    with pytest.raises(ValueError, match="models of this preset are"):
        recipe_for("per-covid-19", "published", None, {"model": "vgg"})
    with pytest.raises(ValueError, match="loss"):
        recipe_for("per-covid-19", "published", None, {"loss": "l1"})
    with pytest.raises(ValueError, match="offers no choice of --model"):
        recipe_for("covid-rate", "ours", None, {"model": "vgg"})
    assert recipes.LIMITS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.mark.usefixtures("small")
def test_training_and_cross_validation_from_the_command_line(root: Path, tmp_path: Path) -> None:
    settings = tmp_path / "recipe.json"
    settings.write_text(json.dumps({"epochs": 1, "batch": 4}), encoding="utf-8")
    same = ("per-covid-19", "--data", root, "--preset", "published", "--recipe", settings)
    cpu = ("--device", "cpu")
    done = run("train", *same, *cpu, "--model", "resnext50", "--fold", "9", "-o", tmp_path / "x")
    assert done.exit_code == 2
    assert "1 to 2" in done.stderr
    done = run("train", *same, *cpu, "--model", "resnext50", "--fold", "all", "-o", tmp_path / "y")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "y" / "fold-2" / "model.onnx").is_file()
    settings.write_text(json.dumps({"model": "resnext50", "epochs": 1}), encoding="utf-8")
    done = run("evaluate", *same, *cpu, "-o", tmp_path / "z", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["n"], found["split"]) == (12, "folds 1, 2")
    assert (tmp_path / "z" / "evaluation" / "subjects.csv").is_file()


@pytest.mark.usefixtures("small")
def test_the_challenge_is_trained_without_its_validation_part(tmp_path: Path) -> None:
    root = tmp_path / "challenge"
    root.mkdir()
    write_challenge_fake(root, np.random.default_rng(0))
    slices = rated_slices(root)
    run = train_run(
        published(epochs=1), slices, tmp_path / "run", RunOptions(fit=FIT, allow_leak=True)
    )
    assert list(run.entries) == ["full"]
    assert run.entries["full"].card.training_data == ("per-covid-19-challenge",)
