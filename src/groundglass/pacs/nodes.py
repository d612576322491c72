"""Addresses of other nodes, and what secures the way to them."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from groundglass.errors import PacsError

AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""Printable ASCII without the backslash, at most 16 characters."""
_PEER = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>\[[0-9a-fA-F:.]+\]|[^@:\s]+):(?P<port>\d{1,5})")
_URL = re.compile(r"https?://[^\s]+")


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM node: ``AE@HOST:PORT``."""

    ae: str
    """Its AE title."""
    host: str
    """Name or address of its machine."""
    port: int
    """TCP port it listens on."""

    def __str__(self) -> str:
        """Return it as it is written on the command line."""
        return f"{self.ae}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Web:
    """A DICOMweb service: the address below which ``/studies`` lies."""

    url: str
    """``http://...`` or ``https://...``."""


Node = Peer | Web


def parse_node(text: str) -> Node:
    """Return the node that a text names.

    Parameters
    ----------
    text : str
        ``AE@HOST:PORT`` or the URL of a DICOMweb service.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if _URL.fullmatch(text):
        return Web(text.rstrip("/"))
    return parse_peer(text)


def parse_peer(text: str) -> Peer:
    """Return the DICOM node that ``AE@HOST:PORT`` names.

    Raises
    ------
    ValueError
        If the text is anything else.
    """
    found = _PEER.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        msg = f"a node is AE@HOST:PORT or the https address of a DICOMweb service, found '{text}'"
        raise ValueError(msg)
    return Peer(require_ae(found["ae"]), found["host"].strip("[]"), int(found["port"]))


def require_ae(text: str) -> str:
    """Return an AE title without the spaces around it.

    Raises
    ------
    ValueError
        If it is none.
    """
    title = text.strip()
    if not AE_TITLE.fullmatch(title):
        msg = f"an AE title has 1 to 16 printable characters and no backslash, found '{text}'"
        raise ValueError(msg)
    return title


def is_loopback(host: str) -> bool:
    """Return whether a name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Tls:
    """Files that secure DICOM connections; without any of them they are in the clear."""

    cert: Path | None = None
    """Our certificate (PEM)."""
    key: Path | None = None
    """Its key (PEM)."""
    ca: Path | None = None
    """Certificates of those we trust (PEM)."""

    @property
    def is_wanted(self) -> bool:
        """Whether connections are to be secured."""
        return any((self.cert, self.key, self.ca))

    def replaced(self, cert: Path | None, key: Path | None, ca: Path | None) -> Tls:
        """Return it with other files in place of those that are given.

        Raises
        ------
        ValueError
            If there is a key without its certificate.
        """
        if key is not None and cert is None:
            msg = "a key for returning results needs its certificate: --return-tls-cert"
            raise ValueError(msg)
        own = (self.cert, self.key) if cert is None else (cert, key)
        return Tls(*own, ca or self.ca)

    def server(self) -> ssl.SSLContext | None:
        """Return what a listener needs; with ``ca`` only clients with its certificates come in.

        Raises
        ------
        PacsError
            If a file lacks or cannot be used.
        """
        if not self.is_wanted:
            return None
        if self.cert is None or self.key is None:
            msg = "a listener with TLS needs a certificate and its key: --tls-cert and --tls-key"
            raise PacsError(msg)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load(context)
        if self.ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext | None:
        """Return what calling a node needs; the node's certificate is always checked.

        Raises
        ------
        PacsError
            If a file cannot be used.
        """
        if not self.is_wanted:
            return None
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as error:
            msg = "a TLS file cannot be read, or certificate and key do not belong together"
            raise PacsError(msg) from error


@dataclass(frozen=True, slots=True)
class Login:
    """What a DICOMweb service asks for; never shown."""

    token: str | None = field(default=None, repr=False)
    """Bearer token."""
    user: str | None = field(default=None, repr=False)
    """Name for basic authentication."""
    password: str | None = field(default=None, repr=False)
    """Password for basic authentication."""

    @property
    def is_given(self) -> bool:
        """Whether there is anything to keep secret."""
        return self.token is not None or self.user is not None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks a node."""

    ae: str = "GROUNDGLASS"
    """Our AE title, for a DICOM node."""
    tls: Tls = Tls()
    """What secures the connection."""
    login: Login = Login()
    """What a DICOMweb service asks for."""
