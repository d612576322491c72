"""Label masks as NIfTI files that lie on the original in any viewer."""

from __future__ import annotations

import gzip
import math
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import Labels
from groundglass.core.verdict import Status, Verdict

COMPRESSION_LEVEL = 1
"""Of gzip: masks are nearly empty, more effort saves little."""
MAX_GROWTH = 4
"""An irregular grid may become at most this many times as long when it is made even."""
_SCANNER = 1
_MILLIMETRE = 2


def mask_bytes(labels: Labels, geometry: Geometry) -> bytes:
    """Return a label mask as the bytes of a compressed NIfTI file.

    Equal masks give equal bytes. The header holds the grid and nothing about the patient. Slices
    run towards the head in the file, as most programs stack a DICOM series. An irregular grid is
    made even first, see `straighten`.

    Parameters
    ----------
    labels : ndarray of uint8
        (slices, rows, columns) on ``geometry``.
    geometry : Geometry
        Where the voxels lie.
    """
    if not geometry.is_regular:
        labels, geometry = straighten(labels, geometry)
    affine = geometry.ras_affine
    count = geometry.shape[0]
    turned = np.column_stack(
        [affine[:, 2], affine[:, 1], -affine[:, 0], affine[:, 3] + affine[:, 0] * (count - 1)]
    )
    header = _header(geometry, turned)
    body = np.ascontiguousarray(labels[::-1], dtype=np.uint8).data
    return gzip.compress(b"".join((header, body)), COMPRESSION_LEVEL, mtime=0)


def _header(geometry: Geometry, affine: NDArray[np.float64]) -> bytes:
    """Return a single-file NIfTI-1 header with both transforms set."""
    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(np.uint8)
    header.set_data_shape(geometry.shape[::-1])
    header.set_sform(affine, code=_SCANNER)
    header.set_qform(affine, code=_SCANNER, strip_shears=True)
    header.set_xyzt_units(_MILLIMETRE if geometry.spacing_known else 0)
    header.set_slope_inter(1, 0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return bytes(header.binaryblock) + b"\0" * 4


def straighten(labels: Labels, geometry: Geometry) -> tuple[Labels, Geometry]:
    """Return labels on an even grid at right angles, by nearest neighbour.

    Each new slice takes the nearest old one, moved sideways by whole pixels where the gantry was
    tilted, so a label's volume stays what the half distances between slices give. The step is the
    smallest one found, or wider if the grid would grow more than fourfold; slices that lie that far
    apart sideways are not moved.

    Parameters
    ----------
    labels : ndarray of uint8
        (slices, rows, columns) on ``geometry``.
    geometry : Geometry
        Any grid of two or more slices.

    Returns
    -------
    labels : ndarray of uint8
        On the new grid.
    geometry : Geometry
        Regular.
    """
    along = geometry.positions_mm
    sign = 1.0 if along[-1] >= along[0] else -1.0
    depth = sign * (along - along[0])
    length = float(depth[-1])
    steps = geometry.steps_mm[geometry.steps_mm > 0]
    smallest = float(steps.min()) if steps.size else 1.0
    step = max(smallest, length / (MAX_GROWTH * len(depth)))
    count = max(1, math.floor(length / step + 0.5) + 1)
    nearest = np.abs(depth[None, :] - step * np.arange(count)[:, None]).argmin(axis=1)

    offsets = geometry.origins_mm - geometry.origins_mm[0]
    down = np.rint(offsets @ geometry.row_step_mm / geometry.row_mm**2).astype(int)
    right = np.rint(offsets @ geometry.column_step_mm / geometry.column_mm**2).astype(int)
    _, rows, columns = geometry.shape
    if np.ptp(down) > MAX_GROWTH * rows or np.ptp(right) > MAX_GROWTH * columns:
        down, right = np.zeros_like(down), np.zeros_like(right)
    low = (min(int(down.min()), 0), min(int(right.min()), 0))
    tall, wide = rows + int(down.max()) - low[0], columns + int(right.max()) - low[1]
    even = np.zeros((count, tall, wide), dtype=np.uint8)
    for new, old in enumerate(nearest):
        r, c = down[old] - low[0], right[old] - low[1]
        even[new, r : r + rows, c : c + columns] = labels[old]

    start = geometry.origins_mm[0]
    start = start + low[0] * geometry.row_step_mm + low[1] * geometry.column_step_mm
    origins = start + np.outer(np.arange(count), sign * step * geometry.normal)
    grid = Geometry(
        (count, tall, wide),
        origins,
        geometry.row_step_mm,
        geometry.column_step_mm,
        step,
        geometry.spacing_known,
        geometry.frame_of_reference,
    )
    return even, grid


def grid_verdict(geometry: Geometry) -> Verdict | None:
    """Return what writing masks on this grid does to them; ``None`` for a regular grid."""
    if geometry.is_regular:
        return None
    kind = "tilted slices" if geometry.is_even else "slices with uneven steps"
    return Verdict(
        "mask_grid",
        Status.NOTE,
        f"the scan has {kind}, which a NIfTI file cannot describe",
        "the mask files were brought onto an even, straight grid by nearest neighbour",
        "numbers come from the scan's own slices and do not change; in a viewer the masks may "
        "differ from the slices by up to half a slice step",
    )
