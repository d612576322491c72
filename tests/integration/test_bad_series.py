"""The twelve ways in which series go wrong that every reader must be asked about.

Each on a series built for it: what was found, what was done, what it does to the numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundglass.core.scan import Intensity
from groundglass.core.verdict import Status
from groundglass.errors import NotAnalyzableError
from groundglass.readers.options import ReadOptions
from groundglass.readers.read import read_scan
from tests.series import (
    BLOCK_MM2,
    block,
    block_ml,
    make_slices,
    refusal,
    save,
    told,
    warnings_of,
)


def test_sound_series_is_read_without_complaint(tmp_path: Path) -> None:
    hu = block()
    scan = read_scan(save(make_slices(hu), tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert scan.geometry.spacing_mm == pytest.approx((5, 0.7, 0.7))
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)
    assert told(scan, "series_choice").status is Status.OK
    assert [v.check for v in scan.verdicts] == ["series_choice"]
    assert scan.intensity is Intensity.HU


def test_one_slice_missing(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[7]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "slice_gaps")
    assert verdict.status is Status.WARNING
    assert "1 of 20 slices is missing, between z = 70.0 and 60.0 mm" in verdict.found
    assert "5.3 % of the length" in verdict.effect
    assert "5.28 mm" in verdict.effect
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)


def test_five_slices_missing_in_the_middle(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[8:13]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "slice_gaps")
    assert "5 of 20 slices are missing, between z = 65.0 and 35.0 mm" in verdict.found
    assert "26.3 % of the length" in verdict.effect
    assert "6.79 mm instead of 5.00 mm every lesion would have measured 35.7 %" in verdict.effect
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)
    assert scan.geometry.step_mm == pytest.approx(5.0)
    assert "slice_spacing" not in warnings_of(scan)


def test_thin_then_thick_slices(tmp_path: Path) -> None:
    z = [100.0 - i for i in range(10)] + [90.0 - 5 * i for i in range(10)]
    scan = read_scan(save(make_slices(block(), z_mm=z, SliceThickness=None), tmp_path))
    verdict = told(scan, "slice_spacing")
    assert verdict.status is Status.WARNING
    assert "1.00 mm from z = 100.0 to 90.0 mm, then 5.00 mm from z = 90.0 to 45.0 mm" in (
        verdict.found
    )
    assert "2.89 mm" in verdict.effect
    assert "slice_gaps" not in warnings_of(scan)
    extent_mm = 0.5 + 10 + 45 + 2.5
    assert block_ml(scan) == pytest.approx(extent_mm * BLOCK_MM2 / 1000, rel=0.02)
    thin = np.arange(20)[scan.geometry.widths_mm == 1]  # type: ignore[operator,unused-ignore]
    assert len(thin) == 10


def test_gantry_tilt(tmp_path: Path) -> None:
    slices = make_slices(block())
    for number, dataset in enumerate(slices):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 1.2 * number, z]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "gantry_tilt")
    assert verdict.status is Status.WARNING
    assert "13.5 degrees" in verdict.found
    assert "5.00 mm where the table moved 5.14 mm" in verdict.done
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)


def test_two_phases_on_the_same_places(tmp_path: Path) -> None:
    hu = block()
    first = make_slices(hu, series="1.2.3.4", AcquisitionNumber=3)
    second = make_slices(hu + 5, series="1.2.3.4", AcquisitionNumber=2)
    mixed = [d for pair in zip(first, second, strict=True) for d in pair]
    scan = read_scan(save(mixed, tmp_path))
    verdict = told(scan, "duplicate_positions")
    assert verdict.status is Status.WARNING
    assert "2 sets of slices on the same places (20 and 20 slices)" in verdict.found
    assert "acquisition number" in verdict.found
    assert np.array_equal(scan.voxels, hu + 5), "the earlier acquisition, unmixed"


def test_two_series_in_one_folder(tmp_path: Path) -> None:
    hu = block((30, 64, 64))
    save(make_slices(hu, 5, series="1.2.3.1", SeriesNumber=7), tmp_path / "a")
    save(make_slices(hu[:8], 5, series="1.2.3.2", SeriesNumber=3), tmp_path / "b")
    scan = read_scan(tmp_path)
    verdict = told(scan, "series_choice")
    assert verdict.found == "2 series were found"
    assert "Series 2 was read (30 images over 145 mm" in verdict.done
    assert "not read: 1: 8 images over 35 mm" in verdict.done
    assert scan.shape[0] == 30
    assert read_scan(tmp_path, series="1.2.3.2").shape[0] == 8
    assert read_scan(tmp_path, series="1").shape[0] == 8
    assert "as asked" in told(read_scan(tmp_path, series="2"), "series_choice").done


def test_no_image_type(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImageType
    scan = read_scan(save(slices, tmp_path))
    assert told(scan, "image_type").status is Status.NOTE
    assert "20 of 20 slices" in told(scan, "image_type").found
    assert scan.shape[0] == 20
    assert not warnings_of(scan)


@pytest.mark.parametrize("modality", ["CR", "MR", "PT"])
def test_another_modality_is_refused(tmp_path: Path, modality: str) -> None:
    save(make_slices(block(), Modality=modality), tmp_path)
    with pytest.raises(NotAnalyzableError, match=f"20 of modality {modality}") as caught:
        read_scan(tmp_path)
    verdict = refusal(caught.value)
    assert verdict.check == "modality"
    assert "correct the tag or convert" in verdict.done


def test_no_rescale_tags_is_not_taken_for_hu(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert scan.intensity is Intensity.UNKNOWN
    assert scan.voxels.min() == 24
    assert "no rescale slope and intercept" in told(scan, "intensity").found
    stated = read_scan(tmp_path, options=ReadOptions(hu_offset=-1024))
    assert stated.intensity is Intensity.HU
    assert stated.provenance.steps[0].parameters == {"added": -1024, "stated": True}
    assert np.array_equal(stated.voxels, block())


def test_one_slice(tmp_path: Path) -> None:
    scan = read_scan(save(make_slices(block()[:1]), tmp_path))
    verdict = told(scan, "single_slice")
    assert verdict.status is Status.WARNING
    assert "slab of 5 mm" in verdict.effect
    assert block_ml(scan) == pytest.approx(5 * BLOCK_MM2 / 1000)


def test_eight_bit_picture_in_dicom(tmp_path: Path) -> None:
    slices = make_slices(block()[:3])
    for dataset in slices:
        grey = np.linspace(0, 255, 64 * 64).astype(np.uint8)
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelData = 7, grey.tobytes()
        del dataset.RescaleSlope, dataset.RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert scan.intensity is Intensity.DISPLAY
    assert (scan.voxels.min(), scan.voxels.max()) == (0, 255)
    assert "8-bit" in told(scan, "picture").found
