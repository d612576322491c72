"""Slices land where their positions say, whatever the files are called and however they lie."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Scan
from groundglass.readers.dicom_steps import Gap, check_steps, find_gaps
from groundglass.readers.read import read_scan
from tests.series import block, make_slices, save, store

MARKED = block((6, 16, 24))
MARKED[1, 3, 5] = 1000
"""One voxel: slice 1 from the head, row 3 from the front, column 5 from the right."""
PLACE = (-20 + 5 * 0.7, -30 + 3 * 0.7, 95.0)


def spot(scan: Scan) -> NDArray[np.float64]:
    """Return the LPS place of the marked voxel."""
    (index,) = np.argwhere(scan.voxels == 1000)
    return np.asarray((scan.geometry.affine @ [*index, 1])[:3])


def turned(flip_rows: bool, flip_columns: bool, swap: bool) -> list[Dataset]:
    """Return the marked series stored with its rows or columns turned round or exchanged."""
    slices = make_slices(MARKED)
    rows, columns = MARKED.shape[1:]
    for dataset, plain in zip(slices, MARKED, strict=True):
        values = plain
        across, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
        origin = np.array(dataset.ImagePositionPatient, float)
        if flip_rows:
            values, origin, down = values[::-1], origin + down * 0.7 * (rows - 1), -down
        if flip_columns:
            values, origin, across = values[:, ::-1], origin + across * 0.7 * (columns - 1), -across
        if swap:
            values, across, down = values.T, down, across
        dataset.ImagePositionPatient = origin.round(6).tolist()
        dataset.ImageOrientationPatient = [*across.tolist(), *down.tolist()]
        store(dataset, values)
    return slices


@given(st.permutations(range(12)), st.permutations(range(12)))
def test_names_and_numbers_are_irrelevant(names: list[int], numbers: list[int]) -> None:
    hu = block((12, 16, 16))
    slices = make_slices(hu, series="1.2.3.4")
    for dataset, number in zip(slices, numbers, strict=True):
        dataset.InstanceNumber = number
    with TemporaryDirectory() as folder:
        scan = read_scan(save(slices, Path(folder), lambda i: f"im{names[i]}"))
    assert np.array_equal(scan.voxels, hu)
    assert scan.provenance.instance_uids == tuple(d.SOPInstanceUID for d in slices)


@pytest.mark.parametrize("flip_rows", [False, True])
@pytest.mark.parametrize("flip_columns", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_turned_slices_land_on_the_same_mm(
    tmp_path: Path, flip_rows: bool, flip_columns: bool, swap: bool
) -> None:
    scan = read_scan(save(turned(flip_rows, flip_columns, swap), tmp_path))
    assert spot(scan) == pytest.approx(PLACE, abs=1e-4)
    assert np.array_equal(scan.voxels, MARKED)


def test_feet_first_series_is_turned_head_up(tmp_path: Path) -> None:
    slices = turned(flip_rows=False, flip_columns=True, swap=False)
    for number, dataset in enumerate(reversed(slices), 1):
        dataset.PatientPosition, dataset.InstanceNumber = "FFS", number
    scan = read_scan(save(slices, tmp_path))
    assert np.array_equal(scan.voxels, MARKED)
    assert scan.geometry.z_mm[0] > scan.geometry.z_mm[-1]


def test_coronal_series_becomes_axial(tmp_path: Path) -> None:
    hu = block((16, 20, 24))
    hu[3, 4, 5] = 1000
    slices = make_slices(hu.transpose(1, 0, 2), 0.7, spacing_mm=(5.0, 0.7))
    for row, dataset in enumerate(slices):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [-20, -30 + 0.7 * row, 100]
    scan = read_scan(save(slices, tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert scan.geometry.spacing_mm == pytest.approx((5, 0.7, 0.7))
    assert spot(scan) == pytest.approx((-20 + 5 * 0.7, -30 + 4 * 0.7, 85))
    assert scan.provenance.instance_uids == ()


def _grid(z_mm: list[float]) -> Geometry:
    origins = np.zeros((len(z_mm), 3))
    origins[:, 2] = z_mm
    return Geometry((len(z_mm), 4, 4), origins, np.array([0, 1.0, 0]), np.array([1.0, 0, 0]))


@given(
    st.integers(12, 40),
    st.sets(st.integers(1, 38), max_size=4),
    st.sampled_from([0.625, 1.0, 2.0, 5.0]),
)
def test_every_missing_slice_is_counted(count: int, missing: set[int], step: float) -> None:
    kept = [i for i in range(count) if i not in missing or i in (0, count - 1)]
    geometry = _grid([-step * i for i in kept])
    assert sum(gap.missing for gap in find_gaps(geometry)) == count - len(kept)
    told = [v.check for v in check_steps(geometry)]
    assert told == (["slice_gaps"] if len(kept) < count else [])


def test_a_gap_where_two_steps_meet_is_measured_against_the_longer() -> None:
    z = [-float(i) for i in range(10)] + [-9.0 - 5 * i for i in range(1, 10)]
    assert find_gaps(_grid(z)) == []
    del z[10:12]
    assert find_gaps(_grid(z)) == [Gap(9, 15.0, 5.0)]


def test_irregular_steps_are_told_with_their_range() -> None:
    steps = np.array([1.0, 1.3, 0.8, 1.2, 1.0, 0.7, 1.25, 1.1, 0.9])
    (verdict,) = check_steps(_grid(list(-np.concatenate([[0], np.cumsum(steps)]))))
    assert verdict.check == "slice_spacing"
    assert "from 0.70 to 1.30 mm" in verdict.found


def test_slices_that_jump_sideways_are_told() -> None:
    geometry = _grid([-2.0 * i for i in range(10)])
    origins = np.array(geometry.origins_mm)
    origins[4, 0] += 12
    moved = Geometry(geometry.shape, origins, geometry.row_step_mm, geometry.column_step_mm)
    (verdict,) = check_steps(moved)
    assert "sideways" in verdict.found
    assert "12.0 mm" in verdict.found
