"""The commands of the bench: evaluation without torch, training, synthetic pairs, refusals."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from groundglass import cli_bench
from groundglass.cli import app
from groundglass.datasets import covid_ct_md_fake, covid_ct_rate, covid_semiseg
from groundglass.datasets.finding import open_slices
from groundglass.models.catalogue import FOLDER_VARIABLE
from tests.networks import write_model
from tests.unit.test_training_splits import texture

RUNNER = CliRunner()
TINY = {
    "network": {
        "widths": [4, 4, 4, 4, 4],
        "blocks": [1, 1, 1, 1],
        "decoder_widths": [4, 4, 4, 4],
        "head_widths": [4, 4],
    },
    "stages": [
        {
            "name": "only",
            "steps": 2,
            "learning_rate": 1e-3,
            "shares": {"doctor": 1.0},
            "side_px": 32,
            "batch": 2,
        }
    ],
    "tuning_steps": 1,
    "kept_px": 32,
    "answer_px": 32,
    "precision": "32-true",
}


def run(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(one) for one in arguments])


@pytest.fixture
def semiseg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COVID-SemiSeg in small, and a user's folder with a default model."""
    root = tmp_path / "semiseg"
    root.mkdir()
    covid_semiseg.write_fake(root, np.random.default_rng(0), slices=3)
    write_model(tmp_path / "user", name="mine", training_data=("something else",))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    return root


def test_a_model_is_measured_as_json(semiseg: Path) -> None:
    done = run("evaluate", "covid-rate", "--data", semiseg, "--model", "mine", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["system", "model", "split", "n", "metrics", "published"]
    assert (found["system"], found["model"], found["split"]) == ("covid-rate", "mine", "test")
    assert found["n"] == 3
    assert 0 <= found["metrics"]["dice"]["value"] <= 1


def test_a_model_is_measured_into_a_folder(semiseg: Path, tmp_path: Path) -> None:
    arguments = ("--model", "mine", "--no-train", "--split", "train", "-o", tmp_path / "out")
    done = run("evaluate", "covid-rate", "--data", semiseg, *arguments)
    assert done.exit_code == 0, done.stderr
    assert "dice_mean256" in done.stdout
    assert "patients are not known" in " ".join(done.stdout.split())
    assert (tmp_path / "out" / "evaluation.html").is_file()


def test_measuring_a_model_loads_no_torch(semiseg: Path) -> None:
    code = (
        "import sys; from groundglass.cli import main\n"
        "sys.argv[1:] = sys.argv[1:]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    arguments = ["evaluate", "covid-rate", "--data", str(semiseg), "--model", "mine", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"n": 3' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "covid-rat"), 2, "systems to evaluate are covid-rate"),
        (("evaluate", "covid-rate"), 2, "needs a folder"),
        (("evaluate", "covid-rate", "--model", "mein"), 1, "did you mean mine"),
        (("evaluate", "covid-rate", "--model", "mine", "--split", "exam"), 2, "found exam"),
    ],
)
def test_wrong_wishes_are_refused_in_a_sentence(
    semiseg: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(*arguments, "--data", semiseg)
    assert done.exit_code == code
    said = " ".join(done.stderr.replace("│", " ").split())
    assert message in said


def test_a_folder_that_is_no_data_set_is_refused(semiseg: Path, tmp_path: Path) -> None:
    assert semiseg.is_dir()
    (tmp_path / "empty").mkdir()
    done = run("evaluate", "covid-rate", "--data", tmp_path / "empty", "--model", "mine")
    assert done.exit_code == 1
    assert "it holds neither" in done.stderr


def test_without_the_extra_one_sentence_says_so(
    semiseg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in cli_bench.TRAIN_LIBRARIES else find(name),
    )
    for command in ("train", "evaluate"):
        done = run(command, "covid-rate", "--data", semiseg, "-o", tmp_path / "run")
        assert done.exit_code == 1
        assert "pip install 'groundglass[train]'" in done.stderr
        assert done.stderr.count("\n") == 1


def test_synthetic_pairs_are_made_from_scans(tmp_path: Path) -> None:
    for name in ("ill", "healthy"):
        (tmp_path / name).mkdir()
    covid_ct_rate.write_fake(tmp_path / "ill", np.random.default_rng(0))
    covid_ct_md_fake.write_fake(tmp_path / "healthy", np.random.default_rng(1))
    healthy = tmp_path / "healthy" / "Normal subjects"
    done = run(
        "synthesize", "--infected", tmp_path / "ill", "--healthy", healthy, "-o", tmp_path / "out"
    )
    assert done.exit_code == 0, done.stderr
    made = covid_ct_rate.read_covid_ct_rate(tmp_path / "out").items
    rows = (tmp_path / "out" / "records.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 13
    assert rows[0].startswith("donor,recipient,seed,mode,rate_before,rate_after,kept,reason")
    assert 0 < len(made) <= 12
    one = made[0].read()
    assert one.lesion is not None
    assert one.values[one.lesion > 0].mean() > -700
    again = run(
        "synthesize", "--infected", tmp_path / "ill", "--healthy", healthy, "-o", tmp_path / "out"
    )
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


def test_synthetic_pairs_are_made_from_slices(tmp_path: Path) -> None:
    for name in ("ill", "healthy"):
        (tmp_path / name).mkdir()
        covid_ct_rate.write_fake(tmp_path / name, np.random.default_rng(len(name)))
    done = run(
        *("synthesize", "--infected", tmp_path / "ill", "--healthy", tmp_path / "healthy"),
        *("-o", tmp_path / "out", "--mode", "faithful", "--quiet"),
    )
    assert (done.exit_code, done.stdout) == (0, "")
    image = np.load(next((tmp_path / "out" / "Images").iterdir()))
    assert (image.min(), image.max()) == (0, 1)


def test_pictures_are_no_donors(tmp_path: Path) -> None:
    for name in ("Images", "Masks"):
        (tmp_path / name).mkdir()
        Image.new("L", (40, 40), 200).save(tmp_path / name / "a.png")
    done = run("synthesize", "--infected", tmp_path, "--healthy", tmp_path, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "found a picture" in done.stderr


def test_training_from_the_command_line(semiseg: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    settings = tmp_path / "recipe.json"
    settings.write_text(json.dumps(TINY), encoding="utf-8")
    same = ("--data", semiseg, "--recipe", settings, "--device", "cpu", "--allow-leak")
    out = tmp_path / "run"
    done = run("train", "covid-rate", *same, "-o", out, "--fold", "0")
    assert done.exit_code == 2
    assert "5 folds need as many" in " ".join(done.stderr.replace("│", " ").split())
    done = run("train", "covid-rate", *same, "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "Trained:" in done.stdout
    card = json.loads((out / "full" / "model.card.json").read_text(encoding="utf-8"))
    assert card["licence"] == "non-commercial research only"
    measured = run("evaluate", "covid-rate", "--data", semiseg, "--model", out / "full", "--json")
    assert json.loads(measured.stdout)["model"] == "covid-rate-ours-full"
    assert run("models", "add", out / "full").exit_code == 0
    enhanced = run("train", "covid-rate", *same, "-o", out, "--resume", "--enhance")
    assert enhanced.exit_code == 0, enhanced.stderr
    gain = json.loads((out / "enhanced" / "gain.json").read_text(encoding="utf-8"))
    assert gain["gains"]["transductive"]["everything"]["count"] == 3
    assert not gain["gains"]["transductive"]["disjoint"]
    assert "transductive" in gain["caveats"][0]
    assert run("train", "covid-rate", *same, "-o", out).exit_code == 1
    assert run("train", "covid-rate", *same, "-o", out, "--resume", "--quiet").exit_code == 0


def test_cross_validation_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    data = tmp_path / "rate"
    for number in range(6):
        values = texture(number)
        for name, one in (("Images", values), ("Masks", (values > 160) * np.uint8(255))):
            (data / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(one).save(data / name / f"im{number}.png")
    settings = tmp_path / "recipe.json"
    settings.write_text(json.dumps(TINY), encoding="utf-8")
    done = run(
        *("evaluate", "covid-rate", "--data", data, "--recipe", settings, "--device", "cpu"),
        *("--fold", "1", "-o", tmp_path / "run", "--json", "--precision", "bf16-mixed"),
    )
    assert done.exit_code == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert (record["fit"]["precision"], record["recipe"]["precision"]) == ("bf16-mixed", "32-true")
    found = json.loads(done.stdout)
    assert found["split"] == "folds 1"
    assert 0 < found["n"] < len(open_slices(data, ["train"]).items)
    assert (tmp_path / "run" / "evaluation" / "slices.csv").is_file()
    page = (tmp_path / "run" / "evaluation" / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == found["n"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--fold", "9"), "0 to 4, or all"), (("--recipe", "nothing.json"), "nothing.json")],
)
def test_wrong_wishes_for_training(
    semiseg: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    pytest.importorskip("lightning")
    done = run("train", "covid-rate", "--data", semiseg, "-o", tmp_path / "run", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
