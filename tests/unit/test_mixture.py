"""The histogram mixture against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from groundglass.imaging.mixture import MixtureConfig, fit_mixture


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct values and how often each occurs."""
    levels, counts = np.unique(values, return_counts=True)
    return levels.astype(float), counts.astype(float)


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(-850, 40, 4000), (-500 + 20 * seed, 90, 1500), (-50, 80, 600)]
    values = np.rint(np.concatenate([rng.normal(*part) for part in parts]))
    theirs = GaussianMixture(
        3, reg_covar=0.1, tol=1e-6, max_iter=300, n_init=3, random_state=0
    ).fit(values[:, None])
    ours = fit_mixture(*histogram(values), MixtureConfig(rounds=300))
    assert ours is not None
    order = np.argsort(theirs.means_.ravel())
    np.testing.assert_allclose(ours.means, theirs.means_.ravel()[order], atol=0.5)
    np.testing.assert_allclose(
        ours.deviations, np.sqrt(theirs.covariances_.ravel()[order]), atol=0.5
    )
    np.testing.assert_allclose(ours.weights, theirs.weights_[order], atol=1e-3)
    assert ours.log_likelihood == pytest.approx(theirs.lower_bound_, abs=1e-4)


def test_same_seed_same_fit() -> None:
    rng = np.random.default_rng(0)
    bins = histogram(np.rint(rng.normal(-800, 100, 3000)))
    first, second = fit_mixture(*bins), fit_mixture(*bins)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.means, second.means)


def test_too_few_values_give_none() -> None:
    assert fit_mixture(np.array([1.0, 2.0]), np.array([5.0, 5.0])) is None
    assert fit_mixture(np.array([1.0, 2.0, 3.0]), np.array([5.0, 0.0, 5.0])) is None


def test_point_masses_without_regularisation_give_none() -> None:
    exact = MixtureConfig(regularisation=0.0)
    assert fit_mixture(np.array([0.0, 50.0, 100.0]), np.ones(3), exact) is None


def test_weights_sum_to_one_and_means_rise() -> None:
    rng = np.random.default_rng(5)
    fit = fit_mixture(*histogram(np.rint(rng.uniform(-1000, 0, 2000))))
    assert fit is not None
    assert fit.weights.sum() == pytest.approx(1)
    assert (np.diff(fit.means) >= 0).all()
