"""Content tells what a file is; its name is never asked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundglass.readers import sniff

nib: Any = nibabel


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"abc")
    return stream.getvalue()


def _picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, kind)
    return stream.getvalue()


def _nifti(version: int = 1) -> bytes:
    image = (nib.Nifti1Image, nib.Nifti2Image)[version - 1](
        np.zeros((2, 3, 4), np.int16), np.eye(4)
    )
    return bytes(image.to_bytes())


def _old_tar() -> bytes:
    """Return a tar file of before POSIX: no ``ustar``, only a checksum."""
    header = bytearray(_tar())
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header)


CONTENTS = {
    "preamble": (bytes(128) + b"DICM" + bytes(50), "dicom"),
    "tiff preamble": (b"II*\x00" + bytes(124) + b"DICM" + bytes(50), "dicom"),
    "explicit": (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(50), "dicom"),
    "implicit": (b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100" + bytes(50), "dicom"),
    "file meta": (b"\x02\x00\x00\x00UL\x04\x00" + bytes(50), "dicom"),
    "zip": (_zip(), "zip"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "zip"),
    "tar": (_tar(), "tar"),
    "old tar": (_old_tar(), "tar"),
    "tar in gzip": (gzip.compress(_tar()), "tar"),
    "tar in bzip2": (bz2.compress(_tar()), "tar"),
    "tar in xz": (lzma.compress(_tar()), "tar"),
    "gzip": (gzip.compress(b"hello"), "gzip"),
    "nifti": (_nifti(), "nifti"),
    "nifti 2": (_nifti(2), "nifti"),
    "nifti in gzip": (gzip.compress(_nifti()), "nifti"),
    "nrrd": (b"NRRD0004\ntype: short\n", "nrrd"),
    "metaimage": (b"ObjectType = Image\nNDims = 3\n", "metaimage"),
    "metaimage, other order": (b"NDims = 3\nObjectType = Image\n", "metaimage"),
    "tiff": (_picture("TIFF"), "tiff"),
    "big tiff": (b"II+\x00\x08\x00\x00\x00" + bytes(20), "tiff"),
    "png": (_picture("PNG"), "png"),
    "jpeg": (_picture("JPEG"), "jpeg"),
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", ["", ".dcm", ".png", ".nii.gz", ".txt"])
def test_content_is_recognised_under_any_name(name: str, suffix: str, tmp_path: Path) -> None:
    data, kind = CONTENTS[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(data)
    assert sniff.kind(path) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"hello" * 300,
        b"%PDF-1.7",
        bytes(5000),
        b"\xff" * 5000,
        bz2.compress(b"no tar"),
        b"\x5c\x01\x00\x00" + bytes(400),
        b"\x08\x00\x05\x00\xff\xff\xff\xff" + bytes(50),
        b"\x08\x00\x05\x90CS" + bytes(50),
        b"GIF89a" + bytes(50),
    ],
)
def test_other_content_is_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    assert sniff.kind(path) is None


@given(st.binary(max_size=2000))
def test_any_bytes_are_looked_at_without_error(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        assert sniff.kind(path) in (None, *(kind for _, kind in CONTENTS.values()))


def test_the_image_of_a_pair_is_known_by_its_header(tmp_path: Path) -> None:
    header = bytearray(_nifti()[:352])
    header[344:348] = b"ni1\x00"
    (tmp_path / "a.hdr").write_bytes(header)
    (tmp_path / "a.img").write_bytes(bytes(48))
    (tmp_path / "b.img").write_bytes(bytes(48))
    assert sniff.kind(tmp_path / "a.hdr") == "nifti"
    assert sniff.kind(tmp_path / "a.img") == "nifti"
    assert sniff.kind(tmp_path / "b.img") is None


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nothing")
    for name in ("pipe", "dangling", "missing", "."):
        assert sniff.kind(tmp_path / name) is None
    assert sniff.first_bytes(Path("/dev/zero")) == b""
    assert sniff.first_bytes(tmp_path / "a\x00b") == b""
