"""Whole series of COVID-CTset: select, then classify, then decide about the patient."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from groundglass.datasets.covid_ctset import CtsetSeries, read_series, read_stored
from groundglass.datasets.covid_ctset_slices import (
    class_part,
    class_parts,
    has_series,
    marks_of,
    read_in_hu,
    set_of,
)
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.systems.covid_ctset.selection import count_dark, keep_open

SERIES = "series"
"""The part that holds what the selection keeps of the series SR_2 of every patient."""


def parts_of(root: Path) -> tuple[str, ...]:
    """Return the parts there are, the one to measure first."""
    return (*class_parts(root), *((SERIES,) if has_series(root) else ())) or ("labelled",)


def part_of(root: Path, part: str) -> SliceSet:
    """Return the slices of a part; see `groundglass.datasets.covid_ctset_slices`."""
    if part != SERIES:
        return class_part(root, part)
    marks = marks_of(root)
    items = tuple(
        replace(item, marks=marks(series.patient, series.group))
        for series in read_series(root)
        for item in kept_slices(series)
    )
    return set_of(items, "slices kept of whole series, labelled as their patient")


def kept_slices(series: CtsetSeries) -> list[SliceItem]:
    """Return the slices that the published selection keeps of a series, labelled as its patient.

    Each series is selected on its own, never together with one of another thickness.
    """
    counts = [int(count_dark(read_stored(file)[None])[0]) for file in series.files]
    _, kept = keep_open(np.array(counts))
    return [
        SliceItem(
            f"{series.name}/{series.files[place].name}",
            series.patient,
            "train",
            "doctor",
            partial(read_in_hu, series.files[place]),
            target=float(series.covid),
            stratum=series.series,
        )
        for place in np.flatnonzero(kept).tolist()
    ]
