"""What every reader of arrays does at the end: limits, finite values, identity of the bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import SHEAR_TOLERANCE, Geometry
from groundglass.core.provenance import Provenance, Step
from groundglass.core.scan import Intensity, Scan, tidy_values
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError

MAX_VOXELS = 1_000_000_000
"""Most voxels of a scan: a 512 x 512 series of 3800 slices."""
MAX_COMPRESSION = 1100
"""Most that deflate can shrink anything; a header asking for more lies."""
MIN_SPACING_MM, MAX_SPACING_MM = 0.05, 60.0
"""Voxel sizes between which a CT may lie."""
STAND_IN_FIELD_MM = 350.0
"""Width taken for a field of view that is not known."""
STAND_IN_LENGTH_MM = 300.0
"""Length taken for a scan whose slice step is not known."""
_CHUNK_BYTES = 2**22

Shape = tuple[int, int, int]


def sha256_of(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the bytes of the files, one after the other."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                total.update(chunk)
    return total.hexdigest()


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key by which ``slice 9`` comes before ``slice 10``."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def require_size(
    shape: tuple[int, ...], item_bytes: int, stored_bytes: int, *, compressed: bool, what: str
) -> None:
    """Refuse an array whose header cannot be true, before memory is taken for it.

    Parameters
    ----------
    shape : tuple of int
        Dimensions the header claims.
    item_bytes : int
        Bytes of one value.
    stored_bytes : int
        Bytes there are on disk for the values.
    compressed : bool
        Whether they are compressed.
    what : str
        Name of the format, for the message.

    Raises
    ------
    ReadError
        If there are no voxels, or the file holds fewer bytes than the header asks for.
    UnsafeInputError
        If there are more voxels than any scan has, or more than could have been compressed.
    """
    count = 1
    for size in shape:
        count *= int(size)
    if count < 1 or min(shape) < 1:
        msg = f"the {what} header gives {' x '.join(map(str, shape))} voxels; nothing to read"
        raise ReadError(msg)
    if count > MAX_VOXELS:
        msg = (
            f"the {what} header asks for {count:.3g} voxels and at most {MAX_VOXELS:.0e} are read; "
            "the header is damaged or the scan must be split"
        )
        raise UnsafeInputError(msg)
    if count * item_bytes > stored_bytes * (MAX_COMPRESSION if compressed else 1):
        msg = (
            f"the {what} header asks for {count * item_bytes} bytes of voxels and the file holds "
            f"{stored_bytes}; it is cut off or damaged, copy it again"
        )
        raise ReadError(msg)


def without_scale(geometry: Geometry) -> Geometry:
    """Return a grid in the directions of another whose spacing is not known.

    As rules that look for lungs need some size, the field of view is taken to be
    ``STAND_IN_FIELD_MM`` wide and the slices ``STAND_IN_LENGTH_MM`` long in all; no ml are told.
    """
    count, rows, columns = geometry.shape
    in_plane = STAND_IN_FIELD_MM / max(rows, columns)
    step = min(max(STAND_IN_LENGTH_MM / count, 0.5), 10.0)
    way = geometry.origins_mm[-1] - geometry.origins_mm[0]
    along = way / np.linalg.norm(way) if np.linalg.norm(way) > 0 else -geometry.normal
    return replace(
        geometry,
        origins_mm=np.outer(np.arange(count), along * step),
        row_step_mm=geometry.row_step_mm / geometry.row_mm * in_plane,
        column_step_mm=geometry.column_step_mm / geometry.column_mm * in_plane,
        slice_width_mm=None,
        spacing_known=False,
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where an array was read from."""

    format: str
    """``nifti``, ``nrrd``, ``metaimage``, ``tiff`` or ``picture``."""
    files: tuple[Path, ...]
    """Every file that holds part of it, in slice order."""
    steps: tuple[Step, ...] = ()
    """What the reader did to the values."""


def build_scan(
    values: NDArray[Any],
    geometry: Geometry,
    intensity: Intensity,
    source: Source,
    verdicts: tuple[Verdict, ...] = (),
) -> Scan:
    """Return the scan of an array that was read, its values made finite and small.

    Raises
    ------
    ReadError
        If no value is a finite real number.
    """
    told = list(verdicts)
    if values.dtype.kind == "f":
        bad = 1.0 - float(np.isfinite(values).mean())
        if bad:
            told.append(_not_finite(bad))
    try:
        tidy = tidy_values(values)
    except ValueError as error:
        msg = f"real, finite numbers are needed as voxels: {error}"
        raise ReadError(msg) from error
    if abs(geometry.drift) > SHEAR_TOLERANCE:
        told.append(_sheared(geometry.drift))
    provenance = Provenance(
        source.format, sha256_of(source.files), len(source.files), steps=source.steps
    )
    return Scan(tidy, geometry, intensity, provenance, verdicts=tuple(told))


def _not_finite(share: float) -> Verdict:
    return Verdict(
        "pixel_integrity",
        Status.WARNING,
        f"{100 * share:.2g} % of the voxels are not numbers (NaN or infinite)",
        "They were set to the smallest number of the scan",
        "They count as air; if they lie in the lungs, lung and infection are too small",
    )


def _sheared(drift: float) -> Verdict:
    angle = float(np.degrees(np.arctan(drift)))
    return Verdict(
        "gantry_tilt",
        Status.NOTE,
        f"The slices are shifted sideways from one to the next, as by a gantry tilt of "
        f"{angle:.1f} degrees",
        "Slices were used as they are, their distance measured at right angles to them",
        "Volumes are right; shapes across slices are slanted",
    )
