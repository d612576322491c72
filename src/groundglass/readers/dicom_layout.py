"""How the pixels of a DICOM image lie in its file."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from groundglass.readers.dicom_values import text, whole

MIN_SIDE = 2
"""Smallest number of rows or columns of an image."""
MAX_SIDE = 8192
"""Largest number of rows or columns of an image."""
MAX_FRAMES = 20_000
"""Largest number of images in a file."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Shape and storage of the pixel data element."""

    rows: int
    """Number of rows."""
    columns: int
    """Number of columns."""
    frames: int
    """Images in the file."""
    samples: int
    """Values per pixel: 1 for grey."""
    inverted: bool
    """Whether the smallest value is meant to be white (MONOCHROME1)."""
    bits_allocated: int
    """Bits of memory per value: 8, 16 or 32."""
    bits_stored: int
    """Bits that carry the value."""
    high_bit: int
    """Number of the highest bit that carries the value."""
    signed: bool
    """Whether values are two's complement."""
    syntax: str
    """Transfer Syntax UID after inflating."""
    offset: int
    """Byte at which the pixel data element begins in the inflated file."""


def pixel_layout(dataset: Dataset, offset: int) -> PixelLayout:
    """Return how the pixels are stored.

    Parameters
    ----------
    dataset : Dataset
        Elements before the pixel data.
    offset : int
        Where the pixel data element begins.

    Raises
    ------
    ValueError
        If the numbers make no image that a CT scanner writes; the message names the reason.
    """
    rows, columns = whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0
    if not (MIN_SIDE <= rows <= MAX_SIDE and MIN_SIDE <= columns <= MAX_SIDE):
        msg = "image size that no CT has"
        raise ValueError(msg)
    allocated = whole(dataset, "BitsAllocated") or 0
    stored = whole(dataset, "BitsStored") or allocated
    high = whole(dataset, "HighBit")
    high = stored - 1 if high is None else high
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated or not stored - 1 <= high < 32:
        msg = "pixel format that no CT has"
        raise ValueError(msg)
    frames = whole(dataset, "NumberOfFrames") or 1
    if not 1 <= frames <= MAX_FRAMES:
        msg = "number of frames that no CT has"
        raise ValueError(msg)
    meta = getattr(dataset, "file_meta", Dataset())
    return PixelLayout(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=whole(dataset, "SamplesPerPixel") or 1,
        inverted=text(dataset, "PhotometricInterpretation") == "MONOCHROME1",
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=min(high, allocated - 1),
        signed=whole(dataset, "PixelRepresentation") == 1,
        syntax=text(meta, "TransferSyntaxUID") or guessed_syntax(dataset),
        offset=offset,
    )


def guessed_syntax(dataset: Dataset) -> str:
    """Return the syntax of a file without meta information, as the parser found it."""
    implicit, little = dataset.original_encoding
    if not little:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
