"""What evaluations of slices with one target each share: putting a result together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groundglass.datasets.slices import SliceSet
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.result import Evaluation
from groundglass.evaluation.summary import Figure
from groundglass.systems.registry import system_named

Figures = Callable[[Sequence[Any], int, int], dict[str, Figure]]
"""Takes scores, rounds of the bootstrap and its seed, returns every figure."""


def concluded(  # noqa: PLR0913, PLR0917 - the parts of a result
    system: str,
    model: str,
    slices: SliceSet,
    split: str,
    scores: Sequence[Any],
    notes: tuple[str, ...],
    options: Options,
    *,
    figures: Figures,
    beside: Mapping[str, Sequence[Any]],
    meaning: Mapping[str, str],
    folds: Mapping[str, Mapping[str, float | None]],
) -> Evaluation:
    """Return scores with figures, those of what was measured beside, and published ones."""
    source, published = system_named(system, "evaluate").published(slices.dataset)
    return Evaluation(
        system=system,
        model=model,
        dataset=slices.dataset,
        split=split,
        metrics=figures(scores, options.rounds, options.seed),
        published_source=source,
        published=published,
        scores=scores,
        baselines={
            name: figures(own, options.rounds, options.seed) for name, own in beside.items()
        },
        notes=notes,
        meaning=meaning,
        other_scores=beside,
        folds=folds,
    )
