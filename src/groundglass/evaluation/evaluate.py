"""Evaluating an opened model on slices with masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.evaluation.baselines import BASELINES
from groundglass.evaluation.compare import compare
from groundglass.evaluation.result import Evaluation, Marked, Measured
from groundglass.evaluation.scores import Maps, Predict, SliceScore, score_all
from groundglass.evaluation.summary import Figure, summarise
from groundglass.models.card import ModelCard
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs
from groundglass.systems.covid_rate.method import infection_map


@dataclass(frozen=True, slots=True)
class Options:
    """How to evaluate."""

    rounds: int = 2000
    """Draws of the bootstrap."""
    seed: int = 0
    """Its seed."""
    baselines: bool = True
    """Whether what needs no training is measured beside."""


def predictor(model: Model) -> Predict:
    """Return a model as a function of a slice.

    A model that wants everything outside the lungs set to 0 gets the slice's lung mask, or where
    there is none and the slice is in HU, one by threshold.
    """
    needs_lungs = model.card.preparation.zero_outside_lungs

    def predict(one: Slice) -> Maps:
        lungs = one.lungs
        if lungs is None and needs_lungs and one.intensity.name == "HU":
            lungs = fallback_lungs(one.values).astype("uint8")
        return infection_map(model, one.values, one.intensity, lungs)

    return predict


def marker(model: Model) -> Marked:
    """Return a model as a function from a slice to its mask at the card's threshold."""
    predict, threshold = predictor(model), thresholds_of(model.card)[0]
    return lambda item: predict(item.read())[0] >= threshold


def thresholds_of(card: ModelCard) -> list[float]:
    """Return the threshold of each label, one half where the card has none."""
    return [card.thresholds.get(label, 0.5) for label in card.labels]


def evaluation_of(
    measured: Measured, options: Options, on_progress: OnProgress = silent
) -> Evaluation:
    """Return scores with figures, baselines and published figures beside."""
    names = {score.name for score in measured.scores}
    chosen = [item for item in measured.slices.items if item.name in names]
    beside = _beside(chosen, options, on_progress) if options.baselines else {}
    return measured.evaluation(
        summarise(measured.scores, options.rounds, options.seed),
        {name: figures for name, (_, figures) in beside.items()},
        differences={
            name: compare(measured.scores, others, options.seed)
            for name, (others, _) in beside.items()
        },
    )


def _beside(
    items: Sequence[SliceItem], options: Options, on_progress: OnProgress
) -> dict[str, tuple[list[SliceScore], dict[str, Figure]]]:
    found = {}
    for name, predict in BASELINES.items():
        scores = score_all(items, predict, (0.5, 0.5), on_progress)
        found[name] = (scores, summarise(scores, options.rounds // 10, options.seed))
    return found
