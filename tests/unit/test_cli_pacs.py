from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from groundglass.cli import app
from groundglass.pacs.nodes import Tls
from groundglass.pacs.spool import Spool
from groundglass.pacs.study import Instance, Limits, State

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
STUDY = "1.2.826.0.1.77"


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDGLASS_OFFLINE", raising=False)


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """Take back the handlers of a listener, which would keep Ctrl-C from the other tests."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["pacs", *arguments], env={"NO_COLOR": "1", "COLUMNS": "300"})


def spool_with_a_failure(root: Path) -> tuple[Spool, str]:
    spool = Spool(root, Limits(reserve_bytes=0))
    key = spool.add(Instance(STUDY, f"{STUDY}.1", f"{STUDY}.1.1", b"x"), "SENDER", "")
    spool.move(key, State.INCOMING, State.FAILED, reason="no lung was found")
    return spool, key


def test_status_tells_the_state_and_the_reason(tmp_path: Path) -> None:
    spool, key = spool_with_a_failure(tmp_path)
    told = json.loads(run("status", "--spool", str(spool.root)).stdout)
    assert [(row["study"], row["state"], row["reason"]) for row in told] == [
        (key, "failed", "no lung was found")
    ]


@pytest.mark.parametrize("named", ["key", "uid", "all"])
def test_retry_takes_a_key_a_uid_or_all(named: str, tmp_path: Path) -> None:
    spool, key = spool_with_a_failure(tmp_path)
    study = {"key": key, "uid": STUDY}.get(named, named)
    done = run("retry", study, "--spool", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "1 studies are queued again\n")
    assert spool.find(key) is State.READY
    done = run("retry", key, "--spool", str(tmp_path))
    assert done.exit_code == 1
    assert "needs --again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("echo", "PACS"), "a node is AE@HOST:PORT"),
        (("find", "A@h:1", "--level", "series"), "series are those of a study"),
        (("listen", "--port", "0", "--return-to", "me"), "a node is AE@HOST:PORT"),
        (("listen", "--port", "0", "--return-tls-key", "k"), "needs its certificate"),
        (("listen", "--port", "0", "--return-to", "nobody", "--ae", "x" * 17), "AE title"),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    more = ("--spool", str(tmp_path)) if arguments[0] == "listen" else ()
    done = run(*arguments, *more)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), Tls(Path("c"), Path("k"), Path("a"))),
        (("--return-tls-ca", "o"), Tls(Path("c"), Path("k"), Path("o"))),
        (
            ("--return-tls-cert", "d", "--return-tls-key", "l"),
            Tls(Path("d"), Path("l"), Path("a")),
        ),
        (("--return-tls-cert", "d"), Tls(Path("d"), None, Path("a"))),
        (("--return-clear",), Tls()),
    ],
)
def test_results_may_go_back_by_other_certificates(
    options: tuple[str, ...], expected: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundglass.pacs import listen

    seen: list[listen.Listen] = []
    monkeypatch.setattr(listen, "listen", lambda settings, *_: seen.append(settings))
    secured = ("--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a")
    place = ("--port", "0", "--return-to", "A@h:1", "--spool", str(tmp_path))
    assert run("listen", *place, *secured, *options).exit_code == 0
    assert seen[0].tls == Tls(Path("c"), Path("k"), Path("a"))
    assert seen[0].plan.tls == expected


def test_a_node_that_is_not_there_is_one_sentence() -> None:
    done = run("echo", "PACS@127.0.0.1:1")
    assert done.exit_code == 1
    assert done.stderr == "PACS@127.0.0.1:1 cannot be reached: no answer.\n"


@pytest.mark.parametrize(
    "arguments", [("echo", "PACS@127.0.0.1:1"), ("listen", "--port", "0"), ("send", "A@h:1", "x")]
)
def test_sealed_the_network_is_refused(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDGLASS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 1
    assert "GROUNDGLASS_OFFLINE forbids it" in done.stderr
    assert list(tmp_path.iterdir()) == []
