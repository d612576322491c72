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

import pytest

from groundglass.pacs.nodes import Peer

USER, PASSWORD = "reader", "open sesame"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    dicom: str
    """``ORTHANC@127.0.0.1:PORT``."""
    web: str
    """Address of its DICOMweb service."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str) -> str:
    """Return where a program is, or skip the test."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: orthanc orthanc-dicomweb dcmtk openssl)")
    return found


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
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
    http, dicom = free_port(), free_port()
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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([command, folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        wait_for(lambda: _open(dicom) and _open(http))
        yield Archive(f"ORTHANC@127.0.0.1:{dicom}", f"http://127.0.0.1:{http}/dicom-web")
    finally:
        process.terminate()
        process.wait(timeout=30)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def qido(archive: Archive, path: str) -> list[dict[str, dict[str, list[str]]]]:
    """Ask the DICOMweb service directly, not by our own client."""
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, archive.web, USER, PASSWORD)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    request = urllib.request.Request(
        archive.web + path, headers={"Accept": "application/dicom+json"}
    )
    with opener.open(request, timeout=30) as answer:
        found: list[dict[str, dict[str, list[str]]]] = json.loads(answer.read() or b"[]")
        return found


def start_listener(spool: Path, port: int, *options: str) -> subprocess.Popen[str]:
    """Start ``groundglass pacs listen`` as a process and return it once it listens."""
    command = [sys.executable, "-m", "groundglass", "pacs", "listen", "--port", str(port)]
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
    return process


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
    done = subprocess.run([*command, "+sd", folder], capture_output=True, check=False, timeout=120)
    return done.returncode
