"""What happens at the same moment on a busy machine, made to happen in the worse order."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pydicom
import pytest

from groundglass.errors import PacsError
from groundglass.pacs import ask
from groundglass.pacs.nodes import Caller, Tls
from groundglass.pacs.study import State
from tests.pacs_nodes import certificate, receiving, wait_for
from tests.series import block, make_slices, save

pytest.importorskip("pynetdicom")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
PLAIN = Tls()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save(make_slices(block((3, 32, 32))), tmp_path / "study")


def test_a_study_whose_connection_ends_before_its_release_is_told_is_whole(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynetdicom.acse import ACSE

    send_release = ACSE.send_release

    def slowly(acse: ACSE, *, is_response: bool = False) -> None:
        send_release(acse, is_response=is_response)
        if is_response:
            time.sleep(1.0)

    monkeypatch.setattr(ACSE, "send_release", slowly)
    with receiving(tmp_path / "spool") as node:
        ask.send(node.peer, [study], Caller("MODALITY"))
        wait_for(lambda: not node.server.active_associations)
        (key,) = node.spool.keys(State.INCOMING)
        note = node.spool.note(key, State.INCOMING)
        assert (note.broken_at, note.open) == (None, 0)


@pytest.mark.parametrize("secured", [False, True])
def test_a_silent_caller_keeps_nobody_waiting(secured: bool, study: Path, tmp_path: Path) -> None:
    tls = PLAIN
    if secured:
        cert, key = certificate(tmp_path / "tls", "node")
        tls = Tls(cert, key, cert)
    with receiving(tmp_path / "spool", tls=tls if secured else None) as node:
        silent = [socket.create_connection((node.peer.host, node.peer.port)) for _ in range(2)]
        silent[1].sendall(b"\x16\x03" if secured else b"\x01\x00")
        assert ask.send(node.peer, [study], Caller("MODALITY", tls)) == 3
        for one in silent:
            one.close()


def test_a_node_that_stops_ends_the_calls(study: Path, tmp_path: Path) -> None:
    from pynetdicom import AE

    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(pydicom.uid.CTImageStorage)
    before = set(threading.enumerate())
    with receiving(tmp_path / "spool") as node:
        silent = socket.create_connection((node.peer.host, node.peer.port))
        silent.sendall(b"\x01\x00")
        association = ae.associate(node.peer.host, node.peer.port, ae_title=node.peer.ae)
        association.send_c_store(next(study.iterdir()))
    wait_for(lambda: not association.is_established, 30)
    wait_for(lambda: all(one.daemon for one in set(threading.enumerate()) - before), 30)
    (key,) = node.spool.keys(State.INCOMING)
    assert node.spool.note(key, State.INCOMING).broken_at is not None
    silent.close()


def test_a_service_that_is_not_offered_is_told(tmp_path: Path) -> None:
    with (
        receiving(tmp_path / "spool") as node,
        pytest.raises(PacsError, match="answers, but does not offer this service"),
    ):
        ask.find(node.peer, ask.Wanted(), Caller())
    with (
        receiving(tmp_path / "spool") as node,
        pytest.raises(PacsError, match="answers, but does not offer this service"),
    ):
        ask.get(node.peer, ask.Wanted(study="1.2.3"), tmp_path / "out", Caller("GG"))
