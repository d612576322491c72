"""A small volume of which every voxel has its own value, to be written in many formats."""

from __future__ import annotations

import bz2
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status

nib: Any = nibabel
sitk: Any = SimpleITK

VALUES = (np.arange(4 * 5 * 6).reshape(4, 5, 6) * 7 - 400).astype(np.int16)
SPACING = (2.5, 0.8, 0.7)
LPS_AFFINE = np.array(
    [[0, 0, 0.7, -10], [0, 0.8, 0, 20], [-2.5, 0, 0, 30], [0, 0, 0, 1]], dtype=np.float64
)
"""Of index (slice, row, column): canonical."""
TO_RAS = np.diag([-1.0, -1, 1, 1])


def xyz(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the affine to RAS for index (x, y, z), as NIfTI wants it."""
    return np.asarray((TO_RAS @ affine)[:, [2, 1, 0, 3]])


def save_nifti(path: Path, values: Any = VALUES, affine: Any = None, **header: Any) -> Path:
    """Write (slices, rows, columns) values; ``header`` sets fields after all else."""
    affine = xyz(LPS_AFFINE) if affine is None else affine
    values = np.asarray(values)
    image = nib.Nifti1Image(values.T, affine, dtype=values.dtype)
    data = bytearray(image.to_bytes())
    places = {
        "qform_code": ("<h", 252), "sform_code": ("<h", 254), "slope": ("<f", 112),
        "inter": ("<f", 116), "units": ("<B", 123), "pixdim1": ("<f", 80), "pixdim2": ("<f", 84),
        "pixdim3": ("<f", 88), "dim1": ("<h", 42), "dim2": ("<h", 44), "dim3": ("<h", 46),
        "srow_x": ("<f", 280),
    }  # fmt: skip
    for name, value in header.items():
        kind, place = places[name]
        struct.pack_into(kind, data, place, value)
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path


def itk_image(values: Any = VALUES) -> Any:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-10, 20, 30))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    return image


def checks(scan: Scan) -> dict[str, Status]:
    return {verdict.check: verdict.status for verdict in scan.verdicts}


def assert_is_the_volume(scan: Scan) -> None:
    assert np.array_equal(scan.voxels, VALUES)
    assert scan.geometry.affine == pytest.approx(LPS_AFFINE, abs=1e-5)
    assert scan.intensity is Intensity.UNKNOWN
    assert scan.provenance.sha256 is not None


def nrrd(values: Any, *lines: str, dimension: int = 3, **fields: str) -> bytes:
    """Return an NRRD file; ``lines`` replace or add header lines, ``encoding`` packs."""
    array = np.asarray(values)
    encoding = fields.get("encoding", "raw")
    sizes = " ".join(str(n) for n in array.shape[::-1])
    head = {
        "type": "short", "dimension": str(dimension), "sizes": sizes, "endian": "little",
        "encoding": encoding, "space": "left-posterior-superior",
        "space directions": "(0.7,0,0) (0,0.8,0) (0,0,-2.5)" + " none" * (dimension - 3),
        "space origin": "(-10,20,30)",
    }  # fmt: skip
    for line in lines:
        key, _, value = line.partition(": ")
        head[key] = value
    head = {key: value for key, value in head.items() if value}
    body = array.astype(fields.get("order", "<i2")).tobytes()
    pack: dict[str, Callable[[bytes], bytes]]
    pack = {"gzip": gzip.compress, "bzip2": bz2.compress, "raw": bytes}
    if encoding == "ascii":
        body = " ".join(str(v) for v in array.ravel()).encode()
    else:
        body = pack[encoding](body)
    text = "\n".join(f"{key}: {value}" for key, value in head.items())
    return f"NRRD0005\n# a comment: with a colon\n{text}\n\n".encode() + body
