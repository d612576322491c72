"""Gaussian mixtures of one variable, fitted to a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LLOYD_ROUNDS = 100
"""Most rounds of the k-means start."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A fitted mixture, components by rising mean."""

    weights: Float
    """(components,), summing to one."""
    means: Float
    """(components,)."""
    deviations: Float
    """(components,) standard deviations, with the regularisation in them."""
    log_likelihood: float
    """Mean log likelihood of a sample."""
    converged: bool
    """Whether the likelihood settled before the last round allowed."""


@dataclass(frozen=True)
class MixtureConfig:
    """Settings of the fit."""

    components: int = 3
    """Number of Gaussians."""
    regularisation: float = 0.1
    """Added to every variance, in squared units of the values."""
    rounds: int = 100
    """Most rounds of expectation and maximisation."""
    tolerance: float = 1e-6
    """Change of the mean log likelihood below which the fit has settled."""
    starts: int = 3
    """Starts, of which the likeliest fit is kept."""
    seed: int = 0
    """Seed of the starts."""


def fit_mixture(
    values: Float, counts: Float, config: MixtureConfig | None = None
) -> Mixture | None:
    """Fit a mixture by expectation and maximisation from k-means++ starts.

    Parameters
    ----------
    values : ndarray
        (bins,) distinct values.
    counts : ndarray
        (bins,) how often each occurs.
    config : MixtureConfig, optional
        Settings.

    Returns
    -------
    Mixture or None
        ``None`` where there are fewer distinct values than components or a component dies out.

    References
    ----------
    .. [1] Dempster, Laird, Rubin. "Maximum likelihood from incomplete data via the EM algorithm."
       Journal of the Royal Statistical Society B 39(1), 1977.
    """
    settings = config or MixtureConfig()
    held = counts > 0
    if np.count_nonzero(held) < settings.components:
        return None
    x, n = values[held].astype(np.float64), counts[held].astype(np.float64)
    generator = np.random.default_rng(settings.seed)
    fits = [_fit_once(x, n, settings, generator) for _ in range(settings.starts)]
    known = [fit for fit in fits if fit is not None]
    return max(known, key=lambda fit: fit.log_likelihood, default=None)


def _fit_once(
    x: Float, n: Float, config: MixtureConfig, generator: np.random.Generator
) -> Mixture | None:
    share = _start(x, n, config.components, generator)
    before = -np.inf
    for _ in range(config.rounds):
        mass = share @ n
        if mass.min() < 1e-6:
            return None
        means = share @ (n * x) / mass
        variances = share @ (n * x * x) / mass - means**2
        variances = np.maximum(variances, 0) + config.regularisation
        if variances.min() <= 0:
            return None
        weights = mass / n.sum()
        share, likelihood = _expect(x, n, weights, means, variances)
        settled = abs(likelihood - before) < config.tolerance
        before = likelihood
        if settled:
            break
    order = np.argsort(means)
    deviations = np.sqrt(variances)
    return Mixture(weights[order], means[order], deviations[order], likelihood, settled)


def _expect(
    x: Float, n: Float, weights: Float, means: Float, variances: Float
) -> tuple[Float, float]:
    """Return every value's shares of the components, (components, bins), and the likelihood."""
    away = (x - means[:, None]) ** 2 / variances[:, None]
    log = np.log(weights)[:, None] - (away + np.log(2 * np.pi * variances)[:, None]) / 2
    top = log.max(axis=0)
    total = top + np.log(np.exp(log - top).sum(axis=0))
    return np.exp(log - total), float(total @ n / n.sum())


def _start(x: Float, n: Float, components: int, generator: np.random.Generator) -> Float:
    """Return hard shares from k-means started with k-means++."""
    centres = [float(generator.choice(x, p=n / n.sum()))]
    while len(centres) < components:
        away = np.min([(x - centre) ** 2 for centre in centres], axis=0) * n
        centres.append(float(generator.choice(x, p=away / away.sum())))
    middle = np.sort(np.array(centres))
    for _ in range(LLOYD_ROUNDS):
        nearest = np.searchsorted((middle[1:] + middle[:-1]) / 2, x)
        mass = np.bincount(nearest, n, components)
        sums = np.bincount(nearest, n * x, components)
        moved = np.where(mass > 0, sums / np.maximum(mass, 1), middle)
        if np.allclose(moved, middle):
            break
        middle = moved
    return np.eye(components)[:, nearest]
