"""TIFF files of more than 8 bits: stacks of slices whose values are HU plus an offset."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.geometry import Geometry
from groundglass.core.provenance import Step
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers.build import (
    Shape,
    Source,
    build_scan,
    natural_key,
    require_size,
    without_scale,
)
from groundglass.readers.options import ReadOptions

DEFAULT_OFFSET_HU = -1024.0
"""Added to unsigned values: TIFF stacks of CT hold HU + 1024."""
MAX_PAGES = 10_000
"""Most pages of one file, and most files of one folder."""
FIELD_MM = (150.0, 700.0)
"""Width of the field of view between which a scale in the file is believed."""
STEP_MM = (0.2, 20.0)
"""Slice step between which a scale in the file is believed."""
_UNIT_MM = {
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "micron": 0.001,
    "um": 0.001,
    "\\u00B5m": 0.001,
}
_PER_CENTIMETRE = 3
_PLANES_APART = 2
_BIG_TIFF = 43
_DAMAGED = (
    tifffile.TiffFileError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RuntimeError,
    ZeroDivisionError,
    OverflowError,
    struct.error,
)


@dataclass(frozen=True, eq=False)
class _Pages:
    """The slices of one file."""

    path: Path
    values: NDArray[Any]
    spacing_mm: tuple[float, float, float] | None
    cut: bool


def is_deep(path: Path) -> bool:
    """Return whether a TIFF file holds one number of more than 8 bits a pixel; else a picture."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return page.dtype is not None and page.dtype.itemsize > 1 and _is_single(page)
    except _DAMAGED:
        return False


def read_tiff(paths: Sequence[Path], options: ReadOptions | None = None) -> Scan:
    """Read one TIFF stack, or a folder of TIFF slices, of more than 8 bits.

    Parameters
    ----------
    paths : sequence of Path
        Files; several are put in the order of the numbers in their names, the first nearest the
        head unless ``options.feet_first``. Files of another size than most are left out.
    options : ReadOptions, optional
        ``hu_offset`` instead of -1024 for unsigned values, and ``spacing_mm``.

    Returns
    -------
    Scan
        In HU by the stated offset; else the usual offset was added and a check must find out
        whether the values are HU. Without a believable scale and without ``spacing_mm`` no ml can
        be told.

    Raises
    ------
    ReadError
        If no file can be read.
    UnsafeInputError
        If there are too many files, or a header asks for absurd memory.
    """
    options = options or ReadOptions()
    if len(paths) > MAX_PAGES:
        msg = f"at most {MAX_PAGES} TIFF files are read as one scan, found {len(paths)}"
        raise UnsafeInputError(msg)
    files, damaged = _load(sorted(paths, key=natural_key))
    kept = _largest_group(files)
    values = np.concatenate([file.values for file in kept]) if len(kept) > 1 else kept[0].values
    if options.feet_first:
        kept, values = kept[::-1], values[::-1]
    spacing = options.spacing_mm or (kept[0].spacing_mm if len(kept) == 1 else None)
    geometry = Geometry.from_spacing(
        (values.shape[0], values.shape[1], values.shape[2]),
        spacing or (1.0, 1.0, 1.0),
    )
    geometry = geometry if spacing else without_scale(geometry)
    values, offset = _to_hu(values, options.hu_offset)
    step = Step("hu_offset", {"added": offset, "stated": options.hu_offset is not None})
    source = Source("tiff", tuple(file.path for file in kept), (step,))
    verdicts = (
        _order_verdict(values.shape[0], len(kept), feet_first=options.feet_first),
        *_skipped(len(files) - len(kept), damaged),
        *_cut_off(sum(file.cut for file in kept)),
        *(() if spacing else (_no_scale(),)),
    )
    intensity = Intensity.UNKNOWN if options.hu_offset is None else Intensity.HU
    return build_scan(values, geometry, intensity, source, verdicts)


def _load(paths: Sequence[Path]) -> tuple[list[_Pages], int]:
    files: list[_Pages] = []
    damaged = 0
    reason: Exception | None = None
    for path in paths:
        try:
            files.append(_read(path))
        except ReadError as error:
            if len(paths) == 1:
                raise
            reason, damaged = error, damaged + 1
        except _DAMAGED as error:
            reason, damaged = error, damaged + 1
    if not files:
        msg = f"none of {damaged} TIFF files can be read: damaged, cut off or of a rare kind"
        raise ReadError(msg) from reason
    return files, damaged


def _read(path: Path) -> _Pages:
    with tifffile.TiffFile(path) as file:
        shape, dtype, packed = _claims(file)
        require_size(shape, dtype.itemsize, path.stat().st_size, compressed=packed, what="TIFF")
        spacing = _spacing(file, shape)
        try:
            values = file.series[0].asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            values = _by_pillow(path, shape)
    return _Pages(path, values.reshape(shape), spacing, cut=not _chain_ends(path))


def _chain_ends(path: Path) -> bool:
    """Return whether the list of pages comes to its end; in a cut-off file it points outside."""
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = bool(struct.unpack(f"{order}H", head[2:4])[0] == _BIG_TIFF)
        sizes = (8, 20, f"{order}Q") if big else (2, 12, f"{order}I")
        kind = struct.Struct(sizes[2])
        (place,) = kind.unpack(head[8:16] if big else head[4:8])
        seen: set[int] = set()
        while place and place not in seen and len(seen) <= MAX_PAGES:
            seen.add(place)
            file.seek(place)
            count = file.read(sizes[0])
            if len(count) < sizes[0]:
                return False
            file.seek(int.from_bytes(count, "little" if order == "<" else "big") * sizes[1], 1)
            following = file.read(kind.size)
            if len(following) < kind.size:
                return False
            (place,) = kind.unpack(following)
    return bool(place == 0)


def _is_single(page: Any) -> bool:
    """Return whether a page holds grey planes; writers take stacks of 3 or 4 slices for colours."""
    return bool(page.samplesperpixel == 1 or page.planarconfig == _PLANES_APART)


def _claims(file: Any) -> tuple[Shape, np.dtype[Any], bool]:
    """Return slices, rows, columns, type and whether compressed, as the header says."""
    series = file.series[0]
    page = file.pages.first
    if not _is_single(page) or series.dtype is None or series.dtype.kind not in "iuf":
        msg = "TIFF slices of one real number a pixel are needed, found colours or other values"
        raise ReadError(msg)
    rows, columns = page.imagelength, page.imagewidth
    count = 1
    for size in series.shape:
        count *= int(size)
    slices = count // max(rows * columns, 1)
    if slices * rows * columns != count or slices > MAX_PAGES:
        msg = f"a TIFF stack of at most {MAX_PAGES} slices is needed, found shape {series.shape}"
        raise ReadError(msg)
    return (slices, rows, columns), series.dtype, int(page.compression) != 1


def _by_pillow(path: Path, shape: Shape) -> NDArray[Any]:
    """Decode page by page with libtiff, which knows LZW and predictors."""
    with Image.open(path, formats=("TIFF",)) as picture:
        pages = []
        for index in range(shape[0]):
            picture.seek(index)
            pages.append(np.asarray(picture))
    return np.stack(pages)


def _spacing(file: Any, shape: Shape) -> tuple[float, float, float] | None:
    """Return the scale in ImageJ's or centimetre tags if it can be a chest CT's."""
    page = file.pages.first
    tags = {
        name: page.tags[name].value for name in ("XResolution", "YResolution") if name in page.tags
    }
    notes = file.imagej_metadata or {}
    unit = _UNIT_MM.get(str(notes.get("unit", "")).lower())
    if unit is None and "ResolutionUnit" in page.tags:
        unit = 10.0 if int(page.tags["ResolutionUnit"].value) == _PER_CENTIMETRE else None
    step = notes.get("spacing")
    if unit is None or step is None or len(tags) < 2:
        return None
    (nx, dx), (ny, dy) = tags["XResolution"], tags["YResolution"]
    spacing = (float(step) * unit, unit * dy / ny, unit * dx / nx)
    believable = (
        FIELD_MM[0] <= spacing[1] * shape[1] <= FIELD_MM[1]
        and FIELD_MM[0] <= spacing[2] * shape[2] <= FIELD_MM[1]
        and STEP_MM[0] <= spacing[0] <= STEP_MM[1]
    )
    return spacing if believable else None


def _largest_group(files: Sequence[_Pages]) -> list[_Pages]:
    groups: Counter[tuple[int, ...]] = Counter()
    for file in files:
        groups[file.values.shape[1:]] += file.values.shape[0]
    chosen = max(groups, key=lambda shape: (groups[shape], shape))
    return [file for file in files if file.values.shape[1:] == chosen]


def _to_hu(values: NDArray[Any], stated: float | None) -> tuple[NDArray[Any], float]:
    """Return values in HU and the offset added; signed values below zero need none."""
    offset = stated
    if offset is None:
        offset = 0.0 if values.dtype.kind != "u" and values.min() < 0 else DEFAULT_OFFSET_HU
    if offset == 0:
        return values, 0.0
    kind = np.int32 if values.dtype.kind in "iu" and float(offset).is_integer() else np.float32
    return values.astype(kind) + kind(offset), offset


def _order_verdict(slices: int, files: int, *, feet_first: bool) -> Verdict:
    order = "the numbers in their names" if files > 1 else "the file's pages"
    return Verdict(
        "ordering",
        Status.NOTE,
        f"{slices} TIFF slices carry no positions",
        f"They were taken in the order of {order}, the {'last' if feet_first else 'first'} "
        "nearest the head, columns from the patient's right to the left",
        "In another order zones or sides are exchanged and totals may be off too",
    )


def _skipped(left_out: int, damaged: int) -> tuple[Verdict, ...]:
    if not left_out + damaged:
        return ()
    verdict = Verdict(
        "files_skipped",
        Status.WARNING,
        f"{left_out} TIFF files differ in size from the largest group, {damaged} cannot be read",
        "They were left out",
        "If they belong to the scan, volumes are too small",
    )
    return (verdict,)


def _cut_off(count: int) -> tuple[Verdict, ...]:
    if not count:
        return ()
    verdict = Verdict(
        "truncated_file",
        Status.WARNING,
        f"The list of slices of {count} TIFF files breaks off",
        "The slices before were used",
        "Slices may be missing: then volumes are too small and percentages those of what is left",
    )
    return (verdict,)


def _no_scale() -> Verdict:
    return Verdict(
        "slice_spacing",
        Status.WARNING,
        "The TIFF file gives no voxel size that a chest CT could have",
        "The voxels were taken without a scale",
        "Percentages are given, ml are not; state the spacing to get them",
    )
