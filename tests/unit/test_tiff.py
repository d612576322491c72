"""TIFF stacks: exact values, the usual offset, a scale only where it can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers import tiff
from groundglass.readers.options import ReadOptions
from groundglass.readers.volume import read_slices, read_volume

HU = (np.arange(6 * 20 * 30).reshape(6, 20, 30) - 1024).astype(np.int16)
STORED = (HU.astype(np.int32) + 1024).astype(np.uint16)


def save(path: Path, values: Any = STORED, **options: Any) -> Path:
    tifffile.imwrite(path, values, photometric="minisblack", **options)
    return path


def checks(scan: Scan) -> dict[str, Status]:
    return {verdict.check: verdict.status for verdict in scan.verdicts}


def test_stacks_hold_hu_plus_1024(tmp_path: Path) -> None:
    scan = read_volume(save(tmp_path / "a.tif"))
    assert np.array_equal(scan.voxels, HU)
    assert scan.intensity is Intensity.UNKNOWN
    assert not scan.geometry.spacing_known
    assert checks(scan) == {"ordering": Status.NOTE, "slice_spacing": Status.WARNING}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_any_number_of_slices(count: int, tmp_path: Path) -> None:
    scan = read_volume(save(tmp_path / "a.tif", STORED[:count]))
    assert np.array_equal(scan.voxels, HU[:count])


def test_a_stated_offset_counts(tmp_path: Path) -> None:
    scan = read_volume(save(tmp_path / "a.tif"), ReadOptions(hu_offset=-1000))
    assert np.array_equal(scan.voxels, HU + 24)
    assert scan.intensity is Intensity.HU
    assert dict(scan.provenance.steps[0].parameters) == {"added": -1000, "stated": True}


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32])
def test_signed_values_below_zero_need_no_offset(kind: Any, tmp_path: Path) -> None:
    scan = read_volume(save(tmp_path / "a.tif", HU.astype(kind)))
    assert np.array_equal(scan.voxels, HU)


@pytest.mark.parametrize("packing", ["zlib", "lzw"])
def test_packed_slices_are_read(packing: str, tmp_path: Path) -> None:
    if packing == "zlib":
        save(tmp_path / "a.tif", compression="zlib")
    else:
        pages = [Image.fromarray(page) for page in STORED]
        pages[0].save(
            tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
        )
    assert np.array_equal(read_volume(tmp_path / "a.tif").voxels, HU)


def test_a_believable_scale_is_taken(tmp_path: Path) -> None:
    values = np.zeros((3, 512, 512), np.uint16)
    values[0, 0, 0] = 1
    scale: dict[str, Any] = {"resolution": (1 / 0.7, 1 / 0.7), "imagej": True}
    options: dict[str, Any] = {"metadata": {"spacing": 2.0, "unit": "mm", "axes": "ZYX"}}
    tifffile.imwrite(tmp_path / "a.tif", values, **scale, **options)
    scan = read_volume(tmp_path / "a.tif")
    assert scan.geometry.spacing_mm == pytest.approx((2, 0.7, 0.7), rel=1e-4)
    assert "slice_spacing" not in checks(scan)
    options["metadata"]["spacing"] = 500.0
    tifffile.imwrite(tmp_path / "b.tif", values, **scale, **options)
    assert not read_volume(tmp_path / "b.tif").geometry.spacing_known
    stated = read_volume(tmp_path / "b.tif", ReadOptions(spacing_mm=(1, 2, 3)))
    assert stated.geometry.spacing_mm == (1, 2, 3)


def test_a_screen_resolution_is_no_scale(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", resolution=(96, 96), resolutionunit="INCH")
    assert not read_volume(path).geometry.spacing_known


def test_a_folder_of_slices_is_ordered_by_number(tmp_path: Path) -> None:
    for index, page in enumerate(STORED):
        save(tmp_path / f"s{index * 5}.tif", page)
    (tmp_path / "notes.txt").write_text("no slice")
    scan = read_volume(tmp_path)
    assert np.array_equal(scan.voxels, HU)
    assert scan.provenance.files == 6
    turned = read_volume(tmp_path, ReadOptions(feet_first=True))
    assert np.array_equal(turned.voxels, HU[::-1])


def test_files_of_another_size_or_damaged_are_left_out(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.tif", page) for i, page in enumerate(STORED)]
    paths.append(save(tmp_path / "8.tif", STORED[0, :10]))
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    scan = read_slices(paths)
    assert np.array_equal(scan.voxels, np.delete(HU, 2, axis=0))
    assert checks(scan)["files_skipped"] is Status.WARNING


def test_eight_bits_are_a_picture(tmp_path: Path) -> None:
    scan = read_volume(save(tmp_path / "a.tif", (STORED % 256).astype(np.uint8)))
    assert scan.intensity is Intensity.DISPLAY
    assert "picture" in checks(scan)


def test_colours_are_a_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    assert read_volume(tmp_path / "a.tif").intensity is Intensity.DISPLAY


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", STORED[:1])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ReadError, match="cut off"):
        read_volume(path)
    path.write_bytes(b"II*\x00\x08\x00\x00\x00\x01\x00")
    with pytest.raises(ReadError, match="none of"):
        read_volume(path)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_stack_that_breaks_off_is_said(big: bool, order: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", bigtiff=big, byteorder=order)
    assert "truncated_file" not in checks(read_volume(path))
    path.write_bytes(path.read_bytes()[:-300])
    scan = read_volume(path)
    assert np.array_equal(scan.voxels, HU)
    assert checks(scan)["truncated_file"] is Status.WARNING


def test_slices_before_a_break_are_used(tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in STORED]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: len(data) * 2 // 3])
    scan = read_volume(tmp_path / "a.tif")
    assert 1 <= scan.shape[0] < 6
    assert np.array_equal(scan.voxels, HU[: scan.shape[0]])
    assert checks(scan)["truncated_file"] is Status.WARNING


def test_too_many_files_or_slices_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.tif")
    monkeypatch.setattr(tiff, "MAX_PAGES", 5)
    with pytest.raises(ReadError, match="at most 5 slices"):
        read_volume(path)
    with pytest.raises(UnsafeInputError, match="at most 5 TIFF files"):
        read_slices([path] * 6)
