"""Folders and files that are no scan, or hide one among strange things."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.fuzzing.archives import zipped
from tests.fuzzing.case import Build, Case, Random, write
from tests.fuzzing.dicom import series_bytes, write_series
from tests.fuzzing.volumes import nifti

STRANGE_NAMES = (
    "with space", "new\nline", "tab\t", "%s%n%x", "-o", "--force", "ünïcödé-名前", "'quote\"",
    "*?[]", "$(id)", "a" * 200, ".hidden", "~", "back\\slash", "<b>bold", "\x1b[31mred",
)  # fmt: skip

JUNK = {
    "zero bytes": b"",
    "one byte": b"\x00",
    "text": b"This is not a scan.\n" * 50,
    "html": b"<!doctype html><html><body>404</body></html>",
    "json": b'{"a": 1}',
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"0" * 500,
    "elf": b"\x7fELF" + bytes(500),
    "pickle": b"\x80\x04\x95" + bytes(8) + b"\x8c\x05posix\x94\x8c\x06system\x94\x93",
    "zeros": bytes(100_000),
    "ones": b"\xff" * 10_000,
    "seven zip": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "rar": b"Rar!\x1a\x07\x01\x00" + bytes(100),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(100),
    "bzip2": b"BZh91AY&SY" + bytes(100),
    "numpy": b"\x93NUMPY\x01\x00" + b"{'descr': '|O'}" + bytes(100),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(500),
    "dicm and nothing": bytes(128) + b"DICM",
    "dicm and rubbish": bytes(128) + b"DICM" + b"\xab" * 900,
    "group eight": b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\xff" * 60,
}


def cases() -> Iterator[Case]:
    """Yield junk, strange names, links, pipes and the like."""
    for name, data in JUNK.items():
        yield Case("junk", name, write("file", data))
        yield Case("junk", f"{name} in a folder", _beside(partial(_put_in, data=data)))
    for number in range(12):
        yield Case("junk", f"random {number}", _random(20 * 3**number))
    for number, name in enumerate((*STRANGE_NAMES, os.fsdecode(b"\xff\xfe\n"))):
        yield Case("names", f"slice {number}", _alone(partial(_renamed, name)))
    for number, name in enumerate(STRANGE_NAMES):
        yield Case("names", f"file {number}", write(name, nifti))
        yield Case("names", f"folder {number}", _named_folder(name))
    yield Case("folder", "empty", lambda folder, _: folder)
    yield Case("folder", "missing", lambda folder, _: folder / "nowhere")
    for name, make in _MAKERS.items():
        yield Case("folder", name, _alone(make))
        yield Case("folder", f"{name} beside a series", _beside(make))


def _put_in(folder: Path, data: bytes) -> None:
    _put(folder / "x", data)


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _alone(make: Callable[[Path], object]) -> Build:
    def build(folder: Path, _: Random) -> Path:
        make(folder)
        return folder

    return build


def _beside(make: Callable[[Path], object]) -> Build:
    def build(folder: Path, _: Random) -> Path:
        write_series(folder, series_bytes())
        make(folder)
        return folder

    return build


def _random(size: int) -> Build:
    return lambda folder, random: write("file", random.bytes(size))(folder, random)


def _named_folder(name: str) -> Build:
    def build(folder: Path, _: Random) -> Path:
        place = folder / name
        place.mkdir()
        return write_series(place, series_bytes())

    return build


def _renamed(name: str, folder: Path) -> None:
    write_series(folder, series_bytes())
    (folder / "005").rename(folder / name)


def _socket(folder: Path) -> None:
    """Leave a socket; its path must be short, so it is made from inside."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
    finally:
        os.chdir(here)


def _deep(folder: Path) -> None:
    place = folder
    for _ in range(60):
        place /= "d"
    place.mkdir(parents=True)
    (place / "slice").write_bytes(series_bytes()[0])


def _unreadable(folder: Path) -> None:
    path = folder / "locked"
    path.write_bytes(series_bytes()[0])
    path.chmod(0)


def _closed(folder: Path) -> None:
    place = folder / "closed"
    place.mkdir()
    (place / "slice").write_bytes(series_bytes()[0])
    place.chmod(0)


def _many(folder: Path) -> None:
    for number in range(1500):
        (folder / f"t{number}").write_bytes(b"x")


def _nested_archive(folder: Path) -> None:
    (folder / "inner.zip").write_bytes(zipped())


_MAKERS: dict[str, Callable[[Path], object]] = {
    "pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "socket": _socket,
    "link to itself": lambda folder: (folder / "loop").symlink_to("loop"),
    "link to the parent": lambda folder: (folder / "up").symlink_to(".."),
    "link to a device": lambda folder: (folder / "zero").symlink_to("/dev/zero"),
    "link to a secret": lambda folder: (folder / "secret").symlink_to("/etc/passwd"),
    "link to nothing": lambda folder: (folder / "none").symlink_to("nothing"),
    "deep nesting": _deep,
    "unreadable file": _unreadable,
    "unreadable folder": _closed,
    "many small files": _many,
    "archive": _nested_archive,
    "folder named like a slice": lambda folder: (folder / "IM0001.dcm").mkdir(),
    "volume": lambda folder: _put(folder / "a.nii", nifti()),
}
