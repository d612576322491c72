"""The loop learns, goes on after a stop as if there had been none, exports what it learnt."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("onnx")

import onnx
import torch

from groundglass.core.progress import Progress
from groundglass.core.scan import Intensity
from groundglass.datasets.covid_ct_rate import fake_slice
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import ModelError
from groundglass.models.card import read_card
from groundglass.models.runtime import Model, verify
from groundglass.systems.batches import validation_dice
from groundglass.systems.covid_rate.losses import LossConfig
from groundglass.systems.covid_rate.method import infection_map, prepared
from groundglass.systems.covid_rate.network import NetworkConfig
from groundglass.systems.covid_rate.ours.augment import AugmentConfig
from groundglass.systems.covid_rate.ours.network import NetworkConfig as OursNetworkConfig
from groundglass.systems.covid_rate.ours.recipe import OursConfig, OursRecipe, StageConfig
from groundglass.systems.covid_rate.recipe import PublishedConfig, PublishedRecipe
from groundglass.systems.recipes import Recipe, TrainingData
from groundglass.training import export
from groundglass.training.export import Origins, export_model, write_onnx
from groundglass.training.fit import FitOptions, seed_of, train_network

OPTIONS = FitOptions(accelerator="cpu", checkpoint_steps=2)
CHANGES = AugmentConfig(rotation_degrees=5, cutout=0.5)


def items(count: int = 4, side: int = 64) -> list[SliceItem]:
    generator = np.random.default_rng(0)
    found = []
    for index in range(count):
        hu, lesion, lungs = fake_slice(generator, lesions=2, side=side)
        read = partial(Slice, hu, Intensity.HU, lesion, True, lungs)
        annotator = "network" if index == 0 else "doctor"
        found.append(SliceItem(f"s{index}", f"g{index}", "train", annotator, read))
    return found


def published(epochs: int = 4, **changes: Any) -> PublishedRecipe:
    sizes = NetworkConfig((8, 8, 8, 16, 16), (16, 16, 8, 8), 4, context_penalty=1e-4)
    config = PublishedConfig(network=sizes, side_px=64, epochs=epochs, batch=4, rotation_degrees=5)
    return PublishedRecipe(replace(config, **changes))


def ours(steps: int = 2, fine_decay: float = 0.9) -> OursRecipe:
    return OursRecipe(
        OursConfig(
            network=OursNetworkConfig((4, 4, 8, 8, 8), (1, 1, 1, 1), (8, 8, 4, 4), (12, 8)),
            stages=(
                StageConfig("broad", steps, 1e-3, {"doctor": 0.5, "network": 0.5}, 64, 2, CHANGES),
                StageConfig("fine", steps, 1e-3, {"doctor": 1.0}, 64, 2, CHANGES, 3.0, fine_decay),
            ),
            kept_px=64,
            answer_px=64,
            warm_up_steps=1,
            precision="32-true",
        )
    )


def weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


class StopAtStepError(Exception):
    pass


@pytest.mark.parametrize("recipe", [published(), ours(4)], ids=["published", "ours"])
@pytest.mark.parametrize("moment", [1, 3, 7])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    recipe: Recipe, moment: int, tmp_path: Path
) -> None:
    data = TrainingData(items(), seed=3)
    whole = weights(train_network(recipe, data, tmp_path / "whole", options=OPTIONS))
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if len(told) == moment:
            raise StopAtStepError

    folder = tmp_path / "parts"
    if moment <= sum(stage.steps for stage in recipe.stages(4)):
        with pytest.raises(StopAtStepError):
            train_network(recipe, data, folder, options=OPTIONS, on_progress=stop)
    resumed = train_network(recipe, data, folder, options=OPTIONS)
    assert_equal(weights(resumed), whole)
    for name in {stage.name for stage in recipe.stages(4)}:
        curve = f"{name}.curve.csv"
        assert (folder / curve).read_bytes() == (tmp_path / "whole" / curve).read_bytes()
        assert (folder / f"{name}.curve.png").is_file()


def test_a_stage_may_average_in_its_own_way(tmp_path: Path) -> None:
    data = TrainingData(items(), seed=3)
    last, mean = (
        weights(train_network(ours(4, decay), data, tmp_path / str(decay), options=OPTIONS))
        for decay in (0.0, 0.99)
    )
    assert any((last[name] != mean[name]).any() for name in last)
    broad = [(tmp_path / folder / "broad.safetensors").read_bytes() for folder in ("0.0", "0.99")]
    assert broad[0] == broad[1]


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, other = (
        weights(
            train_network(ours(), TrainingData(items(), seed=s), tmp_path / str(s), options=OPTIONS)
        )
        for s in (1, 2)
    )
    assert any((one[name] != other[name]).any() for name in one)
    assert seed_of(1, 2) != seed_of(2, 1)


@pytest.mark.parametrize(
    ("changed", "same"), [({"workers": 1}, True), ({"precision": "bf16-mixed"}, False)]
)
def test_workers_change_no_weight_and_coarser_arithmetic_does(
    tmp_path: Path,
    changed: dict[str, Any],
    same: bool,
) -> None:
    data = TrainingData(items(), seed=3)
    plain, other = (
        weights(train_network(ours(), data, tmp_path / name, options=options))
        for name, options in (("plain", OPTIONS), ("other", replace(OPTIONS, **changed)))
    )
    assert all((plain[name] == other[name]).all() for name in plain) == same


@pytest.mark.slow
def test_thirty_steps_lower_the_loss_and_more_overfit(tmp_path: Path) -> None:
    recipe = published(epochs=450, rotation_degrees=0.0, zoom=(1.0, 1.0), learning_rate=8e-3)
    data = TrainingData(items())
    options = FitOptions(accelerator="cpu", checkpoint_steps=30)
    validation = recipe.sources(0, data, recipe.network())
    network = train_network(recipe, data, tmp_path, options=options, validation=validation)
    with (tmp_path / "main.curve.csv").open(encoding="utf-8") as text:
        losses = [float(row["loss"]) for row in csv.DictReader(text)]
    assert losses[1] < losses[0]
    dice = validation_dice(network, validation)
    assert dice is not None
    assert dice > 0.8


def test_patience_ends_a_stage_and_keeps_the_best(tmp_path: Path) -> None:
    recipe = published(epochs=40, learning_rate=0.0, patience=2)
    data = TrainingData(items())
    network = train_network(
        recipe,
        data,
        tmp_path,
        options=OPTIONS,
        validation=recipe.sources(0, data, recipe.network()),
    )
    rows = (tmp_path / "main.curve.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) < 20
    assert not network.training


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    recipe = published(loss=LossConfig(lesion_weight=float("nan")))
    with pytest.raises(ModelError, match="no longer a number"):
        train_network(recipe, TrainingData(items()), tmp_path, options=OPTIONS)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    options = FitOptions(accelerator="gpu")
    with pytest.raises(ModelError, match="the devices asked for"):
        train_network(ours(), TrainingData(items()), tmp_path, options=options)


def test_unlabelled_consolidation_has_no_weight() -> None:
    (doctor, network) = ours().sources(0, TrainingData(items()), ours().network())
    assert doctor.name == "doctor"
    assert len(doctor.stacks) == 3
    assert network.weights == (1.0, 0.5)
    plain = [replace(item, read=partial(unkind, item)) for item in items()]
    assert ours().sources(0, TrainingData(plain), ours().network())[0].weights == (1.0, 0.0)


def unkind(item: SliceItem) -> Slice:
    return replace(item.read(), kinds_known=False)


ORIGINS = Origins("tiny", "Apache-2.0", ("fake",), split_sha256="0" * 64)


def real_slices(recipe: Recipe) -> Sequence[np.ndarray]:
    slices = [item.read() for item in items()]
    return [prepared(s.values, s.intensity, s.lungs, recipe.facts.preparation) for s in slices]


@pytest.mark.parametrize("recipe", [published(1), ours(2)], ids=["published", "ours"])
def test_an_export_answers_as_the_network(recipe: Recipe, tmp_path: Path) -> None:
    network = train_network(recipe, TrainingData(items()), tmp_path / "run", options=OPTIONS)
    entry = export_model(recipe, network, ORIGINS, tmp_path, real_slices(recipe))
    assert verify(entry) is None
    card = read_card(tmp_path / "model.card.json")
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert torch.__version__.startswith(card.versions["torch"])
    assert (tmp_path / "model.safetensors").is_file()
    assert b".py" not in entry.path.read_bytes()
    kinds = {one.data_type for one in onnx.load(entry.path).graph.initializer if one.dims}
    assert (onnx.TensorProto.FLOAT16 in kinds) == recipe.half_storage
    one = items()[0].read()
    found = infection_map(Model(entry), one.values, one.intensity, one.lungs)
    image = prepared(one.values, one.intensity, one.lungs, card.preparation)
    with torch.inference_mode():
        plain = recipe.exported(network)(torch.from_numpy(image)[None, None])[0].numpy()
    assert found.shape == (len(card.labels), *one.values.shape)
    if card.preparation.views == ("as_is",):
        np.testing.assert_allclose(found, plain, atol=1e-4)


def test_an_export_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, other = ours(), ours()
    torch.manual_seed(0)
    network, wrong = recipe.network().eval(), other.network().eval()

    def swap(_: torch.nn.Module, path: Path, shape: tuple[int, ...], **options: Any) -> None:
        assert options == {"halves": True, "output": "probabilities"}
        write_onnx(other.exported(wrong).eval(), path, shape)

    monkeypatch.setattr(export, "write_onnx", swap)
    with pytest.raises(ModelError, match="answers otherwise"):
        export_model(recipe, network, ORIGINS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_module_in_training_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        write_onnx(ours().network(), tmp_path / "x.onnx", (64, 64))
