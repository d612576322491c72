"""The accuracy benchmarks run on fakes of their datasets, the held-out parts among them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundglass.datasets import covid_ct_md_fake, covid_semiseg


def run(root: Path, script: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run a benchmark as a script."""
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(root / "benchmarks" / script), run_name="__main__")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("method", ["default", "published", "network"])
def test_pictures(  # noqa: PLR0917
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    split: str,
    method: str,
) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    out = tmp_path / "out.json"
    given = ("--data", str(tmp_path), "--split", split, "--method", method, "--rounds", "20")
    run(root, "slices_2d.py", monkeypatch, *given, "--json", str(out))
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert result["slices"] == 2
    assert set(result["infection"]["averages"]) == set(result["whole_lung"]["averages"])
    text = capsys.readouterr().out
    assert "Semi-Inf-Net   Dice mean 0.739" in text
    assert "baseline: all of the lung mask" in text


def test_volumes(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    covid_ct_md_fake.write_fake(tmp_path, np.random.default_rng(0))
    out = tmp_path / "out.json"
    run(root, "volume_auc.py", monkeypatch, "--data", str(tmp_path), "--json", str(out))
    rows = json.loads(out.read_text(encoding="utf-8"))["patients"]
    assert [row["patient"] for row in rows] == ["P001", "cap001", "normal001"]
    assert [row["auc_percent"] for row in rows] == [1.0, 1.0, None]
    assert rows[2]["percent"]["total"] == 0
    with pytest.raises(SystemExit):
        run(root, "volume_auc.py", monkeypatch, "--data", str(tmp_path), "--patient", "P999")
    assert "no folder for P999" in capsys.readouterr().err
