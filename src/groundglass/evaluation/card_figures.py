"""What a training run's classifiers score on the pictures that chose them, put onto their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.kinds import evaluate_model
from groundglass.models.card import Measured, card_path, write_card
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model

FIGURES = (
    "accuracy",
    "auc",
    "f1_covid",
    "f1_noncovid",
    "sensitivity",
    "specificity",
    "precision",
    "calibration_error",
    "abstained",
)
"""Figures of a classifier's card."""
ROUNDS = 1000
DIGITS = 4


class Trained(Protocol):
    """What a training run made, as far as figures need it."""

    @property
    def entries(self) -> dict[str, Entry]:
        """Models by name."""

    @property
    def watched(self) -> Mapping[str, Sequence[SliceItem]]:
        """What was looked at on the way, by name of the model."""


def put_figures(run: Trained, slices: SliceSet, on_progress: OnProgress = silent) -> None:
    """Measure each classifier of a run on what was looked at on the way, and rewrite its card.

    A classifier that watched nothing, or whose card holds figures already, is left as it is.
    """
    for name, entry in run.entries.items():
        watched = run.watched.get(name, ())
        if watched and not entry.card.scores and len(entry.card.labels) == 2:
            run.entries[name] = with_figures(entry, slices, watched, on_progress)


def with_figures(
    entry: Entry,
    slices: SliceSet,
    watched: Sequence[SliceItem],
    on_progress: OnProgress = silent,
) -> Entry:
    """Return a classifier whose card, rewritten, holds its figures on slices it did not train on.

    Parameters
    ----------
    entry : Entry
        The model.
    slices : SliceSet
        The data set.
    watched : sequence of SliceItem
        Slices of it that were not trained on but chose what was kept.
    on_progress : callable, optional
    """
    part = replace(slices, items=tuple(watched), beside=None)
    options = Options(rounds=ROUNDS, baselines=False)
    found = evaluate_model(Model(entry), part, "val", options, on_progress).metrics
    data = f"{slices.dataset}, pictures not trained on; the weights and the temperature were "
    scores = tuple(
        Measured(
            name,
            round(figure.value, DIGITS),
            None if figure.low is None else round(figure.low, DIGITS),
            None if figure.high is None else round(figure.high, DIGITS),
            len(watched),
            data + "chosen by them",
        )
        for name in FIGURES
        if (figure := found[name]).value is not None
    )
    card = entry.card.with_scores(scores)
    write_card(card, card_path(entry.path))
    return Entry(card, entry.path, entry.origin)
