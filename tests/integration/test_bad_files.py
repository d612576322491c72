"""Files that are no slices, damaged ones, and folders that hold traps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from groundglass.core.verdict import Status
from groundglass.errors import InconsistentSeriesError, UnsupportedFormatError
from groundglass.readers.read import read_scan
from tests.series import (
    BLOCK_MM2,
    block,
    block_ml,
    make_slices,
    refusal,
    save,
    told,
)


def test_localizer_reports_captures_and_junk_are_left_out(tmp_path: Path) -> None:
    series = make_slices(block())
    scout = make_slices(block()[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    report = make_slices(block()[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")[0]
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    capture = make_slices(block()[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.7")[0]
    del capture.ImagePositionPatient
    colour = make_slices(block()[:1], SamplesPerPixel=3)[0]
    save([*series, scout, report, capture, colour], tmp_path / "nested" / "deeper")
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\0\x05\0SQ\0\0" * 9)
    scan = read_scan(tmp_path)
    verdict = told(scan, "files_skipped")
    for words in (
        "1 x localizer",
        "1 x structured or dose report",
        "1 x secondary capture",
        "1 x colour picture",
        "2 x file of another kind",
    ):
        assert words in verdict.found
    assert np.array_equal(scan.voxels, block())


def test_slice_of_another_size_is_left_out_and_its_place_is_a_gap(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, series="1.2.3.4")
    slices[9] = make_slices(hu[:, ::2, ::2], series="1.2.3.4")[9]
    scan = read_scan(save(slices, tmp_path))
    assert "1 x image of another size" in told(scan, "files_skipped").found
    assert told(scan, "files_skipped").status is Status.WARNING
    assert "1 of 20 slices is missing" in told(scan, "slice_gaps").found


def test_localizer_without_image_type_is_told_by_orientation(tmp_path: Path) -> None:
    slices = make_slices(block(), series="1.2.3.4")
    slices[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    scan = read_scan(save(slices, tmp_path))
    assert "another orientation" in told(scan, "files_skipped").found
    assert scan.shape[0] == 19


def test_cut_off_slice_is_left_out(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    file = tmp_path / "5"
    file.write_bytes(file.read_bytes()[:-3000])
    scan = read_scan(tmp_path)
    verdict = told(scan, "truncated_file")
    assert "1 of 20 slices cannot be decoded (1 x pixel data cut off)" in verdict.found
    assert "1 of 20 slices is missing" in told(scan, "slice_gaps").found
    assert scan.provenance.files == 19
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)


def test_too_many_cut_off_slices_are_refused(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    for number in range(5):
        file = tmp_path / str(number)
        file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(InconsistentSeriesError, match="5 of 20 are not") as caught:
        read_scan(tmp_path)
    assert refusal(caught.value).check == "truncated_file"


def _with_extremes(slices: list[Dataset]) -> None:
    for dataset in slices:
        values = dataset.pixel_array
        dataset.add_new(0x00280106, "US", int(values.min()))
        dataset.add_new(0x00280107, "US", int(values.max()))


def test_damaged_pixels_are_found_by_the_stated_extremes(tmp_path: Path) -> None:
    slices = make_slices(block())
    _with_extremes(slices)
    spoiled = bytearray(slices[4].PixelData)
    spoiled[100:102] = b"\xff\x0f"
    slices[4].PixelData = bytes(spoiled)
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices" in told(scan, "pixel_integrity").found
    assert "left out" in told(scan, "pixel_integrity").done
    assert scan.shape[0] == 19


def test_extremes_that_never_fit_are_not_believed(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.add_new(0x00280106, "US", 0)
        dataset.add_new(0x00280107, "US", 4095)
    scan = read_scan(save(slices, tmp_path))
    assert told(scan, "pixel_integrity").status is Status.NOTE
    assert scan.shape[0] == 20


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    save(make_slices(block()[:10]), tmp_path / "outside")
    inside = save(make_slices(block()), tmp_path / "inside")
    (inside / "escape").symlink_to(tmp_path / "outside" / "3")
    (inside / "folder").symlink_to(tmp_path / "outside")
    (inside / "nowhere").symlink_to(tmp_path / "missing")
    scan = read_scan(inside)
    assert scan.shape[0] == 20
    assert "3 x link out of the folder" in told(scan, "files_skipped").found


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 200, b"\0" * 128 + b"DICM" + b"\xff" * 64]
)
def test_junk_is_refused_plainly(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk").write_bytes(content)
    for path in (tmp_path, tmp_path / "junk"):
        with pytest.raises(UnsupportedFormatError, match=r"a CT is needed.*found 1 x"):
            read_scan(path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="there is no file"):
        read_scan(tmp_path)
