from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from groundglass.errors import PacsError
from groundglass.pacs import ask
from groundglass.pacs.nodes import Caller, Login, Tls, Web
from tests.pacs_nodes import certificate

pytest.importorskip("dicomweb_client")
pytestmark = pytest.mark.filterwarnings("ignore")


class _Service(BaseHTTPRequestHandler):
    """Answers every question with nothing, and notes who asked."""

    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: Tls | None = None) -> Iterator[tuple[Web, list[str | None]]]:
    """Run a service; yield its address, and who asked."""
    seen: list[str | None] = []
    kind = type("Service", (_Service,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        context = None if tls is None else tls.server()
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        scheme = "http" if context is None else "https"
        yield Web(f"{scheme}://127.0.0.1:{server.server_port}/dicom-web"), seen
        server.shutdown()


@pytest.fixture
def service() -> Iterator[tuple[Web, list[str | None]]]:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("login", "header"),
    [
        (Login(), None),
        (Login(token="abc.def"), "Bearer abc.def"),
        (Login(user="eve", password="a:b"), "Basic " + b64encode(b"eve:a:b").decode()),
        (Login("abc", "eve", "pass"), "Bearer abc"),
    ],
    ids=["nobody", "token", "basic", "token before user"],
)
def test_a_service_is_told_who_asks(
    login: Login, header: str | None, service: tuple[Web, list[str | None]]
) -> None:
    web, seen = service
    ask.echo(web, Caller("GG", login=login))
    assert ask.find(web, ask.Wanted(patient="x"), Caller("GG", login=login)) == []
    assert seen == [header, header]


def test_secrets_do_not_leave_this_machine_in_the_clear() -> None:
    with pytest.raises(PacsError, match="https only"):
        ask.echo(Web("http://pacs.example/dicom-web"), Caller("GG", login=Login(token="abc")))


def test_a_service_with_an_authority_of_its_own_is_trusted_where_that_is_named(
    tmp_path: Path,
) -> None:
    cert, key = certificate(tmp_path / "tls", "service")
    client, client_key = certificate(tmp_path / "tls", "client")
    login = Login(token="abc")
    with serving(Tls(cert, key)) as (web, seen):
        ask.echo(web, Caller("GG", Tls(ca=cert), login))
        for wrong in (Tls(), Tls(ca=client)):
            with pytest.raises(PacsError, match="do not trust each other's certificates"):
                ask.echo(web, Caller("GG", wrong, login))
        with pytest.raises(PacsError, match="a TLS file cannot be read"):
            ask.echo(web, Caller("GG", Tls(ca=tmp_path / "nowhere.pem"), login))
        assert seen == ["Bearer abc"]
    with serving(Tls(cert, key, client)) as (web, seen):
        ask.echo(web, Caller("GG", Tls(client, client_key, cert), login))
        with pytest.raises(PacsError):
            ask.echo(web, Caller("GG", Tls(ca=cert), login))
        assert seen == ["Bearer abc"]
