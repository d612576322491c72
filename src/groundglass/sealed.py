"""Sealed: no connection to any network while scans are read, and a guard that sees to it.

The guard is an audit hook of the interpreter. It refuses every socket that Python code opens,
resolves a name for, binds or connects, whichever library asks; pairs of sockets inside the
process, which cannot leave it, stay allowed. Libraries written in C could open a socket without
asking the interpreter: that none does is shown by the tests, with a filter of the kernel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from groundglass.errors import SealedError

OFFLINE_VARIABLE = "GROUNDGLASS_OFFLINE"
"""Environment variable: 1 seals every command, 0 none, unset those that need no network."""
_LOCAL_FAMILY = 1
"""Sockets inside the machine (AF_UNIX), of which only pairs are allowed."""
_REFUSED = frozenset(
    {"socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}
    | {"socket.gethostbyaddr", "socket.getnameinfo", "socket.getservbyname"}
    | {"socket.sendto", "socket.sendmsg"}
)
_MESSAGE = (
    f"groundglass is sealed and opened no network connection; unset {OFFLINE_VARIABLE} if it is "
    "set to 1, or set it to 0, if this connection is wanted"
)


class _Seal:
    """How many have sealed the process; the hook, once added, stays."""

    def __init__(self) -> None:
        self.depth = 0
        self.hooked = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse what opens a connection."""
        if self.depth and event.startswith("socket.") and _leaves(event, arguments):
            raise SealedError(_MESSAGE)


_seal = _Seal()


def _leaves(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an event could reach beyond the process."""
    if event == "socket.__new__":
        return len(arguments) > 1 and int(arguments[1]) != _LOCAL_FAMILY
    return event in _REFUSED


def wish() -> bool | None:
    """Return what the environment asks for: sealed, open, or nothing.

    Anything but ``0``, ``no``, ``off`` and ``false`` means sealed, so that a slip of the pen does
    not open what was meant to be closed.
    """
    value = os.environ.get(OFFLINE_VARIABLE, "").strip().lower()
    if not value:
        return None
    return value not in {"0", "no", "off", "false"}


@contextmanager
def sealed(*, by_default: bool = True) -> Iterator[None]:
    """Refuse connections while the context lasts, unless the environment says otherwise.

    Parameters
    ----------
    by_default : bool
        Whether to seal where the environment says nothing.

    Yields
    ------
    None
        Opening a socket within raises ``SealedError``.
    """
    wished = wish()
    if not (by_default if wished is None else wished):
        yield
        return
    if not _seal.hooked:
        sys.addaudithook(_seal)
        _seal.hooked = True
    _seal.depth += 1
    try:
        yield
    finally:
        _seal.depth -= 1


def is_sealed() -> bool:
    """Return whether a connection would be refused now."""
    return _seal.depth > 0


def require_network(purpose: str) -> None:
    """Refuse a command that needs the network where the environment forbids it.

    Parameters
    ----------
    purpose : str
        What the network is needed for: ``"sending to a PACS"``.

    Raises
    ------
    SealedError
        If ``GROUNDGLASS_OFFLINE`` is set.
    """
    if wish():
        msg = f"{purpose} needs the network, and {OFFLINE_VARIABLE} forbids it; unset it to go on"
        raise SealedError(msg)
