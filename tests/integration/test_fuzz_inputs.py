"""Every broken input ends in a refusal with its reason or a result with its verdicts.

No traceback, no hang, nothing written beside OUT, no NaN, no patient data, the input untouched.
To take minutes and not an hour, only one input in twelve goes through the analysis as it is by
default: on the others networks, lobes and the cross-check are not run, so a fault of theirs on such
an input is not seen here.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from groundglass.cli import app
from tests.fuzzing import Case, all_cases
from tests.series import SECRETS

CASES = tuple(all_cases())
LIMIT_S = 600
"""A case that takes longer hangs, on a busy machine too: the run is stopped and says where."""
WRITTEN = 3
"""One in so many cases also writes its folder; the others print their document."""
WHOLE = 12
"""One in so many cases runs the analysis as it is by default; the others leave networks and lobes
out, which see only what reading and checking let through."""
QUICK = json.dumps(
    {
        "infection_method": "training-free",
        "cross_check": False,
        "lobes": {"method": "none"},
        "classify": {"model": "none"},
    }
)


def test_there_are_at_least_three_hundred_different_inputs() -> None:
    names = Counter(case.id for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(CASES) >= 300
    assert len({case.group for case in CASES}) >= 10


@pytest.fixture
def watched() -> Iterator[None]:
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id.encode("ascii", "replace"))
def test_broken_input_is_refused_or_measured(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, here, scratch = (tmp_path / name for name in ("in", "here", "scratch"))
    for folder in (source, here, scratch):
        folder.mkdir()
    path = case.make(source)
    before = _state(source)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    number = CASES.index(case)
    out = tmp_path / "out" if number % WRITTEN == 0 else None
    options = [] if number % WHOLE == 0 else _quick(tmp_path)
    _check(_run(path, out, options), out)
    assert _state(source) == before
    assert _state(here) == {}
    assert _state(scratch) == {}
    expected = {"in", "here", "scratch", *(Path(option).name for option in options[1:])} | (
        {"out"} if out is not None and out.exists() else set()
    )
    assert {entry.name for entry in tmp_path.iterdir()} == expected


def _quick(folder: Path) -> list[str]:
    config = folder / "quick.json"
    config.write_text(QUICK, encoding="utf-8")
    return ["--config", str(config)]


def _run(path: Path, out: Path | None, more: list[str]) -> Any:
    options = ["--json"] if out is None else ["--json", "-o", str(out)]
    return CliRunner().invoke(app, ["analyze", *options, *more, "--", str(path)])


def _check(result: Any, out: Path | None) -> None:
    """Look at exit code, document and files of one run."""
    assert result.exit_code in (0, 1), result.output
    assert "Traceback" not in result.output
    assert "failed in a way it should not" not in result.output, result.output
    assert not any(secret in result.output for secret in SECRETS)
    document = json.loads(result.stdout, parse_constant=_refuse_constant)
    statuses = [verdict["status"] for verdict in document["verdicts"]]
    if result.exit_code == 0:
        assert statuses
        assert "refused" not in statuses
    else:
        assert "Not analyzed: " in result.stderr
    if out is not None and out.exists():
        written = (out / "result.json").read_text("utf-8")
        assert json.loads(written) == document


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _state(folder: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content hash of everything below a folder, links not followed."""
    state = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            mode = path.lstat().st_mode
            plain = path.is_file() and not path.is_symlink()
            content = path.read_bytes() if plain and os.access(path, os.R_OK) else b""
            state[str(path.relative_to(folder))] = (mode, hashlib.sha256(content).hexdigest())
    return state
