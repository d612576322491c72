"""Jerman's vesselness against its closed form and simple pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.imaging.vesselness import ridge_response, vesselness


@pytest.mark.parametrize(
    ("share", "response"),
    [(0.0, 0.0), (-0.4, 0.0), (0.2507, 0.65), (0.2896, 0.75), (0.5, 1.0), (0.8, 1.0), (1.0, 1.0)],
)
def test_response_follows_the_published_curve(share: float, response: float) -> None:
    assert ridge_response(np.array([share]), 1.0)[0] == pytest.approx(response, abs=2e-4)


def test_no_ridge_gives_no_response() -> None:
    assert not ridge_response(np.zeros(3), 0.0).any()


def test_bright_line_is_a_vessel_and_a_dark_one_is_not() -> None:
    image = np.zeros((61, 61))
    image[29:32] = 100
    assert vesselness(image)[30, 20] == 1
    assert vesselness(-image)[30, 20] == 0


def test_constant_slice_has_no_vessel() -> None:
    found = vesselness(np.full((20, 30), -850.0))
    assert found.shape == (20, 30)
    assert found.dtype == np.float32
    assert not found.any()


@pytest.mark.parametrize("shape", [(1, 9), (9,), (3, 9, 9)])
def test_what_is_no_slice_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one slice of at least 2 x 2"):
        vesselness(np.zeros(shape))


@given(st.integers(0, 2**32 - 1))
def test_turning_the_slice_turns_the_answer(seed: int) -> None:
    image = np.random.default_rng(seed).normal(0, 100, (24, 24))
    there = vesselness(np.rot90(image))
    np.testing.assert_allclose(there, np.rot90(vesselness(image)), atol=1e-3)


def test_size_of_the_contrast_does_not_matter() -> None:
    image = np.random.default_rng(1).normal(0, 100, (40, 40))
    np.testing.assert_allclose(vesselness(image), vesselness(3 * image + 50), atol=1e-3)


def test_second_differences_are_those_of_the_paper() -> None:
    """One scale, one impulse: against the same steps written out plainly."""
    image = np.zeros((21, 21))
    image[10, 10] = 1000.0
    offsets = np.arange(-3, 4)
    kernel = np.exp(-(offsets**2) / 2)
    kernel /= kernel.sum()
    smooth = np.zeros((21, 21))
    smooth[7:14, 7:14] = 1000 * np.outer(kernel, kernel)
    down, across = np.gradient(smooth)
    hessian = np.array(
        [
            [np.gradient(down, axis=0), np.gradient(down, axis=1)],
            [np.gradient(across, axis=0), np.gradient(across, axis=1)],
        ]
    )
    values = np.linalg.eigvalsh(hessian.transpose(2, 3, 0, 1))
    main = np.where(np.abs(values[..., 0]) > np.abs(values[..., 1]), values[..., 0], values[..., 1])
    ridge = np.where(hessian[0, 0] + hessian[1, 1] <= 0, np.maximum(-main, 0), 0)
    expected = ridge_response(ridge, float(ridge.max()))
    expected[expected < 0.01] = 0
    np.testing.assert_allclose(vesselness(image, (1.0,)), expected, atol=2e-3)
