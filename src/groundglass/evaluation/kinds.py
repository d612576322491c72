"""Evaluating models of any system: each is measured as its references are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ModelError
from groundglass.evaluation.classes import FOLD_MARK, ClassKind
from groundglass.evaluation.evaluate import (
    Options,
    evaluation_of,
    marker,
    predictor,
    thresholds_of,
)
from groundglass.evaluation.percent import PercentKind
from groundglass.evaluation.result import Evaluation, Measured, write_evaluation
from groundglass.evaluation.scores import score_all
from groundglass.models.card import ModelCard
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model
from groundglass.systems.registry import Measure, system_named


class Kind(Protocol):
    """How models of one kind are scored slice by slice, summed up and written."""

    def score(
        self, model: Model, items: Sequence[SliceItem], on_progress: OnProgress
    ) -> Sequence[Any]:
        """Return one score for each slice, each with its ``name``."""

    def conclude(self, measured: Measured, options: Options, on_progress: OnProgress) -> Evaluation:
        """Return scores with figures, what needs no training, and published figures beside."""

    def write(
        self,
        found: Evaluation,
        folder: Path,
        items: Sequence[SliceItem],
        model_of: Mapping[str, Model],
    ) -> tuple[Path, ...]:
        """Write JSON, tables and a page; ``model_of`` holds the model of each slice by name."""


class MaskKind:
    """Models measured against masks."""

    def score(
        self, model: Model, items: Sequence[SliceItem], on_progress: OnProgress
    ) -> Sequence[Any]:
        """Return the agreement with the mask of each slice."""
        return score_all(items, predictor(model), thresholds_of(model.card), on_progress)

    def conclude(self, measured: Measured, options: Options, on_progress: OnProgress) -> Evaluation:
        """Return figures beside those of training-free masks."""
        return evaluation_of(measured, options, on_progress)

    def write(
        self,
        found: Evaluation,
        folder: Path,
        items: Sequence[SliceItem],
        model_of: Mapping[str, Model],
    ) -> tuple[Path, ...]:
        """Write the document, two tables and a page with the worst slices."""
        markers = {id(model): marker(model) for model in model_of.values()}
        return write_evaluation(
            found, folder, items, lambda item: markers[id(model_of[item.name])](item)
        )


KINDS: dict[Measure, Kind] = {
    Measure.MASKS: MaskKind(),
    Measure.PERCENT: PercentKind(),
    Measure.CLASSES: ClassKind(),
}
"""How the models of a system are measured."""


def kind_of(system: str) -> Kind:
    """Return how the models of a system are measured."""
    measure = system_named(system, "evaluate").measure
    if measure not in KINDS:
        msg = f"models of {system} answer {measure}, which nothing here measures"
        raise ModelError(msg)
    return KINDS[measure]


def evaluate_model(
    model: Model,
    slices: SliceSet,
    split: str,
    options: Options | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Return what a model scores on slices, beside baselines and published figures.

    Parameters
    ----------
    model : Model
        Opened model.
    slices : SliceSet
        With references.
    split : str
        Name of the part, for the record.
    options : Options, optional
    on_progress : callable, optional
    """
    card = model.card
    kind = kind_of(card.system)
    scores = kind.score(model, slices.items, on_progress)
    notes = list(slices.notes)
    seen = any(slices.dataset in data.lower() for data in card.training_data)
    if seen and not _held_out(card, split):
        notes += _seen_before(card, slices)
    if card.leak:
        notes.append(f"a leak was allowed in training: {card.leak}")
    measured = Measured(card.system, card.name, slices, split, scores, tuple(notes))
    return kind.conclude(measured, options or Options(), on_progress)


def _held_out(card: ModelCard, split: str) -> bool:
    """Return whether a part is that of new slices: ``test``, or the test list of a given fold."""
    number = split.removeprefix("test")
    own = any(data.endswith(f"published fold {number}") for data in card.training_data)
    return split.startswith("test") and (not number or own)


def _seen_before(card: ModelCard, slices: SliceSet) -> list[str]:
    """Return a note where slices to be measured were trained on, as far as can be told."""
    if slices.classes and {item.split for item in slices.items} == {"val"}:
        return [
            "pictures of the part val were not trained on but chose what was kept of the training; "
            "figures on them flatter the model"
        ]
    folds = {item.fold for item in slices.items if item.fold is not None}
    known = set(card.folds_seen)
    if not folds or not known:
        return ["the model was trained on this data set; these figures are not of new slices"]
    again = ", ".join(str(fold) for fold in sorted(folds & known))
    told = f"the model was trained on fold {again} of these; figures on it are not of new slices"
    return [told] if again else []


def evaluate_folds(  # noqa: PLR0913 - the parts of a cross-validation
    slices: SliceSet,
    items: Sequence[SliceItem],
    folds: Mapping[int, Sequence[str]],
    entries: Mapping[int, Entry],
    *,
    leak: str | None = None,
    options: Options | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Return the figures over all held-out slices, each answered by the network of its fold.

    Parameters
    ----------
    slices : SliceSet
        The data set.
    items : sequence of SliceItem
        Its slices, related ones under one source.
    folds : mapping
        Names of the slices held out in each fold.
    entries : mapping
        The model of each fold.
    leak : str, optional
        What was let through.
    options : Options, optional
    on_progress : callable, optional

    Raises
    ------
    ValueError
        If a fold has no model: a missing prediction is not left out silently.
    """
    missing = sorted(set(folds) - set(entries))
    if missing:
        msg = f"every fold needs its model, missing for {missing}"
        raise ValueError(msg)
    card = next(iter(entries.values())).card
    kind = kind_of(card.system)
    scores: list[Any] = []
    for fold, names in folds.items():
        held = set(names)
        mark = f"{FOLD_MARK}{fold}"
        chosen = [replace(i, marks=(*i.marks, mark)) for i in items if i.name in held]
        scores += kind.score(Model(entries[fold]), chosen, on_progress)
    notes = (*slices.notes, *([f"a leak was allowed: {leak}"] if leak else []))
    name = f"{card.system}-{card.preset}"
    split = "folds " + ", ".join(str(fold) for fold in folds)
    joined = replace(slices, items=tuple(items))
    measured = Measured(card.system, name, joined, split, scores, notes)
    return kind.conclude(measured, options or Options(), on_progress)


def write_any(
    found: Evaluation, folder: Path, items: Sequence[SliceItem], model_of: Mapping[str, Model]
) -> tuple[Path, ...]:
    """Write an evaluation as its system's models are measured."""
    return kind_of(found.system).write(found, folder, items, model_of)
