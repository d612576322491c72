"""The node that runs: receives in threads of its own, works in this one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from groundglass.errors import PacsError
from groundglass.pacs.nodes import Peer, Tls, is_loopback, parse_peer, require_ae
from groundglass.pacs.receive import Receiver
from groundglass.pacs.rules import read_rules
from groundglass.pacs.spool import Spool
from groundglass.pacs.study import Limits
from groundglass.pacs.work import Plan, Worker

logger = logging.getLogger(__name__)

_BREATH_SECONDS = 0.5


@dataclass(frozen=True)
class Listen:
    """How a node listens."""

    ae: str
    """Our AE title."""
    port: int
    """TCP port."""
    spool: Path
    """Folder of the queue."""
    plan: Plan
    """What is done with studies."""
    bind: str = "127.0.0.1"
    """Address to bind."""
    allow: tuple[str, ...] = ()
    """AE titles that may call; empty for all on this machine."""
    limits: Limits | None = None
    """What a sender may fill."""
    tls: Tls | None = None
    """What secures the connections that come in."""


def read_callers(texts: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Peer]]:
    """Return the AE titles of ``AE`` or ``AE@HOST:PORT``, and where those with an address listen.

    Raises
    ------
    ValueError
        If a text is neither.
    """
    peers = {text: parse_peer(text) for text in texts if "@" in text}
    titles = tuple(peers[text].ae if text in peers else require_ae(text) for text in texts)
    return titles, {peer.ae: peer for peer in peers.values()}


def make_plan(
    rules: Path | None, quiet_seconds: float, return_to: str, nodes: dict[str, Peer]
) -> Plan:
    """Return how studies are worked on.

    Parameters
    ----------
    rules : Path, optional
        File of rules.
    quiet_seconds : float
        A study is complete when nothing has come for so long.
    return_to : str
        ``sender``, ``nobody`` or ``AE@HOST:PORT``.
    nodes : dict
        Where senders listen, by AE title.

    Raises
    ------
    OSError
        If the file of rules cannot be read.
    ValueError
        If it holds no rules, or ``return_to`` is something else.
    """
    target: Peer | str | None = {"sender": "sender", "nobody": None}.get(return_to, "")
    if target == "":
        target = parse_peer(return_to)
    return Plan(read_rules(rules), quiet_seconds, target, nodes)


def listen(
    settings: Listen, stop: Event, on_ready: Callable[[int], object] = lambda _: None
) -> None:
    """Receive and work until told to stop.

    Parameters
    ----------
    settings : Listen
        How.
    stop : Event
        Ends it when set; what is under way goes back to the queue.
    on_ready : callable
        Told the port once calls are taken.

    Raises
    ------
    PacsError
        If the port or the spool folder cannot be used, or anybody beyond this machine could call.
    """
    require_ae(settings.ae)
    if not is_loopback(settings.bind) and not settings.allow:
        msg = "a listener beyond this machine needs the AE titles that may call: --allow AE"
        raise PacsError(msg)
    if settings.plan.return_to == "sender" and not settings.plan.nodes:
        msg = (
            "results go back to the sender, and nobody said where it listens: name it with "
            "--allow AE@HOST:PORT, or say --return-to AE@HOST:PORT or nobody"
        )
        raise PacsError(msg)
    if settings.plan.config is not None and not settings.plan.config.is_file():
        msg = "the file of settings for the analysis is not there"
        raise PacsError(msg)
    from groundglass.pacs.server import start_server  # noqa: PLC0415 - an extra

    spool = Spool(settings.spool, settings.limits)
    handle = spool.lock()
    left = spool.recover()
    if left:
        logger.info("%d studies were being worked on and are taken up again", left)
    worker = Worker(spool, settings.plan)
    try:
        address = (settings.bind, settings.port)
        server = start_server(Receiver(spool), settings.ae, address, settings.allow, settings.tls)
    except OSError as error:
        msg = f"port {settings.port} cannot be used: {error.strerror}"
        raise PacsError(msg) from error
    Thread(target=_stop_with, args=(stop, worker), daemon=True).start()
    on_ready(server.server_address[1])
    try:
        while not stop.is_set():
            if not worker.step():
                time.sleep(_BREATH_SECONDS)  # a signal's handler sets what stop.wait would hold
    finally:
        worker.stop()
        server.shutdown()
        os.close(handle)


def _stop_with(stop: Event, worker: Worker) -> None:
    """End the running analysis as soon as the node is told to stop."""
    stop.wait()
    worker.stop()
