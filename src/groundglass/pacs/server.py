"""The listening end of DICOM connections: who may call, by which rules, and how it ends."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from socketserver import BaseServer
from threading import Thread
from typing import Any, cast
from weakref import WeakSet

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from groundglass.pacs.nodes import Tls
from groundglass.pacs.receive import MAX_PDU_BYTES, OK, Receiver, hush_pynetdicom

logger = logging.getLogger(__name__)

MOST_CALLS = 16
"""Connections at a time."""
PATIENCE_SECONDS = 60
"""How long a caller may be silent where it is its turn."""


class Server(ThreadedAssociationServer):
    """Takes calls; a caller that says nothing, or half of something, keeps nobody else waiting."""

    daemon_threads = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._calls: WeakSet[socket.socket] = WeakSet()
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a call; what secures it is agreed on in the thread of the call."""
        call, address = cast("socket.socket", self.socket).accept()
        call.settimeout(PATIENCE_SECONDS)
        if self.ssl_context is not None:
            call = self.ssl_context.wrap_socket(
                call, server_side=True, do_handshake_on_connect=False
            )
        self._calls.add(call)
        return call, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a call, or end it where it cannot be secured."""
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
        except OSError:
            logger.warning("a caller was refused: the connection could not be secured")
            self.shutdown_request(request)
            return
        super().process_request_thread(request, client_address)

    def shutdown(self) -> None:
        """Take no more calls, and end those that are under way."""
        BaseServer.shutdown(self)
        self.server_close()
        for call in list(self._calls):
            with suppress(OSError):  # it has ended already
                call.shutdown(socket.SHUT_RDWR)


def start_server(
    receiver: Receiver,
    ae_title: str,
    address: tuple[str, int],
    allow: Sequence[str] = (),
    tls: Tls | None = None,
) -> Server:
    """Start to listen, in threads of its own.

    Parameters
    ----------
    receiver : Receiver
        What takes the instances.
    ae_title : str
        Our AE title; calls to another one are refused.
    address : tuple of str and int
        Address and port to bind.
    allow : sequence of str
        AE titles that may call; empty for all.
    tls : Tls, optional
        What secures the connections.

    Returns
    -------
    Server
        With ``shutdown()``.

    Raises
    ------
    OSError
        If the port cannot be used.
    """
    hush_pynetdicom()
    ae = AE(ae_title=ae_title)
    ae.require_called_aet = True
    ae.require_calling_aet = list(allow)
    ae.maximum_pdu_size = MAX_PDU_BYTES
    ae.maximum_associations = MOST_CALLS
    ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = PATIENCE_SECONDS
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(Verification)
    handlers: list[Any] = [
        (evt.EVT_C_STORE, receiver.on_store),
        (evt.EVT_PDU_RECV, _on_goodbye(receiver.on_release)),
        (evt.EVT_CONN_CLOSE, receiver.on_close),
        (evt.EVT_C_ECHO, lambda _: OK),
        (evt.EVT_REJECTED, _on_reject),
    ]
    secured = None if tls is None else tls.server()
    server: Server = ae.make_server(  # type: ignore[assignment]
        address, ssl_context=secured, evt_handlers=handlers, server_class=Server
    )
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def _on_goodbye(release: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a handler that calls another one when a sender asks to end in good order.

    The library tells of a release in another thread than of the end of the connection, so that on
    a busy machine the end may come first; the request comes in the same thread, always before.
    """

    def heed(event: Any) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ):
            release(event)

    return heed


def _on_reject(_: Any) -> None:
    logger.warning("a caller was refused: its AE title or ours does not fit")
