"""Runs groundglass where the kernel ends every process that opens an internet socket.

``python tests/no_network.py RECORD COMMAND...`` writes the interpreter's socket events to RECORD
and then runs the command line. The command ``open-a-socket`` opens one, to show that the filter
works; ``demo`` runs on a small phantom. A process with ONNX Runtime lives on for a while: what that
library reports to its maker it sends some ten seconds after its start. Linux on x86-64 or arm64
only; elsewhere, and where no filter may be set, the exit code is 77.
"""

from __future__ import annotations

import ctypes
import json
import platform
import socket
import struct
import sys
import time
from pathlib import Path

NOT_HERE = 77
LINGER_SECONDS = 15.0
_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_INET, _INET6 = 2, 10


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def forbid_sockets() -> bool:
    """Set the filter; return whether the kernel took it."""
    known = _ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or known is None:
        return False
    architecture, call = known
    steps = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 6, architecture),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, 1, _INET6),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    control = ctypes.CDLL(None, use_errno=True).prctl
    return not control(38, 1, 0, 0, 0) and not control(22, 2, ctypes.byref(program))


def make_the_demo_small() -> None:
    from groundglass.sealed import sealed

    with sealed():  # as the command line does before it imports these
        from groundglass import cli_demo, demo
        from groundglass.phantom import Chest

    small = Chest(shape=(54, 96, 96), spacing_mm=(5.0, 3.75, 3.75))
    setattr(cli_demo, "run_demo", lambda out, told: demo.run_demo(out, told, small))  # noqa: B010


def main() -> None:
    record, *command = sys.argv[1:]
    events: list[str] = []
    sys.addaudithook(lambda name, _: events.append(name) if name.startswith("socket.") else None)
    if not forbid_sockets():
        sys.exit(NOT_HERE)
    if command == ["open-a-socket"]:
        socket.socket().close()
        sys.exit(0)
    from groundglass import cli

    if command[0] == "demo":
        make_the_demo_small()
    sys.argv = ["groundglass", *command]
    try:
        cli.main()
    finally:
        if "onnxruntime" in sys.modules:
            time.sleep(LINGER_SECONDS)
        Path(record).write_text(json.dumps(events), encoding="utf-8")


if __name__ == "__main__":
    main()
