"""The bytes of a DICOM file: bounded, inflated, split at the pixel data."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from groundglass.readers import sniff

PREFIX_BYTES = 1 << 18
"""How much of a file is read first; holds the header of most images."""
MAX_HEADER_BYTES = 1 << 24
"""Where the pixel data must begin at the latest."""
MAX_INFLATED_BYTES = 1 << 31
"""Largest size of an inflated file."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"
_META_LENGTH = struct.Struct("<HH2sHI")


class NotDicomError(ValueError):
    """The file is not DICOM."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's complaints to ourselves: they quote values, and those may be personal."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def load_header(path: Path) -> tuple[Dataset, int]:
    """Return the elements before the pixel data, and where that begins in the inflated file.

    Only the start of the file is read unless the header is longer. The place is -1 if there is no
    pixel data within ``MAX_HEADER_BYTES``.

    Raises
    ------
    NotDicomError
        If the content is not DICOM.
    Exception
        Whatever pydicom raises on a damaged header.
    """
    if sniff.kind(path) != "dicom":
        msg = "not DICOM"
        raise NotDicomError(msg)
    with path.open("rb") as file:
        start = file.read(PREFIX_BYTES)
        whole_file = len(start) < PREFIX_BYTES
        if _DEFLATED not in start[:2048]:
            try:
                dataset, offset = _parse(start)
            except Exception:
                if whole_file:
                    raise
            else:
                if whole_file or offset >= 0:
                    return dataset, offset
        start += b"" if whole_file else file.read(MAX_HEADER_BYTES - len(start))
    return _parse(inflate(start))


def load_pixels(path: Path, offset: int) -> tuple[bytes, memoryview]:
    """Return all bytes of a file as it is stored, and the pixel data element on.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file cannot be inflated.
    """
    stored = path.read_bytes()
    return stored, memoryview(inflate(stored))[offset:]


def inflate(data: bytes) -> bytes:
    """Return a deflated file as one of explicit little endian; any other file as it is.

    Raises
    ------
    ValueError
        If the deflated part is damaged or grows beyond ``MAX_INFLATED_BYTES``.
    """
    if _DEFLATED not in data[:2048] or data[128:132] != b"DICM":
        return data
    if len(data) < 144:
        msg = "damaged header"
        raise ValueError(msg)
    length = _META_LENGTH.unpack_from(data, 132)[4]
    end = 144 + length
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = stream.decompress(data[end:], MAX_INFLATED_BYTES)
    except zlib.error as error:
        msg = "damaged deflated data"
        raise ValueError(msg) from error
    if stream.unconsumed_tail:
        msg = "deflated data that grows beyond any scan"
        raise ValueError(msg)
    return data[:end].replace(_DEFLATED, _EXPLICIT) + plain


def _parse(data: bytes) -> tuple[Dataset, int]:
    buffer = BytesIO(data)
    dataset = pydicom.dcmread(buffer, stop_before_pixels=True, force=data[128:132] != b"DICM")
    offset = buffer.tell()
    return dataset, offset if offset + 8 <= len(data) else -1
