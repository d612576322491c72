"""Morphology by balls in mm against distance maps, and its laws."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from groundglass.imaging import morphology
from groundglass.imaging.distance import depth_mm, distance_mm

spacings = st.tuples(*[st.sampled_from([0.7, 1.0, 1.3, 2.5, 6.0])] * 3)


def random_mask(seed: int, share: float) -> np.ndarray:
    return np.random.default_rng(seed).random((7, 9, 11)) < share


@settings(max_examples=40)
@given(seed=st.integers(0, 999), share=st.floats(0.02, 0.6), radius=st.floats(0, 7), mm=spacings)
def test_dilation_is_a_threshold_of_the_distance_map(
    seed: int, share: float, radius: float, mm: tuple[float, float, float]
) -> None:
    mask = random_mask(seed, share)
    expected = ndimage.distance_transform_edt(~mask, sampling=mm) <= radius * (1 + 1e-6)
    if not mask.any():
        expected = np.zeros_like(mask)
    found = morphology.dilate(morphology.as_bits(mask), radius, mm)
    assert np.array_equal(found > 0, expected)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), share=st.floats(0.4, 0.98), radius=st.floats(0, 7), mm=spacings)
def test_erosion_is_a_threshold_of_the_distance_map(
    seed: int, share: float, radius: float, mm: tuple[float, float, float]
) -> None:
    mask = random_mask(seed, share)
    bits = morphology.as_bits(mask)
    wide = np.pad(mask, 12)
    expected = ndimage.distance_transform_edt(wide, sampling=mm)[12:-12, 12:-12, 12:-12]
    empty_outside = morphology.erode(bits, radius, mm, outside=False)
    assert np.array_equal(empty_outside > 0, expected > radius * (1 + 1e-6))
    assert not (empty_outside & ~morphology.erode(bits, radius, mm)).any()


@settings(max_examples=25)
@given(seed=st.integers(0, 999), radius=st.floats(0, 5), mm=spacings)
def test_closing_grows_and_is_idempotent(
    seed: int, radius: float, mm: tuple[float, float, float]
) -> None:
    bits = morphology.as_bits(random_mask(seed, 0.3))
    once = morphology.close(bits, radius, mm)
    assert not (bits & ~once).any()
    assert np.array_equal(morphology.close(once, radius, mm), once)


def test_bits_do_not_mix() -> None:
    first, second = random_mask(1, 0.1), random_mask(2, 0.1)
    both = (first + 2 * second).astype(np.uint8)
    grown = morphology.dilate(both, 2.0, (1.0, 1.0, 1.0))
    for bit, mask in ((1, first), (2, second)):
        alone = morphology.dilate(morphology.as_bits(mask), 2.0, (1.0, 1.0, 1.0))
        assert np.array_equal((grown & bit) > 0, alone > 0)


def test_a_ball_wider_than_the_array_covers_it() -> None:
    mask = np.zeros((2, 3, 4), np.uint8)
    mask[0, 0, 0] = 1
    assert morphology.dilate(mask, 50.0, (1.0, 1.0, 1.0)).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 999), mm=spacings)
def test_distances_agree_with_scipy(seed: int, mm: tuple[float, float, float]) -> None:
    mask = random_mask(seed, 0.2)
    mask[0, 0, 0] = True
    expected = ndimage.distance_transform_edt(~mask, sampling=mm)
    assert np.allclose(distance_mm(mask, mm), expected, atol=1e-4)
    assert np.allclose(depth_mm(~mask, mm), expected, atol=1e-4)


def test_an_empty_mask_is_infinitely_far() -> None:
    assert np.isinf(distance_mm(np.zeros((2, 2, 2), np.bool_), (1.0, 1.0, 1.0))).all()
