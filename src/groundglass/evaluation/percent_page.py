"""An evaluation of percentages as JSON, tables, and one page with plots drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundglass.evaluation.pages import template
from groundglass.evaluation.percent_figures import (
    MAIN,
    PercentScore,
    severity_of,
    subject_means,
)
from groundglass.evaluation.result import Evaluation, write_figures, write_rows

PLOT_PX = 360


@dataclass(frozen=True, slots=True)
class Dot:
    """One subject in a plot, in pixels from the top left."""

    x: float
    """To the right."""
    y: float
    """Downwards."""
    text: str
    """What it says when pointed at."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of subjects: dots, lines across, numbers at its ends."""

    title: str
    """What it shows."""
    across: str
    """What is to the right."""
    up: str
    """What is upwards."""
    dots: tuple[Dot, ...]
    """The subjects."""
    lines: tuple[tuple[float, str], ...]
    """Height in pixels and text of each line across."""
    diagonal: bool
    """Whether the line of equality is drawn."""
    ends: tuple[str, str, str, str]
    """Lowest and highest number to the right, lowest and highest upwards."""


def write_percent_evaluation(found: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Write ``evaluation.json``, four CSV tables and ``evaluation.html``.

    Parameters
    ----------
    found : Evaluation
        Of percentages.
    folder : Path
        Where to; made if needed.

    Returns
    -------
    tuple of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("evaluation.json", "figures.csv", "folds.csv", "slices.csv", "subjects.csv")
    paths = tuple(folder / name for name in (*names, "evaluation.html"))
    paths[0].write_text(found.to_json(), encoding="utf-8")
    write_figures(found, paths[1])
    write_rows(
        paths[2], ["part", *MAIN], ([name, *row.values()] for name, row in found.folds.items())
    )
    _write_slices(found, paths[3])
    subjects = subject_means(found.scores)
    write_rows(
        paths[4],
        ["subject", "fold", "reference", "found", "error"],
        ([s.group, s.fold, s.reference, s.found, s.found - s.reference] for s in subjects),
    )
    plots = (scatter(subjects), bland_altman(subjects))
    page = template("percent.html").render(it=found, plots=plots, main=MAIN)
    paths[5].write_text(page, encoding="utf-8")
    return paths


def _write_slices(found: Evaluation, path: Path) -> None:
    """Write each slice with what the model and all others answered."""
    others = {name: [one.found for one in own] for name, own in found.other_scores.items()}
    head = ["slice", "subject", "fold", "severity", "reference", "found", "error", *others]
    rows = (
        [
            s.name,
            s.group,
            s.fold,
            severity_of(s.reference),
            s.reference,
            s.found,
            s.found - s.reference,
            *(values[place] for values in others.values()),
        ]
        for place, s in enumerate(found.scores)
    )
    write_rows(path, head, rows)


def scatter(subjects: Sequence[PercentScore]) -> Plot:
    """Return the percentages found against those read, with the line of equality."""
    low = min(0.0, *(one.found for one in subjects))
    high = max(100.0, *(one.found for one in subjects))
    dots = tuple(_dot(one.reference, one.found, (low, high), (low, high), one) for one in subjects)
    ends = (f"{low:.0f}", f"{high:.0f}", f"{low:.0f}", f"{high:.0f}")
    return Plot("Found against read", "read, %", "found, %", dots, (), diagonal=True, ends=ends)


def bland_altman(subjects: Sequence[PercentScore]) -> Plot:
    """Return the differences against the means, with bias and limits of agreement."""
    means = np.array([(one.found + one.reference) / 2 for one in subjects])
    gaps = np.array([one.found - one.reference for one in subjects])
    bias = float(gaps.mean())
    spread = 1.96 * float(gaps.std(ddof=1)) if gaps.size > 1 else 0.0
    reach = 1.05 * max(float(np.abs(gaps).max()), abs(bias) + spread, 1.0)
    up, across = (-reach, reach), (min(0.0, float(means.min())), max(100.0, float(means.max())))
    lines = {
        f"bias {bias:+.1f}": bias,
        f"{bias + spread:+.1f}": bias + spread,
        f"{bias - spread:+.1f}": bias - spread,
    }
    return Plot(
        "Bland-Altman",
        "mean of both, %",
        "found minus read, points",
        tuple(
            _dot(float(x), float(y), across, up, one)
            for x, y, one in zip(means, gaps, subjects, strict=True)
        ),
        tuple((_height(value, up), text) for text, value in lines.items()),
        diagonal=False,
        ends=(f"{across[0]:.0f}", f"{across[1]:.0f}", f"{up[0]:.0f}", f"{up[1]:.0f}"),
    )


def _height(value: float, ends: tuple[float, float]) -> float:
    return round(PLOT_PX * (1 - (value - ends[0]) / (ends[1] - ends[0])), 1)


def _dot(
    x: float,
    y: float,
    across: tuple[float, float],
    up: tuple[float, float],
    one: PercentScore,
) -> Dot:
    place = PLOT_PX * (x - across[0]) / (across[1] - across[0])
    text = f"subject {one.group}: read {one.reference:.1f}, found {one.found:.1f}"
    return Dot(round(place, 1), _height(y, up), text)
