"""NRRD volumes, attached or with a header of their own, and Slicer's segmentations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsupportedFormatError
from groundglass.readers import sniff
from groundglass.readers.build import Source, build_scan
from groundglass.readers.text_header import HEADER_BYTES, Body, Encoding, beside, grid, numbers

_TYPES: Mapping[str, str] = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1",
    "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1",
    "short": "i2", "short int": "i2", "signed short": "i2", "int16": "i2", "int16_t": "i2",
    "ushort": "u2", "unsigned short": "u2", "unsigned short int": "u2", "uint16": "u2",
    "uint16_t": "u2",
    "int": "i4", "signed int": "i4", "int32": "i4", "int32_t": "i4",
    "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4",
    "long long int": "i8", "signed long long": "i8", "signed long long int": "i8",
    "longlong": "i8", "long long": "i8", "int64": "i8", "int64_t": "i8",
    "unsigned long long int": "u8", "ulonglong": "u8",
    "unsigned long long": "u8", "uint64": "u8", "uint64_t": "u8",
    "float": "f4", "double": "f8",
}  # fmt: skip
_ENCODINGS: Mapping[str, Encoding] = {
    "raw": "raw", "gz": "zlib", "gzip": "zlib", "bz2": "bzip2", "bzip2": "bzip2",
    "txt": "ascii", "text": "ascii", "ascii": "ascii",
}  # fmt: skip
_SPACES: Mapping[str, tuple[float, float, float]] = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
"""Signs that turn a space into LPS."""
_IN_ORDER = ("list", "time", "")
"""Kinds of a fourth axis of which one entry is a volume."""


@dataclass(frozen=True, eq=False)
class Volumes:
    """What an NRRD file holds."""

    values: NDArray[Any]
    """(volumes, slices, rows, columns)."""
    geometry: Geometry
    """Grid of each volume."""
    verdicts: tuple[Verdict, ...]
    """What is doubtful about the grid."""
    files: tuple[Path, ...]
    """The file, or header and voxels."""
    notes: Mapping[str, str]
    """Key and value pairs, as Slicer writes them."""


def read_nrrd(path: Path) -> Scan:
    """Read an NRRD volume; its values are of unknown meaning until a check has seen them.

    Raises
    ------
    ReadError
        If the file is damaged, cut off, or holds several values a voxel.
    UnsafeInputError
        If its header asks for absurd memory or points to a file elsewhere.
    """
    volumes = load_nrrd(path)
    several = (_several(len(volumes.values)),) if len(volumes.values) > 1 else ()
    return build_scan(
        volumes.values[0],
        volumes.geometry,
        Intensity.UNKNOWN,
        Source("nrrd", volumes.files),
        (*volumes.verdicts, *several),
    )


def load_nrrd(path: Path) -> Volumes:
    """Return all volumes of an NRRD file.

    Raises
    ------
    ReadError
        If the file is damaged, cut off, or holds several values a voxel.
    UnsafeInputError
        If its header asks for absurd memory or points to a file elsewhere.
    """
    fields, notes, end = _header(path)
    count = int(numbers(fields, "dimension", 1, "NRRD")[0])
    if count not in (2, 3, 4):
        msg = f"a volume of three dimensions is needed, the NRRD header says {count}"
        raise ReadError(msg)
    sizes = numbers(fields, "sizes", count, "NRRD")
    shape = tuple(int(size) for size in sizes[::-1] if 0 < size < 2**31 and size == int(size))
    if len(shape) != count:
        msg = "the NRRD header gives sizes that are not whole positive numbers; it is damaged"
        raise ReadError(msg)
    body = _body(path, fields, end, shape)
    axis = _extra_axis(fields, count)
    values = body.load()
    if axis is not None:
        values = np.moveaxis(values, count - 1 - axis, 0)
    else:
        values = values.reshape(1, *((1, *shape) if count == 2 else shape))
    geometry, verdicts = _geometry(fields, values.shape[1:], axis)
    return Volumes(values, geometry, verdicts, tuple(dict.fromkeys((path, body.path))), notes)


def _header(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Return fields, key and value pairs, and where the header ends."""
    head = sniff.first_bytes(path, HEADER_BYTES)
    found = re.search(rb"\r?\n\r?\n", head)
    text = head[: found.start()] if found else head
    fields: dict[str, str] = {}
    notes: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines()[1:]:
        key, mark, value = line.partition(":")
        if not mark or line.startswith("#"):
            continue
        if value.startswith("="):
            notes[key] = value[1:].strip()
        else:
            fields[key.strip().lower()] = value.strip()
    return fields, notes, found.end() if found else len(head)


def _body(path: Path, fields: Mapping[str, str], end: int, shape: tuple[int, ...]) -> Body:
    kind = _TYPES.get(fields.get("type", "").lower())
    encoding = _ENCODINGS.get(fields.get("encoding", "").lower())
    if kind is None or encoding is None:
        msg = "the NRRD header names a type or encoding of voxels that is not read; save it as raw"
        raise UnsupportedFormatError(msg)
    order = {"big": ">", "little": "<"}.get(fields.get("endian", "little").lower(), "<")
    named = fields.get("data file", fields.get("datafile"))
    skip = numbers({"byte skip": fields.get("byte skip", "0")}, "byte skip", 1, "NRRD")[0]
    if fields.get("line skip", "0") != "0" or not -1 <= skip < 2**40 or skip != int(skip):
        msg = "the NRRD header skips lines or bytes in a way that is not read; save it attached"
        raise UnsupportedFormatError(msg)
    source = path if named is None else beside(path, named, "NRRD")
    start = -1 if skip < 0 else int(skip) + (end if named is None else 0)
    return Body(source, start, encoding, np.dtype(order + kind), shape, "NRRD")


def _extra_axis(fields: Mapping[str, str], count: int) -> int | None:
    """Return the axis, fastest first, that is not one of space."""
    if count < 4:
        return None
    directions = fields.get("space directions", "").replace(", ", ",").split()
    nowhere = [i for i, part in enumerate(directions) if part.lower() == "none"]
    kinds = fields.get("kinds", "").lower().split()
    axis = nowhere[0] if nowhere else 3
    kind = kinds[axis] if len(kinds) == count else ""
    if kind not in _IN_ORDER and not (kind in ("domain", "space", "???", "none") and axis == 3):
        msg = f"one number a voxel is needed, the NRRD file holds a '{kind[:20]}' in each"
        raise ReadError(msg)
    return axis


def _geometry(
    fields: Mapping[str, str], shape: tuple[int, ...], extra: int | None
) -> tuple[Geometry, tuple[Verdict, ...]]:
    affine = np.eye(4)
    signs = _SPACES.get(fields.get("space", "").lower())
    directions = fields.get("space directions")
    if directions is not None:
        flat = [part for part in re.split(r"[\s,()]+", directions) if part]
        steps = [part for part in flat if part.lower() != "none"]
        count = len(steps) // 3
        values = numbers({"d": " ".join(steps)}, "d", 3 * count, "NRRD") if count else []
        axes = np.reshape(values, (count, 3)) if count else np.zeros((0, 3))
        if count not in (2, 3):
            axes = np.zeros((3, 3))
        elif count == 2:
            axes = np.vstack([axes, np.cross(axes[0], axes[1])])
        affine[:3, :3] = axes[::-1].T
        if "space origin" in fields:
            affine[:3, 3] = numbers(fields, "space origin", 3, "NRRD")
        affine[:3] *= np.array(signs or (1, 1, 1))[:, None]
        return grid(shape, affine, (signs is not None, True), "NRRD")
    spacings = _spacings(fields, extra)
    affine[:3, :3] = np.diag(spacings or (1.0, 1.0, 1.0))[:, ::-1]
    return grid(shape, affine, (False, spacings is not None), "NRRD")


def _spacings(fields: Mapping[str, str], extra: int | None) -> tuple[float, float, float] | None:
    parts = fields.get("spacings", "").split()
    kept = [part for i, part in enumerate(parts) if i != extra]
    try:
        steps = [abs(float(part)) for part in kept]
    except ValueError:
        return None
    return (steps[0], steps[1], steps[2]) if len(steps) == 3 else None


def _several(count: int) -> Verdict:
    return Verdict(
        "series_choice",
        Status.WARNING,
        f"The file holds {count} volumes",
        "The first was measured",
        "The numbers say nothing about the others",
    )
