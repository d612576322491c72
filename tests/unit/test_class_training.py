"""Training the classifiers of pictures on fakes: recipes, exports, cards, the guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("lightning")

from groundglass.datasets import covid_ct, covid_ct_slices, covid_ctset_fake  # noqa: E402
from groundglass.datasets.covid_ctset_slices import all_parts as ctset_parts  # noqa: E402
from groundglass.errors import LeakError, ModelError  # noqa: E402
from groundglass.models.card import Fit, Scale  # noqa: E402
from groundglass.models.runtime import Model  # noqa: E402
from groundglass.systems.answers import answers_of  # noqa: E402
from groundglass.systems.class_views import classify_pictures  # noqa: E402
from groundglass.systems.covid_ct.network import DenseNetClassifier, NetworkConfig  # noqa: E402
from groundglass.systems.covid_ct.ours.dense import OursConfig, OursRecipe  # noqa: E402
from groundglass.systems.covid_ct.recipe import (  # noqa: E402
    PublishedConfig,
    PublishedRecipe,
    cut_out,
)
from groundglass.systems.covid_ct.self_supervision import ContrastConfig  # noqa: E402
from groundglass.systems.covid_ctset import recipe as ctset  # noqa: E402
from groundglass.systems.covid_ctset.network import NetworkConfig as CtsetNetwork  # noqa: E402
from groundglass.systems.recipes import TrainingData  # noqa: E402
from groundglass.training.attention import grad_cam  # noqa: E402
from groundglass.training.run import FULL, RunOptions, train_run  # noqa: E402


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake COVID-CT."""
    root = tmp_path_factory.mktemp("covid-ct")
    covid_ct.write_fake(root, np.random.default_rng(0))
    return root


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A DenseNet trained on the fake as published, but small and short."""
    config = PublishedConfig(epochs=40, batch=12, side_px=64, area=(0.8, 1.0), learning_rate=0.02)
    slices = covid_ct_slices.all_parts(pictures)
    out = tmp_path_factory.mktemp("run") / "run"
    options = RunOptions(allow_leak=True)  # drawn chests look alike
    return train_run(PublishedRecipe(config), slices, out, options), slices, config


def test_published_numbers_are_the_defaults() -> None:
    recipe = PublishedRecipe()
    config, preparation = recipe.config, recipe.facts.preparation
    assert (config.epochs, config.batch) == (150, 10)
    assert (config.learning_rate, config.momentum) == (0.01, 0.9)
    assert (preparation.fit, preparation.size, preparation.channels) == (Fit.CROP, (224, 224), 3)
    assert preparation.mean == (0.485, 0.456, 0.406)
    assert recipe.stages(425)[0].steps == 43 * 150
    optimiser, factor = recipe.optimiser(recipe.stages(425)[0], torch.nn.Linear(2, 2))
    assert optimiser.param_groups[0]["momentum"] == 0.9
    assert factor(0) == factor(6000) == 1
    other = ctset.CtsetRecipe()
    assert (other.config.epochs, other.config.batch, other.config.learning_rate) == (20, 14, 1e-4)
    assert other.facts.preparation.scale is Scale.STORED
    assert ctset.OursRecipe().facts.preparation.scale is Scale.BYTES


def test_parts_of_pictures_stay_inside_and_are_drawn_by_the_generator() -> None:
    planes = np.arange(3 * 40 * 60).reshape(3, 40, 60) % 251
    one, same, other = (
        cut_out(planes, 32, (0.5, 1.0), 4 / 3, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert one.shape == (3, 32, 32)
    torch.testing.assert_close(one, same)
    assert not torch.equal(one, other)
    flat = cut_out(np.full((3, 20, 90), 7), 16, (0.5, 1.0), 4 / 3, torch.Generator())
    torch.testing.assert_close(flat, torch.full_like(flat, 7))


def test_a_few_epochs_are_enough_for_the_fake(trained: Any) -> None:
    run, slices, _ = trained
    entry = run.entries[FULL]
    model = Model(entry)
    assert model.outputs == ("probabilities", "features", "attention")
    items = [item for item in slices.items if item.split == "train"]
    found = classify_pictures(model, [item.read().values for item in items])
    right = (found.probabilities[:, 1] > 0.5) == [item.target > 0 for item in items]
    assert right.mean() > 0.9
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    card = entry.card
    assert card.labels == ("other", "COVID-19")
    assert card.parameters == 6_955_906
    assert card.familiarity is None
    assert "opacity" in " ".join(card.limits)


def test_attention_of_the_file_is_grad_cam_of_the_network(trained: Any) -> None:
    from safetensors.torch import load_file

    run, slices, config = trained
    entry = run.entries[FULL]
    network = DenseNetClassifier(config.network)
    network.load_state_dict(load_file(entry.path.with_suffix(".safetensors")))
    network.eval()
    item = slices.items[0]
    given = torch.from_numpy(PublishedRecipe(config).prepared(item.read()))[None]
    found = classify_pictures(Model(entry), [item.read().values]).attention
    assert found is not None
    for label in (0, 1):
        wanted = grad_cam(network, given.clone(), label)[0].numpy()
        np.testing.assert_allclose(np.maximum(found[0, label], 0), wanted, rtol=1e-3, atol=1e-5)


def test_the_same_picture_in_both_parts_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    covid_ct.write_fake(root, np.random.default_rng(0))
    train, val = (covid_ct.read_covid_ct(root, part) for part in ("train", "val"))
    val[-1].file.write_bytes(train[0].file.read_bytes())
    slices = covid_ct_slices.all_parts(root)
    with pytest.raises(LeakError, match=r"1\.000 alike"):
        train_run(PublishedRecipe(PublishedConfig(epochs=1, side_px=64)), slices, tmp_path / "run")


def test_self_trans_learns_before_it_is_told_the_classes(pictures: Path) -> None:
    contrast = ContrastConfig(queue=4, batch=2)
    small = NetworkConfig("densenet121")
    config = OursConfig(small, contrast=contrast, contrast_steps=1, side_px=32)
    recipe = OursRecipe(config)
    items = [item for item in covid_ct_slices.all_parts(pictures).items if item.split == "train"]
    torch.manual_seed(0)
    network = recipe.network()
    first = network.body.conv0.weight.clone()
    sources = recipe.sources(0, TrainingData(items[:4]), network)
    assert not torch.equal(first, network.body.conv0.weight)
    batch = recipe.batch(0, [sources[0].only([0, 3])], 2, torch.Generator().manual_seed(0))
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["class"].tolist() == [1, 1]
    plain = OursRecipe(replace(config, contrast=None))
    before = network.body.conv0.weight.clone()
    plain.sources(0, TrainingData(items[:4]), network)
    assert torch.equal(before, network.body.conv0.weight)


def test_a_temperature_softens_the_export() -> None:
    torch.manual_seed(0)
    network = DenseNetClassifier().eval()
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        sharp, soft = (answers_of(network, t)(pictures)[0] for t in (1.0, 4.0))
    assert ((soft - 0.5).abs() < (sharp - 0.5).abs()).all()


def test_ctset_batches_keep_their_values_and_dead_heads_are_drawn_anew(tmp_path: Path) -> None:
    covid_ctset_fake.write_fake(tmp_path, np.random.default_rng(0), slices=4)
    recipe = ctset.CtsetRecipe(ctset.PublishedConfig(CtsetNetwork("resnet50v2"), side_px=64))
    items = ctset_parts(tmp_path).items
    (source,) = recipe.sources(0, TrainingData(items), torch.nn.Identity())
    batch = recipe.batch(0, [source.only([0, 1])], 2, torch.Generator().manual_seed(0))
    assert batch["image"].shape == (2, 1, 64, 64)
    assert float(batch["image"].max()) > 900
    network = recipe.network()
    loss = recipe.loss(network, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert recipe.judge(network, [source.only([0, len(items) - 1])], "cpu") is not None


class Dead(torch.nn.Module):  # type: ignore[name-defined, misc]
    """Stands in for a pyramid whose heads answer nothing, for ever or until drawn anew."""

    def __init__(self, *, for_ever: bool) -> None:
        super().__init__()
        self.for_ever, self.drawn = for_ever, 0
        self.scale = torch.nn.Parameter(torch.zeros(1))

    def draw_heads(self) -> None:
        """Live again, or not."""
        self.drawn += 1
        if not self.for_ever:
            torch.nn.init.ones_(self.scale)

    def forward(self, pictures: Any) -> Any:
        """Return logits."""
        return pictures.mean((1, 2, 3))[:, None] * self.scale * torch.tensor([1.0, -1.0])


def test_dead_heads_are_drawn_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundglass.systems.covid_ctset.recipe.PyramidClassifier", Dead)
    recipe = ctset.CtsetRecipe()
    batch = {"image": torch.arange(2.0).view(2, 1, 1, 1), "class": torch.tensor([0, 1])}
    revived = Dead(for_ever=False)
    assert torch.isfinite(recipe.loss(revived, batch))
    assert revived.drawn == 1
    recipe.loss(revived, batch)
    assert revived.drawn == 1
    with pytest.raises(ModelError, match="all heads are dead"):
        recipe.loss(Dead(for_ever=True), batch)
