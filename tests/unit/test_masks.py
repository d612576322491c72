"""Masks of other programs land on the scan's voxels, or are refused with both grids."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image
from pydicom.sr.codedict import codes

from groundglass.core.geometry import Geometry
from groundglass.core.results import Labels
from groundglass.core.verdict import Verdict
from groundglass.errors import GridMismatchError, ReadError, UnsupportedFormatError
from groundglass.readers.label_grid import onto
from groundglass.readers.masks import read_labels
from groundglass.readers.read import read_scan
from tests.series import block, make_slices, save

nib: Any = nibabel
sitk: Any = SimpleITK
hd: Any = highdicom

GRID = Geometry.from_spacing((10, 16, 20), (3.0, 0.8, 0.7))


def labels() -> Labels:
    mask = np.zeros(GRID.shape, np.uint8)
    mask[2:6, 3:9, 2:7] = 1
    mask[3:8, 4:11, 11:17] = 2
    return mask


def save_nifti(path: Path, mask: Any, affine: NDArray[np.float64] | None = None) -> Path:
    """Write (slice, row, column) labels with an affine to RAS for that index order."""
    affine = GRID.ras_affine if affine is None else affine
    mask = np.asarray(mask)
    nib.save(nib.Nifti1Image(mask.T, affine[:, [2, 1, 0, 3]], dtype=mask.dtype), path)
    return path


def read(path: Path, grid: Geometry = GRID) -> tuple[Labels, dict[int, str], list[Verdict]]:
    told: list[Verdict] = []
    found, names = read_labels(path, grid, told.append)
    return found, names, told


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
def test_any_turn_of_the_same_grid(
    order: tuple[int, ...], flips: tuple[int, ...], tmp_path: Path
) -> None:
    mask, affine = labels(), GRID.ras_affine.copy()
    for axis, flip in enumerate(flips):
        if flip < 0:
            mask = np.flip(mask, axis)
            affine[:3, 3] += affine[:3, axis] * (mask.shape[axis] - 1)
            affine[:3, axis] *= -1
    path = save_nifti(tmp_path / "a.nii.gz", mask.transpose(order), affine[:, [*order, 3]])
    found, names, told = read(path)
    assert np.array_equal(found, labels())
    assert names == {}
    assert told == []


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_other_formats(suffix: str, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(labels())
    image.SetSpacing((0.7, 0.8, 3))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    assert np.array_equal(read(tmp_path / f"a{suffix}")[0], labels())


def test_a_cropped_mask_is_put_in_its_place_and_that_is_said(tmp_path: Path) -> None:
    affine = GRID.ras_affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (1, 2, 1)
    found, _, told = read(save_nifti(tmp_path / "a.nii", labels()[1:9, 2:14, 1:], affine))
    assert np.array_equal(found, labels())
    assert [verdict.check for verdict in told] == ["mask_grid"]
    assert "8 x 12 x 19 voxels" in told[0].found


def test_a_finer_mask_is_resampled_to_nearly_its_volume(tmp_path: Path) -> None:
    fine = labels().repeat(2, axis=1).repeat(2, axis=2)
    affine = GRID.ras_affine.copy()
    affine[:3, 1:3] /= 2
    affine[:3, 3] -= affine[:3, 1:3].sum(axis=1) / 2
    assert np.array_equal(read(save_nifti(tmp_path / "a.nii", fine, affine))[0], labels())


def test_a_mask_of_another_place_is_refused_with_both_grids(tmp_path: Path) -> None:
    affine = GRID.ras_affine.copy()
    affine[0, 3] += 500
    path = save_nifti(tmp_path / "a.nii", labels(), affine)
    with pytest.raises(GridMismatchError, match=r"10 x 16 x 20 .* 0 % of what is marked"):
        read(path)


def test_another_frame_of_reference_is_refused() -> None:
    one, two = replace(GRID, frame_of_reference="1.2"), replace(GRID, frame_of_reference="1.3")
    with pytest.raises(GridMismatchError, match="another frame of reference"):
        onto(labels(), one, two)
    assert onto(labels(), one, GRID)[1] is None
    assert np.array_equal(onto(labels(), one, one)[0], labels())


def test_a_mask_stacked_evenly_on_an_uneven_scan_goes_slice_by_slice(tmp_path: Path) -> None:
    origins = GRID.origins_mm.copy()
    origins[5:-1, 2] -= 2.0
    uneven = replace(GRID, origins_mm=origins)
    found, _, told = read(save_nifti(tmp_path / "a.nii", labels()), uneven)
    assert np.array_equal(found, labels())
    assert "one by one" in told[0].done


def test_labels_on_a_grid_without_scale_need_the_same_shape(tmp_path: Path) -> None:
    plain = replace(GRID, spacing_known=False)
    assert np.array_equal(read(save_nifti(tmp_path / "a.nii", labels()), plain)[0], labels())
    with pytest.raises(GridMismatchError, match="without a scale"):
        read(save_nifti(tmp_path / "b.nii", labels()[1:]), plain)


def test_a_png_mask_of_a_picture(tmp_path: Path) -> None:
    flat = Geometry.from_spacing((1, 16, 20), (1, 1, 1), spacing_known=False)
    Image.fromarray(labels()[4]).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png", flat)[0][0], labels()[4])


def test_names_of_slicer_segments(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(labels())
    image.SetSpacing((0.7, 0.8, 3))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    for number, name in enumerate(("right lung", "left lung", "not there")):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    found, names, _ = read(tmp_path / "a.seg.nrrd")
    assert np.array_equal(found, labels())
    assert names == {1: "right lung", 2: "left lung"}


def test_layers_of_slicer_segments_are_put_into_one(tmp_path: Path) -> None:
    layers = np.stack([labels() == 1, labels() == 2], -1).astype(np.uint8)
    head = (
        "NRRD0004\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\n"
        "sizes: 2 20 16 10\nspace directions: none (0.7,0,0) (0,0.8,0) (0,0,-3)\n"
        "kinds: list domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n"
        "Segment0_LabelValue:=1\nSegment0_Layer:=0\nSegment0_Name:=right lung\n"
        "Segment1_LabelValue:=1\nSegment1_Layer:=1\nSegment1_Name:=left lung\n\n"
    )
    (tmp_path / "a.seg.nrrd").write_bytes(head.encode() + layers.tobytes())
    found, names, _ = read(tmp_path / "a.seg.nrrd")
    assert np.array_equal(found, labels())
    assert names == {1: "right lung", 2: "left lung"}


def test_names_in_a_nifti_extension(tmp_path: Path) -> None:
    affine = GRID.ras_affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(labels().T, affine)
    text = b'<CaretExtension><Label Key="1" Red="1">lung_right</Label><Label Key="9">x</Label>'
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, text))
    nib.save(image, tmp_path / "a.nii.gz")
    assert read(tmp_path / "a.nii.gz")[1] == {1: "lung_right"}


def test_a_folder_with_a_file_for_every_part(tmp_path: Path) -> None:
    save_nifti(tmp_path / "lung_upper_lobe_right.nii.gz", (labels() == 1).astype(np.uint8))
    save_nifti(tmp_path / "lung_lower_lobe_left.nii.gz", (labels() == 2).astype(np.uint8))
    save_nifti(tmp_path / "lung_vessels.nii.gz", labels())
    save_nifti(tmp_path / "liver.nii.gz", labels())
    found, names, _ = read(tmp_path)
    assert names == {1: "lung_lower_lobe_left", 2: "lung_upper_lobe_right"}
    assert np.array_equal(found == 2, labels() == 1)
    assert np.array_equal(found == 1, labels() == 2)


def test_a_folder_without_lungs_is_refused(tmp_path: Path) -> None:
    save_nifti(tmp_path / "liver.nii.gz", labels())
    with pytest.raises(UnsupportedFormatError, match="1 NIfTI files and none of these names"):
        read(tmp_path)


@pytest.mark.parametrize("value", [-1.0, 256.0, 0.5])
def test_what_is_no_label_is_refused(value: float, tmp_path: Path) -> None:
    mask = labels().astype(np.float32)
    mask[0, 0, 0] = value
    with pytest.raises(ReadError, match="whole numbers from 0 to 255"):
        read(save_nifti(tmp_path / "a.nii", mask))


def test_unknown_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.nii").write_text("hello")
    with pytest.raises(UnsupportedFormatError, match="unknown content"):
        read(tmp_path / "mask.nii")


# DICOM SEG, written by another library


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("series")
    slices = make_slices(block((8, 32, 32)), 5.0)
    return save(slices, folder), slices


def _seg(slices: list[Any], mask: Labels, kind: str = "BINARY") -> Any:
    segments = [
        hd.seg.SegmentDescription(
            number,
            name,
            codes.SCT.Organ,
            codes.SCT.Lung,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in ((1, "lung_right"), (2, "lung_left"))
    ]
    return hd.seg.Segmentation(
        slices,
        mask,
        hd.seg.SegmentationTypeValues[kind],
        segments,
        hd.UID(),
        1,
        hd.UID(),
        1,
        "maker",
        "model",
        "1",
        "serial",
        omit_empty_frames=True,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_dicom_segmentations(kind: str, series: tuple[Path, list[Any]], tmp_path: Path) -> None:
    folder, slices = series
    mask = np.zeros((8, 32, 32), np.uint8)
    mask[2:5, 4:12, 3:9] = 1
    mask[1:3, 6:20, 20:28] = 2
    mask[6, 6:9, 20:24] = 2
    _seg(slices, mask, kind).save_as(tmp_path / "seg.dcm")
    grid = read_scan(folder).geometry
    found, names, _ = read(tmp_path / "seg.dcm", grid)
    assert np.array_equal(found, mask)
    assert names == {1: "lung_right", 2: "lung_left"}


def test_other_dicom_objects_are_no_masks(series: tuple[Path, list[Any]], tmp_path: Path) -> None:
    folder, _ = series
    with pytest.raises(UnsupportedFormatError, match="another kind of DICOM object"):
        read(next(folder.iterdir()))
    (tmp_path / "cut.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI")
    with pytest.raises((ReadError, UnsupportedFormatError)):
        read(tmp_path / "cut.dcm")
