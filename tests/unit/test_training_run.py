"""Runs: folder, resume, start weights, leaks, cross-validation, enhancement."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")

import torch

from groundglass.core.scan import Intensity
from groundglass.datasets import covid_ct_rate
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import ExportError, LeakError, ModelError, ReadError, WeightsError
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.kinds import evaluate_folds
from groundglass.systems.covid_rate.certainty import PseudoConfig
from groundglass.systems.covid_rate.folders import read_pairs, synthesize_folder
from groundglass.systems.covid_rate.network import NetworkConfig as ThinConfig
from groundglass.systems.covid_rate.ours.network import NetworkConfig
from groundglass.systems.covid_rate.ours.recipe import OursConfig, OursRecipe, StageConfig
from groundglass.systems.covid_rate.recipe import PublishedConfig, PublishedRecipe
from groundglass.systems.recipes import Source, TrainingData
from groundglass.training.enhance import EnhanceConfig, Trained, enhance, halves
from groundglass.training.export import Origins, export_model
from groundglass.training.fit import FitOptions, save_weights
from groundglass.training.presets import recipe_for
from groundglass.training.run import Run, RunOptions, train_run
from groundglass.training.splits import read_split
from groundglass.training.start import initial_network
from tests.unit.test_training_splits import texture

FIT = FitOptions(accelerator="cpu", checkpoint_steps=2)
OPTIONS = RunOptions(fit=FIT, fold_count=2)


def recipe(steps: int = 2) -> OursRecipe:
    return OursRecipe(
        OursConfig(
            network=NetworkConfig((4, 4, 4, 4, 4), (1, 1, 1, 1), (4, 4, 4, 4), (4, 4)),
            stages=(StageConfig("only", steps, 1e-3, {"doctor": 0.5, "network": 0.5}, 32, 2),),
            kept_px=32,
            answer_px=32,
            precision="32-true",
        )
    )


def item(name: str, seed: int, split: str = "train", annotator: str = "doctor") -> SliceItem:
    values = texture(seed)
    lesion = (values > 160).astype(np.uint8)
    read = partial(Slice, values, Intensity.DISPLAY, lesion, True)
    return SliceItem(name, name, split, annotator, read)


def slices(*more: SliceItem) -> SliceSet:
    own = [item(f"s{i}", i) for i in range(4)]
    return SliceSet("covid-semiseg", "research only", (*own, *more))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("run")
    extra = (item("twin", 0, "pseudo", "network"), item("free", 9, "pseudo", "network"))
    return train_run(recipe(), slices(*extra), out, replace(OPTIONS, folds=(0, 1)))


def test_a_run_holds_everything_to_repeat_it(folds: Run) -> None:
    record = json.loads((folds.folder / "run.json").read_text(encoding="utf-8"))
    assert record["recipe"]["stages"][0]["batch"] == 2
    assert record["preset"] == "ours"
    assert folds.split is not None
    assert read_split(folds.folder / "split.json") == folds.split
    assert "torch" in json.loads((folds.folder / "versions.json").read_text(encoding="utf-8"))
    names = {path.name for path in (folds.folder / "fold-0").iterdir()}
    assert {"model.onnx", "model.safetensors", "model.card.json"} <= names
    assert {"only.curve.csv", "only.curve.png"} <= names
    card = folds.entries["fold-1"].card
    assert card.split_sha256 == folds.split.sha256
    assert card.licence == "research only"
    assert card.leak is None


def test_related_slices_share_their_source(folds: Run) -> None:
    groups = {one.name: one.group for one in folds.items}
    assert groups["twin"] == groups["s0"]
    assert groups["free"] == "free"


def test_folds_are_evaluated_on_what_they_have_not_seen(folds: Run) -> None:
    assert folds.split is not None
    held = dict(enumerate(folds.split.folds))
    entries = {0: folds.entries["fold-0"], 1: folds.entries["fold-1"]}
    found = evaluate_folds(slices(), folds.items, held, entries, options=Options(rounds=20))
    assert [score.name for score in found.scores] == ["s0", "s1", "s2", "s3"]
    assert found.split == "folds 0, 1"
    with pytest.raises(ValueError, match="missing for"):
        evaluate_folds(slices(), folds.items, held, {0: entries[0]})


def test_a_run_goes_on_only_as_itself(folds: Run, tmp_path: Path) -> None:
    extra = (item("twin", 0, "pseudo", "network"), item("free", 9, "pseudo", "network"))
    data, options = slices(*extra), replace(OPTIONS, folds=(0, 1))
    with pytest.raises(ExportError, match="say --resume"):
        train_run(recipe(), data, folds.folder, options)
    again = train_run(recipe(), data, folds.folder, replace(options, resume=True))
    assert again.entries["fold-0"].card == folds.entries["fold-0"].card
    with pytest.raises(ExportError, match="differs in recipe"):
        train_run(recipe(3), data, folds.folder, replace(options, resume=True))
    with pytest.raises(ExportError, match="differs in slices"):
        train_run(recipe(), slices(), folds.folder, replace(options, resume=True))
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match="is not empty"):
        train_run(recipe(), data, tmp_path, options)


def test_a_copy_in_the_test_part_stops_the_run(tmp_path: Path) -> None:
    data = slices(item("exam", 2, "test"))
    with pytest.raises(LeakError, match=r"s2 \(train\) and exam \(held out\)"):
        train_run(recipe(), data, tmp_path / "a", OPTIONS)
    run = train_run(recipe(), data, tmp_path / "b", replace(OPTIONS, allow_leak=True))
    assert "s2 (train)" in str(run.entries["full"].card.leak)


def test_folds_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="folds are 0 to 1, found 7"):
        train_run(recipe(), slices(), tmp_path, replace(OPTIONS, folds=(7,)))


def test_training_can_start_from_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    start = recipe().network()
    save_weights(start, tmp_path / "start.safetensors")
    found = initial_network(recipe(), str(tmp_path / "start.safetensors"))
    assert found is not None
    for name, value in start.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
    assert initial_network(recipe(), "random") is None
    with pytest.raises(ModelError, match="ImageNet"):
        initial_network(recipe(), "imagenet")
    with pytest.raises(WeightsError, match="cannot be read"):
        initial_network(recipe(), str(tmp_path / "nothing.safetensors"))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be read"):
        initial_network(recipe(), str(tmp_path / "junk.safetensors"))
    with pytest.raises(WeightsError, match="another network"):
        initial_network(recipe_for("covid-rate", "ours"), str(tmp_path / "start.safetensors"))


def test_recipes_by_name() -> None:
    assert recipe_for("covid-rate", "published").preset == "published"
    with pytest.raises(ValueError, match="did you mean covid-rate"):
        recipe_for("covid-rat", "ours")
    with pytest.raises(ValueError, match="presets are ours, published"):
        recipe_for("covid-rate", "theirs")


def test_a_broken_export_is_made_anew(folds: Run, tmp_path: Path) -> None:
    shutil.copytree(folds.folder, tmp_path / "copy")
    (tmp_path / "copy" / "fold-0" / "model.card.json").unlink()
    extra = (item("twin", 0, "pseudo", "network"), item("free", 9, "pseudo", "network"))
    options = replace(OPTIONS, folds=(0,), resume=True)
    run = train_run(recipe(), slices(*extra), tmp_path / "copy", options)
    assert run.entries["fold-0"].card.sha256


def bright(items: tuple[SliceItem, ...]) -> list[SliceItem]:
    """Return items as a target, their references broken so that a look at them would show."""
    broken = np.full((3, 3), 9, np.uint8)
    return [replace(one, read=partial(replace, one.read(), lesion=broken)) for one in items]


def test_enhancement_trains_on_the_surest_answers_alone(tmp_path: Path) -> None:
    network = recipe().network()
    with torch.no_grad():
        network.head.last.weight.zero_()
        network.head.last.bias.fill_(1.0)
    entry = export_model(recipe(), network, Origins("m", "x", ("y",)), tmp_path / "m0")
    config = EnhanceConfig(PseudoConfig(largest_rate=1.0), epochs=1, learning_rate=1e-4, rounds=2)
    short = OneStep(recipe())
    found = enhance(
        short,
        Trained(network, entry, slices().items[:2]),
        bright(slices().items),
        tmp_path / "e",
        config=config,
        fit=FIT,
    )
    assert found.pseudo[0].chosen == (0, 1, 2, 3)
    record = json.loads((tmp_path / "e" / "round-1" / "chosen.json").read_text(encoding="utf-8"))
    assert record["chosen"] == ["s0", "s1", "s2", "s3"]
    assert "transductive" in record["caveats"][0]
    assert "surest answers" in found.entry.card.training_data[1]
    assert found.entry.path.parent.name == "round-2"


class OneStep(OursRecipe):
    """Our recipe whose tuning takes one step."""

    def __init__(self, own: OursRecipe) -> None:
        super().__init__(own.config)

    def tuning(self, epochs: int, learning_rate: float) -> OursRecipe:
        longer = super().tuning(epochs, learning_rate).config
        return OursRecipe(replace(longer, stages=(replace(longer.stages[0], steps=1),)))


def test_the_halves_of_a_target_share_no_source() -> None:
    items = [item(f"s{i}", i).within(f"g{i // 2}") for i in range(6)]
    one, other = halves(items)
    assert {i.group for i in one}.isdisjoint(i.group for i in other)
    assert len(one) + len(other) == 6


def test_tuning_of_both_recipes() -> None:
    marked = [item("s0", 0), item("sure/s1", 1, annotator="enhancement")]
    published = PublishedRecipe(PublishedConfig(side_px=32)).tuning(2, 1e-4)
    ours = OursRecipe(OursConfig(kept_px=32)).tuning(2, 1e-4)
    assert published.stages(16)[0].steps == 4
    assert ours.config.stages[0].learning_rate == 1e-4
    for short in (published, ours):
        sources = short.sources(0, TrainingData(marked), torch.nn.Identity())
        assert [source.weights[0] for source in sources] == [1.0, 0.5]


def test_synthetic_slices_stay_with_the_source_of_their_lesions(tmp_path: Path) -> None:
    for name in ("ill", "healthy"):
        (tmp_path / name).mkdir()
        covid_ct_rate.write_fake(tmp_path / name, np.random.default_rng(len(name)))
    records = synthesize_folder(tmp_path / "ill", tmp_path / "healthy", tmp_path / "pairs")
    pairs = read_pairs(tmp_path / "pairs")
    assert [pair.donor for pair in pairs] == [one.donor for one in records if one.kept]
    named = [replace(one, donor=f"s{place % 4}") for place, one in enumerate(pairs)]
    data, options = slices(), replace(OPTIONS, folds=(0,), pairs=tuple(named))
    seen = Watching(PublishedConfig(side_px=32, epochs=1, batch=64, network=THIN))
    run = train_run(seen, data, tmp_path / "run", options)
    assert run.split is not None
    held = set(run.split.folds[0])
    wanted = {pair.item.name for pair in named if pair.donor not in held}
    assert {name for name in seen.names if name.startswith("pair/")} == wanted
    assert len(wanted) < len(named)
    with pytest.raises(ValueError, match="takes no pairs"):
        train_run(recipe(), data, tmp_path / "other", options)
    (tmp_path / "pairs" / "records.csv").write_text("donor\n", encoding="utf-8")
    with pytest.raises(ReadError, match="is not in"):
        read_pairs(tmp_path / "pairs")
    (tmp_path / "pairs" / "records.csv").unlink()
    with pytest.raises(ReadError, match="needs its"):
        read_pairs(tmp_path / "pairs")


THIN = ThinConfig((4, 4, 4, 4, 4), (4, 4, 4, 4), 2)


class Watching(PublishedRecipe):
    """The published recipe, remembering what it was trained on."""

    def sources(self, stage: int, data: TrainingData, network: torch.nn.Module) -> Sequence[Source]:
        self.names = [one.name for one in data.items]
        return super().sources(stage, data, network)
