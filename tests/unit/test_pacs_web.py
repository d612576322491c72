from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from groundglass.errors import PacsError
from groundglass.pacs import ask
from groundglass.pacs.nodes import Login, Tls, Web

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


@pytest.fixture
def service() -> Iterator[tuple[Web, list[str | None]]]:
    seen: list[str | None] = []
    kind = type("Service", (_Service,), {"seen": seen})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Web(f"http://127.0.0.1:{server.server_port}/dicom-web"), seen
        server.shutdown()


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
    ask.echo(web, "GG", Tls(), login)
    assert ask.find(web, ask.Wanted(patient="x"), "GG", Tls(), login) == []
    assert seen == [header, header]


def test_secrets_do_not_leave_this_machine_in_the_clear() -> None:
    with pytest.raises(PacsError, match="https only"):
        ask.echo(Web("http://pacs.example/dicom-web"), "GG", Tls(), Login(token="abc"))
