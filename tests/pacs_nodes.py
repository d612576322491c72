"""A PACS and a listener of ours for tests, on this machine only."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundglass.pacs.nodes import Peer, Tls
from groundglass.pacs.receive import Receiver
from groundglass.pacs.spool import Spool
from groundglass.pacs.study import Limits

USER, PASSWORD = "reader", "open sesame"
_TRIES = 5
_LONG = 180.0
"""Seconds that are more than enough on a machine that does many other things."""
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    dicom: str
    """``ORTHANC@127.0.0.1:PORT``."""
    web: str
    """Address of its DICOMweb service."""


@dataclass
class Node:
    """A receiving node in this process."""

    spool: Spool
    peer: Peer
    server: Any

    def count(self) -> int:
        return len(list(self.spool.root.glob("*/*/instances/*/*.dcm")))


@contextmanager
def receiving(
    folder: Path, limits: Limits | None = None, allow: tuple[str, ...] = (), tls: Tls | None = None
) -> Iterator[Node]:
    """Receive into a queue until the context ends."""
    from groundglass.pacs.server import start_server

    spool = Spool(folder, limits or Limits(reserve_bytes=0))
    server = start_server(Receiver(spool), "GROUNDGLASS", ("127.0.0.1", 0), allow, tls)
    try:
        yield Node(spool, Peer("GROUNDGLASS", "127.0.0.1", server.server_address[1]), server)
    finally:
        server.shutdown()


def free_port() -> int:
    """Return a port nobody uses now; somebody may before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str) -> str:
    """Return where a program is, or skip the test.

    Not beside the interpreter: there pynetdicom puts a storescu and an echoscu of its own.
    """
    own = Path(sys.executable).parent
    places = [place for place in os.environ["PATH"].split(os.pathsep) if Path(place) != own]
    found = shutil.which(name, path=os.pathsep.join([*places, "/usr/sbin", "/usr/bin"]))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: orthanc orthanc-dicomweb dcmtk openssl)")
    return found


def wait_for(what: Callable[[], object], seconds: float = _LONG) -> None:
    """Wait until something is true, or fail."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s in vain")
        time.sleep(0.1)


@contextmanager
def orthanc(folder: Path) -> Iterator[Archive]:
    """Run an Orthanc with DICOMweb until the context ends."""
    command = tool("Orthanc")
    if not _PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)")
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        http, dicom = free_port(), free_port()
        process = _start_orthanc(command, folder, http, dicom)
        if _answers(process, http, dicom):
            break
    else:
        pytest.fail(f"Orthanc ended by itself: {(folder / 'log').read_text()[-2000:]}")
    try:
        yield Archive(f"ORTHANC@127.0.0.1:{dicom}", f"http://127.0.0.1:{http}/dicom-web")
    finally:
        stop(process)


def _answers(process: subprocess.Popen[bytes], http: int, dicom: int) -> bool:
    """Wait until an Orthanc answers, and return whether it does or has ended.

    Its ports are open a moment before it takes calls.
    """
    echo = [tool("echoscu"), "-aec", "ORTHANC", "127.0.0.1", str(dicom)]

    def ready() -> bool:
        return _open(http) and not subprocess.run(echo, capture_output=True, check=False).returncode

    wait_for(lambda: process.poll() is not None or ready())
    return process.poll() is None


def _start_orthanc(command: str, folder: Path, http: int, dicom: int) -> subprocess.Popen[bytes]:
    """Start an Orthanc; it ends by itself if somebody else took one of the ports."""
    config = {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {"gg": ["GROUNDGLASS", "127.0.0.1", 1]},
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([command, folder / "orthanc.json"], stdout=log, stderr=log)


def stop(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(timeout=_LONG)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def qido(archive: Archive, path: str) -> list[dict[str, dict[str, list[str]]]]:
    """Ask the DICOMweb service directly, not by our own client."""
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, archive.web, USER, PASSWORD)
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager)
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(
        archive.web + path, headers={"Accept": "application/dicom+json"}
    )
    with opener.open(request, timeout=_LONG) as answer:
        found: list[dict[str, dict[str, list[str]]]] = json.loads(answer.read() or b"[]")
        return found


def start_listener(spool: Path, *options: str) -> tuple[subprocess.Popen[str], Peer]:
    """Start ``groundglass pacs listen`` as a process; return it and its address."""
    command = [sys.executable, "-m", "groundglass", "pacs", "listen", "--port", "0"]
    command += ["--spool", str(spool), "--reserve-mb", "1", *options]
    log = spool.with_suffix(".log")
    with log.open("a") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "GROUNDGLASS_OFFLINE": "0", "OMP_NUM_THREADS": "1"},
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "listens on" in line, log.read_text()
    return process, Peer("GROUNDGLASS", "127.0.0.1", int(line.rpartition(" ")[2]))


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    kind = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([tool("openssl"), *kind, *more], capture_output=True, check=True)
    return cert, key


def storescu(peer: Peer, folder: Path, *options: str, ae: str = "MODALITY") -> int:
    """Send a folder with dcmtk; return the exit code."""
    command = [tool("storescu"), *options, "-aet", ae, "-aec", peer.ae, peer.host, str(peer.port)]
    done = subprocess.run([*command, "+sd", folder], capture_output=True, check=False, timeout=900)
    return done.returncode
