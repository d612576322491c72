"""What NRRD and MetaImage share: a header of text, then voxels, in one file or two.

ITK ends the whole process on some broken headers of these formats, so they are read here.
"""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers.build import MAX_SPACING_MM, MIN_SPACING_MM, require_size, without_scale

HEADER_BYTES = 2**20
"""Longest header that is read; Slicer's segmentations have the longest ones."""
MAX_ASCII_BYTES = 2**28
"""Most voxels written as text that are read."""
_AWAY = re.compile(r"[/\\:%]|\.\.")

Encoding = Literal["raw", "zlib", "bzip2", "ascii"]


@dataclass(frozen=True, slots=True)
class Body:
    """Where the voxels of a file are and how they are stored."""

    path: Path
    """File that holds them."""
    start: int
    """First byte; negative counts from where raw voxels must end at the end of the file."""
    encoding: Encoding
    """How they are packed."""
    dtype: np.dtype[Any]
    """Type and byte order of one value."""
    shape: tuple[int, ...]
    """Sizes, slowest first."""
    format: str
    """Name for messages."""

    @property
    def bytes(self) -> int:
        """Bytes of the voxels once unpacked."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def load(self) -> NDArray[Any]:
        """Return the voxels.

        Raises
        ------
        ReadError
            If the file holds fewer than the header says, or they cannot be unpacked.
        UnsafeInputError
            If the header asks for more than any scan has.
        """
        stored = self.path.stat().st_size - max(self.start, 0)
        require_size(
            self.shape,
            1 if self.encoding == "ascii" else self.dtype.itemsize,
            max(stored, 0),
            compressed=self.encoding in ("zlib", "bzip2"),
            what=self.format,
        )
        try:
            flat = self._values()
        except (zlib.error, OSError, EOFError, ValueError) as error:
            raise self._damaged() from error
        if flat.size < np.prod(self.shape):
            raise self._damaged()
        return flat[: int(np.prod(self.shape))].reshape(self.shape)

    def _values(self) -> NDArray[Any]:
        with self.path.open("rb") as file:
            file.seek(self.start if self.start >= 0 else max(self._size() - self.bytes, 0))
            if self.encoding == "raw":
                return _complete(file.read(self.bytes), self.dtype)
            if self.encoding == "ascii":
                return np.array(file.read(MAX_ASCII_BYTES).split(), dtype=self.dtype)
            unpacked = bytearray()
            packer = _unpacker(self.encoding)
            while len(unpacked) < self.bytes and (chunk := file.read(2**22)):
                unpacked += packer.decompress(chunk, self.bytes - len(unpacked))
            return _complete(bytes(unpacked), self.dtype)

    def _size(self) -> int:
        return self.path.stat().st_size

    def _damaged(self) -> ReadError:
        return ReadError(
            f"the {self.format} file is damaged or cut off: its voxels cannot be unpacked to "
            f"{' x '.join(str(size) for size in self.shape[::-1])}; copy it again"
        )


def _complete(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return whole values, in the machine's byte order."""
    whole = len(data) // dtype.itemsize * dtype.itemsize
    values = np.frombuffer(data[:whole], dtype)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _unpacker(encoding: Encoding) -> Any:
    return bz2.BZ2Decompressor() if encoding == "bzip2" else zlib.decompressobj(wbits=47)


def beside(header: Path, name: str, what: str) -> Path:
    """Return the file with the voxels that a header names; only its own folder counts.

    Raises
    ------
    UnsafeInputError
        If the name leads out of the folder, or is a list or pattern of files.
    ReadError
        If there is no such file.
    """
    if not name or name.upper().startswith("LIST") or _AWAY.search(name):
        msg = (
            f"the {what} header points to its voxels by a list, a pattern or a place outside its "
            "folder, which is not followed; save header and voxels in one file"
        )
        raise UnsafeInputError(msg)
    path = header.parent / name
    if path.is_symlink() or not path.is_file():
        msg = f"the {what} header needs a file with the voxels beside it; add that file"
        raise ReadError(msg)
    return path


def numbers(fields: Mapping[str, str], name: str, count: int, what: str) -> list[float]:
    """Return the ``count`` numbers of a field.

    Raises
    ------
    ReadError
        If the field is missing or holds anything else.
    """
    parts = re.split(r"[\s,()]+", fields.get(name, "").strip("() \t"))
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != count:
        msg = f"the {what} header needs {count} numbers as '{name}'; the file is damaged"
        raise ReadError(msg)
    return values


def grid(
    shape: tuple[int, ...], affine: NDArray[np.float64], stated: tuple[bool, bool], what: str
) -> tuple[Geometry, tuple[Verdict, ...]]:
    """Return the grid of an affine to LPS, and what is doubtful about it.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns.
    affine : ndarray
        4 x 4, from index (slice, row, column).
    stated : tuple of bool
        Whether the header states the orientation, and the spacing.
    what : str
        Name of the format.
    """
    size = (shape[0], shape[1], shape[2])
    told = () if stated[0] else (_no_orientation(what),)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        straight = abs(np.linalg.det(affine[:3, :3] / lengths)) > 0.3
    usable = lengths.min() >= MIN_SPACING_MM and lengths.max() <= MAX_SPACING_MM and straight
    if usable and stated[1] and np.isfinite(affine).all() and np.abs(affine).max() < 1e6:
        return Geometry.from_affine(size, affine), told
    plain = np.zeros((4, 4))
    plain[[2, 1, 0, 3], [0, 1, 2, 3]] = 1
    if straight and np.isfinite(affine[:3, :3]).all():
        plain[:3, :3] = affine[:3, :3] / lengths
    geometry = without_scale(Geometry.from_affine(size, plain))
    return geometry, (*told, _no_spacing(what))


def _no_orientation(what: str) -> Verdict:
    return Verdict(
        "orientation",
        Status.WARNING,
        f"The {what} header does not say how the patient lies",
        "The usual order was assumed: columns to the left, rows to the back, slices to the head",
        "Right and left, and upper and lower zones, may be exchanged; totals may then be off",
    )


def _no_spacing(what: str) -> Verdict:
    return Verdict(
        "slice_spacing",
        Status.WARNING,
        f"The {what} header gives no voxel size, or one that cannot be true",
        "The voxels were taken without a scale",
        "Percentages are given, ml are not",
    )
