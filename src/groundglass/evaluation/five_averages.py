"""Dice of slices under the five averages in use, with intervals by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.summary import Figure
from groundglass.evaluation.tables import NumberTable, span
from groundglass.metrics import AVERAGES, Overlap, averages, bootstrap_interval

Float = NDArray[np.float64]
COLUMNS = (
    "average",
    "slices",
    "Dice",
    "95 %",
    "sensitivity",
    "specificity",
    "precision",
    "Jaccard",
    "MCC",
    "MAE",
)


class Legacy(StrEnum):
    """How the published code of a task averages."""

    FOUND = "found"
    """Over slices with a non-empty mask; those it missed drop out."""
    RUNNING = "running"
    """Over slices with mask and reference; a patient's figure is the mean of all slices so far, and
    the mean of those is told."""


@dataclass(frozen=True)
class ScoredSlice:
    """One slice of a task."""

    name: str
    """Name of the slice."""
    patient: str
    """Whose it is."""
    overlap: Overlap
    """Mask against reference."""
    legacy: Overlap
    """The same as the published code counts it, its reference grown where it was resized."""


def five_averages(
    slices: Sequence[ScoredSlice], legacy: Legacy, title: str, rounds: int = 1000, seed: int = 0
) -> NumberTable:
    """Return one row for each average: how many slices enter, Dice with interval, the rest.

    Parameters
    ----------
    slices : sequence of ScoredSlice
        All slices of the task.
    legacy : Legacy
        What ``legacy`` means.
    title : str
        Title of the table.
    rounds : int
        Draws of the bootstrap, whole patients at a time.
    seed : int
        Its seed.
    """
    patients = [one.patient for one in slices]
    counts = [one.overlap for one in slices]
    rest = averages(counts, patients)
    old = [one.legacy for one in slices if _enters(one.legacy, legacy)]
    rest["legacy"] = averages(old, range(len(old)))["legacy"]
    dice = _dice(slices, legacy, rounds, seed)
    rows = []
    for name in AVERAGES:
        members = _members(name, slices, legacy)
        one, figure = rest[name], dice[name]
        rows.append(
            (
                name,
                len(members),
                figure.value,
                span(figure.low, figure.high),
                one.sensitivity,
                one.specificity,
                one.precision,
                _mean([m.jaccard for m in members]),
                _mean([m.mcc for m in members]),
                _mean([m.mae for m in members]),
            )
        )
    return NumberTable(title, COLUMNS, tuple(rows))


def _enters(one: Overlap, legacy: Legacy) -> bool:
    found = one.tp + one.fp > 0
    return found and (legacy is Legacy.FOUND or one.tp + one.fn > 0)


def _members(name: str, slices: Sequence[ScoredSlice], legacy: Legacy) -> list[Overlap]:
    if name == "legacy":
        return [one.legacy for one in slices if _enters(one.legacy, legacy)]
    if name == "infected_only":
        return [one.overlap for one in slices if one.overlap.tp + one.overlap.fn]
    return [one.overlap for one in slices]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _dice(
    slices: Sequence[ScoredSlice], legacy: Legacy, rounds: int, seed: int
) -> dict[str, Figure]:
    patients = [one.patient for one in slices]
    every = np.array([one.overlap.dice for one in slices])
    ill = np.array([one.overlap.tp + one.overlap.fn > 0 for one in slices])
    old = np.array([one.legacy.dice if _enters(one.legacy, legacy) else np.nan for one in slices])
    counts = np.array([[o.overlap.tp, o.overlap.fp, o.overlap.fn] for o in slices], dtype=float)
    found = {
        "slice_mean": _interval(every, patients, rounds, seed),
        "infected_only": _interval(np.where(ill, every, np.nan), patients, rounds, seed),
        "legacy": _interval(old, patients, rounds, seed),
        "pooled": _pooled(counts, patients, rounds, seed),
    }
    names = list(dict.fromkeys(patients))
    own = np.array([names.index(patient) for patient in patients])
    summed = np.array([counts[own == row].sum(axis=0) for row in range(len(names))])
    found["per_patient"] = _interval(_dice_of(summed), names, rounds, seed)
    if legacy is Legacy.RUNNING:
        found["legacy"] = Figure(_running(old, own), None, None)
    return found


def _dice_of(counts: Float) -> Float:
    below = 2 * counts[..., 0] + counts[..., 1] + counts[..., 2]
    return np.where(below > 0, 2 * counts[..., 0] / np.maximum(below, 1), 1.0)


def _interval(values: Float, patients: Sequence[str], rounds: int, seed: int) -> Figure:
    def mean(rows: NDArray[np.intp]) -> float | None:
        chosen = values[rows]
        known = chosen[~np.isnan(chosen)]
        return float(known.mean()) if known.size else None

    value = mean(np.arange(values.size))
    ends = bootstrap_interval(mean, patients, np.random.default_rng(seed), rounds)
    return Figure(value, *(ends or (None, None)))


def _pooled(counts: Float, patients: Sequence[str], rounds: int, seed: int) -> Figure:
    def pooled(rows: NDArray[np.intp]) -> float:
        return float(_dice_of(counts[rows].sum(axis=0)))

    ends = bootstrap_interval(pooled, patients, np.random.default_rng(seed), rounds)
    return Figure(pooled(np.arange(len(counts))), *(ends or (None, None)))


def _running(values: Float, own: NDArray[np.intp]) -> float | None:
    """Return the mean over patients of the mean of all slices up to and with each."""
    means = []
    for patient in range(int(own.max(initial=-1)) + 1):
        known = values[own <= patient]
        known = known[~np.isnan(known)]
        if known.size:
            means.append(float(known.mean()))
    return _mean(means)
