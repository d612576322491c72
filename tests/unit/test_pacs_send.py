from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from groundglass.errors import PacsError
from groundglass.pacs import send
from groundglass.pacs.nodes import Peer
from tests.series import block, make_slices, save


class Gone:
    """A connection whose other end has died, and whose library has not noticed yet."""

    is_established = True
    asked = 0

    def send_c_store(self, _: Path) -> Dataset:
        self.asked += 1
        return Dataset()

    def abort(self) -> None:
        self.is_established = False


def test_a_dead_connection_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(save(make_slices(block((3, 16, 16))), tmp_path / "study").iterdir())
    gone = Gone()

    @contextmanager
    def call(*_: object) -> Iterator[Gone]:
        yield gone

    monkeypatch.setattr(send, "_association", call)
    with pytest.raises(PacsError, match=r"0 of 3 objects \(2 x connection lost, 1 x no answer\)"):
        send.send_files(Peer("A", "127.0.0.1", 1), files, "GG")
    assert gone.asked == 1


class Ending(Gone):
    """A connection that ends between the look at it and the question."""

    rejected_contexts = ()

    def send_c_echo(self) -> Dataset:
        self.is_established = False
        msg = "The association with a peer SCP must be established"
        raise RuntimeError(msg)

    def send_c_store(self, _: Path) -> Dataset:
        return self.send_c_echo()


def test_a_connection_that_ends_before_the_question_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pynetdicom = pytest.importorskip("pynetdicom")
    monkeypatch.setattr(pynetdicom.AE, "associate", lambda *_, **__: Ending())
    peer = Peer("A", "127.0.0.1", 1)
    with pytest.raises(PacsError, match=r"^A@127\.0\.0\.1:1 ended the call$"):
        send.echo(peer, "GG")
    files = sorted(save(make_slices(block((2, 16, 16))), tmp_path / "study").iterdir())
    with pytest.raises(PacsError, match=r"0 of 2 objects \(2 x connection lost\)"):
        send.send_files(peer, files, "GG")
