"""Single slices with masks, one type for all data sets that hold such."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice as read."""

    values: NDArray[Any]
    """(rows, columns) Hounsfield units, or display values in 0..255."""
    intensity: Intensity
    """Which of the two."""
    lesion: Labels | None
    """0 none, 1 ground glass or any lesion, 2 consolidation; ``None`` without a reference."""
    kinds_known: bool = False
    """Whether consolidation is told apart in ``lesion``."""
    lungs: Labels | None = None
    """0 outside, 1 right, 2 left, or 1 alone; ``None`` where no lung mask is at hand."""
    spacing_mm: tuple[float, float] | None = None
    """Row and column spacing; ``None`` where not known."""
    colours: Labels | None = None
    """(rows, columns, 3) of a picture as stored, of which ``values`` are the grey."""


@dataclass(frozen=True, eq=False)
class SliceItem:
    """One slice of a data set, read when it is needed."""

    name: str
    """Unlike any other in the data set."""
    group: str
    """Patient or source; items of one group never part in a split."""
    split: str
    """Part of the data set it belongs to."""
    annotator: str
    """Who drew the mask: ``doctor``, ``network`` or ``none``."""
    read: Callable[[], Slice]
    """Reads the slice."""
    target: float | None = None
    """Percentage, or number of the class from 0; ``None`` where a mask is the reference."""
    fold: int | None = None
    """Fold of the data set's own split, as the data set numbers it; ``None`` without one."""
    stratum: str = ""
    """Kind of series, where figures of kinds are told apart; empty for none."""
    marks: tuple[str, ...] = ()
    """Further parts it belongs to whose figures are told apart, e.g. ``age 40 to 59``."""

    def within(self, group: str) -> SliceItem:
        """Return the item as a member of another group."""
        return replace(self, group=group)


@dataclass(frozen=True, eq=False)
class SliceSet:
    """Slices of one data set."""

    dataset: str
    """Name of the data set."""
    licence: str
    """Its terms in a few words."""
    items: tuple[SliceItem, ...]
    """In the order of the data set."""
    notes: tuple[str, ...] = ()
    """What a reader of figures on it should know."""
    classes: tuple[str, ...] = ()
    """Names of the classes by number; empty where targets are no classes."""
    beside: Callable[[], Mapping[str, Sequence[float]]] | None = None
    """Scores of the items, in their order, by what has nothing to do with lungs, by its name: what
    a model must beat; ``None`` where the data set gives no such."""
    groups_known: bool = False
    """Whether groups are the data set's own patients or sources; if not, slices that look alike
    are put into one."""
