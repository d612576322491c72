"""The published infection rule: its checks, its variants, its slips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError, UncalibratedError
from groundglass.imaging.mixture import Mixture
from groundglass.metrics import overlap
from groundglass.systems.identification_severity.infection import (
    bands,
    find_published_infection,
    published_infection,
)
from groundglass.systems.identification_severity.presets import (
    ABLATION,
    CLINIC,
    CORRECTED,
    CTSS,
    PRESETS,
    SEGMENTATION,
    VOLUME,
    Element,
    SliceRule,
    element,
)
from groundglass.systems.identification_severity.severity import published_ctss

SIZE = 512
LESIONS = ((200, 150, 17, -450, 40), (300, 362, 20, -100, 25))
"""Row, column, radius, density and its spread."""


def chest(
    lesions: tuple[tuple[int, ...], ...] = LESIONS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return one slice of HU, lung labels, lesions and vessels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    hu = np.full((SIZE, SIZE), -1000.0)
    hu[((y - 256) / 180) ** 2 + ((x - 256) / 230) ** 2 < 1] = 40
    lungs = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for label, middle in ((1, 150), (2, 362)):
        lungs[((y - 256) / 130) ** 2 + ((x - middle) / 75) ** 2 < 1] = label
    hu[lungs > 0] = rng.normal(-850, 30, np.count_nonzero(lungs))
    ill = np.zeros(hu.shape, dtype=bool)
    for row, column, radius, density, spread in lesions:
        ball = (y - row) ** 2 + (x - column) ** 2 <= radius**2
        hu[ball] = rng.normal(density, spread, np.count_nonzero(ball))
        ill |= ball
    lines = np.isin(x, [c + d for c in (110, 190, 322, 400) for d in (-1, 0, 1)])
    vessels = lines & (np.abs(y - 256) < 90) & (lungs > 0) & ~ill
    hu[vessels] = rng.normal(-100, 20, np.count_nonzero(vessels))
    return np.rint(hu).astype(np.int16), lungs, ill, vessels


def test_lesions_are_found_and_vessels_are_not() -> None:
    hu, lungs, ill, vessels = chest()
    found = published_infection(hu, lungs, SEGMENTATION)
    assert found.mask.shape == (1, SIZE, SIZE)
    assert 0.82 <= overlap(found.mask[0], ill).dice <= 0.90
    assert overlap(found.mask[0], vessels).sensitivity == pytest.approx(0, abs=0.05)
    assert not found.pooled.any()


def test_healthy_slice_gives_nothing() -> None:
    hu, lungs, _, _ = chest(lesions=())
    assert not published_infection(hu, lungs, SEGMENTATION).mask.any()


def test_small_solid_lesion_is_lost_as_published() -> None:
    hu, lungs, _, _ = chest(lesions=((256, 150, 10, -100, 25),))
    assert not published_infection(hu, lungs, SEGMENTATION).mask[0, 240:273, 134:167].any()


def patch(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a slice with a flat patch of ground glass of so many pixels, and its lungs."""
    hu, lungs, _, _ = chest(lesions=((300, 362, 20, -450, 40),))
    y, x = np.divmod(np.arange(pixels), 10)
    hu[220:232, 140:155] = -850
    hu[222 + y, 142 + x] = -450
    return hu, lungs


def test_parts_of_69_pixels_go_and_of_70_stay() -> None:
    plain = replace(SEGMENTATION, vessel_from=2.0, dilation=None)
    for pixels, kept in ((69, 0), (70, 70)):
        hu, lungs = patch(pixels)
        assert published_infection(hu, lungs, plain).mask[0, 218:233, 138:156].sum() == kept


def test_zero_hu_is_lost_as_published_and_kept_when_corrected() -> None:
    hu, lungs, _, _ = chest()
    hu[297:304, 359:366] = 0
    inside = (0, slice(297, 304), slice(359, 366))
    plain = replace(SEGMENTATION, dilation=None)
    assert not published_infection(hu, lungs, plain).mask[inside].any()
    kept = replace(CORRECTED, dilation=None, vessel_from=2.0)
    assert published_infection(hu, lungs, kept).mask[inside].all()


def test_dilation_leaves_the_lung_as_published_and_not_when_corrected() -> None:
    hu, lungs, _, _ = chest(lesions=((256, 80, 20, -450, 40), (300, 362, 20, -100, 25)))
    wild, tame = (
        published_infection(hu, lungs, replace(preset, vessel_from=2.0)).mask[0]
        for preset in (SEGMENTATION, CORRECTED)
    )
    assert (wild & (lungs == 0)).any()
    assert not (tame & (lungs == 0)).any()


def test_every_variant_runs_and_finds_the_large_lesion() -> None:
    hu, lungs, _, _ = chest()
    stack, inside = np.repeat(hu[None], 13, axis=0), np.repeat(lungs[None], 13, axis=0)
    for name, preset in PRESETS.items():
        found = published_infection(stack, inside, preset)
        assert preset.name == name
        assert found.looked_at.any()
        assert found.mask[7].any()
        assert not found.mask[~found.looked_at].any()


def test_dense_lung_is_added_in_the_clinic_variant() -> None:
    hu, lungs, _, _ = chest(lesions=((256, 150, 8, 20, 5), (300, 362, 20, -450, 40)))
    centre = (0, 256, 150)
    assert published_infection(hu, lungs, CLINIC).mask[centre]
    assert not published_infection(hu, lungs, SEGMENTATION).mask[centre]


def mixture(means: tuple[float, ...], deviations: tuple[float, ...]) -> Mixture:
    """Return a mixture of given components."""
    return Mixture(np.full(3, 1 / 3), np.array(means), np.array(deviations), 0.0, True)


def test_bands_and_their_ceilings() -> None:
    fit = mixture((-850, -500, 0), (30, 200, 40))
    assert bands(fit, SEGMENTATION) == ((-650, -200), (-60, 50))
    assert bands(fit, CTSS) == ((-650, -200), (-60, 30))
    wide = mixture((-850, -100, 0), (30, 100, 10))
    assert bands(wide, SEGMENTATION) == ((-250, 50), (-15, 15))
    assert bands(wide, ABLATION) == ((-250, 10), (-15, 15))


def test_failed_mixture_uses_the_volumes_and_says_so() -> None:
    hu, lungs, _, _ = chest()
    flat = np.full_like(hu, -850)
    scan = Scan.from_array(np.stack([hu, flat]), (2.0, 1.0, 1.0))
    found = published_infection(scan.hu(), np.stack([lungs, lungs]), SEGMENTATION)
    assert found.pooled.tolist() == [False, True]
    mask = find_published_infection(
        scan, LungMask(np.stack([lungs, lungs]), scan.geometry, "test"), SEGMENTATION
    )
    assert [v.check for v in mask.verdicts] == ["published_mixture"]


def test_nothing_to_fit_at_all_gives_an_empty_mask() -> None:
    hu = np.full((2, 40, 40), -850, dtype=np.int16)
    lungs = np.ones((2, 40, 40), dtype=np.uint8)
    found = published_infection(hu, lungs, SEGMENTATION)
    assert not found.mask.any()
    assert found.pooled.all()


def test_scan_mask_is_nested_and_inside_the_lungs() -> None:
    hu, lungs, _, _ = chest()
    small = np.zeros_like(lungs)
    small[250:260, 150:160] = 1
    scan = Scan.from_array(np.stack([hu, hu]), (2.0, 1.0, 1.0))
    mask = LungMask(np.stack([lungs, small]), scan.geometry, "test")
    found = find_published_infection(scan, mask, VOLUME)
    np.testing.assert_array_equal(found.labels > 0, found.extent >= 2)
    assert not found.extent[mask.labels == 0].any()
    assert {1, 2} <= set(np.unique(found.labels))
    assert [v.check for v in found.verdicts] == ["published_slices"]
    assert found.method == "published, volume"


def test_wrong_grids_and_units_are_refused() -> None:
    hu, lungs, _, _ = chest()
    with pytest.raises(GridMismatchError, match="need lungs of the same"):
        published_infection(hu, lungs[:10])
    picture = Scan.from_array(hu, intensity=Intensity.DISPLAY)
    with pytest.raises(UncalibratedError):
        find_published_infection(picture, LungMask(lungs[None], picture.geometry, "test"))
    scan, other = Scan.from_array(hu), Scan.from_array(hu[:9])
    with pytest.raises(GridMismatchError, match="shape"):
        find_published_infection(scan, LungMask(lungs[None, :9], other.geometry, "test"))


@pytest.mark.parametrize(
    ("name", "pixels", "size"), [("diamond13", 13, 5), ("square25", 25, 5), ("octagon37", 37, 7)]
)
def test_structuring_elements(name: Element, pixels: int, size: int) -> None:
    found = element(name)
    assert found.sum() == pixels
    assert found.shape == (size, size)
    assert (found == found.T).all()


def test_slice_rules() -> None:
    lungs = np.zeros((20, 10, 10), dtype=np.uint8)
    lungs[:, :1] = 1
    lungs[10, :] = 1
    assert SliceRule().chosen(lungs).all()
    assert SliceRule(lung_share=0.2).chosen(lungs).nonzero()[0].tolist() == [10]
    assert SliceRule(skip_first=6, skip_last=5).chosen(lungs).nonzero()[0].tolist() == [
        *range(6, 15)
    ]
    middle = SliceRule(middle_above=19, middle_reach=3)
    assert middle.chosen(lungs).nonzero()[0].tolist() == [*range(7, 14)]
    assert not SliceRule().chosen(np.zeros_like(lungs)).any()


def test_published_score_of_a_volume() -> None:
    hu, lungs, _, _ = chest(lesions=((256, 362, 55, -450, 40),))
    count = 14
    score = published_ctss(np.repeat(hu[None], count, 0), np.repeat(lungs[None], count, 0))
    assert score.mean == score.worst == sum(score.points.values())
    assert score.points["right_front"] == 0
    assert score.points["left_front"] >= 2
    nothing = published_ctss(hu[None], lungs[None])
    assert (nothing.mean, nothing.worst, nothing.points) == (None, None, {})
