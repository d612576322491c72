"""NRRD and MetaImage read without ITK: encodings, spaces, headers that lie."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from groundglass.core.verdict import Status
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers.volume import read_volume
from tests.volumes import (
    SPACING,
    VALUES,
    assert_is_the_volume,
    checks,
    itk_image,
    nrrd,
    sitk,
)

# NRRD


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_encodings_ofnrrd(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(nrrd(VALUES, encoding=encoding))
    assert_is_the_volume(read_volume(tmp_path / "a"))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
        ("LPS", (1, 1, 1)),
    ],
)
def test_spaces_ofnrrd(space: str, signs: tuple[int, int, int], tmp_path: Path) -> None:
    x, y, z = signs
    directions = f"space directions: ({0.7 * x},0,0) (0,{0.8 * y},0) (0,0,{-2.5 * z})"
    origin = f"space origin: ({-10 * x},{20 * y},{30 * z})"
    (tmp_path / "a").write_bytes(nrrd(VALUES, f"space: {space}", directions, origin))
    assert_is_the_volume(read_volume(tmp_path / "a"))


def test_big_endiannrrd(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(nrrd(VALUES, "endian: big", order=">i2"))
    assert_is_the_volume(read_volume(tmp_path / "a"))


def test_nrrd_without_space_or_spacing_is_said(tmp_path: Path) -> None:
    no_space = ("space: ", "space directions: ", "space origin: ")
    (tmp_path / "a").write_bytes(nrrd(VALUES, *no_space, "spacings: 0.7 0.8 2.5"))
    scan = read_volume(tmp_path / "a")
    assert checks(scan) == {"orientation": Status.WARNING}
    assert scan.geometry.spacing_mm == pytest.approx(SPACING)
    (tmp_path / "b").write_bytes(nrrd(VALUES, *no_space))
    scan = read_volume(tmp_path / "b")
    assert checks(scan) == {"orientation": Status.WARNING, "slice_spacing": Status.WARNING}
    assert not scan.geometry.spacing_known


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.raw", "a/b.raw", "LIST", "%03d.raw 1 4 1", "C:x", "http://x/y"]
)
def test_voxels_elsewhere_are_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.nhdr").write_bytes(nrrd(VALUES, f"data file: {name}"))
    with pytest.raises(UnsafeInputError, match="not followed"):
        read_volume(tmp_path / "a.nhdr")
    sitk.WriteImage(itk_image(), str(tmp_path / "a.mha"))
    data = (tmp_path / "a.mha").read_bytes().replace(b"LOCAL", name.encode())
    (tmp_path / "a.mha").write_bytes(data)
    with pytest.raises(UnsafeInputError, match="not followed"):
        read_volume(tmp_path / "a.mha")


def test_a_link_beside_the_header_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.nhdr").write_bytes(nrrd(VALUES, "data file: a.raw"))
    with pytest.raises(ReadError, match="add that file"):
        read_volume(tmp_path / "a.nhdr")
    (tmp_path / "real").write_bytes(VALUES.tobytes())
    (tmp_path / "a.raw").symlink_to("real")
    with pytest.raises(ReadError, match="add that file"):
        read_volume(tmp_path / "a.nhdr")
    (tmp_path / "a.raw").unlink()
    (tmp_path / "real").rename(tmp_path / "a.raw")
    assert_is_the_volume(read_volume(tmp_path / "a.nhdr"))


@pytest.mark.parametrize(
    "line",
    ["dimension: 9", "dimension: x", "sizes: 0 5 4", "sizes: 6 5", "type: block", "type: rubbish",
     "encoding: hex", "byte skip: x", "line skip: 3", "space origin: (1,2)",
     "space directions: (1,0,0) (0,x,0) (0,0,1)"],
)  # fmt: skip
def test_broken_nrrd_headers_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(nrrd(VALUES, line))
    with pytest.raises(ReadError):
        read_volume(tmp_path / "a")


def test_a_packed_body_of_wrong_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(nrrd(VALUES, "sizes: 60 50 4", encoding="gzip"))
    with pytest.raises(ReadError, match="cannot be unpacked"):
        read_volume(tmp_path / "a")
    whole = nrrd(VALUES, encoding="gzip")
    (tmp_path / "b").write_bytes(whole[:-40])
    with pytest.raises(ReadError, match="cannot be unpacked"):
        read_volume(tmp_path / "b")


# MetaImage


def _mha(body: bytes | None = None, **fields: str) -> bytes:
    head = {
        "ObjectType": "Image", "NDims": "3", "DimSize": "6 5 4", "ElementType": "MET_SHORT",
        "ElementSpacing": "0.7 0.8 2.5", "Offset": "-10 20 30",
        "TransformMatrix": "1 0 0 0 1 0 0 0 -1",
    } | fields  # fmt: skip
    lines = [f"{key} = {value}" for key, value in head.items() if value]
    lines.append("ElementDataFile = LOCAL\n")
    return "\n".join(lines).encode() + (VALUES.astype("<i2").tobytes() if body is None else body)


def test_orders_and_encodings_of_metaimage(tmp_path: Path) -> None:
    text = " ".join(str(v) for v in VALUES.ravel()).encode()
    kinds = (
        _mha(),
        _mha(VALUES.astype(">i2").tobytes(), BinaryDataByteOrderMSB="True"),
        _mha(zlib.compress(VALUES.astype("<i2").tobytes()), CompressedData="True"),
        _mha(text, BinaryData="False"),
    )
    for data in kinds:
        (tmp_path / "a").write_bytes(data)
        assert_is_the_volume(read_volume(tmp_path / "a"))


def test_metaimage_without_direction_or_spacing_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(_mha(TransformMatrix=""))
    assert checks(read_volume(tmp_path / "a")) == {"orientation": Status.WARNING}
    (tmp_path / "a").write_bytes(_mha(ElementSpacing=""))
    scan = read_volume(tmp_path / "a")
    assert checks(scan) == {"slice_spacing": Status.WARNING}
    assert scan.geometry.slice_volumes_mm3 is None


@pytest.mark.parametrize(
    "fields",
    [{"NDims": "7"}, {"NDims": ""}, {"DimSize": "6 5"}, {"DimSize": "6 5 0"},
     {"ElementType": "MET_STRING"}, {"ElementNumberOfChannels": "3"}, {"Offset": "1 x 3"},
     {"DimSize": "60 50 40"}, {"CompressedData": "True"}],
)  # fmt: skip
def test_broken_metaimage_headers_are_refused(fields: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(_mha(None, **fields))
    with pytest.raises(ReadError):
        read_volume(tmp_path / "a")
