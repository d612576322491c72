"""Pictures: every mode becomes grey, nothing is taken for HU or mm unless it is stated."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.errors import ReadError, UncalibratedError, UnsafeInputError
from groundglass.readers import raster
from groundglass.readers.build import natural_key
from groundglass.readers.options import ReadOptions
from groundglass.readers.raster import read_pictures

GREY = np.add.outer(np.arange(40) * 3, np.arange(50) * 2).astype(np.uint8)


def save(path: Path, values: Any = GREY, mode: str | None = None, **options: Any) -> Path:
    picture = Image.fromarray(values)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def checks(scan: Scan) -> dict[str, Status]:
    return {verdict.check: verdict.status for verdict in scan.verdicts}


def first(scan: Scan) -> NDArray[Any]:
    values: NDArray[Any] = scan.voxels[0]
    return values


def test_a_picture_has_no_hu_and_no_size(tmp_path: Path) -> None:
    scan = read_pictures([save(tmp_path / "a.png")])
    assert np.array_equal(first(scan), GREY)
    assert scan.intensity is Intensity.DISPLAY
    assert scan.geometry.slice_volumes_mm3 is None
    assert checks(scan) == {"picture": Status.WARNING}
    assert "not density in HU and ml" in scan.verdicts[0].effect
    with pytest.raises(UncalibratedError):
        scan.hu()


MODES = {
    ".png": ("L", "LA", "P", "RGB", "RGBA"),
    ".jpg": ("L", "RGB", "CMYK", "YCbCr"),
    ".tif": ("L", "P", "RGB", "RGBA", "CMYK", "YCbCr"),
}


@pytest.mark.parametrize(
    ("mode", "suffix"), [(mode, suffix) for suffix, modes in MODES.items() for mode in modes]
)
def test_modes_become_grey(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    base = Image.fromarray(GREY)
    (base if mode == "P" else base.convert("RGB")).convert(mode).save(path)
    scan = read_pictures([path])
    allowed = 4 if suffix == ".jpg" or mode == "P" else 1
    assert np.abs(first(scan).astype(int) - GREY).max() <= allowed
    assert "image_type" not in checks(scan)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    scan = read_pictures([save(tmp_path / "a.png", GREY > 100)])
    assert set(np.unique(first(scan))) == {0, 255}


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    alpha = np.where(np.arange(50) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    rgba = np.dstack([GREY, GREY, GREY, alpha])
    scan = read_pictures([save(tmp_path / "a.png", rgba)])
    assert (first(scan)[:, :20] == 0).all()
    assert np.array_equal(first(scan)[:, 20:], GREY[:, 20:])


def test_sixteen_bits_are_kept_and_of_unknown_meaning(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 200
    scan = read_pictures([save(tmp_path / "a.png", deep)])
    assert np.array_equal(first(scan), deep)
    assert scan.intensity is Intensity.UNKNOWN
    assert not scan.geometry.spacing_known


def test_stated_window_gives_estimated_hu(tmp_path: Path) -> None:
    options = ReadOptions(window_hu=(-1000, 400), spacing_mm=(5, 0.7, 0.7))
    scan = read_pictures([save(tmp_path / "a.png")], options)
    assert scan.intensity is Intensity.HU
    assert first(scan)[0, 0] == -1000
    assert np.abs(first(scan) - (-1000 + GREY / 255 * 1400)).max() <= 0.5
    assert "estimated from the stated window" in scan.verdicts[0].done
    assert scan.geometry.spacing_mm == (5, 0.7, 0.7)
    assert [step.name for step in scan.provenance.steps] == ["window_hu"]


def test_stated_spacing_alone_gives_a_size_and_no_hu(tmp_path: Path) -> None:
    scan = read_pictures([save(tmp_path / "a.png")], ReadOptions(spacing_mm=(5, 0.7, 0.7)))
    assert scan.intensity is Intensity.DISPLAY
    assert scan.geometry.slice_volumes_mm3 is not None
    assert "not density in HU;" in scan.verdicts[0].effect


@pytest.mark.parametrize("spacing", [(0, 1, 1), (-1, 1, 1), (1, float("nan"), 1), (1, 1, 1e9)])
def test_a_spacing_that_means_nothing_is_a_wrong_call(spacing: Any) -> None:
    with pytest.raises(ValueError, match="spacing_mm"):
        ReadOptions(spacing_mm=spacing)
    with pytest.raises(ValueError, match="window_hu"):
        ReadOptions(window_hu=(400, -1000))


def test_pictures_are_ordered_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"slice {i}.png", np.full_like(GREY, i)) for i in range(1, 13)]
    for order in (paths, paths[::-1], paths[5:] + paths[:5]):
        scan = read_pictures(order)
        assert scan.voxels[:, 0, 0].tolist() == list(range(1, 13))
        assert checks(scan)["ordering"] is Status.NOTE
    turned = read_pictures(paths, ReadOptions(feet_first=True))
    assert turned.voxels[:, 0, 0].tolist() == list(range(12, 0, -1))


def test_natural_order_is_an_order() -> None:
    names = ["a", "a1", "a01", "a2", "a10", "1", "10", "2", "b-1.5", "B1", "é3", "²", "a1b"]
    for one, two in itertools.product(names, repeat=2):
        assert (natural_key(Path(one)) < natural_key(Path(two))) in (True, False)
    assert sorted(map(Path, names), key=natural_key)[0] == Path("1")


def test_the_largest_group_of_one_size_is_taken_and_the_rest_said(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(4)]
    paths += [save(tmp_path / f"small{i}.png", GREY[:20]) for i in range(2)]
    paths += [save(tmp_path / "deep.png", GREY.astype(np.uint16))]
    scan = read_pictures(paths)
    assert scan.shape == (4, 40, 50)
    assert checks(scan)["files_skipped"] is Status.NOTE
    assert scan.provenance.files == 4


def test_damaged_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    scan = read_pictures(paths)
    assert scan.shape[0] == 2
    assert checks(scan)["files_skipped"] is Status.WARNING
    for path in paths:
        path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(ReadError, match="none of the 3 pictures"):
        read_pictures(paths)


def test_coloured_marks_are_said(tmp_path: Path) -> None:
    marked = np.dstack([GREY] * 3)
    marked[10:14, 10:14] = (255, 0, 0)
    scan = read_pictures([save(tmp_path / "a.png", marked)])
    assert checks(scan)["image_type"] is Status.WARNING
    assert "1 of 1 pictures" in scan.verdicts[1].found


def test_pictures_taken_turned_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    scan = read_pictures([save(tmp_path / "a.jpg", exif=exif.tobytes(), quality=95)])
    assert scan.shape == (1, 50, 40)
    assert checks(scan)["orientation"] is Status.NOTE
    assert np.abs(first(scan).astype(int) - np.rot90(GREY, -1)).max() < 12


def test_frames_of_a_tiff_are_slices_and_of_an_animation_are_not(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY // 2)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert read_pictures([tmp_path / "a.tif"]).shape[0] == 2
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    scan = read_pictures([tmp_path / "a.png"])
    assert scan.shape[0] == 1
    assert checks(scan)["image_type"] is Status.NOTE


def test_too_many_pictures_or_pixels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    monkeypatch.setattr(raster, "MAX_PICTURES", 2)
    with pytest.raises(UnsafeInputError, match="at most 2 pictures"):
        read_pictures(paths)
    monkeypatch.setattr(raster, "MAX_PICTURES", 3)
    monkeypatch.setattr(raster, "MAX_VOXELS", 2 * GREY.size)
    with pytest.raises(UnsafeInputError, match="frames or"):
        read_pictures(paths)
    monkeypatch.setattr(raster, "MAX_PIXELS", GREY.size - 1)
    with pytest.raises(ReadError, match="too large"):
        read_pictures(paths[:1])


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", quality=95).rename(tmp_path / "a.png")
    assert read_pictures([path]).shape == (1, 40, 50)
