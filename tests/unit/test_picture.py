"""The rule for single pictures: any turn, size, window; and pictures that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groundglass.core.geometry import Geometry
from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import NoLungsError
from groundglass.imaging.tone import otsu_threshold
from groundglass.infection.picture import PictureConfig, PictureResult, segment_picture
from groundglass.infection.picture_lungs import without_frame
from groundglass.infection.pictures import find_in_pictures
from groundglass.metrics import overlap

Window = tuple[float, float]
LUNG_WINDOW: Window = (-1350.0, 150.0)


def chest(scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return HU of a slice with ground glass and vessels, its lungs and its lesions."""
    rng = np.random.default_rng(seed)
    rows, columns = round(300 * scale), round(400 * scale)
    y, x = np.mgrid[:rows, :columns] / scale
    hu = np.full((rows, columns), -1000.0)
    hu[((y - 150) / 135) ** 2 + ((x - 200) / 185) ** 2 < 1] = 40
    lungs = np.zeros(hu.shape, dtype=bool)
    for middle in (112, 288):
        lungs |= ((y - 150) / 100) ** 2 + ((x - middle) / 68) ** 2 < 1
    hu[lungs] = -860
    hu[(np.hypot(y - 150, x - 200) < 12)] = -1000  # windpipe
    ill = (np.hypot(y - 190, x - 90) < 26) | (np.hypot(y - 120, x - 310) < 20)
    hu[ill] = -450
    vessels = (
        lungs & ~ill & ((np.abs(x - 120) < 2) | (np.abs(x - 280) < 2)) & (np.abs(y - 130) < 60)
    )
    hu[vessels] = 0
    return hu + rng.normal(0, 20, hu.shape), lungs, ill


def shown(hu: np.ndarray, window: Window = LUNG_WINDOW, top: int = 255) -> np.ndarray:
    """Return a picture of HU through a window."""
    share = (hu - window[0]) / (window[1] - window[0])
    kind = np.uint8 if top == 255 else np.uint16
    return np.rint(np.clip(share, 0, 1) * top).astype(kind)


def checks_of(result: PictureResult) -> set[str]:
    """Return the names of the findings."""
    return {finding.check for finding in result.findings}


@pytest.mark.parametrize(
    "window", [LUNG_WINDOW, (-1000.0, 200.0), (-1200.0, 0.0), (-1024.0, 1500.0)]
)
def test_lesions_are_found_through_any_lung_window(window: Window) -> None:
    hu, lungs, ill = chest()
    found = segment_picture(shown(hu, window))
    assert overlap(found.lungs, lungs).dice > 0.95
    assert overlap(found.labels, ill).dice > 0.8


def test_sixteen_bits_and_floats_give_the_same_as_eight() -> None:
    hu, _, _ = chest()
    eight = segment_picture(shown(hu)).labels > 0
    for other in (shown(hu, top=65535), shown(hu, top=65535) / 7.0):
        assert overlap(segment_picture(other).labels, eight).dice > 0.95


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_picture_turns_the_masks(turns: int) -> None:
    picture = shown(chest()[0])
    upright, turned = segment_picture(picture), segment_picture(np.rot90(picture, turns))
    assert overlap(turned.labels, np.rot90(upright.labels, turns)).dice > 0.97
    assert overlap(turned.lungs, np.rot90(upright.lungs, turns)).dice > 0.99


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_lengths_scale_with_the_picture(scale: float) -> None:
    hu, lungs, ill = chest(scale)
    found = segment_picture(shown(hu))
    assert overlap(found.lungs, lungs).dice > 0.93
    assert overlap(found.labels, ill).dice > 0.75


def test_a_crop_to_the_lungs_works() -> None:
    hu, lungs, ill = chest()
    rows, columns = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
    box = (slice(rows[0] - 2, rows[-1] + 3), slice(columns[0] - 2, columns[-1] + 3))
    found = segment_picture(shown(hu)[box])
    assert overlap(found.lungs, lungs[box]).dice > 0.95
    assert overlap(found.labels, ill[box]).dice > 0.8


def test_a_white_frame_is_left_out() -> None:
    hu, lungs, _ = chest()
    framed = np.pad(shown(hu), 8, constant_values=255)
    found = segment_picture(framed)
    assert overlap(found.lungs, np.pad(lungs, 8)).dice > 0.95
    assert without_frame(framed.astype(np.float32)) == (slice(8, 308), slice(8, 408))


def test_healthy_lungs_give_little() -> None:
    hu, lungs, ill = chest()
    hu[ill] = -860
    assert np.count_nonzero(segment_picture(shown(hu)).labels) < 0.02 * lungs.sum()


def test_dense_lesions_are_consolidation() -> None:
    hu, _, ill = chest()
    hu[ill & (np.arange(400) > 200)] = -250
    found = segment_picture(shown(hu)).labels
    assert (found[185:195, 85:95] == 1).mean() > 0.9
    assert (found[115:125, 305:315] == 2).mean() > 0.9


def test_extent_is_nested_and_fits_the_labels() -> None:
    found = segment_picture(shown(chest()[0]), PictureConfig(spread_hu=100.0))
    assert set(np.unique(found.extent)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(found.labels > 0, found.extent >= 2)
    assert not (found.extent[~found.lungs]).any()


def test_an_inverted_picture_is_turned() -> None:
    hu, lungs, _ = chest()
    found = segment_picture(255 - shown(hu))
    assert "picture_inverted" in checks_of(found)
    assert overlap(found.lungs, lungs).dice > 0.9


def test_a_soft_tissue_window_gives_no_lungs_but_a_reason() -> None:
    hu, _, _ = chest()
    found = segment_picture(shown(hu, (-160.0, 240.0)))
    assert not found.lungs.any()
    assert checks_of(found) <= {"picture_window", "picture_lungs"}
    assert checks_of(found)


def test_cut_off_bright_tones_are_noted() -> None:
    assert checks_of(segment_picture(shown(chest()[0], (-1200.0, 0.0)))) == {"picture_window"}


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((100, 100)),
        np.full((100, 100), 255, dtype=np.uint8),
        np.zeros((1, 1)),
        np.zeros((3, 400)),
        np.full((50, 50), np.nan),
        np.arange(10000).reshape(100, 100),
        np.random.default_rng(0).integers(0, 256, (64, 64)),
        np.eye(200),
    ],
)
def test_what_is_no_chest_has_no_lungs_and_a_reason(picture: np.ndarray) -> None:
    found = segment_picture(picture)
    assert not found.lungs.any()
    assert not found.labels.any()
    assert not found.extent.any()
    assert found.findings
    assert found.lung_tone is None


@settings(max_examples=25)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_any_picture_is_answered(picture: np.ndarray) -> None:
    found = segment_picture(picture)
    assert found.lungs.shape == found.labels.shape == found.extent.shape == picture.shape
    assert not found.labels[~found.lungs].any()
    assert found.lungs.any() or found.findings


@pytest.mark.parametrize("shape", [(0, 5), (4,), (2, 3, 4)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(rows, columns\)"):
        segment_picture(np.zeros(shape))


def test_not_a_number_counts_as_darkest() -> None:
    picture = shown(chest()[0]).astype(float)
    holed = picture.copy()
    holed[0, :5] = np.nan
    np.testing.assert_array_equal(segment_picture(holed).lungs, segment_picture(picture).lungs)


def test_otsu_parts_two_tones() -> None:
    image = np.concatenate([np.full(500, 20.0), np.full(300, 200.0)]).reshape(20, 40)
    assert 20 < otsu_threshold(image.astype(np.float32), 256) < 200


def test_pictures_become_masks_with_verdicts() -> None:
    picture = shown(chest()[0])
    scan = Scan.from_array(np.stack([picture, np.zeros_like(picture)]), intensity=Intensity.DISPLAY)
    lungs, infection = find_in_pictures(scan)
    assert not lungs.sides_known
    assert lungs.labels[0].any()
    assert not lungs.labels[1].any()
    assert infection.labels[0].any()
    assert [v.check for v in lungs.verdicts] == ["picture_lungs"]
    assert lungs.verdicts[0].found.startswith("in 1 of 2 pictures")


def test_given_lungs_are_kept_and_bound_the_infection() -> None:
    picture = shown(chest()[0])
    scan = Scan.from_array(picture, intensity=Intensity.DISPLAY)
    half = np.zeros((1, *picture.shape), dtype=np.uint8)
    half[:, :, :200] = 2
    given_mask = LungMask(half, scan.geometry, "given")
    lungs, infection = find_in_pictures(scan, lungs=given_mask)
    assert lungs is given_mask
    assert infection.labels[0, :, :200].any()
    assert not infection.labels[0, :, 200:].any()


def test_pictures_without_lungs_are_refused() -> None:
    scan = Scan(
        np.zeros((2, 50, 50), dtype=np.uint8),
        Geometry.from_spacing((2, 50, 50), (1.0, 1.0, 1.0), spacing_known=False),
        Intensity.DISPLAY,
    )
    with pytest.raises(NoLungsError, match="found none in 2") as caught:
        find_in_pictures(scan, replace(PictureConfig()))
    assert [v.check for v in caught.value.verdicts] == ["picture_lungs"]
