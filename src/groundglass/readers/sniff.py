"""What a file is, by its first bytes; names and suffixes are never asked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

Kind = Literal["dicom", "zip", "tar", "gzip", "nifti", "nrrd", "metaimage", "tiff", "png", "jpeg"]

HEAD_BYTES = 1024
"""How much of a file is looked at; every magic number lies in it."""
PACKED_BYTES = 65536
"""How much of a gzip file is looked at; a cut-off one tells what it is as long as it can."""

_PLAIN: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"NRRD00", "nrrd"),
)
_METAIMAGE = re.compile(rb"\s*(ObjectType|NDims|Comment|ObjectSubType)\s*=", re.IGNORECASE)
_VALUE_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN "
    b"UR US UT UV".split()
)
_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)


def kind(path: Path) -> Kind | None:
    """Return what the file at ``path`` holds, or ``None`` if it is nothing a reader knows.

    Parameters
    ----------
    path : Path
        Any path. Folders, pipes, devices and files that cannot be opened are ``None``; nothing
        that could block is opened.

    Returns
    -------
    str or None
        ``tar`` also for compressed tar files, ``gzip`` for anything else in gzip but NIfTI, and
        ``nifti`` for either file of a ``.hdr`` and ``.img`` pair.
    """
    head = first_bytes(path)
    known = _kind_of_bytes(head)
    if known is not None:
        return known
    packed = _kind_of_packed(path, head)
    if packed is not None:
        return packed
    return "nifti" if _is_image_of_pair(path) else None


def first_bytes(path: Path, count: int = HEAD_BYTES) -> bytes:
    """Return the first bytes of a regular file; none if there is no such file or no permission."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(count)
    except (OSError, ValueError):
        return b""


def opener_of(head: bytes) -> Callable[[Path], Any] | None:
    """Return what opens a compressed stream that starts with ``head``; ``None`` if it is plain."""
    return next((opener for magic, opener in _OPENERS if head.startswith(magic)), None)


def _kind_of_bytes(head: bytes) -> Kind | None:
    if head[128:132] == b"DICM":
        return "dicom"
    for magic, name in _PLAIN:
        if head.startswith(magic):
            return name
    if _is_nifti(head):
        return "nifti"
    if _METAIMAGE.match(head) and b"\x00" not in head[:32]:
        return "metaimage"
    if _is_tar(head):
        return "tar"
    return "dicom" if _is_bare_dicom(head) else None


def _kind_of_packed(path: Path, head: bytes) -> Kind | None:
    opener = opener_of(head)
    if opener is None:
        return None
    is_gzip = head.startswith(b"\x1f\x8b")
    inside = b""
    with suppress(OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        if is_gzip:
            packed = first_bytes(path, PACKED_BYTES)
            inside = zlib.decompressobj(wbits=31).decompress(packed, HEAD_BYTES)
        else:
            with opener(path) as stream:
                inside = stream.read(HEAD_BYTES)
    if _is_tar(inside):
        return "tar"
    if not is_gzip:
        return None
    return "nifti" if _is_nifti(inside) else "gzip"


def _is_nifti(head: bytes) -> bool:
    first = head[:4]
    if first in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c"):
        return head[344:348] in (b"n+1\x00", b"ni1\x00")
    if first in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c"):
        return head[4:7] in (b"n+2", b"ni2")
    return False


def _is_image_of_pair(path: Path) -> bool:
    """Return whether a file without magic is the voxels of a NIfTI header beside it."""
    if path.suffix.lower() != ".img":
        return False
    return any(_is_nifti(first_bytes(path.with_suffix(suffix))) for suffix in (".hdr", ".HDR"))


def _is_tar(head: bytes) -> bool:
    if head[257:262] == b"ustar":
        return True
    if len(head) < tarfile.BLOCKSIZE or not head[:1].strip(b"\x00"):
        return False
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _is_bare_dicom(head: bytes) -> bool:
    """Return whether the bytes are a DICOM data set without preamble: groups 0002 or 0008."""
    if len(head) < 16 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    big = head[:2] == b"\x00\x08"
    element = int.from_bytes(head[2:4], "big" if big else "little")
    if element > 0x0100:
        return False
    if head[4:6] in _VALUE_TYPES:
        return True
    length = int.from_bytes(head[4:8], "little")
    return not big and 0 < length <= 256 and length % 2 == 0
