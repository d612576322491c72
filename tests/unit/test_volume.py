"""NIfTI, NRRD and MetaImage: every voxel at its place, every doubt said, no lie believed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.core.verdict import Status
from groundglass.errors import ReadError, UnsafeInputError, UnsupportedFormatError
from groundglass.readers import build
from groundglass.readers.volume import read_volume
from tests.volumes import (
    LPS_AFFINE,
    SPACING,
    VALUES,
    assert_is_the_volume,
    checks,
    itk_image,
    nib,
    nrrd,
    save_nifti,
    sitk,
    xyz,
)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".nhdr", ".mhd", ".hdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_puts_every_voxel_in_place(suffix: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(
        itk_image(), str(path.with_suffix(".img") if suffix == ".hdr" else path), packed
    )
    scan = read_volume(path)
    assert_is_the_volume(scan)
    assert scan.verdicts == ()
    assert scan.provenance.files == (2 if suffix in (".nhdr", ".mhd", ".hdr") else 1)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_the_name_does_not_matter(suffix: str, tmp_path: Path) -> None:
    sitk.WriteImage(itk_image(), str(tmp_path / f"a{suffix}"))
    path = (tmp_path / f"a{suffix}").rename(tmp_path / "scan.png")
    assert_is_the_volume(read_volume(path))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_all_48_turns_are_one_scan(
    order: tuple[int, ...], flips: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    values, affine = VALUES, LPS_AFFINE.copy()
    for axis, flip in enumerate(flips):
        if flip < 0:
            values = np.flip(values, axis)
            affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
            affine[:3, axis] *= -1
    values, affine = values.transpose(order), affine[:, [*order, 3]]
    path = tmp_path / f"a{suffix}"
    if suffix == ".nii":
        save_nifti(path, values, xyz(affine))
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(values))
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        image.SetSpacing(lengths[::-1].tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection((affine[:3, :3] / lengths)[:, ::-1].ravel().tolist())
        sitk.WriteImage(image, str(path))
    scan = read_volume(path)
    assert np.array_equal(scan.voxels, VALUES)
    assert scan.geometry.affine == pytest.approx(LPS_AFFINE, abs=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_oblique_volumes_agree_with_itk(seed: int) -> None:
    import tempfile

    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    image = itk_image()
    image.SetDirection(turn.ravel().tolist())
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".nrrd", ".mha"):
            path = Path(folder) / f"a{suffix}"
            sitk.WriteImage(image, str(path))
            scan = read_volume(path)
            index = tuple(int(i) for i in random.integers(0, scan.shape))
            place = scan.geometry.affine @ [*index, 1]
            there = image.TransformPhysicalPointToIndex(place[:3].tolist())
            assert image.GetPixel(there) == scan.voxels[index]


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_types_of_voxels_are_kept_exactly(kind: str, suffix: str, tmp_path: Path) -> None:
    values = (np.arange(120).reshape(4, 5, 6) % 100).astype(kind)
    path = tmp_path / f"a{suffix}"
    if suffix == ".nii":
        save_nifti(path, values)
    else:
        sitk.WriteImage(itk_image(values), str(path))
    assert np.array_equal(read_volume(path).voxels, values)


def test_nifti_scale_factors_apply(tmp_path: Path) -> None:
    scan = read_volume(save_nifti(tmp_path / "a.nii", slope=2, inter=-1024))
    assert np.array_equal(scan.voxels, VALUES * 2 - 1024)
    assert scan.voxels.dtype == np.int16
    scan = read_volume(save_nifti(tmp_path / "b.nii", slope=0.5, inter=0.25))
    assert np.abs(scan.voxels - (VALUES * 0.5 + 0.25)).max() <= 0.5
    scan = read_volume(save_nifti(tmp_path / "c.nii", slope=1e6, inter=0))
    assert np.array_equal(scan.voxels, (VALUES * 1e6).astype(np.float32))


def test_second_version_of_nifti(tmp_path: Path) -> None:
    image = nib.Nifti2Image(VALUES.T, xyz(LPS_AFFINE))
    nib.save(image, tmp_path / "a.nii.gz")
    assert_is_the_volume(read_volume(tmp_path / "a.nii.gz"))


def test_missing_orientation_is_said(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", qform_code=0, sform_code=0)
    scan = read_volume(path)
    assert checks(scan) == {"orientation": Status.WARNING}
    assert scan.geometry.spacing_mm == pytest.approx(SPACING)
    assert "Right and left" in scan.verdicts[0].effect


def test_missing_orientation_and_unit_steps_mean_no_scale(tmp_path: Path) -> None:
    steps = {f"pixdim{i}": 1.0 for i in (1, 2, 3)}
    scan = read_volume(save_nifti(tmp_path / "a.nii", qform_code=0, sform_code=0, **steps))
    assert checks(scan) == {"orientation": Status.WARNING, "slice_spacing": Status.WARNING}
    assert scan.geometry.widths_mm is None


def test_qform_serves_where_the_sform_cannot(tmp_path: Path) -> None:
    scan = read_volume(save_nifti(tmp_path / "a.nii", qform_code=1, srow_x=float("nan")))
    assert scan.geometry.affine == pytest.approx(LPS_AFFINE, abs=1e-4)


def test_two_orientations_are_said(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES.T, xyz(LPS_AFFINE))
    image.set_qform(np.diag([0.7, 0.8, 2.5, 1]), code=1)
    image.set_sform(xyz(LPS_AFFINE), code=1)
    nib.save(image, tmp_path / "a.nii")
    scan = read_volume(tmp_path / "a.nii")
    assert checks(scan) == {"orientation": Status.WARNING}
    assert scan.geometry.affine == pytest.approx(LPS_AFFINE, abs=1e-4)


@pytest.mark.parametrize(("units", "factor"), [(1, 0.001), (3, 1000), (2, 1), (0, 1), (255, 1)])
def test_units_other_than_mm_are_understood(units: int, factor: float, tmp_path: Path) -> None:
    affine = xyz(LPS_AFFINE)
    affine[:3] *= factor
    path = save_nifti(tmp_path / "a.nii", affine=affine, units=units)
    assert read_volume(path).geometry.spacing_mm == pytest.approx(SPACING, rel=1e-4)


def test_a_sheared_grid_keeps_its_volume(tmp_path: Path) -> None:
    affine = xyz(LPS_AFFINE)
    affine[1, 2] = 0.5
    scan = read_volume(save_nifti(tmp_path / "a.nii", affine=affine))
    assert checks(scan) == {"gantry_tilt": Status.NOTE}
    volumes = scan.geometry.slice_volumes_mm3
    assert volumes is not None
    assert volumes.mean() == pytest.approx(abs(np.linalg.det(affine[:3, :3])), rel=1e-6)


def test_the_first_of_several_volumes_is_taken(tmp_path: Path) -> None:
    nib.save(
        nib.Nifti1Image(np.stack([VALUES.T, VALUES.T * 0], -1), xyz(LPS_AFFINE)), tmp_path / "a.nii"
    )
    scan = read_volume(tmp_path / "a.nii")
    assert np.array_equal(scan.voxels, VALUES)
    assert checks(scan) == {"series_choice": Status.WARNING}
    stack = nrrd(np.stack([VALUES, VALUES * 0]), "sizes: 6 5 4 2", dimension=4)
    (tmp_path / "a.nrrd").write_bytes(stack)
    scan = read_volume(tmp_path / "a.nrrd")
    assert np.array_equal(scan.voxels, VALUES)
    assert checks(scan)["series_choice"] is Status.WARNING


def test_one_time_point_and_one_slice_are_volumes(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VALUES.T[..., None], xyz(LPS_AFFINE)), tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").shape == (4, 5, 6)
    nib.save(nib.Nifti1Image(VALUES[0].T, xyz(LPS_AFFINE)), tmp_path / "b.nii")
    assert read_volume(tmp_path / "b.nii").shape == (1, 5, 6)
    sitk.WriteImage(itk_image()[:, :, 0], str(tmp_path / "b.mha"))
    assert read_volume(tmp_path / "b.mha").shape == (1, 5, 6)


def test_values_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    values = VALUES.astype(np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    scan = read_volume(save_nifti(tmp_path / "a.nii", values))
    assert checks(scan) == {"pixel_integrity": Status.WARNING}
    assert "2.5 %" in scan.verdicts[0].found
    assert scan.voxels[0, 0, 0] == VALUES.ravel()[3:].min()
    with pytest.raises(ReadError, match="finite"):
        read_volume(save_nifti(tmp_path / "b.nii", np.full(VALUES.shape, np.nan, np.float32)))


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_other_voxels_than_numbers_are_refused(kind: Any, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4), kind), xyz(LPS_AFFINE)), tmp_path / "a.nii")
    with pytest.raises(ReadError, match="one real number a voxel"):
        read_volume(tmp_path / "a.nii")


def test_several_values_a_voxel_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4, 1, 3)), xyz(LPS_AFFINE)), tmp_path / "a.nii")
    with pytest.raises(ReadError, match="three dimensions"):
        read_volume(tmp_path / "a.nii")
    vectors = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.float32), isVector=True)
    for suffix in (".nrrd", ".mha"):
        sitk.WriteImage(vectors, str(tmp_path / f"a{suffix}"))
        with pytest.raises(ReadError, match="one number a voxel"):
            read_volume(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(itk_image(), str(path))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ReadError, match=r"cut off|damaged"):
        read_volume(path)


def test_absurd_headers_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", dim1=30000, dim2=30000, dim3=3000)
    with pytest.raises(UnsafeInputError, match="at most"):
        read_volume(path)
    path = save_nifti(tmp_path / "b.nii.gz", dim1=900, dim2=900, dim3=900)
    with pytest.raises(ReadError, match="asks for"):
        read_volume(path)


def test_the_limit_of_voxels_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_nifti(tmp_path / "a.nii")
    monkeypatch.setattr(build, "MAX_VOXELS", VALUES.size)
    assert read_volume(path).shape == VALUES.shape
    monkeypatch.setattr(build, "MAX_VOXELS", VALUES.size - 1)
    with pytest.raises(UnsafeInputError, match="voxels"):
        read_volume(path)


def test_a_header_alone_names_what_is_missing(tmp_path: Path) -> None:
    sitk.WriteImage(itk_image(), str(tmp_path / "a.img"))
    (tmp_path / "a.img").unlink()
    with pytest.raises(ReadError, match=r"\.img file"):
        read_volume(tmp_path / "a.hdr")


def test_content_no_reader_knows(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("hello")
    with pytest.raises(UnsupportedFormatError, match="unknown content"):
        read_volume(tmp_path / "a.nii")
