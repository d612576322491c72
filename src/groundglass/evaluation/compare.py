"""Two models on the same slices: the difference, its interval, and a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from groundglass.evaluation.scores import SliceScore
from groundglass.metrics import bootstrap_interval


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one model is than another, slice by slice."""

    count: int
    """Slices compared."""
    dice: float
    """Mean difference of Dice, one minus other."""
    low: float | None
    """Lower end of its 95 % interval, by patient or source."""
    high: float | None
    """Upper end."""
    p_value: float | None
    """Wilcoxon's signed-rank test, two-sided; ``None`` where no slice differs."""


def compare(one: Sequence[SliceScore], other: Sequence[SliceScore], seed: int = 0) -> Difference:
    """Return the difference of two models on the same slices.

    Parameters
    ----------
    one, other : sequence of SliceScore
        The same slices, in any order.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    ValueError
        If the slices are not the same.
    """
    by_name = {score.name: score for score in other}
    if {score.name for score in one} != set(by_name) or len(one) != len(other) or not one:
        msg = f"two models need the same slices, found {len(one)} and {len(other)} or other names"
        raise ValueError(msg)
    gaps = np.array([score.overlap.dice - by_name[score.name].overlap.dice for score in one])
    groups = [score.group for score in one]
    low, high = bootstrap_interval(
        lambda rows: float(gaps[rows].mean()), groups, np.random.default_rng(seed)
    ) or (None, None)
    p_value = float(wilcoxon(gaps).pvalue) if gaps.any() else None
    return Difference(len(one), float(gaps.mean()), low, high, p_value)
