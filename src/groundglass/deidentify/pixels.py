"""The pixel data element as bytes: where it ends, and what may hide beside the pixels."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from groundglass.readers.dicom_values import whole

_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = 0xE000, 0xE0DD
_LONG_VR = frozenset({b"OB", b"OW", b"UN", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UT"})
_ENCODERS = re.compile(
    rb"(LEADTOOLS|LEAD Technologies|CREATOR:|Kakadu|Created by |OpenJPEG|CharLS|IJG|"
    rb"Pegasus|AccuSoft|DCMTK|PVRG|JPEG encoder|Lavc)[\x00 -~]{0,40}\x00*"
)
"""Comments that encoders leave about themselves."""
_HARMLESS_APP = (b"JFIF\0", b"JFXX\0", b"Adobe", b"SPIFF\0", b"mrfx")
_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_SCAN = frozenset({0xDA, 0x93, 0x90, 0xD9})
"""Markers at which entropy-coded data begins."""


class DamagedFileError(ValueError):
    """The pixel data element ends before its end, or is none."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """One pixel data element as it goes into the copy."""

    data: bytes
    """Tag, length and value."""
    cleaned: bool
    """Whether anything beside the pixels had to be blanked or cut off."""


def pixel_element(plain: bytes, offset: int, dataset: Dataset, syntax: str) -> PixelElement:
    """Return the pixel data element of a file, without what follows it.

    Compressed frames and native pixels are returned byte for byte. Bytes beyond the last native
    pixel are cut off; comments and application segments inside JPEG and JPEG 2000 streams are
    blanked unless they are an encoder's own.

    Parameters
    ----------
    plain : bytes
        The inflated file.
    offset : int
        Where the element begins.
    dataset : Dataset
        Elements before it.
    syntax : str
        Transfer syntax after inflating.

    Raises
    ------
    DamagedFileError
        If the element is cut off.
    """
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    start, length = _value(plain, offset, order, implicit=syntax == ImplicitVRLittleEndian)
    if length == _UNDEFINED:
        return _encapsulated(plain, offset, start, order)
    if start + length > len(plain):
        msg = "pixel data cut off"
        raise DamagedFileError(msg)
    needed = _native_bytes(dataset)
    if needed is None or length <= needed:
        return PixelElement(plain[offset : start + length], cleaned=False)
    head = plain[offset : start - 4] + struct.pack(f"{order}I", needed)
    return PixelElement(
        head + plain[start : start + needed], cleaned=any(plain[start + needed : start + length])
    )


def _value(plain: bytes, offset: int, order: str, *, implicit: bool) -> tuple[int, int]:
    """Return where the value begins and how long it is."""
    if len(plain) < offset + 12:
        msg = "pixel data cut off"
        raise DamagedFileError(msg)
    if not implicit and plain[offset + 4 : offset + 6] in _LONG_VR:
        return offset + 12, struct.unpack_from(f"{order}I", plain, offset + 8)[0]
    if not implicit:
        msg = "pixel data of an unknown kind"
        raise DamagedFileError(msg)
    return offset + 8, struct.unpack_from(f"{order}I", plain, offset + 4)[0]


def _native_bytes(dataset: Dataset) -> int | None:
    """Return how many bytes native pixels take, even; ``None`` if the header does not tell."""
    sizes = [whole(dataset, word) for word in ("Rows", "Columns", "BitsAllocated")]
    if any(size is None for size in sizes):
        return None
    bits = (whole(dataset, "NumberOfFrames") or 1) * (whole(dataset, "SamplesPerPixel") or 1)
    for size in sizes:
        bits *= size or 0
    size_bytes = (bits + 7) // 8
    return size_bytes + size_bytes % 2 or None


def _encapsulated(plain: bytes, offset: int, start: int, order: str) -> PixelElement:
    at, cleaned = start, False
    parts = [plain[offset:start]]
    while True:
        if at + 8 > len(plain):
            msg = "pixel data cut off"
            raise DamagedFileError(msg)
        group, element, length = struct.unpack_from(f"{order}HHI", plain, at)
        if (group, element) == (0xFFFE, _END):
            parts.append(struct.pack(f"{order}HHI", 0xFFFE, _END, 0))
            return PixelElement(b"".join(parts), cleaned)
        if (group, element) != (0xFFFE, _ITEM) or at + 8 + length > len(plain):
            msg = "pixel data cut off"
            raise DamagedFileError(msg)
        fragment = plain[at + 8 : at + 8 + length]
        blanked = blank_comments(fragment)
        cleaned |= blanked != fragment
        parts.append(plain[at : at + 8] + blanked)
        at += 8 + length


def blank_comments(fragment: bytes) -> bytes:
    """Return a JPEG or JPEG 2000 stream with foreign comments blanked, else the fragment itself.

    The stream keeps its length and decodes to the same pixels.
    """
    begin = 0 if fragment[:2] == _JPEG_START else fragment[:512].find(_J2K_START)
    if begin < 0:
        return fragment
    at, changed = begin + 2, None
    while at + 4 <= len(fragment) and fragment[at] == 0xFF and fragment[at + 1] not in _SCAN:
        length = struct.unpack_from(">H", fragment, at + 2)[0]
        value = fragment[at + 4 : at + 2 + length]
        if _is_foreign(fragment[at + 1], value):
            changed = changed or bytearray(fragment)
            first = at + 4 if fragment[at + 1] != 0x64 else at + 6
            changed[first : at + 2 + length] = b" " * (at + 2 + length - first)
        at += 2 + max(length, 2)
    return fragment if changed is None else bytes(changed)


def _is_foreign(marker: int, value: bytes) -> bool:
    if marker == 0xFE:
        return _ENCODERS.fullmatch(value) is None and value.strip(b" \0") != b""
    if marker == 0x64:
        return _ENCODERS.fullmatch(value[2:]) is None and value[2:].strip(b" \0") != b""
    return (
        0xE0 <= marker <= 0xEF and not value.startswith(_HARMLESS_APP) and value.strip(b" ") != b""
    )
