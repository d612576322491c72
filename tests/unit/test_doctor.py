from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from groundglass import cli_doctor, doctor, doctor_samples
from groundglass.cli import app
from groundglass.doctor import COMPRESSIONS, State
from groundglass.doctor_samples import SAMPLES, sample_dataset, sample_hu

runner = CliRunner()


def test_every_compression_has_a_sample() -> None:
    assert tuple(sample.name for sample in SAMPLES) == COMPRESSIONS
    syntaxes = {sample_dataset(name).file_meta.TransferSyntaxUID for name in COMPRESSIONS}
    assert syntaxes == {sample.syntax for sample in SAMPLES}
    assert len({len(sample_dataset(name).PixelData) for name in COMPRESSIONS}) == len(SAMPLES)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_every_sample_decodes(name: str) -> None:
    finding = doctor.decoder(name)
    assert (finding.state, finding.found) == (State.OK, "decodes to the known pixels")


def test_wrong_pixels_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = sample_hu() + np.int16(1)
    monkeypatch.setattr(doctor_samples, "sample_hu", lambda: other)
    monkeypatch.setattr(doctor, "_decodes", doctor._decodes)
    dataset = sample_dataset("JPEG-LS")
    monkeypatch.setattr(doctor_samples, "sample_dataset", lambda _: dataset)
    finding = doctor.decoder("JPEG-LS")
    assert (finding.state, finding.found) == (State.FAILS, "decodes to wrong pixels")
    assert "pip install" in finding.mend


def test_a_broken_decoder_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Any:
        msg = "no such codec"
        raise RuntimeError(msg)

    monkeypatch.setattr(doctor_samples, "sample_dataset", broken)
    assert doctor.decoder("HTJ2K").found == "cannot be decoded: RuntimeError"


def test_a_missing_library_is_a_finding_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "groundglass.readers.read", None)
    assert doctor.decoder("RLE").state is State.FAILS
    finding = doctor.library("no-such-library")
    assert (finding.state, finding.mend) == (State.FAILS, "pip install no-such-library")


def test_this_machine_works() -> None:
    findings = {finding.name: finding for finding in doctor.examine()}
    assert [name for name, one in findings.items() if one.state is State.FAILS] == []
    assert {"Python", "numpy", "Memory", "Processors", "Temporary folder", "Models"} <= set(
        findings
    )
    assert "truth" in findings["Analysis"].found


def test_little_memory_fails_and_unknown_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_memory_gb", lambda: 0.3)
    assert doctor.memory().state is State.FAILS
    assert "0.3 GB free" in doctor.memory().found
    monkeypatch.setattr(doctor, "free_memory_gb", lambda: None)
    assert doctor.memory().state is State.NOTE


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = {"memory.max": 5 * 10**8, "memory.current": 10**8}
    monkeypatch.setattr(doctor, "_control_group", amounts.get)
    assert doctor.free_memory_gb() == pytest.approx(0.4)


def test_folders_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert doctor.temporary_folder().state is State.FAILS
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GROUNDGLASS_MODELS", str(tmp_path / "file" / "cache"))
    finding = doctor.cache_folder()
    assert finding.state is State.NOTE
    assert "GROUNDGLASS_MODELS" in finding.mend
    monkeypatch.setenv("GROUNDGLASS_MODELS", str(tmp_path / "new"))
    assert doctor.cache_folder().state is State.OK
    assert not (tmp_path / "new").exists()


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert doctor.python_version().state is State.FAILS


def test_a_phantom_that_measures_wrong_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_small_lungs_ml", lambda: (1000.0, 5000.0))
    assert doctor.small_analysis().found == "a phantom's lungs measured wrong"
    monkeypatch.setattr(doctor, "_small_lungs_ml", lambda: 1 / 0)
    assert "ZeroDivisionError" in doctor.small_analysis().found


def test_the_command_tells_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = doctor.Finding("Memory", State.OK, "plenty")
    bad = doctor.Finding("DICOM RLE", State.FAILS, "cannot be decoded", "reinstall")
    monkeypatch.setattr(cli_doctor, "examine", lambda: (fine, bad))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "Would fail: DICOM RLE." in result.stdout
    assert "reinstall" in result.stdout
    monkeypatch.setattr(cli_doctor, "examine", lambda: (fine,))
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {"name": "Memory", "state": "ok", "found": "plenty", "mend": ""}
    ]
    assert "Everything" in runner.invoke(app, ["doctor"]).stdout


def test_models_are_named_and_a_broken_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GROUNDGLASS_MODELS", str(tmp_path))
    finding = doctor.models()
    assert finding.state is State.OK
    assert "infection-semiseg" in finding.found
    (tmp_path / "odd.card.json").write_text("{}")
    assert doctor.models().state is State.NOTE
