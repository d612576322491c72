"""Models of percentages measured beside constants and the percentages of our own masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from groundglass.core.progress import OnProgress, Progress
from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import UnknownModelError
from groundglass.evaluation.evaluate import Options, thresholds_of
from groundglass.evaluation.percent_figures import (
    MEANING,
    PercentScore,
    fold_figures,
    percent_figures,
)
from groundglass.evaluation.percent_page import write_percent_evaluation
from groundglass.evaluation.result import Evaluation, Measured
from groundglass.evaluation.targets import concluded
from groundglass.infection.picture import PictureConfig, segment_picture
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.method import infection_map
from groundglass.systems.pictures import answers

CONSTANTS: dict[str, Callable[[Sequence[float]], Any]] = {"mean": np.mean, "median": np.median}
"""What a constant predictor answers."""
MASK, NET = "rule mask", "net mask"
"""Names of the estimates by the training-free mask and by that of the infection network."""
INFECTION = "covid-rate"
"""The system whose default model is the infection network."""


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

    def conclude(self, measured: Measured, options: Options, on_progress: OnProgress) -> Evaluation:
        """Return figures beside constants, the percentages of masks and published figures."""
        slices, scores = measured.slices, measured.scores
        beside = _beside(slices, scores, on_progress) if options.baselines else {}
        notes = (*measured.notes, *(_seen_by_network(slices) if NET in beside else ()))
        more = {"meaning": MEANING, "folds": fold_figures(scores)}
        found = concluded(measured, options, percent_figures, beside, **more)
        if found.metrics["slice_pc"].value is None:
            notes += ("a correlation needs two sides that vary; one does not, so it is none",)
        return replace(found, notes=notes)

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
    """Return others by name: two constants, and the percentages of our own masks."""
    found: dict[str, list[PercentScore]] = {}
    for word in CONSTANTS:
        name, constant = _constant(word, scores)
        found[name] = [replace(score, found=constant[score.fold]) for score in scores]
    by_name = {item.name: item for item in slices.items}
    network = _infection_network()
    masked: dict[str, list[PercentScore]] = {MASK: []} if network is None else {MASK: [], NET: []}
    for place, score in enumerate(scores):
        on_progress(Progress("measuring masks", place, len(scores)))
        for name, percent in mask_percents(by_name[score.name].read(), network).items():
            masked[name].append(replace(score, found=percent))
    return found | masked


def _constant(word: str, scores: Sequence[PercentScore]) -> tuple[str, dict[int | None, float]]:
    """Return the constant that answers each fold: from the other folds where there are some.

    With one fold there is nothing else to take it from: the best constant in hindsight then.
    """
    folds, statistic = {score.fold for score in scores}, CONSTANTS[word]
    if len(folds) < 2:
        value = float(statistic([score.reference for score in scores]))
        return f"best {word}", dict.fromkeys(folds, value)
    return f"{word} of other folds", {
        fold: float(statistic([score.reference for score in scores if score.fold != fold]))
        for fold in folds
    }


def _infection_network() -> Model | None:
    """Return the default infection network, one view of each slice; ``None`` without one."""
    try:
        entry = find_model(DEFAULT, INFECTION)
    except UnknownModelError:
        return None
    once = replace(entry.card.preparation, views=("as_is",))
    return Model(replace(entry, card=replace(entry.card, preparation=once)))


def mask_percents(one: Slice, network: Model | None) -> dict[str, float]:
    """Return the infected percentage of a slice by our own masks, by the name of the mask.

    A picture in which the rule sees no lung counts as 0.

    Parameters
    ----------
    one : Slice
        A picture.
    network : Model or None
        Infection network.
    """
    result = segment_picture(one.values, PictureConfig())
    lungs = int(np.count_nonzero(result.lungs))
    masks = {MASK: result.labels > 0}
    if network is not None:
        chance = infection_map(network, one.values, Intensity.DISPLAY)[0]
        masks[NET] = (chance >= thresholds_of(network.card)[0]) & result.lungs
    return {
        name: 100 * int(np.count_nonzero(mask)) / lungs if lungs else 0.0
        for name, mask in masks.items()
    }


def _seen_by_network(slices: SliceSet) -> tuple[str, ...]:
    """Return a note where the infection network was trained on this data set."""
    network = _infection_network()
    known = () if network is None else network.card.training_data
    seen = "; ".join(text for text in known if slices.dataset in text.lower())
    return (f"the infection network has seen this data set ({seen})",) if seen else ()
