"""Models of percentages measured: the model, constants, and the percentage of our own mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from groundglass.core.progress import OnProgress, Progress
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.percent_figures import (
    MEANING,
    PercentScore,
    fold_figures,
    percent_figures,
)
from groundglass.evaluation.percent_page import write_percent_evaluation
from groundglass.evaluation.result import Evaluation
from groundglass.infection.picture import PictureConfig, segment_picture
from groundglass.models.runtime import Model
from groundglass.systems.pictures import answers
from groundglass.systems.registry import system_named

CONSTANTS: dict[str, Callable[[Sequence[float]], Any]] = {"mean": np.mean, "median": np.median}
"""What a constant predictor answers."""
MASK = "training-free mask"
"""Name of the estimate by the mask of the rule for pictures."""


class PercentKind:
    """Models measured against a percentage of each slice."""

    def score(
        self, model: Model, items: Sequence[SliceItem], on_progress: OnProgress
    ) -> Sequence[PercentScore]:
        """Return what was found in each slice."""
        found = []
        for place, item in enumerate(items):
            on_progress(Progress("evaluating", place, len(items)))
            found.append(_scored(item, float(answers(model, [item.read()])[0, 0])))
        return found

    def conclude(  # noqa: PLR0913, PLR0917 - the parts of a result
        self,
        system: str,
        model: str,
        slices: SliceSet,
        split: str,
        scores: Sequence[Any],
        notes: tuple[str, ...],
        options: Options,
        on_progress: OnProgress,
    ) -> Evaluation:
        """Return figures beside constants, the mask's percentage and published figures."""
        source, published = system_named(system, "evaluate").published(slices.dataset)
        beside = _beside(slices, scores, on_progress) if options.baselines else {}
        metrics = percent_figures(scores, options.rounds, options.seed)
        if metrics["slice_pc"].value is None:
            notes = (*notes, "a correlation needs two sides that vary; one does not, so it is none")
        return Evaluation(
            system=system,
            model=model,
            dataset=slices.dataset,
            split=split,
            metrics=metrics,
            published_source=source,
            published=published,
            scores=scores,
            baselines={
                name: percent_figures(own, options.rounds, options.seed)
                for name, own in beside.items()
            },
            notes=notes,
            meaning=MEANING,
            other_scores=beside,
            folds=fold_figures(scores),
        )

    def write(
        self,
        found: Evaluation,
        folder: Path,
        items: Sequence[SliceItem],  # noqa: ARG002
        model_of: Mapping[str, Model],  # noqa: ARG002
    ) -> tuple[Path, ...]:
        """Write the document, tables of figures, slices and subjects, and a page with plots."""
        return write_percent_evaluation(found, folder)


def _scored(item: SliceItem, found: float) -> PercentScore:
    if item.target is None:
        msg = f"'{item.name}' has no percentage to measure against"
        raise ValueError(msg)
    return PercentScore(item.name, item.group, item.fold, item.target, found)


def _beside(
    slices: SliceSet, scores: Sequence[PercentScore], on_progress: OnProgress
) -> dict[str, list[PercentScore]]:
    """Return what needs no training by name: two constants, and the percentage of our mask."""
    found: dict[str, list[PercentScore]] = {}
    for word in CONSTANTS:
        name, constant = _constant(word, scores)
        found[name] = [replace(score, found=constant[score.fold]) for score in scores]
    by_name = {item.name: item for item in slices.items}
    masked = []
    for place, score in enumerate(scores):
        on_progress(Progress("measuring masks", place, len(scores)))
        masked.append(replace(score, found=mask_percent(by_name[score.name])))
    found[MASK] = masked
    return found


def _constant(word: str, scores: Sequence[PercentScore]) -> tuple[str, dict[int | None, float]]:
    """Return the constant that answers each fold: from the other folds where there are some.

    With one fold there is nothing else to take it from: the best constant in hindsight then.
    """
    folds, statistic = {score.fold for score in scores}, CONSTANTS[word]
    if len(folds) < 2:
        value = float(statistic([score.reference for score in scores]))
        return f"constant: {word} of these slices", dict.fromkeys(folds, value)
    return f"constant: {word} of the other folds", {
        fold: float(statistic([score.reference for score in scores if score.fold != fold]))
        for fold in folds
    }


def mask_percent(item: SliceItem) -> float:
    """Return the infected percentage of a slice by the mask of the training-free rule.

    A picture in which no lung is seen counts as 0.
    """
    result = segment_picture(item.read().values, PictureConfig())
    lungs = int(np.count_nonzero(result.lungs))
    return 100 * int(np.count_nonzero(result.labels)) / lungs if lungs else 0.0
