from __future__ import annotations

import gzip
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.writers.masks import grid_verdict, mask_bytes, straighten

nib: Any = nibabel
sitk: Any = SimpleITK
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def labelled(shape: tuple[int, int, int], *points: tuple[int, int, int]) -> NDArray[np.uint8]:
    labels = np.zeros(shape, dtype=np.uint8)
    for number, point in enumerate(points, start=1):
        labels[point] = number
    return labels


def oblique() -> Geometry:
    turn = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.column_stack([[0, 0, -2.5], [0, 0.8, 0], [0.7, 0, 0]])
    affine[:3, 3] = (-100, -90, 40)
    return Geometry.from_affine((6, 9, 11), affine)


def uneven(steps: list[float], tilt: float = 0.0, rows: int = 9) -> Geometry:
    shape = (len(steps) + 1, rows, 11)
    grid = Geometry.from_spacing(shape, (1.0, 0.8, 0.7))
    origins = grid.origins_mm.copy()
    origins[1:, 2] = -np.cumsum(steps)
    origins[:, 1] = tilt * origins[:, 2]
    return replace(grid, origins_mm=origins)


def written(tmp_path: Path, labels: NDArray[np.uint8], grid: Geometry) -> Path:
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(mask_bytes(labels, grid))
    return path


@pytest.mark.parametrize(
    "grid", [Geometry.from_spacing((6, 9, 11), (2.5, 0.8, 0.7)), oblique()], ids=["even", "oblique"]
)
def test_every_label_keeps_its_place_in_the_patient(tmp_path: Path, grid: Geometry) -> None:
    points = [(0, 2, 3), (5, 8, 10), (3, 0, 7)]
    path = written(tmp_path, labelled(grid.shape, *points), grid)
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj)
    seen = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(seen)
    for number, point in enumerate(points, start=1):
        truth = (grid.affine @ [*point, 1])[:3]
        (place,) = np.argwhere(voxels == number)
        assert np.allclose((image.affine @ [*place, 1])[:3], LPS_TO_RAS @ truth, atol=1e-4)
        (index,) = np.argwhere(array == number)
        there = seen.TransformContinuousIndexToPhysicalPoint([float(i) for i in index[::-1]])
        assert np.allclose(there, truth, atol=1e-3)


def test_both_transforms_are_set_and_agree(tmp_path: Path) -> None:
    grid = oblique()
    image = nib.load(written(tmp_path, labelled(grid.shape, (1, 1, 1)), grid))
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    assert (sform_code, qform_code) == (1, 1)
    assert np.allclose(sform, qform, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.uint8


def test_slices_lie_in_the_file_as_itk_stacks_a_dicom_series(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((6, 9, 11), (2.5, 0.8, 0.7))
    image = sitk.ReadImage(str(written(tmp_path, labelled(grid.shape, (0, 0, 0)), grid)))
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())
    assert image.GetSize() == (11, 9, 6)


def test_the_header_is_anonymous_and_the_bytes_are_always_the_same() -> None:
    grid = Geometry.from_spacing((6, 9, 11), (2.5, 0.8, 0.7))
    labels = labelled(grid.shape, (1, 1, 1))
    packed = mask_bytes(labels, grid)
    assert packed == mask_bytes(labels.copy(), grid)
    assert packed[4:8] == b"\0\0\0\0"
    header = nib.Nifti1Header.from_fileobj(BytesIO(gzip.decompress(packed)))
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        assert bytes(header[field].tobytes()).strip(b"\0") == b""


def test_pictures_claim_no_millimetres(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((1, 9, 11), (1.0, 1.0, 1.0), spacing_known=False)
    image = nib.load(written(tmp_path, labelled(grid.shape, (0, 1, 1)), grid))
    assert image.header.get_xyzt_units()[0] == "unknown"


def test_uneven_steps_are_filled_with_the_nearest_slice() -> None:
    grid = uneven([1.0, 1.0, 3.0, 1.0])
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[:] = np.arange(1, 6)[:, None, None]
    even, straight = straighten(labels, grid)
    assert straight.is_regular
    assert even[:, 0, 0].tolist() == [1, 2, 3, 3, 4, 4, 5]
    assert np.allclose(straight.origins_mm[[0, -1]], grid.origins_mm[[0, -1]])


def test_tilted_slices_are_moved_back_to_their_place() -> None:
    grid = uneven([2.0] * 9, tilt=0.4, rows=20)
    points = [(0, 4, 5), (9, 4, 5)]
    even, straight = straighten(labelled(grid.shape, *points), grid)
    assert straight.drift < 1e-6
    for number, point in enumerate(points, start=1):
        (place,) = np.argwhere(even == number)
        truth = (grid.origins_mm[point[0]] + grid.row_step_mm * 4 + grid.column_step_mm * 5)[:3]
        found = (straight.affine @ [*place, 1])[:3]
        assert np.abs(found - truth).max() <= grid.row_mm / 2 + 1e-6


@given(st.lists(st.floats(0.5, 8.0), min_size=2, max_size=20), st.floats(-0.5, 0.5))
def test_a_straightened_grid_is_regular_bounded_and_keeps_volume(
    steps: list[float], tilt: float
) -> None:
    grid = uneven(steps, tilt)
    labels = np.ones(grid.shape, dtype=np.uint8)
    even, straight = straighten(labels, grid)
    assert straight.is_regular
    assert even.shape == straight.shape
    assert even.shape[0] <= 4 * grid.shape[0] + 2
    if not tilt:
        rows = even[:, 0, 0].sum()
        assert abs(rows * straight.step_mm - sum(steps)) <= 2 * straight.step_mm


def test_positions_that_cannot_be_true_do_not_take_all_memory() -> None:
    grid = uneven([2.0] * 9, tilt=5000.0)
    even, straight = straighten(np.ones(grid.shape, dtype=np.uint8), grid)
    assert even.shape == straight.shape == grid.shape


def test_only_irregular_grids_are_told_about() -> None:
    assert grid_verdict(Geometry.from_spacing((6, 9, 11), (2.5, 0.8, 0.7))) is None
    gaps, tilt = grid_verdict(uneven([1.0, 4.0, 1.0])), grid_verdict(uneven([1.0] * 5, 0.3))
    assert gaps is not None
    assert "uneven" in gaps.found
    assert tilt is not None
    assert "tilted" in tilt.found


def test_an_irregular_mask_file_opens(tmp_path: Path) -> None:
    grid = uneven([1.0, 1.0, 3.0, 1.0], 0.2)
    image = nib.load(written(tmp_path, np.ones(grid.shape, dtype=np.uint8), grid))
    assert image.shape[2] == 7
