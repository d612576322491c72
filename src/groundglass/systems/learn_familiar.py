"""Learning what training pictures are like, from them alone; see `groundglass.models.familiar`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.models.familiar import (
    Components,
    Familiarity,
    described,
    distance_of,
    terms_of,
    tiny_copy,
    whitened,
)

COMPONENTS = 14
"""Components of the tiny copy."""
SHRINKAGE = 0.1
"""Share of the scatter that is taken as if all numbers were independent."""
RIDGE = 10.0
"""Penalty of large weights."""
PIECES = (2, 3, 4, 6, 8, 16)
"""Into how many pieces a side a picture is cut before they are mixed."""
DIGITS = 5

Numbers = NDArray[np.float64]
Grey = NDArray[Any]


def learn_familiarity(
    pictures: Sequence[Grey],
    generator: np.random.Generator,
    *,
    kept: tuple[float, float] = (0.985, 0.94),
    parts: int = 5,
) -> Familiarity:
    """Return what training pictures are like.

    The limits are where the wanted shares of pictures stay, each judged by what was learnt without
    its part of the pictures; pictures next to each other in the list share a part, as they may
    come from one source. Mirrored copies count as familiar.

    Parameters
    ----------
    pictures : sequence of ndarray
        (rows, columns) display values in 0..255, each.
    generator : numpy.random.Generator
        Source of the strange copies.
    kept : tuple of float
        Share of pictures within the limit of distance, and within that of odds.
    parts : int
        Parts for the limits.

    Raises
    ------
    ValueError
        If there are fewer than ten pictures a part.
    """
    if len(pictures) < 10 * parts:
        msg = f"what is familiar needs {10 * parts} pictures at least, found {len(pictures)}"
        raise ValueError(msg)
    tiny = principal(np.stack([tiny_copy(one) for one in pictures]), COMPONENTS)
    own = np.stack([described(one, tiny) for one in pictures])
    mirrored = np.stack([described(one[:, ::-1], tiny) for one in pictures])
    strange = np.stack(
        [described(odd, tiny) for one in pictures for odd in strange_copies(one, generator)]
    )
    part_of = np.arange(len(pictures)) * parts // len(pictures)
    distances, odds = np.zeros(len(own)), np.zeros(len(own))
    for part in range(parts):
        held = part_of == part
        without = _learnt(tiny, own[~held], mirrored[~held], strange)
        numbers = whitened(own[held], without.mean, without.whitening)
        distances[held] = [distance_of(one) for one in numbers]
        odds[held] = terms_of(numbers) @ np.array(without.weights)
    return _learnt(
        tiny,
        own,
        mirrored,
        strange,
        float(np.quantile(distances, kept[0])),
        float(np.quantile(odds, kept[1])),
    )


def strange_copies(picture: Grey, generator: np.random.Generator) -> list[Grey]:
    """Return a picture scrambled twice, turned, inverted, and with its pixels mixed."""
    pixels = generator.permutation(picture.ravel()).reshape(picture.shape)
    return [
        scrambled(picture, int(generator.choice(PIECES)), generator),
        scrambled(picture, int(generator.choice(PIECES)), generator),
        np.rot90(picture, int(generator.integers(1, 4))),
        255 - picture,
        pixels,
    ]


def scrambled(picture: Grey, pieces: int, generator: np.random.Generator) -> Grey:
    """Return a picture cut into pieces that are put together in another order.

    Parameters
    ----------
    picture : ndarray
        (rows, columns), at least as many as pieces a side.
    pieces : int
        Pieces a side.
    generator : numpy.random.Generator
        Source of the order.
    """
    tall, wide = (side // pieces for side in picture.shape)
    cut = picture[: tall * pieces, : wide * pieces].reshape(pieces, tall, pieces, wide)
    loose = cut.swapaxes(1, 2).reshape(pieces * pieces, tall, wide)
    mixed = loose[generator.permutation(len(loose))].reshape(pieces, pieces, tall, wide)
    return mixed.swapaxes(1, 2).reshape(tall * pieces, wide * pieces)


def principal(vectors: NDArray[np.floating], count: int) -> Components:
    """Return the mean and the leading directions of vectors, (vectors, length)."""
    data = np.asarray(vectors, np.float64)
    mean = data.mean(0)
    _, _, directions = np.linalg.svd(data - mean, full_matrices=False)
    leading = directions[: min(count, len(data) - 1)]
    return Components(_rounded(mean), tuple(_rounded(row) for row in leading))


def _learnt(  # noqa: PLR0913, PLR0917 - three sets of pictures and two limits
    tiny: Components,
    own: Numbers,
    mirrored: Numbers,
    strange: Numbers,
    farthest: float = np.inf,
    most_odds: float = np.inf,
) -> Familiarity:
    familiar = np.concatenate([own, mirrored])
    mean = familiar.mean(0)
    scatter = np.cov(familiar.T)
    scatter = (1 - SHRINKAGE) * scatter + SHRINKAGE * np.diag(np.diag(scatter))
    spreads, axes = np.linalg.eigh(scatter + 1e-8 * np.eye(len(mean)))
    whitening = (axes / np.sqrt(spreads)).T
    near, odd = (
        terms_of(whitened(part, tuple(mean), tuple(map(tuple, whitening))))
        for part in (familiar, strange)
    )
    return Familiarity(
        tiny,
        _rounded(mean),
        tuple(_rounded(row) for row in whitening),
        round(farthest, DIGITS),
        _rounded(_odds_weights(near, odd)),
        round(most_odds, DIGITS),
    )


def _odds_weights(near: Numbers, odd: Numbers) -> Numbers:
    """Return the weights of a ridge logistic regression, both sides of equal weight."""
    data = np.concatenate([near, odd])
    wanted = np.repeat([0.0, 1.0], [len(near), len(odd)])
    share = np.where(wanted > 0, 1.0, len(odd) / len(near))
    weights = np.zeros(data.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(data @ weights, -30, 30)))
        slope = data.T @ (share * (chance - wanted)) + RIDGE * weights
        bend = (data * (share * chance * (1 - chance))[:, None]).T @ data
        weights = weights - np.linalg.solve(bend + RIDGE * np.eye(len(weights)), slope)
    return weights


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(value), DIGITS) for value in values)
