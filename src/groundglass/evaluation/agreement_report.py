"""What an agreement says, written: JSON, two tables, one page with a Bland-Altman drawing."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from groundglass.evaluation.agreement import MEANING, Agreement, agreement
from groundglass.evaluation.pages import template
from groundglass.evaluation.score_tables import Pairs, cohort_of

WIDTH, HEIGHT = 560, 340
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 52, 150, 16, 44
CONSTANT = "constant: median of the reference"
SMALLEST_COHORT = 3


@dataclass(frozen=True)
class AgreementReport:
    """Every score of a table against the reference."""

    pairs: Pairs
    """The scores."""
    rows: Mapping[str, Agreement]
    """By score, and by score and cohort where asked for; last a constant as baseline."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        return self.pairs.notes


def report_agreement(
    pairs: Pairs, rounds: int = 2000, seed: int = 0, *, cohorts: bool = False
) -> AgreementReport:
    """Return how every score agrees with the reference.

    Parameters
    ----------
    pairs : Pairs
        Reference and scores.
    rounds : int
        Draws of the bootstrap.
    seed : int
        Its seed.
    cohorts : bool
        Also by cohort, as the patients' names tell it, with at least 3 patients each.
    """
    truth = np.array(pairs.reference)
    rows = {}
    for name, score in pairs.scores.items():
        rows[name] = agreement(pairs.reference, score, rounds, seed)
        for cohort, members in _cohorts(pairs.ids).items() if cohorts else ():
            chosen = np.array(score)[members]
            rows[f"{name}: {cohort}"] = agreement(list(truth[members]), list(chosen), rounds, seed)
    constant = [float(np.median(truth))] * truth.size
    rows[CONSTANT] = agreement(pairs.reference, constant, 0)
    return AgreementReport(pairs, rows)


def _cohorts(ids: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for row, patient in enumerate(ids):
        members.setdefault(cohort_of(patient), []).append(row)
    large = {name: rows for name, rows in members.items() if len(rows) >= SMALLEST_COHORT}
    return large if len(large) > 1 else {}


def to_json(report: AgreementReport) -> str:
    """Return the figures as JSON."""
    document = {
        "n": len(report.pairs.ids),
        "scores": {
            name: {
                "n": one.count,
                **{key: asdict(figure) for key, figure in one.figures.items()},
                "patients_within": {str(points): n for points, n in one.patients_within.items()},
            }
            for name, one in report.rows.items()
        },
        "notes": list(report.notes),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def write_agreement(report: AgreementReport, folder: Path) -> tuple[Path, ...]:
    """Write ``agreement.json``, ``figures.csv``, ``pairs.csv`` and ``agreement.html``; return them.

    Parameters
    ----------
    report : AgreementReport
        What to write.
    folder : Path
        Where to; made if needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("agreement.json", "figures.csv", "pairs.csv", "agreement.html")
    paths = tuple(folder / name for name in names)
    paths[0].write_text(to_json(report), encoding="utf-8")
    _write_figures(report, paths[1])
    _write_pairs(report.pairs, paths[2])
    drawings = {
        name: draw_bland_altman(report.pairs.reference, score, report.rows[name])
        for name, score in report.pairs.scores.items()
    }
    page = template("agreement.html").render(it=report, meaning=MEANING, drawings=drawings)
    paths[3].write_text(page, encoding="utf-8")
    return paths


def _write_figures(report: AgreementReport, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(["score", "n", "figure", "value", "low", "high", "meaning"])
        for name, one in report.rows.items():
            for key, figure in one.figures.items():
                numbers = (figure.value, figure.low, figure.high)
                table.writerow([name, one.count, key, *numbers, MEANING[key]])


def _write_pairs(pairs: Pairs, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        heads = [head for name in pairs.scores for head in (name, f"{name} minus reference")]
        table.writerow(["patient", "reference", *heads])
        for row, (patient, truth) in enumerate(zip(pairs.ids, pairs.reference, strict=True)):
            cells = [c for s in pairs.scores.values() for c in (s[row], s[row] - truth)]
            table.writerow([patient, truth, *cells])


@dataclass(frozen=True)
class Dot:
    """Patients at one place of a drawing."""

    x: float
    """Place across, in pixels."""
    y: float
    """Place down."""
    radius: float
    """Larger for more patients."""
    count: int
    """Patients there."""


@dataclass(frozen=True)
class BlandAltman:
    """A drawing of differences over means, all places in pixels."""

    dots: tuple[Dot, ...]
    """Patients."""
    lines: tuple[tuple[float, str], ...]
    """Height and text of bias, limits and zero."""
    x_ticks: tuple[tuple[float, str], ...]
    """Marks of the mean."""
    y_ticks: tuple[tuple[float, str], ...]
    """Marks of the difference."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT_PX
    right: int = WIDTH - RIGHT_PX
    top: int = TOP_PX
    bottom: int = HEIGHT - BOTTOM_PX


def draw_bland_altman(
    reference: Sequence[float], score: Sequence[float], found: Agreement
) -> BlandAltman:
    """Return the drawing of differences (score minus reference) over means.

    Parameters
    ----------
    reference, score : sequence of float
        Of the same patients.
    found : Agreement
        Gives bias and limits.
    """
    truth, other = np.asarray(reference, float), np.asarray(score, float)
    means, gaps = (truth + other) / 2, other - truth
    ends = [found.figures[name].value for name in ("limit_low", "limit_high")]
    low, high = _axis([*gaps.tolist(), 0.0, *(e for e in ends if e is not None)])
    left, right = _axis(means.tolist())

    def x(value: float) -> float:
        return round(LEFT_PX + (value - left) / (right - left) * (WIDTH - LEFT_PX - RIGHT_PX), 1)

    def y(value: float) -> float:
        room = HEIGHT - TOP_PX - BOTTOM_PX
        return round(HEIGHT - BOTTOM_PX - (value - low) / (high - low) * room, 1)

    places, counts = np.unique(np.stack([means, gaps], axis=1), axis=0, return_counts=True)
    dots = tuple(
        Dot(x(float(m)), y(float(g)), round(3 * float(np.sqrt(n)), 1), int(n))
        for (m, g), n in zip(places, counts, strict=True)
    )
    named = {"bias": "bias", "limit_low": "lower limit", "limit_high": "upper limit"}
    values = {name: found.figures[name].value for name in named}
    lines = [(y(v), f"{named[k]} {_told(v)}") for k, v in values.items() if v is not None]
    return BlandAltman(
        dots,
        (*lines, (y(0), "")),
        tuple((x(tick), _told(tick)) for tick in np.linspace(left, right, 6)),
        tuple((y(tick), _told(tick)) for tick in np.linspace(low, high, 6)),
    )


def _told(value: float) -> str:
    return f"{value:.1f}".replace("-", "\N{MINUS SIGN}")


def _axis(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max((high - low) * 0.06, 0.5)
    return low - room, high + room
