from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

pytest.importorskip("lightning")
pytest.importorskip("onnx")

import torch
from safetensors.torch import load_file, save_file

from groundglass.datasets import covid_ct, covid_ct_slices
from groundglass.datasets.slices import SliceSet
from groundglass.errors import ModelError
from groundglass.models.runtime import Model
from groundglass.systems.class_views import classify_pictures
from groundglass.systems.covid_ct.ours.pyramid import (
    PyramidClassifier,
    PyramidConfig,
    PyramidRecipe,
    fitted,
    peaks_of,
)
from groundglass.systems.covid_rate.ours.network import (
    InfectionNetwork,
    NetworkConfig,
)
from groundglass.training.presets import recipe_for
from groundglass.training.run import FULL, Run, RunOptions, train_run

TINY = NetworkConfig(widths=(4, 4, 8, 8, 8), blocks=(1, 1, 1, 1), decoder_widths=(8, 8, 4, 4))
SMALL = PyramidConfig(TINY, side_px=64)


def infection_weights(folder: Path) -> str:
    torch.manual_seed(0)
    network = InfectionNetwork(TINY).train()
    network(torch.rand(8, 1, 64, 64))  # the norms have seen something
    save_file(network.state_dict(), folder / "infection.safetensors")
    return str(folder / "infection.safetensors")


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    root = tmp_path_factory.mktemp("covid-ct")
    covid_ct.write_fake(root, np.random.default_rng(0))
    return covid_ct_slices.all_parts(root)


def run(slices: SliceSet, folder: Path, seed: int = 0) -> Run:
    options = RunOptions(init=infection_weights(folder), allow_leak=True, seed=seed)
    return train_run(PyramidRecipe(SMALL), slices, folder / f"run-{seed}", options)


@pytest.fixture(scope="module")
def trained(slices: SliceSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The recipe run once on a fake."""
    return run(slices, tmp_path_factory.mktemp("trained"))


def test_the_head_is_the_penalised_regression_that_others_find() -> None:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(60, 9))
    labels = features[:, 0] + generator.normal(size=60) > 0.4
    weights, bias = fitted(features, labels, 5.0)
    other = LogisticRegression(C=1 / 5.0, tol=1e-8, max_iter=5000).fit(features, labels)
    np.testing.assert_allclose(weights, other.coef_[0], atol=2e-3)
    assert bias == pytest.approx(float(other.intercept_[0]), abs=2e-3)


def test_maps_are_standard_over_pictures() -> None:
    torch.manual_seed(1)
    network = PyramidClassifier(TINY).eval()
    with torch.no_grad():
        pictures = torch.rand(12, 1, 64, 64) ** (1 + torch.arange(12.0).view(-1, 1, 1, 1))
        told = network.standardise(network.pooled(pictures))
        features = network.pooled(pictures)
    torch.testing.assert_close(told, features, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-3)
    assert float(features.std(0, correction=0).max()) < 1 + 1e-3
    assert [len(mean) // 3 for mean in network.means] == [10, 10, 10, 10, 2]
    maps = torch.rand(2, 3, 8, 4) - 0.5
    torch.testing.assert_close(peaks_of(maps).mean((2, 3)), maps.amax((2, 3)))
    flat = torch.ones(1, 1, 4, 4)
    torch.testing.assert_close(peaks_of(flat), flat)


def test_training_fits_the_head_alone_and_chance_plays_no_part(
    trained: Run, slices: SliceSet, tmp_path: Path
) -> None:
    found = [trained, run(slices, tmp_path, 1)]
    one, other = (load_file(each.folder / FULL / "model.safetensors") for each in found)
    body = load_file(tmp_path / "infection.safetensors")
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
        if name.startswith("body."):
            assert torch.equal(
                value, body[name.removeprefix("body.")].to(value.dtype).half().to(value.dtype)
            )
    card = found[0].entries[FULL].card
    assert card.architecture_config["temperature"] != 1
    assert found[0].watched[FULL]
    answers = classify_pictures(
        Model(found[0].entries[FULL]),
        [item.read().values for item in slices.items if item.split == "train"],
    )
    wanted = [item.target == 1 for item in slices.items if item.split == "train"]
    assert ((answers.probabilities[:, 1] > 0.5) == wanted).mean() > 0.8


def test_what_places_add_is_the_logit(trained: Run, slices: SliceSet) -> None:
    entry = trained.entries[FULL]
    picture = slices.items[0].read().values
    answers = classify_pictures(Model(entry), [picture])
    assert answers.attention is not None
    bias = load_file(trained.folder / FULL / "model.safetensors")["classifier.bias"].numpy()
    temperature = float(entry.card.architecture_config["temperature"])
    logits = answers.attention.sum((2, 3))[0] + bias / temperature
    assert answers.attention.shape[2:] == (32, 32)
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(answers.probabilities[0], shares, atol=0.02)  # mean of two views


def test_a_body_that_saw_nothing_is_refused(slices: SliceSet, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="name it with --init FILE"):
        train_run(PyramidRecipe(SMALL), slices, tmp_path / "run", RunOptions(allow_leak=True))


def test_it_is_what_the_preset_trains() -> None:
    assert isinstance(recipe_for("covid-ct", "ours"), PyramidRecipe)
    assert isinstance(recipe_for("covid-ct", "ours", None, {"model": "pyramid"}), PyramidRecipe)
    wider = PyramidRecipe(replace(SMALL, powers=(1,))).network()
    assert isinstance(wider, PyramidClassifier)
    assert len(wider.means[0]) == 20
