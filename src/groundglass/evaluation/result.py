"""The result of an evaluation, and how it is written: JSON, CSV, one HTML page."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.evaluation.compare import Difference
from groundglass.evaluation.pages import template
from groundglass.evaluation.scores import SliceScore
from groundglass.evaluation.summary import MEANING, Figure, conventions
from groundglass.systems.registry import system_named

Marked = Callable[[SliceItem], NDArray[np.bool_]]
"""Takes a slice, returns a model's mask."""

WORST_CASES = 8
PICTURE_PX = 320
FALSE_COLOUR, MISSED_COLOUR, HIT_COLOUR = (230, 60, 40), (60, 110, 240), (60, 190, 90)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model scored."""

    system: str
    """Its system."""
    model: str
    """Its name."""
    dataset: str
    """The data set."""
    split: str
    """The part of it."""
    metrics: Mapping[str, Figure]
    """Every figure."""
    published_source: str
    """Where the published figures come from."""
    published: Mapping[str, Mapping[str, float]]
    """Published figures, by method."""
    scores: Sequence[Any]
    """Every slice: ``SliceScore`` against masks, another type against other references."""
    baselines: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    """Figures of what needs no training."""
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """The model against others on the same slices."""
    notes: tuple[str, ...] = ()
    """What a reader should know."""
    meaning: Mapping[str, str] = field(default_factory=lambda: MEANING)
    """What every figure is."""
    other_scores: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Every slice by others, in the order of ``scores``, where a table shows them."""
    folds: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Figures of each fold and their mean, where the data set has folds of its own."""

    def to_json(self) -> str:
        """Return exactly system, model, split, n, metrics and published."""
        document = {
            "system": self.system,
            "model": self.model,
            "split": self.split,
            "n": len(self.scores),
            "metrics": {name: asdict(figure) for name, figure in self.metrics.items()},
            "published": {name: dict(row) for name, row in self.published.items()},
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores of slices and where they come from, before figures are drawn from them."""

    system: str
    """The model's system."""
    model: str
    """Its name."""
    slices: SliceSet
    """The data set."""
    split: str
    """The part of it."""
    scores: Sequence[Any]
    """One score for each slice."""
    notes: tuple[str, ...]
    """What a reader should know."""

    def evaluation(
        self,
        metrics: Mapping[str, Figure],
        baselines: Mapping[str, Mapping[str, Figure]],
        **more: Any,
    ) -> Evaluation:
        """Return the scores with their figures and the published ones; ``more`` as there."""
        source, published = system_named(self.system, "evaluate").published(self.slices.dataset)
        return Evaluation(
            system=self.system,
            model=self.model,
            dataset=self.slices.dataset,
            split=self.split,
            metrics=metrics,
            published_source=source,
            published=published,
            scores=self.scores,
            baselines=baselines,
            notes=self.notes,
            **more,
        )


def write_evaluation(
    evaluation: Evaluation,
    folder: Path,
    items: Sequence[SliceItem] = (),
    marked: Marked | None = None,
) -> tuple[Path, ...]:
    """Write ``evaluation.json``, ``slices.csv``, ``figures.csv`` and ``evaluation.html``.

    Parameters
    ----------
    evaluation : Evaluation
        What to write.
    folder : Path
        Where to; made if needed.
    items : sequence of SliceItem
        The slices, for pictures of the worst.
    marked : callable, optional
        Takes one of them, returns the model's mask.

    Returns
    -------
    tuple of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(
        folder / name
        for name in ("evaluation.json", "figures.csv", "slices.csv", "evaluation.html")
    )
    paths[0].write_text(evaluation.to_json(), encoding="utf-8")
    write_figures(evaluation, paths[1])
    _write_slices(evaluation.scores, paths[2])
    worst = _worst(evaluation.scores, items, marked)
    page = template("evaluation.html").render(
        it=evaluation, averages=conventions(evaluation.scores), worst=worst
    )
    paths[3].write_text(page, encoding="utf-8")
    return paths


def write_figures(evaluation: Evaluation, path: Path) -> None:
    """Write every figure, those of baselines and the published ones as one table."""
    rows: list[list[object]] = [["who", "metric", "value", "low", "high", "meaning"]]
    for who, figures in {evaluation.model: evaluation.metrics, **evaluation.baselines}.items():
        rows += [
            [who, name, one.value, one.low, one.high, evaluation.meaning.get(name, "")]
            for name, one in figures.items()
        ]
    for method, row in evaluation.published.items():
        rows += [
            [f"{method} (published)", name, value, None, None, evaluation.meaning.get(name, "")]
            for name, value in row.items()
        ]
    write_rows(path, rows[0], rows[1:])


def write_rows(path: Path, head: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with its head."""
    with path.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([head, *rows])


def _write_slices(scores: Sequence[SliceScore], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as text:
        table = csv.DictWriter(text, list(slice_row(scores[0])) if scores else ["slice"])
        table.writeheader()
        table.writerows(slice_row(score) for score in scores)


def slice_row(score: SliceScore) -> dict[str, Any]:
    """Return one row of the table of slices."""
    counts = score.overlap
    return {
        "slice": score.name,
        "source": score.group,
        "dice": counts.dice,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
        "precision": counts.precision,
        "dice_mean256": float(score.curve[0].mean()),
        "hd95": score.hd95,
        "nsd": score.nsd,
        "mae": score.mae,
        "percent_reference": score.percent_reference,
        "percent_found": score.percent_found,
        "reference_pixels": counts.tp + counts.fn,
        "found_pixels": counts.tp + counts.fp,
    }


@dataclass(frozen=True, slots=True)
class _Worst:
    name: str
    dice: float
    picture: str


def _worst(
    scores: Sequence[SliceScore],
    items: Sequence[SliceItem],
    marked: Marked | None,
) -> list[_Worst]:
    """Return the slices of lowest Dice with their pictures."""
    by_name = {item.name: item for item in items}
    found = []
    for score in sorted(scores, key=lambda one: one.overlap.dice)[:WORST_CASES]:
        item = by_name.get(score.name)
        if item is None or marked is None:
            continue
        one = item.read()
        assert one.lesion is not None
        picture = overlay(one.values, marked(item), one.lesion > 0)
        found.append(_Worst(score.name, score.overlap.dice, picture))
    return found


def overlay(values: NDArray[Any], mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> str:
    """Return a slice with hits, misses and false marks tinted, as a data URI."""
    low, high = np.percentile(values, [1, 99.5])
    grey = np.clip((values - low) / max(high - low, 1), 0, 1) * 255
    colours = np.repeat(grey[..., None], 3, axis=2)
    for where, colour in (
        (mask & truth, HIT_COLOUR),
        (mask & ~truth, FALSE_COLOUR),
        (truth & ~mask, MISSED_COLOUR),
    ):
        colours[where] = 0.55 * colours[where] + 0.45 * np.array(colour)
    picture = Image.fromarray(colours.astype(np.uint8))
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
