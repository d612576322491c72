"""Archives that are cut off, lie, or try to write where they should not."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tests.fuzzing.case import Case, Random, cut, flipped, spoilt, write
from tests.fuzzing.dicom import series_bytes

NAMES = (
    "../../../outside.dcm", "/outside.dcm", "..\\outside.dcm", "C:\\outside.dcm", "a/../../b.dcm",
    "-rf", "--help", "%s%n%d", "new\nline", "tab\there", "ünïcödé", "a" * 250, ".", "..", "~/x",
    "nul\x00l", "CON", " ", "a//b///c", "$(touch x)", "\u202egnp.exe", "'; DROP TABLE--",
)  # fmt: skip
"""Names of members, hostile or only strange."""


@lru_cache(maxsize=8)
def zipped(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return the sound series as a ZIP file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for number, data in enumerate(series_bytes()):
            archive.writestr(f"study/{number:03d}", data)
    return stream.getvalue()


@lru_cache(maxsize=8)
def tarred() -> bytes:
    """Return the sound series as a tar file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, data in enumerate(series_bytes()):
            info = tarfile.TarInfo(f"study/{number:03d}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def cases() -> Iterator[Case]:
    """Yield ZIP and tar files."""
    for share in (0.0, 0.02, 0.3, 0.8, 0.999):
        yield Case("zip", f"cut to {share:.1%}", spoilt("a.zip", zipped, cut(share)))
        yield Case("tar", f"cut to {share:.1%}", spoilt("a.tar", tarred, cut(share)))
        yield Case("tar", f"gz cut to {share:.1%}", spoilt("a.tar.gz", _gz, cut(share)))
    for number in range(6):
        yield Case("zip", f"flipped {number}", spoilt("a.zip", zipped, flipped(10)))
        yield Case("tar", f"flipped {number}", spoilt("a.tar", tarred, flipped(10)))
    yield Case("tar", "xz flipped", spoilt("a.tar.xz", lambda: lzma.compress(tarred()), flipped(5)))
    for number, name in enumerate(NAMES):
        yield Case("zip", f"strange name {number}", _zip_of(partial(_one_named, name)))
        yield Case("tar", f"strange name {number}", _tar_named(name))
    yield from _whole()
    yield from _bombs()
    yield from _lies()
    for kind, word in _LINKS:
        yield Case("tar", word, _tar_link(kind))


def _whole() -> Iterator[Case]:
    yield Case("zip", "sound under a wrong suffix", write("scan.nii.gz", zipped))
    yield Case("tar", "sound without a suffix", write("scan", tarred))
    yield Case("tar", "sound xz", write("scan.zip", lambda: lzma.compress(tarred())))
    yield Case("zip", "empty", _zip_of(list))
    yield Case("tar", "empty", write("a.tar", bytes(10240)))
    yield Case("zip", "only text", _zip_of(lambda: [("readme.txt", b"hello")]))
    yield Case("zip", "rubbish before", write("a.zip", lambda: b"rubbish" * 100 + zipped()))
    yield Case("gzip", "one slice", write("a.gz", lambda: gzip.compress(series_bytes()[9])))
    yield Case("gzip", "nothing", write("a.gz", gzip.compress(b"")))
    yield Case("gzip", "rubbish", write("a.gz", b"\x1f\x8b\x08" + b"rubbish" * 30))


def _bombs() -> Iterator[Case]:
    zeros = bytes(2**20)

    def bomb() -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(300):
                archive.writestr(f"{number}", zeros)
        return stream.getvalue()

    def nested(depth: int) -> bytes:
        data = zipped()
        for level in range(depth):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr(f"level{level}.zip", data)
            data = stream.getvalue()
        return data

    def many() -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for number in range(50_001):
                archive.writestr(str(number), b"")
        return stream.getvalue()

    yield Case("zip", "bomb", spoilt("a.zip", bomb, cut(1)))
    yield Case("zip", "bomb in a zip", _zip_of(lambda: [("b.zip", bomb())]))
    yield Case("gzip", "bomb", spoilt("a.gz", lambda: gzip.compress(zeros * 300), cut(1)))
    yield Case("tar", "bomb", spoilt("a.tgz", _tar_bomb, cut(1)))
    yield Case("zip", "too many members", spoilt("a.zip", many, cut(1)))
    for depth in (1, 2, 5):
        yield Case("zip", f"nested {depth}", spoilt("a.zip", partial(nested, depth), cut(1)))


def _lies() -> Iterator[Case]:
    def patched(change: Callable[[bytearray], None]) -> Any:
        def build(folder: Path, _: Random) -> Path:
            data = bytearray(zipped(zipfile.ZIP_STORED))
            change(data)
            (folder / "a.zip").write_bytes(data)
            return folder / "a.zip"

        return build

    yield Case("zip", "encrypted", patched(lambda data: _patch_entries(data, 8, "<H", 1)))
    yield Case("zip", "unknown method", patched(lambda data: _patch_entries(data, 10, "<H", 97)))
    yield Case("zip", "size lies", patched(lambda data: _patch_entries(data, 24, "<I", 2**32 - 2)))
    yield Case("zip", "wrong sums", patched(lambda data: _patch_entries(data, 16, "<I", 1)))
    yield Case("zip", "offsets lie", patched(lambda data: _patch_entries(data, 42, "<I", 0)))
    yield Case("zip", "same name", _zip_of(lambda: [("a", data) for data in series_bytes()]))
    yield Case(
        "tar", "size lies", write("a.tar", tarred()[:124] + b"77777777777\0" + tarred()[136:])
    )
    yield Case("tar", "giant extended header", write("a.tar", _pax(2**40)))


def _patch_entries(data: bytearray, offset: int, kind: str, value: int) -> None:
    """Overwrite a field of every entry of the table of contents."""
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into(kind, data, place + offset, value)
        place = data.find(b"PK\x01\x02", place + 4)


def _one_named(name: str) -> list[tuple[str, bytes]]:
    return [(name, series_bytes()[0])]


def _zip_of(make: Callable[[], list[tuple[str, bytes]]]) -> Any:
    def build(folder: Path, _: Random) -> Path:
        import warnings

        with warnings.catch_warnings(), zipfile.ZipFile(folder / "a.zip", "w") as archive:
            warnings.simplefilter("ignore")
            members = make()
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name), data)
            if not members:
                archive.comment = b"nothing"
        return folder / "a.zip"

    return build


def _gz() -> bytes:
    return gzip.compress(tarred())


def _tar_bomb() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 300 * 2**20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    return stream.getvalue()


def _lying_tar() -> bytes:
    return tarred()[:124] + b"77777777777\0" + tarred()[136:]


def _pax(size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 100
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(5000)


def _tar_named(name: str) -> Any:
    def build(folder: Path, _: Random) -> Path:
        data = series_bytes()[0]
        with tarfile.open(folder / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
            info = tarfile.TarInfo(name.replace("\x00", ""))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        return folder / "a.tar"

    return build


_LINKS = (
    (tarfile.SYMTYPE, "symbolic link"),
    (tarfile.LNKTYPE, "hard link"),
    (tarfile.CHRTYPE, "character device"),
    (tarfile.BLKTYPE, "block device"),
    (tarfile.FIFOTYPE, "pipe"),
    (tarfile.CONTTYPE, "contiguous file"),
    (b"Z", "unknown type"),
)


def _tar_link(kind: bytes) -> Any:
    def build(folder: Path, _: Random) -> Path:
        with tarfile.open(folder / "a.tar", "w") as archive:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
            inside = tarfile.TarInfo("link/inside")
            inside.size = 5
            archive.addfile(inside, io.BytesIO(b"hello"))
        return folder / "a.tar"

    return build
