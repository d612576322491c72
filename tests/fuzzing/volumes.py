"""NIfTI, NRRD, MetaImage and TIFF volumes with broken headers or strange values."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK
import tifffile
from numpy.typing import NDArray

from tests.fuzzing.case import Build, Case, Random, chest_hu, cut, flipped, spoilt, write

FIELDS: tuple[tuple[str, str, int, tuple[float, ...]], ...] = (
    ("dim0", "<h", 40, (0, 1, 2, 4, 7, 8, -1)),
    ("dim1", "<h", 42, (0, -64, 32767, 63)),
    ("dim3", "<h", 46, (0, -1, 30000, 1)),
    ("dim4", "<h", 48, (0, -1, 2000)),
    ("datatype", "<h", 70, (0, 1, 2, 32, 128, 512, 1024, 2304, 777)),
    ("bitpix", "<h", 72, (0, 8, 64)),
    ("qfac", "<f", 76, (0, -1, 1e30)),
    ("pixdim1", "<f", 80, (0, -5.6, float("nan"), 1e9)),
    ("pixdim3", "<f", 88, (0, -14, float("inf"), 1e-9)),
    ("vox_offset", "<f", 108, (0, -1, 1e9, float("nan"))),
    ("scl_slope", "<f", 112, (0, -1, float("nan"), 1e30, 0.001)),
    ("scl_inter", "<f", 116, (float("inf"), float("nan"), 1e30, 1024)),
    ("units", "<B", 123, (0, 1, 3, 255)),
    ("qform_code", "<h", 252, (0, -5, 999)),
    ("sform_code", "<h", 254, (0, -5, 999)),
    ("quatern", "<f", 256, (2.0, float("nan"))),
    ("srow_x", "<f", 280, (0, float("nan"), 1e30)),
    ("srow_z", "<f", 320, (0, float("inf"))),
    ("magic", "<I", 344, (0, 0x0031696E)),
)
"""Name, type, place and wrong values of fields of the NIfTI header."""


def cases() -> Iterator[Case]:
    """Yield volumes."""
    for name, kind, place, values in FIELDS:
        for value in values:
            yield Case("nifti-header", f"{name} is {value}", _field(kind, place, value))
    for share in (0.0, 0.001, 0.1, 0.9):
        yield Case("nifti", f"cut to {share}", spoilt("a.nii", nifti, cut(share)))
        yield Case("nifti", f"gz cut to {share}", spoilt("a.nii.gz", _gz, cut(share)))
    for number in range(8):
        yield Case("nifti", f"header flipped {number}", spoilt("a.nii", nifti, _head_flip))
        yield Case("nifti", f"gz flipped {number}", spoilt("a.nii.gz", _gz, flipped(4, 20)))
    for name in VALUES:
        yield Case("nifti-values", name, write("a.nii.gz", partial(_nifti_of, name)))
    yield from _nifti_others()
    yield from _texts()
    yield from _tiffs()


def _affine() -> NDArray[np.float64]:
    return np.diag([-5.6, -5.6, -14.0, 1.0])


@lru_cache(maxsize=1)
def nifti() -> bytes:
    """Return the sound chest as an uncompressed NIfTI file."""
    return nifti_bytes(chest_hu().T)


def nifti_bytes(values: Any, affine: Any = None) -> bytes:
    """Return (x, y, z) values as a NIfTI file."""
    grid = _affine() if affine is None else affine
    image: Any = nib.Nifti1Image(values, grid)  # type: ignore[no-untyped-call]
    return bytes(image.to_bytes())


def _gz() -> bytes:
    return gzip.compress(nifti(), 1)


def _head_flip(data: bytes, random: Random) -> bytes:
    head = bytearray(data[:352])
    for place in random.integers(40, 352, 6):
        head[place] = int(random.integers(256))
    return bytes(head) + data[352:]


def _field(kind: str, place: int, value: float) -> Build:
    def change(data: bytes, _: Random) -> bytes:
        whole = bytearray(data)
        number = value if kind == "<f" else int(value)
        struct.pack_into(kind, whole, place, number)
        return bytes(whole)

    return spoilt("a.nii", nifti, change)


def _with_hole(hu: NDArray[Any], value: float) -> NDArray[np.float32]:
    real = hu.astype(np.float32)
    real[5:8, 10:40] = value
    return real


VALUES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "with NaN": lambda hu: _with_hole(hu, np.nan),
    "with infinity": lambda hu: _with_hole(hu, np.inf),
    "all NaN": lambda hu: np.full(hu.shape, np.nan, np.float32),
    "constant": np.zeros_like,
    "constant but one": lambda hu: np.eye(1, hu.size, 7).reshape(hu.shape).astype(np.int16),
    "mask": lambda hu: (hu < -600).astype(np.uint8),
    "labels": lambda hu: (hu < -600).astype(np.int16) * 3 + (hu > 30),
    "plus 1024": lambda hu: hu + 1024,
    "eight bits": lambda hu: np.clip((hu + 1000) / 6, 0, 255).astype(np.uint8),
    "twelve bits": lambda hu: np.clip((hu + 1000) * 2.5, 0, 4095).astype(np.uint16),
    "zero to one": lambda hu: ((hu + 1024) / 4000).astype(np.float32),
    "normalised": lambda hu: ((hu - hu.mean()) / hu.std()).astype(np.float32),
    "negated": lambda hu: -hu,
    "unsigned wrap": lambda hu: (hu.astype(np.int32) % 65536).astype(np.uint16),
    "half slope": lambda hu: (hu * 0.5).astype(np.float32),
    "huge": lambda hu: hu.astype(np.float32) * np.float32(1e30),
    "tiny": lambda hu: hu.astype(np.float32) * np.float32(1e-30),
    "filled corners": lambda hu: np.where(hu < -950, -3024, hu).astype(np.int16),
    "one voxel": lambda hu: hu[:1, :1, :1],
    "one row": lambda hu: hu[:, :1, :],
    "one slice": lambda hu: hu[10:11],
    "thin": lambda hu: hu[:, :, 30:32],
    "turned": lambda hu: hu.transpose(2, 0, 1),
    "random": lambda hu: np.random.default_rng(1).integers(-1000, 1000, hu.shape).astype("i2"),
    "double": lambda hu: hu.astype(np.float64),
    "unsigned of 32 bits": lambda hu: (hu.astype(np.int64) + 2**31).astype(np.uint32),
}
"""(slices, rows, columns) values that are not a plain CT in HU, made from one."""


def _nifti_of(name: str) -> bytes:
    return gzip.compress(nifti_bytes(VALUES[name](chest_hu()).T), 1)


def _tiff_of(name: str) -> bytes:
    return tiff_bytes(np.ascontiguousarray(VALUES[name](chest_hu())), photometric="minisblack")


def _nifti_others() -> Iterator[Case]:
    makers: dict[str, Callable[[], bytes]] = {
        "sheared": lambda: nifti_bytes(chest_hu().T, _affine() + np.eye(4, k=1) * 3),
        "oblique": lambda: nifti_bytes(chest_hu().T, _oblique()),
        "no affine": _without_affine,
        "4-D": lambda: nifti_bytes(np.stack([chest_hu().T] * 2, -1)),
        "5-D": lambda: nifti_bytes(chest_hu().T[..., None, None].repeat(3, -1)),
        "2-D": lambda: nifti_bytes(chest_hu().T[..., 10]),
        "1-D": lambda: nifti_bytes(chest_hu().T[:, 10, 10]),
        "complex": lambda: nifti_bytes(chest_hu().T.astype(np.complex64)),
        "colours": lambda: nifti_bytes(np.zeros((64, 64, 20), [(c, "u1") for c in "RGB"])),
        "big bomb": _bomb,
    }
    for name, make in makers.items():
        yield Case("nifti", name, write("a.nii", make))
    yield Case("nifti", "as png", write("scan.png", _gz))
    yield Case("nifti", "as dcm", write("scan.dcm", nifti))
    yield Case("nifti", "header alone", write("a.hdr", _pair_header))


def _oblique() -> NDArray[np.float64]:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    affine = _affine()
    affine[:3, :3] = turn @ affine[:3, :3]
    return affine


def _without_affine() -> bytes:
    image: Any = nib.Nifti1Image(chest_hu().T, None)  # type: ignore[no-untyped-call]
    return bytes(image.to_bytes())


def _pair_header() -> bytes:
    head = bytearray(nifti()[:352])
    head[344:348] = b"ni1\x00"
    return bytes(head)


def _bomb() -> bytes:
    head = bytearray(nifti()[:352])
    struct.pack_into("<3h", head, 42, 30000, 30000, 1000)
    return gzip.compress(bytes(head) + bytes(10**6))


@lru_cache(maxsize=4)
def itk_bytes(suffix: str, compressed: bool = False) -> bytes:
    """Return the sound chest as an NRRD or MetaImage file."""
    sitk: Any = SimpleITK
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        image = sitk.GetImageFromArray(chest_hu())
        image.SetSpacing((5.6, 5.6, 14.0))
        image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
        sitk.WriteImage(image, str(path), compressed)
        return path.read_bytes()


NRRD_EDITS = (
    ("sizes: 64 64 20", "sizes: 0 64 20"), ("sizes: 64 64 20", "sizes: -64 64 20"),
    ("sizes: 64 64 20", "sizes: 60000 60000 6000"), ("sizes: 64 64 20", "sizes: 64 64"),
    ("sizes: 64 64 20", "sizes: 64 64 21"), ("sizes: 64 64 20", "sizes: 999999999999999999 1 1"),
    ("dimension: 3", "dimension: 0"), ("dimension: 3", "dimension: 17"),
    ("type: short", "type: block"), ("type: short", "type: float"),
    ("type: short", "type: rubbish"),
    ("encoding: raw", "encoding: gzip"), ("encoding: raw", "encoding: ascii"),
    ("encoding: raw", "encoding: rubbish"), ("endian: little", "endian: big"),
    ("endian: little", "endian: none"), ("space: left-posterior-superior", "space: scanner-xyz"),
    ("space: left-posterior-superior", "# no space"), ("NRRD0004", "NRRD0099"),
    ("encoding: raw", "encoding: raw\ndata file: /etc/passwd"),
    ("encoding: raw", "encoding: raw\ndata file: ../secret.raw"),
    ("encoding: raw", "encoding: raw\ndata file: LIST\na.raw\nb.raw"),
    ("encoding: raw", "encoding: raw\ndata file: %03d.raw 1 20 1"),
    ("encoding: raw", "encoding: raw\nbyte skip: 1000000000"),
    ("encoding: raw", "encoding: raw\nbyte skip: -1"), ("(5.5999", "(nan"), ("(5.5999", "(0.0"),
)  # fmt: skip
_META_STEPS = "ElementSpacing = 5.5999999999999996 5.5999999999999996 14"
META_EDITS = (
    ("DimSize = 64 64 20", "DimSize = 0 64 20"), ("DimSize = 64 64 20", "DimSize = -1 64 20"),
    ("DimSize = 64 64 20", "DimSize = 50000 50000 5000"), ("DimSize = 64 64 20", "DimSize = 64"),
    ("NDims = 3", "NDims = 0"), ("NDims = 3", "NDims = 100"), ("NDims = 3", "NDims = 2"),
    ("MET_SHORT", "MET_RUBBISH"), ("MET_SHORT", "MET_DOUBLE"), ("MET_SHORT", "MET_STRING"),
    (_META_STEPS, "ElementSpacing = 0 0 0"),
    (_META_STEPS, "ElementSpacing = nan 1 1"),
    (_META_STEPS, "ElementSpacing = -5.6 5.6 14"),
    (_META_STEPS, "Comment = none"),
    ("TransformMatrix = 1 0 0 0 1 0 0 0 -1", "TransformMatrix = 0 0 0 0 0 0 0 0 0"),
    ("TransformMatrix = 1 0 0 0 1 0 0 0 -1", "Comment = none"),
    ("ElementDataFile = LOCAL", "ElementDataFile = /etc/passwd"),
    ("ElementDataFile = LOCAL", "ElementDataFile = ../../x.raw"),
    ("ElementDataFile = LOCAL", "ElementDataFile = missing.raw"),
    ("ElementDataFile = LOCAL", "ElementDataFile = LIST"),
    ("ElementDataFile = LOCAL", "ElementDataFile = s%03d.raw 1 20 1"),
    ("ElementDataFile = LOCAL", "ElementDataFile = a.mha"),
    ("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True"),
    ("CompressedData = False", "CompressedData = True"),
)  # fmt: skip


def _texts() -> Iterator[Case]:
    for group, suffix, edits in (("nrrd", ".nrrd", NRRD_EDITS), ("metaimage", ".mha", META_EDITS)):
        for number, (old, new) in enumerate(edits):
            name = f"{number} {new[:30]!r}"
            yield Case(group, name, _edited(suffix, old, new))
        for share in (0.0, 0.005, 0.5):
            yield Case(group, f"cut to {share}", spoilt(f"a{suffix}", _itk(suffix), cut(share)))
        for number in range(3):
            make = _itk(suffix, compressed=True)
            yield Case(group, f"flipped {number}", spoilt(f"a{suffix}", make, flipped(6)))


def _itk(suffix: str, *, compressed: bool = False) -> Any:
    return lambda: itk_bytes(suffix, compressed)


def _edited(suffix: str, old: str, new: str) -> Build:
    def change(data: bytes, _: Random) -> bytes:
        assert old.encode() in data, f"'{old}' is not in the header"
        return data.replace(old.encode(), new.encode(), 1)

    return spoilt(f"a{suffix}", _itk(suffix), change)


def tiff_bytes(values: NDArray[Any], **options: Any) -> bytes:
    """Return values as a TIFF file."""
    stream = BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def _tiffs() -> Iterator[Case]:
    def sound() -> bytes:
        return tiff_bytes((chest_hu() + 1024).astype(np.uint16), photometric="minisblack")

    for share in (0.0, 0.0005, 0.3, 0.95):
        yield Case("tiff", f"cut to {share}", spoilt("a.tif", sound, cut(share)))
    for number in range(8):
        yield Case("tiff", f"flipped {number}", spoilt("a.tif", sound, flipped(30)))
        yield Case("tiff", f"head flipped {number}", spoilt("a.tif", sound, _tiff_head_flip))
    loop = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIII", 1, 256, 4, 1, 64, 8)
    yield Case("tiff", "pages in a loop", write("a.tif", loop))
    yield Case("tiff", "no pages", write("a.tif", b"II*\x00\x00\x00\x00\x00"))
    yield Case("tiff", "giant", write("a.tif", _giant_tiff()))
    for name in list(VALUES)[:19]:
        yield Case("tiff-values", name, write("a.tif", partial(_tiff_of, name)))


def _tiff_head_flip(data: bytes, random: Random) -> bytes:
    head = bytearray(data[:300])
    for place in random.integers(4, 300, 5):
        head[place] = int(random.integers(256))
    return bytes(head) + data[300:]


def _giant_tiff() -> bytes:
    entries = ((256, 4, 100_000), (257, 4, 100_000), (258, 3, 16), (259, 3, 8), (262, 3, 1),
               (273, 4, 8), (277, 3, 1), (278, 4, 100_000), (279, 4, 100))  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries)) + body + bytes(4)
