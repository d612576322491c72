from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from groundglass import doctor
from groundglass.cli import SEALED, app
from groundglass.errors import SealedError
from groundglass.sealed import OFFLINE_VARIABLE, is_sealed, require_network, sealed
from tests.no_network import NOT_HERE
from tests.series import block, make_slices, save

ROOT = Path(__file__).parent.parent.parent
OPENINGS: dict[str, Callable[[], object]] = {
    "socket": socket.socket,
    "name": lambda: socket.getaddrinfo("localhost", 80),
    "host": lambda: socket.gethostbyname("localhost"),
    "connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "server": lambda: socket.create_server(("127.0.0.1", 0)),
    "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
}


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OFFLINE_VARIABLE, raising=False)


@pytest.mark.parametrize("name", OPENINGS)
def test_the_guard_refuses(name: str) -> None:
    with sealed(), pytest.raises(SealedError, match="sealed and opened no network connection"):
        OPENINGS[name]()


def test_a_socket_opened_before_cannot_be_used() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old, sealed():
        for use in (
            lambda: old.bind(("127.0.0.1", 0)),
            lambda: old.connect(("127.0.0.1", 9)),
            lambda: old.sendto(b"x", ("127.0.0.1", 9)),
        ):
            with pytest.raises(SealedError):
                use()


def test_pairs_inside_the_process_and_life_afterwards() -> None:
    with sealed():
        with sealed():
            assert is_sealed()
        assert is_sealed()
        one, other = socket.socketpair()
        one.close()
        other.close()
    assert not is_sealed()
    socket.create_server(("127.0.0.1", 0)).close()


@pytest.mark.parametrize(
    ("wished", "by_default", "expected"),
    [
        ("1", False, True),
        ("yes", False, True),
        ("0", True, False),
        ("off", True, False),
        (" ", True, True),
        (None, True, True),
        (None, False, False),
    ],
)
def test_the_environment_decides(
    wished: str | None, by_default: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wished is not None:
        monkeypatch.setenv(OFFLINE_VARIABLE, wished)
    with sealed(by_default=by_default):
        assert is_sealed() is expected


def test_a_command_that_needs_the_network_says_how_to_unseal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_network("sending to a PACS")
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    with pytest.raises(SealedError, match=r"sending to a PACS needs the network.*unset it"):
        require_network("sending to a PACS")


def test_doctor_tells_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "open no connection" in doctor.network().found
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    assert "no command opens" in doctor.network().found
    monkeypatch.setenv(OFFLINE_VARIABLE, "0")
    assert doctor.network().state is doctor.State.NOTE


def test_commands_run_sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bool] = []

    def run(*_: object, **__: object) -> int:
        seen.append(is_sealed())
        return 0

    monkeypatch.setattr("groundglass.cli_deidentify.run_and_show", run)
    command = ["deidentify", str(tmp_path), str(tmp_path / "out")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert not is_sealed()
    monkeypatch.setenv(OFFLINE_VARIABLE, "0")
    CliRunner().invoke(app, command)
    assert seen == [True, False]
    group = typer.main.get_command(app)
    assert set(SEALED) <= set(group.commands)  # type: ignore[attr-defined]
    assert {"analyze", "deidentify", "demo"} <= set(SEALED)


def run_without_network(record: Path, *command: str) -> int:
    script = str(ROOT / "tests" / "no_network.py")
    silenced = {"CI", "ORT_DISABLE_TELEMETRY"}  # ONNX Runtime reports nothing where these are set
    done = subprocess.run(
        [sys.executable, script, str(record), *command],
        capture_output=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in silenced},
    )
    if done.returncode == NOT_HERE:
        pytest.skip("no filter of system calls on this machine")
    return done.returncode


def test_the_kernel_ends_a_process_that_opens_a_socket(tmp_path: Path) -> None:
    code = run_without_network(tmp_path / "events", "open-a-socket")
    assert code == -signal.SIGSYS


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("analyze", marks=pytest.mark.slow),
        "deidentify",
        pytest.param("demo", marks=pytest.mark.slow),
    ],
)
def test_no_command_opens_a_socket(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    if name == "deidentify":
        save(make_slices(block((2, 64, 64))), source)
    elif name == "analyze":
        from groundglass.phantom import Chest, build_chest
        from groundglass.phantom_dicom import write_series

        write_series(build_chest(Chest((54, 96, 96), (5.0, 3.75, 3.75))), source)
    command = {
        "analyze": ["analyze", str(source), "-o", str(out), "--dicom"],
        "deidentify": ["deidentify", str(source), str(out)],
        "demo": ["demo", "-o", str(out)],
    }[name]
    record = tmp_path / "events"
    assert run_without_network(record, *command) == 0
    tried = set(json.loads(record.read_text(encoding="utf-8")))
    assert tried <= {"socket.__new__"}  # urllib3 tries IPv6 when it is imported, and is refused
    assert any(out.rglob("*.dcm" if name == "deidentify" else "*.json"))
