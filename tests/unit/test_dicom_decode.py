"""Pixels of every transfer syntax, enhanced files, and streams that lie about themselves."""

from __future__ import annotations

import io
import struct
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from groundglass.core.progress import Progress
from groundglass.core.scan import Intensity
from groundglass.doctor_samples import sample_dataset, sample_hu
from groundglass.errors import InconsistentSeriesError, UnsafeInputError, UnsupportedFormatError
from groundglass.readers import dicom_decode, dicom_file
from groundglass.readers.dicom_file import inflate
from groundglass.readers.read import read_scan
from tests.series import block, compress, encapsulated, make_enhanced, make_slices, save

SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}

TWELVE_BITS = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
    "EBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wQALDAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAACw7/xAAcEAAABgMA"
    "AAAAAAAAAAAAAAAACQ0pNUhUZnL/2gAIAQEAAD8Anb8ttNxoBhfGrbxrQQALbTcaAYXxq28a0LwALbTcaAYXxq28a0"
    "EAC203GgGF8atvGtD/2Q=="
)
"""A ramp of 16 by 16 steps of 16, made by imagecodecs' JPEG encoder at quality 100."""


@pytest.mark.parametrize("name", SYNTAXES)
def test_transfer_syntaxes(tmp_path: Path, name: str) -> None:
    if name == "JPEG-LS":
        pytest.importorskip("jpeg_ls")
    hu = block((3, 32, 48))
    slices = make_slices(hu)
    for dataset in slices:
        compress(dataset, SYNTAXES[name])
    scan = read_scan(save(slices, tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert scan.voxels.dtype == np.int16


def test_baseline_jpeg_is_a_picture(tmp_path: Path) -> None:
    grey = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "jpeg", quality=95)
    (dataset,) = make_slices(block()[:1])
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    encapsulated(dataset, [stream.getvalue()], JPEGBaseline8Bit)
    scan = read_scan(save([dataset], tmp_path))
    assert scan.intensity is Intensity.DISPLAY
    assert np.abs(scan.voxels[0].astype(int) - grey).max() <= 4


def test_high_throughput_jpeg_2000(tmp_path: Path) -> None:
    sample_dataset("HTJ2K").save_as(tmp_path / "slice", enforce_file_format=True)
    assert np.array_equal(read_scan(tmp_path).voxels[0], sample_hu())


def test_extended_jpeg_of_twelve_bits(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:16, :16]
    stored = (rows * 16 + columns) * 16
    (dataset,) = make_slices(stored[None] - 1024)
    encapsulated(dataset, [b64decode(TWELVE_BITS)], JPEGExtended12Bit)
    scan = read_scan(save([dataset], tmp_path))
    assert np.abs(scan.voxels[0] - (stored - 1024)).max() <= 1


@pytest.mark.parametrize("shared_scale", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_enhanced_ct(tmp_path: Path, shared_scale: bool, shuffle: bool) -> None:
    hu = (block((7, 32, 32)) // 2) * 2
    dataset = make_enhanced(hu, shared_scale=shared_scale, shuffle=shuffle)
    scan = read_scan(save([dataset], tmp_path) / "0")
    assert np.array_equal(scan.voxels, hu)
    assert scan.geometry.spacing_mm == pytest.approx((5, 0.7, 0.7))
    assert scan.geometry.z_mm[0] == pytest.approx(100)
    assert scan.provenance.files == 1


def test_enhanced_ct_with_a_missing_frame_position(tmp_path: Path) -> None:
    dataset = make_enhanced(block((9, 32, 32)))
    del dataset.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence
    scan = read_scan(save([dataset], tmp_path))
    assert scan.shape[0] == 8
    assert "ordering" in [v.check for v in scan.verdicts]


def test_multiframe_without_geometry_is_read_in_frame_order(tmp_path: Path) -> None:
    hu = block((5, 32, 32))
    dataset = make_enhanced(hu)
    del dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    scan = read_scan(save([dataset], tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert scan.geometry.slice_volumes_mm3 is None
    assert {"ordering", "orientation", "slice_spacing"} <= {v.check for v in scan.verdicts}


def test_signed_twelve_bits_and_high_bit(tmp_path: Path) -> None:
    (dataset,) = make_slices(block()[:1])
    hu = block()[0]
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = (hu.astype("<i2") & 0x0FFF).astype("<u2").tobytes()
    assert np.array_equal(read_scan(save([dataset], tmp_path)).voxels[0], hu)
    dataset.HighBit = 15
    dataset.PixelData = (hu.astype("<i4") << 4).astype("<i2").tobytes()
    assert np.array_equal(read_scan(save([dataset], tmp_path)).voxels[0], hu)


def test_values_beyond_int16_are_clipped(tmp_path: Path) -> None:
    (dataset,) = make_slices(block()[:1], RescaleSlope=100)
    scan = read_scan(save([dataset], tmp_path))
    assert scan.voxels.max() == 32767
    assert scan.voxels.dtype == np.int16


def test_file_without_preamble_is_read(tmp_path: Path) -> None:
    hu = block((4, 32, 32))
    for index, dataset in enumerate(make_slices(hu)):
        del dataset.file_meta
        dataset.save_as(tmp_path / str(index), implicit_vr=True, little_endian=True)
    assert np.array_equal(read_scan(tmp_path).voxels, hu)


def test_header_longer_than_the_first_bite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hu = block((3, 32, 32))
    slices = make_slices(hu)
    for dataset in slices:
        dataset.add_new(0x00191001, "OB", b"\1" * 5000)
    monkeypatch.setattr(dicom_file, "PREFIX_BYTES", 4096)
    assert np.array_equal(read_scan(save(slices, tmp_path)).voxels, hu)


def test_compressed_stream_of_another_size_is_refused(tmp_path: Path) -> None:
    (dataset,) = make_slices(block((1, 32, 32)))
    compress(dataset, SYNTAXES["JPEG 2000"])
    dataset.Rows = 31
    with pytest.raises(InconsistentSeriesError) as caught:
        read_scan(save([dataset], tmp_path))
    assert "another size" in caught.value.verdicts[0].found


@pytest.mark.parametrize("name", ["RLE", "JPEG lossless", "JPEG 2000"])
def test_damaged_streams_cost_their_slice_only(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(1).integers(-1000, 3000, (8, 64, 64))
    slices = make_slices(noise)
    for dataset in slices:
        compress(dataset, SYNTAXES[name])
    save(slices, tmp_path)
    file = tmp_path / "3"
    file.write_bytes(file.read_bytes()[:-3000])
    scan = read_scan(tmp_path)
    assert scan.shape[0] == 7
    assert "truncated_file" in [v.check for v in scan.verdicts]


def test_unknown_syntax_is_refused_by_name(tmp_path: Path) -> None:
    (dataset,) = make_slices(block((1, 32, 32)))
    encapsulated(dataset, [b"\0" * 64], "1.2.840.10008.1.2.4.102")
    with pytest.raises(InconsistentSeriesError) as caught:
        read_scan(save([dataset], tmp_path))
    assert "damaged pixel data" in caught.value.verdicts[0].found


def test_absurd_sizes_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dataset,) = make_slices(block((1, 32, 32)))
    dataset.Rows = 20_000
    with pytest.raises(UnsupportedFormatError, match="image size that no CT has"):
        read_scan(save([dataset], tmp_path))
    monkeypatch.setattr(dicom_decode, "MAX_VOXELS", 1000)
    save(make_slices(block((1, 32, 32))), tmp_path)
    with pytest.raises(UnsafeInputError, match="split it"):
        read_scan(tmp_path)


def test_deflate_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset,) = make_slices(np.zeros((1, 256, 256), np.int16))
    compress(dataset, SYNTAXES["deflated"])
    file = save([dataset], tmp_path) / "0"
    monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 10_000)
    with pytest.raises(ValueError, match="beyond any scan"):
        inflate(file.read_bytes())
    with pytest.raises(UnsupportedFormatError, match="damaged header"):
        read_scan(file)


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    steps: list[Progress] = []
    read_scan(save(make_slices(block((4, 16, 16))), tmp_path), on_progress=steps.append)
    assert {step.stage for step in steps} == {"reading headers", "reading slices"}
    assert steps[-1] == Progress("reading slices", 4, 4)


def test_float_pixels_are_no_ct(tmp_path: Path) -> None:
    (dataset,) = make_slices(block((1, 16, 16)))
    del dataset.PixelData
    dataset.FloatPixelData = struct.pack("<256f", *range(256))
    with pytest.raises((InconsistentSeriesError, UnsupportedFormatError)):
        read_scan(save([dataset], tmp_path))
