"""COVID-CT for the bench: pictures as slices with classes, and what tells the class without lungs.

A slice holds plain grey values: file format, colour mode and colours, which tell the class in this
data set, end here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity
from groundglass.datasets.covid_ct import PARTS, ClassPicture, parts_of, read_covid_ct
from groundglass.datasets.slices import Slice, SliceItem, SliceSet

DATASET = "covid-ct"
TERMS = "research use; copyright of the pictures stays with the source papers"
CLASSES = ("other", "COVID-19")
"""Classes by number; the published scripts have them the other way round."""
COPIES = ("CT_NonCOVID/71%0.jpg", "CT_NonCOVID/71%1.jpg")
"""Pictures of the part ``train`` that stand in ``test`` as COVID-19; never trained on."""
NEIGHBOURS = 15
"""Training pictures asked by a baseline."""

Scores = Mapping[str, Sequence[float]]


def class_parts(root: Path) -> tuple[str, ...]:
    """Return the parts there are, the one to measure first: ``test``, else ``val``."""
    found = parts_of(root)
    return tuple(part for part in reversed(PARTS) if part in found) or ("train",)


def class_part(root: Path, part: str) -> SliceSet:
    """Return the pictures of a part, with baselines that look at no lung."""
    pictures = read_covid_ct(root, part)
    items = tuple(_item(picture, picture.split) for picture in pictures)
    beside = partial(cue_scores, root, part)
    return _set(items, _notes(pictures), beside)


def all_parts(root: Path) -> SliceSet:
    """Return what is trained on and what is held out.

    Pictures of ``val`` choose what is kept of a training and are not trained on; those of ``test``
    are there for the leak guard alone. Two training pictures that also stand in ``test`` under the
    other class are left out.
    """
    pictures = [one for part in parts_of(root) or ("train",) for one in read_covid_ct(root, part)]
    kept = [one for one in pictures if one.name not in COPIES]
    items = tuple(_item(one, one.split) for one in kept)
    notes = _notes(pictures)
    if len(kept) < len(pictures):
        left_out = ", ".join(one.name for one in pictures if one.name in COPIES)
        notes = (*notes, f"{left_out}: the same pictures stand in test as COVID-19; left out")
    return _set(items, notes)


def _set(
    items: tuple[SliceItem, ...],
    notes: tuple[str, ...],
    beside: Callable[[], Scores] | None = None,
) -> SliceSet:
    return SliceSet(DATASET, TERMS, items, notes, CLASSES, groups_known=True, beside=beside)


def _item(picture: ClassPicture, split: str) -> SliceItem:
    read = partial(_read, picture)
    return SliceItem(
        picture.name, picture.group, split, "doctor", read, target=float(picture.covid)
    )


def _read(picture: ClassPicture) -> Slice:
    return Slice(picture.image(), Intensity.DISPLAY, None)


def _notes(pictures: Sequence[ClassPicture]) -> tuple[str, ...]:
    parts: dict[str, set[str]] = {}
    for one in pictures:
        parts.setdefault(one.group, set()).add(one.split)
    shared = sorted(group for group, splits in parts.items() if len(splits) > 1)
    told = "the pictures come from publications: source and class go together"
    if not shared:
        return (told,)
    names = ", ".join(group.split("/")[1] for group in shared)
    return (told, f"one source feeds several parts: {names}")


def cue_scores(root: Path, part: str) -> Scores:
    """Return how likely COVID-19 is by what has nothing to do with lungs, by name of the cue.

    Learnt on the part ``train``: shares of the class among pictures of the same format or mode, and
    among those nearest in size or mean grey, where a picture never asks itself.

    Parameters
    ----------
    root : Path
        The data set.
    part : str
        Whose pictures are scored, in their order.
    """
    train, wanted = read_covid_ct(root, "train"), read_covid_ct(root, part)
    known = np.array([one.covid for one in train], np.float64)
    own = np.array([[one.name == other.name for other in train] for one in wanted])
    formats = [[one.cues().format for one in side] for side in (train, wanted)]
    modes = [[one.cues().mode for one in side] for side in (train, wanted)]
    sizes = [
        np.array([[np.log(one.cues().width_px), np.log(one.cues().height_px)] for one in side])
        for side in (train, wanted)
    ]
    greys = [np.array([[one.image().mean()] for one in side]) for side in (train, wanted)]
    return {
        "file format": _by_kind(formats, known),
        "colour mode": _by_kind(modes, known),
        "picture size": _by_neighbours(sizes, known, own),
        "mean grey": _by_neighbours(greys, known, own),
    }


def _by_kind(kinds: list[list[str]], known: NDArray[np.float64]) -> list[float]:
    train = np.array(kinds[0])
    return [_share(known, train == kind, float(known.mean())) for kind in kinds[1]]


def _by_neighbours(
    places: list[NDArray[np.float64]], known: NDArray[np.float64], own: NDArray[np.bool_]
) -> list[float]:
    train, wanted = places
    spread = train.std(0) + 1e-9
    found = []
    for row, place in enumerate(wanted):
        away = np.abs((train - place) / spread).sum(1) + np.where(own[row], np.inf, 0.0)
        nearest = np.argsort(away, kind="stable")[:NEIGHBOURS]
        found.append(float(known[nearest].mean()))
    return found


def _share(known: NDArray[np.float64], rows: NDArray[np.bool_], otherwise: float) -> float:
    return float(known[rows].mean()) if rows.any() else otherwise
