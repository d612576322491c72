"""Cards, catalogue, runtime and their commands; every guard is seen refusing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from groundglass.cli import app
from groundglass.core.serial import from_json, to_json
from groundglass.errors import ModelError, UnknownModelError, WeightsError
from groundglass.models.card import (
    Measured,
    ModelCard,
    Preparation,
    Scale,
    card_path,
    read_card,
    write_card,
)
from groundglass.models.catalogue import (
    DEFAULT,
    FOLDER_VARIABLE,
    Catalogue,
    Entry,
    Origin,
    add_model,
    find_model,
    load_catalogue,
    user_folder,
)
from groundglass.models.runtime import Model, verify
from tests.networks import card_for, onnx_bytes, write_model

RUNNER = CliRunner()


def catalogue_of(folder: Path) -> Catalogue:
    return load_catalogue(folder, folder / "nothing")


def test_a_card_survives_being_written(tmp_path: Path) -> None:
    score = Measured("dice", 0.7, 0.6, 0.8, 50, "five folds")
    card = card_for(b"x", scores=(score,), preparation=Preparation(views=("as_is", "both")))
    assert from_json(ModelCard, to_json(card)) == card
    write_card(card, tmp_path / "a.card.json")
    assert read_card(tmp_path / "a.card.json") == card
    assert list(tmp_path.iterdir()) == [tmp_path / "a.card.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Bad Name"}, "lower case"),
        ({"sha256": "12"}, "SHA-256"),
        ({"licence": ""}, "needs 'licence'"),
        ({"training_data": ()}, "needs 'training_data'"),
        ({"thresholds": {"nodule": 0.5}}, "unknown labels"),
    ],
)
def test_a_card_that_says_too_little_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        card_for(b"x", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 4)}, "at least one row"),
        ({"scale": Scale.HU_WINDOW}, "needs window_hu"),
        ({"window_hu": (400.0, -1000.0)}, "low end first"),
        ({"views": ("upside_down",)}, "upside_down"),
        ({"views": ()}, "found none"),
    ],
)
def test_a_preparation_that_cannot_be_done_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Preparation(**changes)


def test_a_card_missing_or_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="needs its card"):
        read_card(tmp_path / "x.card.json")
    (tmp_path / "x.card.json").write_text('{"name": 1}', encoding="utf-8")
    with pytest.raises(WeightsError, match="is not a model card"):
        read_card(tmp_path / "x.card.json")


def test_a_broken_added_card_stops_only_who_asks_for_added_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "broken.card.json").write_text("{}", encoding="utf-8")
    assert find_model(DEFAULT, "covid-rate").origin is Origin.SHIPPED
    with pytest.raises(WeightsError, match=r"broken\.card\.json is not a model card"):
        find_model("broken")


def test_models_are_found_by_name_file_folder_and_default(tmp_path: Path) -> None:
    path = write_model(tmp_path / "all", name="one", default=True)
    write_model(tmp_path / "run", name="model")
    found = catalogue_of(tmp_path / "all")
    assert found.find("one").path == path
    assert found.find("default", "covid-rate").card.name == "one"
    assert found.find(str(path)).origin is Origin.FILE
    assert found.find(str(tmp_path / "run")).card.name == "model"


def test_an_unknown_model_offers_near_names(tmp_path: Path) -> None:
    write_model(tmp_path, name="infection-picture")
    found = catalogue_of(tmp_path)
    with pytest.raises(UnknownModelError, match="did you mean infection-picture"):
        found.find("infection-pictures")
    with pytest.raises(UnknownModelError, match="known are infection-picture"):
        found.find("zzzz")
    with pytest.raises(UnknownModelError, match="no default model of lungs"):
        found.find("default", "lungs")
    with pytest.raises(UnknownModelError, match="no model is known"):
        Catalogue(()).find("zzzz")


def test_adding_copies_and_keeps_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "user"
    entry = add_model(write_model(tmp_path / "a"), folder)
    assert entry.content() == onnx_bytes()
    assert catalogue_of(folder).names == ("tiny",)
    add_model(write_model(tmp_path / "a"), folder)
    other = onnx_bytes(weight=2.0)
    path = tmp_path / "b" / "tiny.onnx"
    path.parent.mkdir()
    path.write_bytes(other)
    write_card(card_for(other), card_path(path))
    with pytest.raises(WeightsError, match="--force replaces it"):
        add_model(path, folder)
    assert add_model(path, folder, force=True).content() == other


def test_a_file_that_is_not_the_cards_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    path.write_bytes(onnx_bytes(weight=2.0))
    with pytest.raises(WeightsError, match="not the one its card names"):
        add_model(path, tmp_path / "user")
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        Model(catalogue_of(tmp_path).find("tiny"))


def test_a_model_answers_as_its_network_does(tmp_path: Path) -> None:
    entry = catalogue_of(write_model(tmp_path).parent).find("tiny")
    batch = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 1, 3, 4)
    wanted = 1 / (1 + np.exp(4 - 8 * batch))
    np.testing.assert_allclose(Model(entry).run(batch), wanted, atol=1e-6)
    assert verify(entry) is None


def test_a_wrong_input_and_answer_are_refused(tmp_path: Path) -> None:
    entry = catalogue_of(write_model(tmp_path).parent).find("tiny")
    with pytest.raises(ModelError, match="input of shape"):
        Model(entry).run(np.zeros((1, 2, 4, 4), np.float32))
    with pytest.raises(ModelError, match="not finite"):
        Model(entry).run(np.full((1, 1, 2, 2), np.nan, np.float32))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "junk.onnx"
    path.write_bytes(b"junk")
    entry = Entry(card_for(b"junk", name="junk"), path, Origin.FILE)
    assert "not a network" in str(verify(entry))


def test_verifying_tells_a_card_of_other_labels(tmp_path: Path) -> None:
    data = onnx_bytes()
    path = tmp_path / "tiny.onnx"
    path.write_bytes(data)
    card = card_for(data, labels=("infection", "consolidation"))
    assert "labels need (1, 2)" in str(verify(Entry(card, path, Origin.FILE)))


def test_the_user_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert user_folder() == tmp_path
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_folder().is_relative_to(tmp_path) or user_folder().name == "models"


def test_shipped_models_are_sound() -> None:
    for entry in load_catalogue(Path("nowhere")).entries:
        assert verify(entry) is None, entry.card.name


def test_shipped_models_name_no_file_of_the_machine_they_were_made_on() -> None:
    places = [entry.path for entry in load_catalogue(Path("nowhere")).entries]
    assert len(places) >= 5
    assert not [path.name for path in places if b".py" in path.read_bytes()]


def test_the_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    path = write_model(tmp_path / "a", limits=("Only a test.",))
    assert RUNNER.invoke(app, ["models", "add", str(path)]).exit_code == 0
    listed = json.loads(RUNNER.invoke(app, ["models", "list", "--json"]).stdout)
    assert "tiny" in [one["name"] for one in listed]
    assert "tiny" in RUNNER.invoke(app, ["models", "list"]).stdout
    shown = RUNNER.invoke(app, ["models", "show", "tiny"])
    assert "Only a test." in shown.stdout
    assert "Apache-2.0" in shown.stdout
    told = json.loads(RUNNER.invoke(app, ["models", "verify", "tiny", "--json"]).stdout)
    assert told == {"tiny": {"sound": True, "problem": None}}
    (tmp_path / "user" / "tiny.onnx").write_bytes(b"changed")
    assert RUNNER.invoke(app, ["models", "verify"]).exit_code == 1
    missing = RUNNER.invoke(app, ["models", "show", "tinny"])
    assert missing.exit_code == 1
    assert "did you mean tiny" in missing.stderr
