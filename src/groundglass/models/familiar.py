"""Whether a picture is of the kind a classifier was trained on; if not, it makes no statement.

A picture is described by a handful of numbers: how its tones are spread, how smooth it is, how
alike its halves are, how dark its middle is against its rim, and a few components of a tiny copy
of it, with what these leave unexplained. The training pictures give the mean and the scatter of
these numbers, and how far a picture lies from them is one measure of its strangeness. The other is
how much more its numbers are like those of training pictures that were scrambled, turned or
inverted. What is learnt here is about the kind of picture and knows nothing of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.imaging.tone import align_picture, otsu_bin, resized

SIDE_PX = 64
"""Height and width at which a picture is described."""
TINY_PX = 12
"""Height and width of the tiny copy."""
FAR = 8.0
"""Differences from the mean beyond which a number counts no more, in units of its spread."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Leading directions of some vectors."""

    mean: tuple[float, ...]
    """Mean of the vectors."""
    directions: tuple[tuple[float, ...], ...]
    """Orthogonal directions of length 1, of falling spread."""

    def of(self, vector: Vector) -> Vector:
        """Return how far a vector goes along each direction, and the length of what is left."""
        directions = np.array(self.directions)
        away = vector - np.array(self.mean)
        along = directions @ away
        left = float(np.linalg.norm(away - along @ directions))
        return np.append(along, np.log(left + 1e-3))


@dataclass(frozen=True)
class Familiarity:
    """What pictures of a training set are like, and how strange is too strange."""

    tiny: Components
    """Components of the tiny copy."""
    mean: tuple[float, ...]
    """Mean of the describing numbers."""
    whitening: tuple[tuple[float, ...], ...]
    """Turns their differences from the mean into independent ones of spread 1."""
    farthest: float
    """Distance above which a picture is too strange."""
    weights: tuple[float, ...]
    """Of the whitened numbers, their squares less 1, and 1: the logarithm of the odds that a
    picture is a scrambled, turned or inverted one."""
    most_odds: float
    """Logarithm of the odds above which a picture is too strange."""

    def strangeness(self, values: NDArray[Any]) -> float:
        """Return how unlike the training pictures a picture is; above 1 it is too unlike.

        Parameters
        ----------
        values : ndarray
            (rows, columns) display values in 0..255.
        """
        numbers = whitened(described(values, self.tiny), self.mean, self.whitening)
        distance = distance_of(numbers) / self.farthest
        odds = float(terms_of(numbers) @ np.array(self.weights)) - self.most_odds
        return max(distance, float(np.exp(min(odds, 7.0))))


def whitened(
    numbers: Vector, mean: Sequence[float], whitening: Sequence[Sequence[float]]
) -> Vector:
    """Return describing numbers, (..., numbers), as independent ones of mean 0 and spread 1."""
    return np.asarray((numbers - np.array(mean)) @ np.array(whitening).T)


def distance_of(numbers: Vector) -> float:
    """Return how far whitened numbers lie from the mean; about 1 for a training picture."""
    return float(np.sqrt((numbers**2).mean()))


def terms_of(numbers: Vector) -> Vector:
    """Return what `Familiarity.weights` are of, for whitened numbers (..., numbers)."""
    near = np.clip(numbers, -FAR, FAR)
    return np.concatenate([near, near**2 - 1, np.ones((*near.shape[:-1], 1))], axis=-1)


def described(values: NDArray[Any], tiny: Components) -> Vector:
    """Return the numbers that describe a picture."""
    small = resized(values, (SIDE_PX, SIDE_PX))
    tones = np.minimum(align_picture(small), 1.2).astype(np.float64)
    return np.concatenate(
        [_tone_numbers(small, tones), _texture_numbers(tones), tiny.of(_tiny(tones))]
    )


def tiny_copy(values: NDArray[Any]) -> Vector:
    """Return the tones of a tiny copy of a picture as one vector."""
    return _tiny(np.minimum(align_picture(resized(values, (SIDE_PX, SIDE_PX))), 1.2))


def _tiny(tones: NDArray[np.floating]) -> Vector:
    return resized(tones, (TINY_PX, TINY_PX)).ravel().astype(np.float64)


def _tone_numbers(values: NDArray[Any], tones: Vector) -> Vector:
    """Return how tones are spread: shares of dark, middle, bright; contrast of two classes."""
    counts = np.histogram(values, 256, (0, 256))[0].astype(np.float64)
    spread = float(values.std()) + 1e-3
    split = otsu_bin(counts) + 1
    dark, bright = values[values < split], values[values >= split]
    between = 0.0
    if dark.size and bright.size:
        share = dark.size / values.size
        between = share * (1 - share) * float(bright.mean() - dark.mean()) ** 2 / spread**2
    middle, rim = _middle_and_rim(tones)
    return np.array(
        [
            np.log(spread),
            between,
            float((tones < 0.25).mean()),
            float(((tones >= 0.25) & (tones < 0.65)).mean()),
            float((tones > 0.95).mean()),
            float(middle.mean() - rim.mean()),
            float((middle < 0.4).mean()),
        ]
    )


def _middle_and_rim(tones: Vector) -> tuple[Vector, Vector]:
    inside = np.zeros(tones.shape, bool)
    edge = SIDE_PX // 5
    inside[edge:-edge, edge:-edge] = True
    return tones[inside], tones[~inside]


def _texture_numbers(tones: Vector) -> Vector:
    """Return how smooth a picture is at several distances, and how alike its halves are."""
    away = tones - tones.mean()
    power = float((away**2).mean()) + 1e-6
    near = [float((away[:, lag:] * away[:, :-lag]).mean()) / power for lag in (1, 4, 10)] + [
        float((away[lag:] * away[:-lag]).mean()) / power for lag in (1, 4, 10)
    ]
    mirrored = float((away * away[:, ::-1]).mean()) / power
    upside = float((away * away[::-1]).mean()) / power
    slopes = np.hypot(ndimage.sobel(tones, 0), ndimage.sobel(tones, 1)) / 8
    return np.array([*near, mirrored, upside, np.log(float(slopes.mean()) + 1e-3)])
