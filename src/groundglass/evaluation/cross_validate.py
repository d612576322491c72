"""Cross-validation: every slice answered by the network that has not seen its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.evaluation.evaluate import (
    Options,
    evaluation_of,
    marker,
    predictor,
    thresholds_of,
)
from groundglass.evaluation.result import Evaluation, Marked
from groundglass.evaluation.scores import SliceScore, score_all
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model


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
    """Return the figures over all held-out slices together.

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
    scores: list[SliceScore] = []
    for fold, names in folds.items():
        model = Model(entries[fold])
        held = set(names)
        chosen = [item for item in items if item.name in held]
        thresholds = thresholds_of(model.card)
        scores += score_all(chosen, predictor(model), thresholds, on_progress)
    card = next(iter(entries.values())).card
    notes = (*slices.notes, *([f"a leak was allowed: {leak}"] if leak else []))
    name = f"{card.system}-{card.preset}"
    split = "folds " + ", ".join(str(fold) for fold in folds)
    joined = SliceSet(slices.dataset, slices.licence, tuple(items), slices.notes)
    return evaluation_of(card.system, name, joined, split, scores, notes, options, on_progress)


def fold_marker(folds: Mapping[int, Sequence[str]], entries: Mapping[int, Entry]) -> Marked:
    """Return the mask of a held-out slice by the model of its fold."""
    markers = {fold: marker(Model(entry)) for fold, entry in entries.items()}
    fold_of = {name: fold for fold, names in folds.items() for name in names}
    return lambda item: markers[fold_of[item.name]](item)
