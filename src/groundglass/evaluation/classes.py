"""Classifiers of two classes measured, beside what looks at no lung and published figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundglass.core.progress import OnProgress, Progress
from groundglass.core.scan import Intensity
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ModelError
from groundglass.evaluation.class_figures import (
    CLASS_MEANING,
    ClassScore,
    count_calls,
    summarise_classes,
)
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.pages import template
from groundglass.evaluation.result import Evaluation, Measured, write_figures, write_rows
from groundglass.evaluation.targets import concluded
from groundglass.models.runtime import Model
from groundglass.systems.covid_ctset.patient import Decision, PatientVote
from groundglass.systems.pictures import answers

MAIN = ("accuracy", "auc", "f1_covid", "f1_noncovid", "sensitivity", "specificity", "precision")
"""Figures of parts of the data, such as one kind of series."""
FOLD_MARK = "fold "
"""What the mark of a held-out fold begins with."""
THRESHOLDS: Mapping[str, Callable[[PatientVote], Decision]] = {
    "patients, threshold 1 (any slice)": lambda vote: vote.by_any,
    "patients, threshold 2 (a tenth of the slices)": lambda vote: vote.by_share,
}
"""The published rules from slices to a patient."""


class ClassKind:
    """Models measured against the class of each picture; the last of two is looked for."""

    def score(
        self, model: Model, items: Sequence[SliceItem], on_progress: OnProgress
    ) -> Sequence[ClassScore]:
        """Return what was said about each picture.

        Raises
        ------
        ModelError
            If the model knows another number of classes than two.
        """
        card = model.card
        if len(card.labels) != 2:
            msg = f"classifiers of two classes are measured; {card.name} has {len(card.labels)}"
            raise ModelError(msg)
        threshold = card.thresholds.get(card.labels[-1], 0.5)
        found = []
        for place, item in enumerate(items):
            on_progress(Progress("evaluating", place, len(items)))
            one = item.read()
            chance = float(answers(model, [one])[0, -1])
            away = False
            if card.familiarity is not None and one.intensity is Intensity.DISPLAY:
                away = card.familiarity.strangeness(one.values) > 1
            found.append(
                ClassScore(
                    item.name,
                    item.group,
                    bool(item.target),
                    chance,
                    chance >= threshold,
                    abstained=away,
                    stratum=item.stratum,
                    marks=item.marks,
                )
            )
        return found

    def conclude(self, measured: Measured, options: Options, on_progress: OnProgress) -> Evaluation:
        """Return figures beside those of cues and published ones, and rows of parts."""
        slices, scores = measured.slices, measured.scores
        return concluded(
            measured,
            options,
            summarise_classes,
            _beside(slices, scores, on_progress) if options.baselines else {},
            meaning=CLASS_MEANING,
            folds=part_figures(slices, scores),
        )

    def write(
        self,
        found: Evaluation,
        folder: Path,
        items: Sequence[SliceItem],  # noqa: ARG002
        model_of: Mapping[str, Model],  # noqa: ARG002
    ) -> tuple[Path, ...]:
        """Write the document, tables of figures, parts and pictures, and a page."""
        return write_class_evaluation(found, folder)


def _beside(
    slices: SliceSet, scores: Sequence[ClassScore], on_progress: OnProgress
) -> dict[str, list[ClassScore]]:
    """Return scores by what looks at no lung; each calls COVID-19 from one half on."""
    if slices.beside is None:
        return {}
    on_progress(Progress("looking at what is not lung", 0, 0))
    places = {item.name: place for place, item in enumerate(slices.items)}
    found = {}
    for name, chances in slices.beside().items():
        own = [chances[places[score.name]] for score in scores]
        found[name] = [
            replace(score, chance=chance, called=chance >= 0.5, abstained=False)
            for score, chance in zip(scores, own, strict=True)
        ]
    return found


def part_figures(
    slices: SliceSet, scores: Sequence[ClassScore]
) -> dict[str, dict[str, float | None]]:
    """Return the main figures of kinds of series, folds, other parts, and patients, if any."""
    found: dict[str, dict[str, float | None]] = {}
    strata = sorted({score.stratum for score in scores if score.stratum})
    for stratum in strata:
        own = [score for score in scores if score.stratum == stratum]
        found[f"series {stratum}"] = _main_figures(own)
    for mark in sorted({mark for score in scores for mark in score.marks}):
        found[mark] = _main_figures([score for score in scores if mark in score.marks])
    folds = [row for name, row in found.items() if name.startswith(FOLD_MARK)]
    if len(folds) > 1:
        found["mean of folds"] = {name: _mean_of(folds, name) for name in MAIN}
    if slices.dataset == "covid-ctset":
        for name, rule in THRESHOLDS.items():
            found[name] = patient_row(scores, rule)
    return found


def _main_figures(scores: Sequence[ClassScore]) -> dict[str, float | None]:
    figures = summarise_classes(scores, rounds=1)
    return {name: figures[name].value for name in MAIN}


def _mean_of(rows: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    """Return the plain mean of rows; ``None`` where one is not defined."""
    known = [value for row in rows if (value := row[name]) is not None]
    return float(np.mean(known)) if len(known) == len(rows) else None


def patient_row(
    scores: Sequence[ClassScore], rule: Callable[[PatientVote], Decision]
) -> dict[str, float | None]:
    """Return the main figures of patients under a rule; undetermined ones are left out.

    A patient is COVID-19 if one of its slices is.
    """
    votes: dict[str, tuple[bool, PatientVote]] = {}
    for score in scores:
        ill, vote = votes.get(score.group, (False, PatientVote(0, 0)))
        more = PatientVote(vote.kept + 1, vote.covid + score.called)
        votes[score.group] = (ill or score.covid, more)
    decided = [(ill, rule(vote)) for ill, vote in votes.values()]
    known = [(ill, said) for ill, said in decided if said is not Decision.UNDETERMINED]
    counts = count_calls(
        np.array([ill for ill, _ in known], bool),
        np.array([said is Decision.INFECTED for _, said in known], bool),
    )
    return {name: getattr(counts, name, None) for name in MAIN}


def write_class_evaluation(found: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Write ``evaluation.json``, tables of figures, parts and pictures, and one page."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("evaluation.json", "figures.csv", "parts.csv", "pictures.csv", "evaluation.html")
    paths = tuple(folder / name for name in names)
    paths[0].write_text(found.to_json(), encoding="utf-8")
    write_figures(found, paths[1])
    write_rows(
        paths[2], ("part", *MAIN), [(name, *row.values()) for name, row in found.folds.items()]
    )
    heads = ("picture", "source", "stratum", "covid", "chance", "called_covid", "abstained")
    rows = [
        (s.name, s.group, s.stratum, int(s.covid), s.chance, int(s.called), int(s.abstained))
        for s in found.scores
    ]
    write_rows(paths[3], heads, rows)
    page = template("classes.html").render(it=found, main=MAIN)
    paths[4].write_text(page, encoding="utf-8")
    return paths
