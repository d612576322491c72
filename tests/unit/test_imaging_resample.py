"""Down to the working grid and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.imaging.resample import block_mean, repeat_to, smooth_to, working_grid

shapes = st.tuples(st.integers(1, 9), st.integers(1, 14), st.integers(1, 14))


@pytest.mark.parametrize(
    ("spacing", "factors"),
    [
        ((2.0, 0.75, 0.75), (1, 2, 2)),
        ((0.6, 0.6, 0.6), (2, 2, 2)),
        ((5.0, 5.0, 5.0), (1, 1, 1)),
        ((1.0, 0.3, 0.35), (1, 5, 4)),
    ],
)
def test_factors_follow_the_spacing(
    spacing: tuple[float, float, float], factors: tuple[int, int, int]
) -> None:
    grid = working_grid((11, 21, 31), spacing, 1.4)
    assert grid.factors == factors
    assert grid.spacing_mm == pytest.approx([s * f for s, f in zip(spacing, factors, strict=True)])


def test_means_are_means_of_whole_blocks() -> None:
    volume = np.arange(4 * 4 * 6, dtype=np.int16).reshape(4, 4, 6)
    grid = working_grid(volume.shape, (0.7, 0.7, 0.7), 1.4)
    expected = volume.reshape(2, 2, 2, 2, 3, 2).mean(axis=(1, 3, 5))
    assert np.abs(block_mean(volume, grid) - expected).max() <= 0.5


def test_values_beyond_hu_are_clipped_first() -> None:
    volume = np.array([[[-3024, -1024], [32767, 3071]]], np.int16)
    grid = working_grid(volume.shape, (1.0, 0.7, 0.7), 1.4)
    assert block_mean(volume, grid)[0, 0, 0] == (2 * -1024 + 2 * 3071) // 4 + 1


@given(shape=shapes, target=st.floats(0.5, 4.0), value=st.integers(-1024, 3071))
def test_a_constant_stays_itself(shape: tuple[int, int, int], target: float, value: int) -> None:
    grid = working_grid(shape, (1.0, 0.7, 0.7), target)
    means = block_mean(np.full(shape, value, np.int16), grid)
    assert means.shape == grid.shape
    assert (means == value).all()


@given(shape=shapes, target=st.floats(0.5, 4.0), seed=st.integers(0, 99))
def test_smooth_masks_stay_nested_and_near(
    shape: tuple[int, int, int], target: float, seed: int
) -> None:
    grid = working_grid(shape, (1.0, 0.7, 0.7), target)
    draw = np.random.default_rng(seed).random(grid.shape)
    small, large = smooth_to(draw < 0.3, grid), smooth_to(draw < 0.7, grid)
    assert small.shape == shape
    assert not (small & ~large).any()
    assert smooth_to(np.ones(grid.shape, np.bool_), grid).all()
    assert not smooth_to(np.zeros(grid.shape, np.bool_), grid).any()


@given(shape=shapes, seed=st.integers(0, 99))
def test_a_grid_of_single_voxels_changes_nothing(shape: tuple[int, int, int], seed: int) -> None:
    grid = working_grid(shape, (3.0, 3.0, 3.0), 1.4)
    mask = np.random.default_rng(seed).random(shape) < 0.5
    assert np.array_equal(smooth_to(mask, grid), mask)
    assert np.array_equal(repeat_to(mask, grid), mask)
    volume = np.where(mask, 100, -900).astype(np.int16)
    assert np.array_equal(block_mean(volume, grid), volume)


def test_a_large_block_keeps_its_volume_when_smoothed() -> None:
    grid = working_grid((40, 80, 80), (1.0, 0.5, 0.5), 2.0)
    z, y, x = np.indices(grid.shape)
    ball = (z - 10) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 < 64
    wanted = ball.sum() * np.prod(grid.factors)
    assert smooth_to(ball, grid).sum() == pytest.approx(wanted, rel=0.04)
    assert repeat_to(ball, grid).sum() == wanted


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3)])
def test_shapes_without_voxels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three axes"):
        working_grid(shape, (1.0, 1.0, 1.0), 1.4)  # type: ignore[arg-type]


def test_spacing_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive mm"):
        working_grid((2, 2, 2), (1.0, 0.0, 1.0), 1.4)
