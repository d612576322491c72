"""NIfTI 1 and 2, plain, in gzip, or as a pair of header and image."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError
from groundglass.readers import sniff
from groundglass.readers.build import (
    MAX_SPACING_MM,
    MIN_SPACING_MM,
    Shape,
    Source,
    build_scan,
    require_size,
    without_scale,
)

_UNIT_MM = {"meter": 1000.0, "micron": 0.001}
_DAMAGED = (
    ImageFileError,
    HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    KeyError,
    TypeError,
    zlib.error,
)
_CLASSES: dict[tuple[bool, bool], Any] = {
    (False, False): nib.Nifti1Image,
    (False, True): nib.Nifti1Pair,
    (True, False): nib.Nifti2Image,
    (True, True): nib.Nifti2Pair,
}
"""By (second version, header and image apart)."""
_LABEL = re.compile(r'<Label[^>]*\bKey="(\d+)"[^>]*>([^<]{1,100})</Label>')
_INT16 = np.iinfo(np.int16)

Array = NDArray[Any]


def read_nifti(path: Path) -> Scan:
    """Read a NIfTI volume; the values are of unknown meaning until a check has seen them.

    Parameters
    ----------
    path : Path
        A NIfTI file of any name, or either file of a header and image pair.

    Returns
    -------
    Scan
        With verdicts on a missing orientation, unusable voxel sizes, several time points and
        values that are not numbers.

    Raises
    ------
    ReadError
        If the file is damaged, cut off, or holds colours, complex numbers or several values a
        voxel.
    UnsafeInputError
        If the header asks for absurd amounts of memory.
    """
    header_file, image_file = _files(path)
    try:
        with _opened(header_file, image_file) as image:
            shape = _require_room(image, image_file)
            values, verdicts = _first_volume(image, shape)
            geometry, told = _geometry(image.header, values.shape[::-1])
    except _DAMAGED as error:
        msg = "the NIfTI file is damaged or cut off and its voxels cannot be read; copy it again"
        raise ReadError(msg) from error
    return build_scan(
        values.transpose(2, 1, 0),
        geometry,
        Intensity.UNKNOWN,
        Source("nifti", tuple(sorted({header_file, image_file}))),
        told + verdicts,
    )


def label_names(path: Path) -> dict[int, str]:
    """Return the label names in a NIfTI header extension, as TotalSegmentator writes them.

    Empty if there is none, or the file cannot be read.
    """
    try:
        with _opened(*_files(path)) as image:
            texts = [extension.get_content() for extension in image.header.extensions]
    except _DAMAGED:
        return {}
    plain = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in texts]
    return {
        int(key): name.strip() for text in plain for key, name in _LABEL.findall(text[:1_000_000])
    }


def _files(path: Path) -> tuple[Path, Path]:
    """Return header and image file, which are the same but for a pair."""
    head = sniff.first_bytes(path)
    if head[344:347] == b"ni1" or head[4:7] == b"ni2":
        found = [path.with_suffix(suffix) for suffix in (".img", ".IMG")]
        image = next((candidate for candidate in found if candidate.is_file()), None)
        if image is None:
            msg = "the NIfTI header belongs to an .img file that is not beside it; add that file"
            raise ReadError(msg)
        return path, image
    if path.suffix.lower() == ".img":
        for suffix in (".hdr", ".HDR"):
            if sniff.first_bytes(path.with_suffix(suffix)):
                return path.with_suffix(suffix), path
    return path, path


@contextmanager
def _opened(header_file: Path, image_file: Path) -> Iterator[Any]:
    """Open by content, as nibabel itself would go by the suffix."""
    with ExitStack() as stack:
        streams: dict[str, Any] = {}
        for role, file in (("header", header_file), ("image", image_file)):
            opener = sniff.opener_of(sniff.first_bytes(file))
            streams[role] = stack.enter_context(opener(file) if opener else file.open("rb"))
        size = streams["header"].read(4)
        streams["header"].seek(0)
        paired = header_file != image_file
        kind = _CLASSES[size in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c"), paired]
        roles = ("header", "image") if paired else ("image",)
        holders = {role: FileHolder(fileobj=streams[role]) for role in roles}
        yield kind.from_file_map(holders, mmap=False)


def _require_room(image: Any, image_file: Path) -> tuple[int, ...]:
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        msg = f"one real number a voxel is needed and the NIfTI file holds {dtype}"
        raise ReadError(msg)
    shape = tuple(int(size) for size in image.shape)
    packed = sniff.opener_of(sniff.first_bytes(image_file)) is not None
    require_size(
        shape or (0,), dtype.itemsize, image_file.stat().st_size, compressed=packed, what="NIfTI"
    )
    if len(shape) < 2 or (len(shape) > 4 and max(shape[4:]) > 1):
        msg = f"a NIfTI volume of three dimensions is needed, found {' x '.join(map(str, shape))}"
        raise ReadError(msg)
    return shape


def _first_volume(image: Any, shape: tuple[int, ...]) -> tuple[Array, tuple[Verdict, ...]]:
    """Return (x, y, z) values of the first time point, and what to say about the others."""
    raw = image.dataobj.get_unscaled()
    raw = raw.reshape((*shape, 1)[:3]) if len(shape) < 4 else raw.reshape(shape[:4])[..., 0]
    values = _rescaled(raw, image.dataobj.slope, image.dataobj.inter)
    points = shape[3] if len(shape) > 3 else 1
    if points == 1:
        return values, ()
    verdict = Verdict(
        "series_choice",
        Status.WARNING,
        f"The file holds {points} volumes, one after the other in time",
        "The first was measured",
        "The numbers say nothing about the others",
    )
    return values, (verdict,)


def _rescaled(raw: Array, slope: float, intercept: float) -> Array:
    """Return raw * slope + intercept, in int16 where that is exact."""
    if slope == 1 and intercept == 0 and raw.dtype.kind in "iu":
        return raw
    whole = float(slope).is_integer() and float(intercept).is_integer()
    if raw.dtype.kind in "iu" and whole:
        ends = [int(end) * int(slope) + int(intercept) for end in (raw.min(), raw.max())]
        if min(ends) >= _INT16.min and max(ends) <= _INT16.max:
            result = np.empty(raw.shape, np.int16, order="F")
            for z in range(raw.shape[2]):
                result[..., z] = raw[..., z].astype(np.int64) * int(slope) + int(intercept)
            return result
    with np.errstate(over="ignore", invalid="ignore"):
        return raw.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _geometry(header: Any, grid: tuple[int, ...]) -> tuple[Geometry, tuple[Verdict, ...]]:
    """Return the grid of (slice, row, column) and what is doubtful about it."""
    shape: Shape = (grid[0], grid[1], grid[2])
    forms = [affine for affine in _stated_affines(header) if affine is not None]
    told = (_two_orientations(),) if len(forms) == 2 and _disagree(*forms) else ()
    scales = dict.fromkeys((_unit_mm(header), 1.0))
    for scaled in (_in_mm(affine, scale) for affine in forms for scale in scales):
        if _is_usable(scaled):
            return Geometry.from_ras_affine(shape, scaled[:, [2, 1, 0, 3]]), told
    base = header.get_base_affine()
    zooms = np.abs(np.diag(base)[:3])
    if _is_usable(base) and not (zooms == 1).all():
        geometry = Geometry.from_ras_affine(shape, base[:, [2, 1, 0, 3]])
        return geometry, (_no_orientation(),)
    geometry = Geometry.from_ras_affine(shape, np.diag([-1.0, 1, 1, 1])[:, [2, 1, 0, 3]])
    return without_scale(geometry), (_no_orientation(), _no_spacing())


def _no_spacing() -> Verdict:
    return Verdict(
        "slice_spacing",
        Status.WARNING,
        "The NIfTI header gives no voxel size, or one that cannot be true",
        "The voxels were taken without a scale",
        "Percentages are given, ml are not",
    )


def _unit_mm(header: Any) -> float:
    try:
        return _UNIT_MM.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:
        return 1.0


def _in_mm(affine: Array, scale: float) -> Array:
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= scale
    return scaled


def _is_usable(affine: Array) -> bool:
    if not np.isfinite(affine).all() or np.abs(affine[:3, 3]).max() > 1e6:
        return False
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < MIN_SPACING_MM or lengths.max() > MAX_SPACING_MM:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) > 0.3)


def _stated_affines(header: Any) -> tuple[Array | None, Array | None]:
    """Return the affines to RAS the header states, sform and qform."""
    try:
        qform = header.get_qform(coded=True)[0]
    except HeaderDataError:
        qform = None
    return header.get_sform(coded=True)[0], qform


def _disagree(first: Array, second: Array) -> bool:
    with np.errstate(all="ignore"):
        ways = [a[:3, :3] / np.linalg.norm(a[:3, :3], axis=0) for a in (first, second)]
        return not bool(np.abs(ways[0] - ways[1]).max() < 0.1)


def _no_orientation() -> Verdict:
    return Verdict(
        "orientation",
        Status.WARNING,
        "The NIfTI header does not say how the patient lies (neither qform nor sform)",
        "The usual order was assumed: columns to the right, rows to the front, slices to the head",
        "Right and left, and upper and lower zones, may be exchanged; totals may then be off",
    )


def _two_orientations() -> Verdict:
    return Verdict(
        "orientation",
        Status.WARNING,
        "The NIfTI header states two different orientations (sform and qform)",
        "The sform was used",
        "If the qform is right, sides or zones are exchanged and totals may be off too",
    )
