"""The certainty index of COVID-Rate, and which unlabelled slices it lets into training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]

CUT = 0.3
"""Probability above which a pixel counts as infected."""


def certainty_index(probabilities: Map, cut: float = CUT) -> float:
    """Return the mean probability of the pixels above ``cut``.

    Parameters
    ----------
    probabilities : ndarray
        In 0..1, any shape.
    cut : float
        Pixels of exactly this value do not count.

    Returns
    -------
    float
        In (cut, 1], or 0 where no pixel is above. Missed lesions do not lower it: one pixel of 0.99
        gives 0.99.
    """
    above = probabilities[probabilities > cut]
    return float(above.mean()) if above.size else 0.0


@dataclass(frozen=True)
class PseudoConfig:
    """Which predictions on unlabelled slices become labels; none of this is published."""

    cut: float = CUT
    """Probability above which a pixel becomes lesion."""
    least_pixels: int = 50
    """Fewest lesion pixels of a chosen slice."""
    largest_rate: float = 0.6
    """Largest infected share of the lung of a chosen slice."""
    confident_negatives: bool = False
    """Whether slices without any lesion may be chosen too."""
    negative_below: float = 0.05
    """Largest probability of a confident negative anywhere in the lung."""
    negative_share: float = 0.2
    """Largest share of negatives among the chosen slices."""


@dataclass(frozen=True, eq=False)
class Pseudo:
    """What was chosen."""

    chosen: tuple[int, ...]
    """Indices of slices with lesion."""
    negatives: tuple[int, ...]
    """Indices of slices without."""
    masks: tuple[Mask, ...]
    """Masks of all slices: lesion inside the lung."""
    certainty: tuple[float, ...]
    """Certainty index of all slices."""
    median: float
    """Least certainty of a chosen slice: the median over all slices."""


def choose_pseudo(
    maps: Sequence[Map], lungs: Sequence[Mask], config: PseudoConfig | None = None
) -> Pseudo:
    """Choose the slices whose predictions are trained on as if they were labels.

    A slice is chosen if its certainty is at least the median of all, its mask large enough, and the
    infected share of its lung not above the limit. Slices without lesion have certainty 0 and are
    never chosen so; ``confident_negatives`` lets some of them in.

    Parameters
    ----------
    maps : sequence of ndarray
        (rows, columns) probabilities, one for each slice.
    lungs : sequence of ndarray
        Lung masks of the same shapes.
    config : PseudoConfig, optional
    """
    config = config or PseudoConfig()
    certainty = tuple(certainty_index(one, config.cut) for one in maps)
    median = float(np.median(certainty)) if certainty else 0.0
    masks = tuple((one > config.cut) & lung for one, lung in zip(maps, lungs, strict=True))
    chosen = tuple(
        index
        for index, (mask, lung) in enumerate(zip(masks, lungs, strict=True))
        if certainty[index] >= median
        and mask.sum() >= config.least_pixels
        and mask.sum() <= config.largest_rate * lung.sum()
    )
    negatives = _negatives(maps, lungs, len(chosen), config) if config.confident_negatives else ()
    return Pseudo(chosen, negatives, masks, certainty, median)


def _negatives(
    maps: Sequence[Map], lungs: Sequence[Mask], chosen: int, config: PseudoConfig
) -> tuple[int, ...]:
    """Return the most certain slices without lesion, within their share of the whole."""
    highest = [
        float(one[lung].max()) if lung.any() else 1.0 for one, lung in zip(maps, lungs, strict=True)
    ]
    share = config.negative_share
    room = int(share * chosen / (1 - share) + 1e-9)
    order = np.argsort(highest, kind="stable")
    able = [int(index) for index in order if highest[index] < config.negative_below]
    return tuple(sorted(able[:room]))
