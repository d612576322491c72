"""Positions, orientation and spacing that are missing, lie, or are taken twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundglass.core.verdict import Status
from groundglass.readers.options import ReadOptions
from groundglass.readers.read import read_scan
from tests.series import (
    BLOCK_MM2,
    block,
    block_ml,
    make_slices,
    save,
    told,
)


def test_one_slice_of_unknown_thickness_has_no_volume(tmp_path: Path) -> None:
    slices = make_slices(block()[:1])
    del slices[0].SliceThickness
    scan = read_scan(save(slices, tmp_path))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml can be told" in told(scan, "single_slice").effect


def test_order_comes_from_positions_not_names_or_numbers(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for number, dataset in enumerate(slices):
        dataset.InstanceNumber = (7 * number) % 20
    save(slices, tmp_path, lambda i: f"{(11 * i) % 20:03d}")
    assert np.array_equal(read_scan(tmp_path).voxels, hu)


def test_missing_positions_fall_back_to_slice_location(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for dataset in slices:
        del dataset.ImagePositionPatient
        dataset.InstanceNumber = 1
    scan = read_scan(save(slices, tmp_path, lambda i: str((7 * i) % 20)))
    assert "SliceLocation" in told(scan, "ordering").done
    assert np.array_equal(scan.voxels, hu)
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)


def test_positions_all_the_same_are_not_believed(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, ImagePositionPatient=[0, 0, 0])
    scan = read_scan(save(slices, tmp_path))
    assert "all the same" in told(scan, "ordering").found
    assert np.array_equal(scan.voxels, hu)


def test_without_positions_and_locations_numbers_and_thickness_serve(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for dataset in slices:
        del dataset.ImagePositionPatient, dataset.SliceLocation
    del slices[4]
    scan = read_scan(save(slices, tmp_path))
    assert "InstanceNumber" in told(scan, "ordering").done
    assert "1 of 20 slices is missing" in told(scan, "slice_gaps").found
    assert scan.geometry.step_mm == 5


def test_numbers_may_run_from_the_feet(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for number, dataset in enumerate(slices):
        del dataset.ImagePositionPatient, dataset.SliceLocation
        dataset.InstanceNumber = 20 - number
    scan = read_scan(save(slices, tmp_path), options=ReadOptions(feet_first=True))
    assert np.array_equal(scan.voxels, hu)
    assert "the first at the feet" in told(scan, "ordering").done


def test_without_any_distance_no_ml_can_be_told(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImagePositionPatient, dataset.SliceLocation, dataset.SliceThickness
        del dataset.InstanceNumber
    scan = read_scan(save(slices, tmp_path))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml can be told" in told(scan, "ordering").effect
    assert np.array_equal(scan.voxels, block())


def test_some_slices_without_position_are_left_out(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[3].ImagePositionPatient
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices without a place" in told(scan, "ordering").found
    assert "1 of 20 slices is missing" in told(scan, "slice_gaps").found


def test_missing_orientation_is_assumed_and_said(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImageOrientationPatient
    scan = read_scan(save(slices, tmp_path))
    assert "right and left" in told(scan, "orientation").effect
    assert np.array_equal(scan.voxels, block())


def test_missing_pixel_spacing(tmp_path: Path) -> None:
    slices = make_slices(block(), ReconstructionDiameter=44.8)
    for dataset in slices:
        del dataset.PixelSpacing
    scan = read_scan(save(slices, tmp_path / "a"))
    assert "reconstruction diameter: 0.700 mm" in told(scan, "slice_spacing").done
    for dataset in slices:
        del dataset.ReconstructionDiameter
    scan = read_scan(save(slices, tmp_path / "b"))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml" in told(scan, "slice_spacing").effect


def test_stated_spacing_wins(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    scan = read_scan(tmp_path, options=ReadOptions(spacing_mm=(2.0, 1.0, 1.5)))
    assert scan.geometry.spacing_mm == (2.0, 1.0, 1.5)
    assert np.array_equal(scan.voxels, block())
    assert "stated by the user" in told(scan, "slice_spacing").found


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("TemporalPositionIdentifier", (1, 2)),
        ("ConvolutionKernel", ("B31f", "B75h")),
        ("ContentTime", ("101500", "101530")),
        ("InstanceNumber", None),
    ],
)
def test_phases_are_told_apart(tmp_path: Path, tag: str, values: tuple[object, ...] | None) -> None:
    hu = block()
    sets = [make_slices(hu + 7 * i, series="1.2.3.4") for i in range(2)]
    for number, slices in enumerate(sets):
        for index, dataset in enumerate(slices):
            value = values[number] if values else index + 1 + 20 * number
            setattr(dataset, tag, value)
    scan = read_scan(save([*sets[1], *sets[0]], tmp_path))
    assert told(scan, "duplicate_positions").status is Status.WARNING
    assert np.array_equal(scan.voxels, hu)


def test_interleaved_reconstructions_are_not_mixed(tmp_path: Path) -> None:
    hu = block()
    soft = make_slices(hu, series="1.2.3.4")
    between = [97.5 - 5 * i for i in range(20)]
    sharp = make_slices(hu - 3, series="1.2.3.4", z_mm=between, ConvolutionKernel="B80f")
    scan = read_scan(save([*sharp, *soft], tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert "reconstruction kernel" in told(scan, "duplicate_positions").found


def test_neighbouring_acquisitions_stay_one_scan(tmp_path: Path) -> None:
    slices = make_slices(block())
    for number, dataset in enumerate(slices):
        dataset.AcquisitionNumber = 1 + number // 4
    scan = read_scan(save(slices, tmp_path))
    assert scan.shape[0] == 20
    assert [v.check for v in scan.verdicts] == ["series_choice"]


def test_exact_copies_are_used_once(tmp_path: Path) -> None:
    slices = make_slices(block())
    save(slices, tmp_path / "a")
    save(slices[:5], tmp_path / "b")
    scan = read_scan(tmp_path)
    assert told(scan, "duplicate_positions").status is Status.NOTE
    assert "5 images more than once" in told(scan, "duplicate_positions").found
    assert np.array_equal(scan.voxels, block())


def test_repeated_slice_is_left_out(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, series="1.2.3.4")
    again = make_slices(hu + 9, series="1.2.3.4")[6]
    again.InstanceNumber = 30
    scan = read_scan(save([again, *slices], tmp_path))
    assert "1 image at places" in told(scan, "duplicate_positions").found
    assert np.array_equal(scan.voxels, hu)
