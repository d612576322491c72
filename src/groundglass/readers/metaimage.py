"""MetaImage volumes: ``.mha``, or ``.mhd`` with its voxels in a file beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Verdict
from groundglass.errors import ReadError, UnsupportedFormatError
from groundglass.readers import sniff
from groundglass.readers.build import Source, build_scan
from groundglass.readers.text_header import HEADER_BYTES, Body, Encoding, beside, grid, numbers

_TYPES: Mapping[str, str] = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_PLACES = ("Offset", "Position", "Origin")
_WAYS = ("TransformMatrix", "Rotation", "Orientation")
_STEPS = ("ElementSpacing", "ElementSize")


def read_metaimage(path: Path) -> Scan:
    """Read a MetaImage; its values are of unknown meaning until a check has seen them.

    Raises
    ------
    ReadError
        If the file is damaged, cut off, or holds several values a voxel.
    UnsafeInputError
        If its header asks for absurd memory or points to a file elsewhere.
    """
    fields, end = _header(path)
    count = int(numbers(fields, "NDims", 1, "MetaImage")[0])
    if count not in (2, 3) or fields.get("ElementNumberOfChannels", "1") != "1":
        msg = "one number a voxel in three dimensions is needed, the MetaImage header says other"
        raise ReadError(msg)
    sizes = numbers(fields, "DimSize", count, "MetaImage")
    shape = tuple(int(size) for size in sizes[::-1] if 0 < size < 2**31)
    if len(shape) != count:
        msg = "the MetaImage header gives sizes that are not positive; it is damaged"
        raise ReadError(msg)
    body = _body(path, fields, end, shape)
    values = body.load()
    values = values[None] if count == 2 else values
    geometry, verdicts = _geometry(fields, values.shape, count)
    files = tuple(dict.fromkeys((path, body.path)))
    return build_scan(values, geometry, Intensity.UNKNOWN, Source("metaimage", files), verdicts)


def _header(path: Path) -> tuple[dict[str, str], int]:
    head = sniff.first_bytes(path, HEADER_BYTES)
    found = re.search(rb"^[ \t]*ElementDataFile[ \t]*=[^\n]*\n?", head, re.MULTILINE)
    if found is None:
        msg = "the MetaImage header does not say where the voxels are; it is cut off or damaged"
        raise ReadError(msg)
    lines = head[: found.end()].decode("utf-8", "replace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}, found.end()


def _body(path: Path, fields: Mapping[str, str], end: int, shape: tuple[int, ...]) -> Body:
    kind = _TYPES.get(fields.get("ElementType", ""))
    if kind is None:
        msg = "the MetaImage header names a type of voxels that is not read; save it as MET_SHORT"
        raise UnsupportedFormatError(msg)
    order = ">" if _is_true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    packed: Encoding = "zlib" if _is_true(fields, "CompressedData") else "raw"
    encoding: Encoding = packed if _is_true(fields, "BinaryData", default=True) else "ascii"
    name = fields["ElementDataFile"]
    local = name.upper() == "LOCAL"
    skip = numbers({"HeaderSize": fields.get("HeaderSize", "0")}, "HeaderSize", 1, "MetaImage")[0]
    source = path if local else beside(path, name, "MetaImage")
    start = end if local else int(min(max(skip, -1), 2**40))
    return Body(source, start, encoding, np.dtype(order + kind), shape, "MetaImage")


def _is_true(fields: Mapping[str, str], *names: str, default: bool = False) -> bool:
    value = next((fields[name] for name in names if name in fields), str(default))
    return value.strip().lower() in ("true", "t", "1")


def _geometry(
    fields: Mapping[str, str], shape: tuple[int, ...], count: int
) -> tuple[Geometry, tuple[Verdict, ...]]:
    """Return the grid; the file lists for each axis, fastest first, its direction in LPS."""
    way = next((name for name in _WAYS if name in fields), None)
    step = next((name for name in _STEPS if name in fields), None)
    place = next((name for name in _PLACES if name in fields), None)
    directions, spacing, origin = np.eye(3), np.ones(3), np.zeros(3)
    if way is not None:
        values = numbers(fields, way, count * count, "MetaImage")
        directions[:count, :count] = np.reshape(values, (count, count))
    if step is not None:
        spacing[:count] = np.abs(numbers(fields, step, count, "MetaImage"))
    if place is not None:
        origin[:count] = numbers(fields, place, count, "MetaImage")
    affine = np.eye(4)
    affine[:3, :3] = (directions * spacing[:, None])[::-1].T
    affine[:3, 3] = origin
    return grid(shape, affine, (way is not None, step is not None), "MetaImage")
