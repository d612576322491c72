"""The commands of identification and severity: tasks, models, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from groundglass import cli_bench, cli_severity, cli_train
from groundglass.cli import app
from groundglass.cli_severity import PatientRequest
from groundglass.datasets import covid_semiseg, spgc
from groundglass.evaluation.tables import NumberTable, TaskResult, told, write_result
from groundglass.models.catalogue import FOLDER_VARIABLE
from groundglass.systems.identification_severity.training_config import OURS
from groundglass.systems.registry import system_named, system_names
from tests.unit.test_patient_statement import install

SYSTEM = "identification-severity"


@pytest.fixture(autouse=True)
def _own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))


def test_a_task_is_measured_and_written(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    arguments = ["evaluate", SYSTEM, "--data", str(tmp_path), "--task", "infection-48"]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*arguments, "--json", "-o", str(out)])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["task"], found["model"], found["n"]) == ("infection-48", "ours", 2)
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8")) == found
    shown = CliRunner().invoke(app, [*arguments, "--model", "published", "--quiet"])
    assert "sensitivity" in shown.stdout
    assert "slice mean" in shown.stdout
    assert "n/a" in shown.stdout


def test_an_unknown_task_is_wrong_use(tmp_path: Path) -> None:
    for more in ((), ("--task", "lobes")):
        done = CliRunner().invoke(app, ["evaluate", SYSTEM, "--data", str(tmp_path), *more])
        assert done.exit_code == 2
    other = ["evaluate", "covid-rate", "--data", str(tmp_path), "--task", "spgc"]
    assert CliRunner().invoke(app, other).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "identification-severty", "--no-train"),
        ("evaluate", "identification-severty", "--task", "spgc"),
        ("train", "identification-severty"),
    ],
    ids=["evaluate", "task", "train"],
)
def test_an_unknown_system_is_told_all_there_are(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_bench, "TRAIN_LIBRARIES", ("a_library_not_there",))
    out = ("-o", str(tmp_path / "run"))
    done = CliRunner().invoke(app, [*words, "--data", str(tmp_path), *out])
    assert done.exit_code == 2
    told = " ".join(done.stderr.replace("│", " ").split())
    for name in system_names():
        assert name in told
    assert f"did you mean {SYSTEM}?" in told
    assert SYSTEM in system_names()
    assert cli_train.PATIENTS == SYSTEM
    with pytest.raises(ValueError, match="of patients, not of slices"):
        system_named(SYSTEM)


def test_classes_need_a_classifier_named_or_installed(tmp_path: Path) -> None:
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=1, slices=6)
    arguments = ["evaluate", SYSTEM, "--data", str(tmp_path), "--task", "spgc"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert f"groundglass train {SYSTEM}" in done.stderr
    install(tmp_path / "models")
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["model"] == "threeway"


def test_training_refuses_another_layout_and_fold(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    arguments = ["train", SYSTEM, "--data", str(tmp_path), "-o", str(tmp_path / "run")]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert CliRunner().invoke(app, [*arguments, "--fold", "9"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--enhance"]).exit_code == 2


def test_a_recipe_changes_what_it_names_of_the_preset(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"attention_epochs": 5, "head": {"rounds": 1}}', encoding="utf-8")
    request = PatientRequest(tmp_path, tmp_path, "ours", recipe=recipe)
    wanted = replace(OURS, attention_epochs=5, head=replace(OURS.head, rounds=1))
    assert cli_severity._config(request) == wanted
    recipe.write_text('{"head": {"round": 1}}', encoding="utf-8")
    with pytest.raises(typer.BadParameter, match=r"head\.round"):
        cli_severity._config(request)


def test_quiet_training_still_writes_how_those_held_out_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = NumberTable("t", ("a", "b"), (("c", 1.0),))
    found = TaskResult(SYSTEM, "held out", "m", "d", 1, (table,), table, ({"patient": "p"},))
    monkeypatch.setattr(cli_severity, "LIBRARIES", ())
    monkeypatch.setattr(cli_severity, "_trained", lambda *_: (found, []))
    request = PatientRequest(tmp_path, tmp_path / "run", "ours", quiet=True)
    assert cli_severity.run_patient_training(request) == 0
    assert (tmp_path / "run" / "held_out" / "evaluation.html").is_file()
    assert capsys.readouterr().out == ""


def test_a_wide_table_is_turned_on_its_side_on_the_page(tmp_path: Path) -> None:
    wide = NumberTable("w", ("score", *(f"figure {n}" for n in range(14))), (("one", *range(14)),))
    found = TaskResult(SYSTEM, "ctss", "m", "d", 1, (wide,), wide, ())
    page = write_result(found, tmp_path / "out")[-1].read_text(encoding="utf-8")
    assert "<tr><th>score</th><th>one</th></tr>" in page
    assert "<tr><td>figure 13</td><td>13</td></tr>" in page
    assert [told(cell) for cell in (-1e-9, -0.25, 3, None)] == ["0.000", "-0.250", "3", "n/a"]
