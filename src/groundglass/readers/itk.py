"""NRRD and MetaImage through SimpleITK, their headers looked at before ITK may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers import sniff
from groundglass.readers.build import (
    MAX_SPACING_MM,
    MIN_SPACING_MM,
    Source,
    build_scan,
    require_size,
)

HEADER_BYTES = 2**20
"""Longest header that is read; Slicer's segmentations have the longest ones."""
_READERS = {"nrrd": "NrrdImageIO", "metaimage": "MetaImageIO"}
_PACKED = re.compile(r"encoding:\s*(gz|gzip|bz2|bzip2)|CompressedData\s*=\s*True", re.IGNORECASE)
_AWAY = re.compile(r"[/\\:%]|\.\.")

sitk: Any = SimpleITK
"""ITK has no types; its calls are checked by tests."""

Format = Literal["nrrd", "metaimage"]


def read_itk(path: Path, kind: Format) -> Scan:
    """Read an NRRD or MetaImage volume; values of unknown meaning until a check has seen them.

    Parameters
    ----------
    path : Path
        The file, or the header of a pair whose voxels lie in the same folder.
    kind : str
        ``nrrd`` or ``metaimage``, as found in its content.

    Raises
    ------
    ReadError
        If the file is damaged, cut off, or holds several values a voxel.
    UnsafeInputError
        If its header asks for absurd memory or points to a file elsewhere.
    """
    text = header_text(path)
    files = _files(path, text, kind)
    with opened(path, kind) as reader:
        verdicts = _require_readable(reader, text, files)
        array = _execute(reader)
    volume = array[None] if array.ndim == 2 else array
    geometry, told = _geometry(reader, volume.shape, text, kind)
    return build_scan(volume, geometry, Intensity.UNKNOWN, Source(kind, files), (*told, *verdicts))


def header_text(path: Path) -> str:
    """Return the text at the start of an NRRD or MetaImage file, up to its voxels."""
    head = sniff.first_bytes(path, HEADER_BYTES)
    if head.startswith(b"NRRD"):
        ends = [end for mark in (b"\n\n", b"\r\n\r\n") if (end := head.find(mark)) >= 0]
        head = head[: min(ends)] if ends else head
    else:
        found = re.search(rb"ElementDataFile\s*=[^\n]*\n?", head)
        head = head[: found.end()] if found else head
    return head.decode("utf-8", "replace")


@contextmanager
def opened(path: Path, kind: Format) -> Iterator[Any]:
    """Yield a SimpleITK reader that has read the header; its errors become ours.

    Raises
    ------
    ReadError
        If ITK cannot read the file.
    """
    warned = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(_READERS[kind])
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        yield reader
    except (RuntimeError, OverflowError) as error:
        msg = f"the {kind.upper()} file is damaged or of a kind that is not read; export it again"
        raise ReadError(msg) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warned)


def _files(path: Path, text: str, kind: Format) -> tuple[Path, ...]:
    """Return the files that hold the scan; only files in the header's own folder count."""
    key = r"ElementDataFile\s*=" if kind == "metaimage" else r"data ?file:"
    found = re.search(rf"^\s*{key}[ \t]*([^\r\n]*)", text, re.MULTILINE | re.IGNORECASE)
    name = found.group(1).strip() if found else ""
    if not found or (kind == "metaimage" and name.upper() == "LOCAL"):
        return (path,)
    if not name or name.upper().startswith("LIST") or _AWAY.search(name):
        msg = (
            f"the {kind.upper()} header points to its voxels by a list, a pattern or a place "
            "outside its folder, which is not followed; save header and voxels in one file"
        )
        raise UnsafeInputError(msg)
    data = path.parent / name
    if data.is_symlink() or not data.is_file():
        msg = f"the {kind.upper()} header needs a file with the voxels beside it; add that file"
        raise ReadError(msg)
    return (path, data)


def _require_readable(reader: Any, text: str, files: tuple[Path, ...]) -> tuple[Verdict, ...]:
    """Refuse what cannot be true or cannot be read; cut the first volume out of several."""
    size = tuple(int(n) for n in reader.GetSize())
    pixel = sitk.Image([1] * 2, reader.GetPixelID()) if reader.GetPixelID() >= 0 else None
    if pixel is None or reader.GetNumberOfComponents() != 1 or len(size) not in (2, 3, 4):
        msg = (
            f"one number a voxel in two or three dimensions is needed, found "
            f"{reader.GetNumberOfComponents()} in {len(size)} dimensions"
        )
        raise ReadError(msg)
    require_size(
        size,
        pixel.GetSizeOfPixelComponent(),
        files[-1].stat().st_size,
        compressed=bool(_PACKED.search(text)),
        what="volume",
    )
    if len(size) < 4:
        return ()
    reader.SetExtractSize([*size[:3], 0])
    reader.SetExtractIndex([0, 0, 0, 0])
    several = Verdict(
        "series_choice",
        Status.WARNING,
        f"The file holds {size[3]} volumes",
        "The first was measured",
        "The numbers say nothing about the others",
    )
    return (several,) if size[3] > 1 else ()


def _execute(reader: Any) -> Any:
    image = reader.Execute()
    return sitk.GetArrayFromImage(image)


def _geometry(
    reader: Any, shape: tuple[int, ...], text: str, kind: Format
) -> tuple[Geometry, tuple[Verdict, ...]]:
    grid = (shape[0], shape[1], shape[2])
    count = reader.GetDimension()
    spacing = np.ones(3)
    origin = np.zeros(3)
    directions = np.eye(3)
    used = min(count, 3)
    spacing[:used] = reader.GetSpacing()[:used]
    origin[:used] = reader.GetOrigin()[:used]
    directions[:used, :used] = np.reshape(reader.GetDirection(), (count, count))[:used, :used]
    affine = np.eye(4)
    affine[:3, :3] = (directions * spacing)[:, ::-1]
    affine[:3, 3] = origin
    verdicts = () if _states_orientation(text, kind) else (_no_orientation(kind),)
    plausible = spacing.min() >= MIN_SPACING_MM and spacing.max() <= MAX_SPACING_MM
    if not plausible or not _states_spacing(text, kind) or not np.isfinite(affine).all():
        affine[:3, :3] = directions[:, ::-1]
        affine[:3, 3] = 0
        geometry = Geometry.from_affine(grid, affine)
        geometry = replace(geometry, spacing_known=False, slice_width_mm=None)
        return geometry, (*verdicts, _no_spacing(kind))
    return Geometry.from_affine(grid, affine), verdicts


def _states_orientation(text: str, kind: Format) -> bool:
    if kind == "nrrd":
        return re.search(r"^space:\s*\S", text, re.MULTILINE) is not None
    return re.search(r"^\s*(TransformMatrix|Orientation|Rotation)\s*=", text, re.M) is not None


def _states_spacing(text: str, kind: Format) -> bool:
    if kind == "nrrd":
        return re.search(r"^(space directions|spacings):", text, re.MULTILINE) is not None
    return re.search(r"^\s*(ElementSpacing|ElementSize)\s*=", text, re.MULTILINE) is not None


def _no_orientation(kind: Format) -> Verdict:
    return Verdict(
        "orientation",
        Status.WARNING,
        f"The {kind.upper()} header does not say how the patient lies",
        "The usual order was assumed: columns to the left, rows to the back, slices to the head",
        "Right and left, and upper and lower zones, may be exchanged; totals are not affected",
    )


def _no_spacing(kind: Format) -> Verdict:
    return Verdict(
        "slice_spacing",
        Status.WARNING,
        f"The {kind.upper()} header gives no voxel size, or one that cannot be true",
        "The voxels were taken without a scale",
        "Percentages are given, ml are not",
    )
