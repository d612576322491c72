"""Rescale, padding and tags that are missing, differ or lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundglass.core.verdict import Status
from groundglass.readers.read import read_scan
from tests.series import (
    block,
    make_slices,
    save,
    told,
)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    hu = (block() // 4) * 4
    slices = make_slices(hu)
    for dataset in slices[::2]:
        values = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = (values // 2).astype("<u2").tobytes()
        dataset.RescaleSlope = 2
    scan = read_scan(save(slices, tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert "slope 1 to 2" in told(scan, "intensity").found


def test_fractional_slope_is_rounded(tmp_path: Path) -> None:
    slices = make_slices(block(), RescaleSlope=0.5)
    scan = read_scan(save(slices, tmp_path))
    expected = np.rint((block().astype(float) + 1024) * 0.5 - 1024)
    assert np.array_equal(scan.voxels, expected)


def test_some_slices_without_rescale_borrow_it(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[2].RescaleSlope, slices[2].RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices state no rescale" in told(scan, "intensity").found
    assert np.array_equal(scan.voxels, block())


def test_padding_becomes_air(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        values = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        values[:64] = -2000
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 16, 15
        dataset.RescaleIntercept = 0
        dataset.PixelData = values.astype("<i2").tobytes()
        dataset.add_new(0x00280120, "SS", -2000)
    scan = read_scan(save(slices, tmp_path))
    assert scan.voxels.min() == -1024
    assert "20 slices" in told(scan, "padding").found


def test_padding_that_is_tissue_is_not_believed(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.add_new(0x00280120, "US", 40 + 1024)
    assert np.array_equal(read_scan(save(slices, tmp_path)).voxels, block())


def test_lying_thickness_spacing_and_tilt_tags(tmp_path: Path) -> None:
    slices = make_slices(
        block(), SliceThickness=1.0, SpacingBetweenSlices=2.5, GantryDetectorTilt=-12.0
    )
    scan = read_scan(save(slices, tmp_path))
    assert "1 mm thick and lie 5.00 mm apart" in told(scan, "slice_thickness").found
    assert "80 % of the lung was not imaged" in told(scan, "slice_thickness").effect
    assert "2.5 mm between slices and the positions 5.00 mm" in told(scan, "ordering").found
    assert "tilt of -12 degrees and the positions show 0.0" in told(scan, "gantry_tilt").found
    assert scan.geometry.step_mm == pytest.approx(5)


def test_missing_modality_is_warned_about(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.Modality
    assert told(read_scan(save(slices, tmp_path)), "modality").status is Status.WARNING


def test_other_body_part_is_told(tmp_path: Path) -> None:
    scan = read_scan(save(make_slices(block(), BodyPartExamined="KNEE"), tmp_path))
    assert "KNEE" in told(scan, "body_region").found


@pytest.mark.parametrize("position", ["FFS", "HFP", "FFP", "HFDL"])
def test_other_patient_positions_are_told(tmp_path: Path, position: str) -> None:
    scan = read_scan(save(make_slices(block(), PatientPosition=position), tmp_path))
    assert told(scan, "patient_position").status is Status.NOTE
    assert scan.acquisition.patient_position == position


def test_lossy_burned_in_and_inverted_are_told(tmp_path: Path) -> None:
    slices = make_slices(
        block(),
        LossyImageCompression="01",
        BurnedInAnnotation="YES",
        PhotometricInterpretation="MONOCHROME1",
    )
    scan = read_scan(save(slices, tmp_path))
    words = " ".join(v.sentence for v in scan.verdicts)
    assert "compressed with loss" in words
    assert "text is burned into the pixels" in words
    assert "MONOCHROME1" in words
    assert np.array_equal(scan.voxels, block())
