from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundglass import cli_analyze
from groundglass.cli import app
from groundglass.core.results import CaseResult
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError
from groundglass.phantom import Chest, build_chest
from groundglass.phantom_dicom import write_series
from groundglass.writers.document import ResultDocument, build_schema
from groundglass.writers.folder import FILES
from tests.cases import volume_case

CHEST = Chest(shape=(54, 96, 96), spacing_mm=(5.0, 3.75, 3.75))
runner = CliRunner()


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    write_series(build_chest(CHEST), folder)
    return folder


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[CaseResult]:
    """Take the place of reading and analysis; what they return can be changed."""
    cases = [volume_case()]
    monkeypatch.setattr(cli_analyze, "read_scan", lambda *_, **__: cases[0].scan)
    monkeypatch.setattr(cli_analyze, "analyze", lambda *_, **__: cases[0])
    return cases


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def process(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "groundglass", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )


def test_a_series_becomes_a_table_and_files(series: Path, tmp_path: Path) -> None:
    code, out, err = run("analyze", series, "-o", tmp_path / "out")
    assert code == 0, err
    assert "Both lungs" in out
    assert "report.html" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert "reading" in err
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"Phantom^Chest" not in written
    assert b"PHANTOM" not in written


def test_json_is_alone_on_stdout(series: Path, tmp_path: Path) -> None:
    done = process("analyze", series, "-o", tmp_path / "out", "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    document = ResultDocument.model_validate_json(done.stdout)
    assert document.status == "analyzed"
    assert done.stdout == (tmp_path / "out" / "result.json").read_text()
    assert document.lungs is not None
    assert document.lungs.volume_ml.total == pytest.approx(CHEST.lungs_ml, rel=0.1)


def test_json_needs_no_folder(fake: list[CaseResult]) -> None:
    code, out, _ = run("analyze", "scan", "--json")
    assert (code, json.loads(out)["status"]) == (0, "analyzed")
    assert fake


def test_quiet_says_nothing(fake: list[CaseResult], tmp_path: Path) -> None:
    assert fake
    assert run("analyze", "scan", "-o", tmp_path / "out", "-q") == (0, "", "")


def test_what_is_not_a_scan_is_refused_in_one_sentence(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.mkdir()
    (junk / "letter.txt").write_text("no scan")
    done = process("analyze", junk, "-o", tmp_path / "out", "-q")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Not analyzed: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["status"] == "refused"
    assert document["error"]["message"]


def test_a_missing_input_is_refused_and_told_as_json(tmp_path: Path) -> None:
    code, out, err = run("analyze", tmp_path / "nothing", "--json")
    assert code == 1
    assert json.loads(out)["error"]["type"]
    assert "Not analyzed" in err


def test_a_refused_scan_keeps_its_verdicts(
    fake: list[CaseResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake

    def refuse(*_: object, **__: object) -> CaseResult:
        verdict = Verdict("modality", Status.REFUSED, "this is an MR", "it was refused", "none")
        msg = "a CT is needed and an MR was found"
        raise NotAnalyzableError(msg, (verdict,))

    monkeypatch.setattr(cli_analyze, "analyze", refuse)
    code, out, err = run("analyze", "scan", "-o", tmp_path / "out")
    assert code == 1
    assert "This is an MR" in out
    assert "a CT is needed and an MR was found." in err
    assert json.loads((tmp_path / "out/result.json").read_text())["verdicts"][0]["status"] == (
        "refused"
    )


def test_a_fault_of_ours_is_no_traceback_either(
    fake: list[CaseResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake
    monkeypatch.setattr(cli_analyze, "analyze", lambda *_, **__: 1 / 0)
    code, out, err = run("analyze", "scan", "-o", tmp_path / "out", "--json")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "GROUNDGLASS_DEBUG=1" in err
    assert "Traceback" not in out + err
    monkeypatch.setenv("GROUNDGLASS_DEBUG", "1")
    result = runner.invoke(app, ["analyze", "scan", "--json"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_too_little_memory_is_one_sentence(
    fake: list[CaseResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake

    def fail(*_: object, **__: object) -> CaseResult:
        raise MemoryError

    monkeypatch.setattr(cli_analyze, "analyze", fail)
    code, _, err = run("analyze", "scan", "--json")
    assert code == 1
    assert "more memory" in err


def test_an_earlier_result_stays_without_force(fake: list[CaseResult], tmp_path: Path) -> None:
    assert run("analyze", "scan", "-o", tmp_path / "out")[0] == 0
    fake[0] = volume_case(14)
    code, _, err = run("analyze", "scan", "-o", tmp_path / "out")
    assert code == 1
    assert "--force" in err
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["scan"]["slices"] == 12
    assert run("analyze", "scan", "-o", tmp_path / "out", "--force")[0] == 0
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["scan"]["slices"] == 14


def test_a_folder_that_cannot_be_used_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_analyze, "read_scan", lambda *_, **__: pytest.fail("it was read"))
    (tmp_path / "file").write_text("x")
    code, out, err = run("analyze", tmp_path, "-o", tmp_path / "file")
    assert code == 1
    assert out == ""
    assert "a file of that name exists" in err
    code, _, err = run("analyze", tmp_path, "-o", tmp_path / "deep" / "out")
    assert code == 1
    assert "inside the input folder" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze"], "INPUT"),
        (["analyze", "scan"], "-o OUT"),
        (["analyze", "scan", "--json", "--spacing", "1,2"], "3 numbers"),
        (["analyze", "scan", "--json", "--spacing", "1,2,x"], "3 numbers"),
        (["analyze", "scan", "--json", "--spacing", "0,1,1"], "spacing_mm"),
        (["analyze", "scan", "--json", "--window", "5,1"], "window_hu"),
        (["analyze", "scan", "--json", "--infection", "magic"], "training-free"),
        (["analyze", "scan", "--json", "--hu-offset", "much"], "hu-offset"),
        (["analyze", "scan", "--json", "--lungs-convention", "sides"], "give both"),
        (["analyze", "s", "--json", "--lungs", "m", "--lungs-convention", "odd"], "one of"),
        (["analyze", "scan", "--json", "--config", "nowhere.json"], "configuration"),
        (["analyze", "scan", "--nonsense"], "nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_use_is_exit_code_two(arguments: list[str], words: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert words in " ".join(err.replace("│", " ").split())
    assert out == ""


def test_settings_come_from_a_file_and_unknown_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[cli_analyze.Request] = []

    def note(request: cli_analyze.Request) -> int:
        seen.append(request)
        return 0

    monkeypatch.setattr(cli_analyze, "run", note)
    path = tmp_path / "config.json"
    path.write_text('{"infection_method": "published"}')
    arguments = ["--json", "--config", str(path), "--hu-offset", "-1024", "--window", "-1350,150"]
    assert run("analyze", "scan", *arguments, "--spacing", "5,0.7,0.7", "--series", "1.2")[0] == 0
    (request,) = seen
    assert request.config.infection_method == "published"
    assert request.config.hu_offset == request.options.hu_offset == -1024
    assert request.options.window_hu == (-1350, 150)
    assert request.options.spacing_mm == (5, 0.7, 0.7)
    assert request.series == "1.2"
    path.write_text('{"infektion": 1}')
    code, _, err = run("analyze", "scan", *arguments)
    assert code == 2
    assert "infektion" in err


def test_the_settings_written_with_a_result_can_be_used_again(series: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("analyze", series, "-o", first, "-q")[0] == 0
    assert run("analyze", series, "-o", second, "-q", "--config", first / "config.json")[0] == 0
    for name in ("lungs.nii.gz", "infection.nii.gz", "slices.csv", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_written_lung_mask_can_be_given_back(series: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("analyze", series, "-o", first, "-q")[0] == 0
    code, _, err = run("analyze", series, "-o", second, "-q", "--lungs", first / "lungs.nii.gz")
    assert code == 0, err
    assert (first / "lungs.nii.gz").read_bytes() == (second / "lungs.nii.gz").read_bytes()
    document = json.loads((second / "result.json").read_text())
    assert document["lungs"]["method"].startswith("external")


def test_help_schema_and_version() -> None:
    assert run("--version") == (0, f"groundglass {version()}\n", "")
    code, out, _ = run("schema")
    assert (code, json.loads(out)) == (0, build_schema())
    for command in ("analyze", "demo", "doctor", "schema"):
        assert run(command, "--help")[0] == 0
        assert command in run("--help")[1]


def version() -> str:
    from importlib.metadata import version as installed

    return installed("groundglass")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from groundglass.cli import app; from typer.testing import CliRunner; "
        "CliRunner().invoke(app, ['analyze', '--help']); "
        "print([m for m in ('numpy', 'scipy', 'SimpleITK', 'pydicom') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins without it
from groundglass import cli, cli_analyze
def wait(*_, on_progress, **__):
    on_progress(cli_analyze.Progress("waiting to be stopped", 0, 0))
    time.sleep(600)
cli_analyze.analyze = wait
sys.argv[0] = "groundglass"
cli.main()
"""
"""The command line, which comes to no end by itself: however slow the machine, it is stopped."""


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopping_writes_nothing(series: Path, tmp_path: Path, sent: signal.Signals) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", WAITING, "analyze", str(series), "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if "waiting to be stopped" in line:
            break
    else:
        pytest.fail("it ended by itself")
    started.send_signal(sent)
    out, err = started.communicate(timeout=600)
    assert started.returncode == 130, err
    assert out == ""
    assert "Stopped" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_corrected_mask_in_the_folder_of_the_result_is_kept(tmp_path: Path) -> None:
    mask = tmp_path / "lungs.nii.gz"
    mask.write_bytes(b"corrected by hand")
    arguments = ["analyze", "any.nii", "--lungs", str(mask), "-o", str(tmp_path), "--force"]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert mask.read_bytes() == b"corrected by hand"
    assert [path.name for path in tmp_path.iterdir()] == ["lungs.nii.gz"]
