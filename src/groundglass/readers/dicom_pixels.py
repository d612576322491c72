"""Stored values of one image, decoded without trusting its header.

Compressed images are wrapped anew in a file of a dozen clean elements before GDCM sees them: GDCM
can take seconds on a broken header, and nothing personal reaches the temporary file.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from groundglass.readers.dicom_layout import PixelLayout

_NATIVE = frozenset({ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian})
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_UNDEFINED = 0xFFFFFFFF
_LONG_VR = frozenset({b"OB", b"OW", b"UN"})
_CT_IMAGE = b"1.2.840.10008.5.1.4.1.1.2"
_ANY_UID = b"2.25.1"
_CODESTREAM_START = b"\xff\x4f\xff\x51"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}


class PixelDataError(ValueError):
    """The pixel data of an image cannot be decoded; the message says why in a few words."""


def split_frames(element: memoryview, layout: PixelLayout) -> list[Any]:
    """Return the stored bytes of every frame.

    Parameters
    ----------
    element : memoryview
        The pixel data element with its tag, to the end of the file.
    layout : PixelLayout
        How it is stored.

    Raises
    ------
    PixelDataError
        If the element is not pixel data, cut off, or holds other than the stated frames.
    """
    big = layout.syntax == ExplicitVRBigEndian
    start, length = _element_start(element, layout, ">" if big else "<")
    if layout.syntax not in _NATIVE:
        if length != _UNDEFINED:
            msg = "compressed pixel data without items"
            raise PixelDataError(msg)
        return _fragments(element[start:], layout)
    size = layout.rows * layout.columns * layout.bits_allocated // 8
    if length == _UNDEFINED or len(element) - start < size * layout.frames:
        msg = "pixel data cut off"
        raise PixelDataError(msg)
    return [element[start + i * size : start + (i + 1) * size] for i in range(layout.frames)]


def decode_frame(stored: Any, layout: PixelLayout, scratch: Path) -> NDArray[Any]:
    """Return the stored values of one frame.

    Parameters
    ----------
    stored : bytes-like
        The frame's bytes as ``split_frames`` gives them.
    layout : PixelLayout
        How they are stored.
    scratch : Path
        File name that may be written and is removed again.

    Returns
    -------
    ndarray
        Integers of shape (rows, columns).

    Raises
    ------
    PixelDataError
        If the frame cannot be decoded or has another size than the header says.
    """
    if layout.syntax in _NATIVE:
        order = ">" if layout.syntax == ExplicitVRBigEndian else "<"
        kind = "i" if layout.signed else "u"
        flat = np.frombuffer(stored, dtype=f"{order}{kind}{layout.bits_allocated // 8}")
        return _significant_bits(flat.reshape(layout.rows, layout.columns), layout)
    _require_stream_size(bytes(stored), layout)
    scratch.write_bytes(_clean_file(bytes(stored), layout))
    try:
        image = SimpleITK.ReadImage(str(scratch), imageIO="GDCMImageIO")
        values: NDArray[Any] = SimpleITK.GetArrayFromImage(image)
    except RuntimeError as error:
        msg = "pixel data that no decoder reads"
        raise PixelDataError(msg) from error
    finally:
        scratch.unlink(missing_ok=True)
    if values.size != layout.rows * layout.columns or values.dtype.kind not in "iu":
        msg = "pixel data of another size than stated"
        raise PixelDataError(msg)
    return values.reshape(layout.rows, layout.columns)


def _element_start(element: memoryview, layout: PixelLayout, order: str) -> tuple[int, int]:
    if len(element) < 12 or struct.unpack_from(f"{order}HH", element) != (0x7FE0, 0x0010):
        msg = "no pixel data of whole numbers"
        raise PixelDataError(msg)
    if layout.syntax != ImplicitVRLittleEndian and bytes(element[4:6]) in _LONG_VR:
        return 12, struct.unpack_from(f"{order}I", element, 8)[0]
    return 8, struct.unpack_from(f"{order}I", element, 4)[0]


def _fragments(items: memoryview, layout: PixelLayout) -> list[bytes]:
    try:
        frames = list(generate_frames(bytes(items), number_of_frames=layout.frames))
    except Exception as error:
        msg = "damaged pixel data items"
        raise PixelDataError(msg) from error
    if len(frames) < layout.frames or not all(frames):
        msg = "pixel data cut off"
        raise PixelDataError(msg)
    return frames


def _significant_bits(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    spare = layout.bits_allocated - layout.bits_stored
    if spare == 0:
        return values
    above = layout.bits_allocated - 1 - layout.high_bit
    plain = values.astype(values.dtype.newbyteorder("="))
    shifted = (plain << above) >> spare
    return np.asarray(shifted)


def _require_stream_size(stream: bytes, layout: PixelLayout) -> None:
    """Refuse a compressed image whose own header promises another size than the file's."""
    if layout.syntax == RLELossless:
        return
    if not layout.syntax.startswith(_JPEG_FAMILY):
        msg = "transfer syntax that is not supported"
        raise PixelDataError(msg)
    size = _jpeg2000_size(stream) or _jpeg_size(stream)
    if size != (layout.rows, layout.columns):
        msg = "pixel data of another size than stated" if size else "damaged pixel data"
        raise PixelDataError(msg)


def _jpeg2000_size(stream: bytes) -> tuple[int, int] | None:
    at = stream.find(_CODESTREAM_START, 0, 512)
    if at < 0 or len(stream) < at + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", stream, at + 8)
    return bottom - top, right - left


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
            return rows, columns
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return None


def _clean_file(frame: bytes, layout: PixelLayout) -> bytes:
    """Return a DICOM file that holds one compressed frame and what decoding it needs."""

    def number(element: int, value: int) -> bytes:
        return _element(0x28, element, b"US", struct.pack("<H", value))

    meta = (
        _element(2, 0x01, b"OB", b"\0\1")
        + _element(2, 0x02, b"UI", _CT_IMAGE)
        + _element(2, 0x03, b"UI", _ANY_UID)
        + _element(2, 0x10, b"UI", layout.syntax.encode("ascii", "replace"))
        + _element(2, 0x12, b"UI", _ANY_UID)
    )
    image = (
        number(0x02, 1)
        + _element(0x28, 0x04, b"CS", b"MONOCHROME2")
        + number(0x10, layout.rows)
        + number(0x11, layout.columns)
        + number(0x100, layout.bits_allocated)
        + number(0x101, layout.bits_stored)
        + number(0x102, layout.high_bit)
        + number(0x103, int(layout.signed))
    )
    frame += b"\0" * (len(frame) % 2)
    return b"".join(
        (
            b"\0" * 128 + b"DICM",
            _element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta,
            _element(8, 0x16, b"UI", _CT_IMAGE) + _element(8, 0x18, b"UI", _ANY_UID),
            image,
            struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, _UNDEFINED),
            struct.pack("<HHI", 0xFFFE, 0xE000, 0),
            struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame,
            struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        )
    )


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += (b" " if vr == b"CS" else b"\0") * (len(value) % 2)
    if vr == b"OB":
        return struct.pack("<HH2sHI", group, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value
