"""What evaluations of slices with one target each share: drawing figures from scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.result import Evaluation, Measured
from groundglass.evaluation.summary import Figure

Figures = Callable[[Sequence[Any], int, int], dict[str, Figure]]
"""Takes scores, rounds of the bootstrap and its seed, returns every figure."""


def concluded(
    measured: Measured,
    options: Options,
    figures: Figures,
    beside: Mapping[str, Sequence[Any]],
    **more: Any,
) -> Evaluation:
    """Return scores with figures, those of what was measured beside, and published ones."""
    draws = options.rounds, options.seed
    return measured.evaluation(
        figures(measured.scores, *draws),
        {name: figures(own, *draws) for name, own in beside.items()},
        other_scores=beside,
        **more,
    )
