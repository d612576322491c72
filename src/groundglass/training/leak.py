"""The leak guard: the same picture must not lie on two sides of a split.

Pictures are compared as small maps of tones without their coarse shading, each in its eight turns
and mirror images, by correlation. That finds copies that were turned, mirrored, scaled or
compressed again, and neighbouring slices of one scan; it does not find pictures cut to another
frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import LeakError
from groundglass.imaging.tone import align_hu, align_picture, resized

SIDE_PX = 32
"""Height and width of the compared maps."""
SHADING_PX = 3.0
"""Standard deviation of the Gaussian whose result is taken off as shading."""
SAME_FROM = 0.8
"""Correlation from which two pictures are taken for the same or for neighbours in one scan. Slices
10 mm apart reach 0.85 to 0.95, mid-lung slices of different patients at most 0.56."""
RELATED_FROM = 0.75
"""Correlation from which two pictures are taken to come from one source, and never parted."""
COPY_FROM = 0.95
"""Correlation from which two pictures are taken for copies where patients are known. Lungs cut out
alike of different patients reach 0.91 in Per-COVID-19; copies compressed again exceed 0.99."""
NAMED_PAIRS = 5
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Twins:
    """Two pictures that look alike."""

    first: str
    """Name of one."""
    second: str
    """Name of the other."""
    likeness: float
    """Their correlation; 1 for equal pixels."""


@dataclass(frozen=True, eq=False)
class Prints:
    """What pictures are compared by."""

    names: tuple[str, ...]
    """Names of the pictures."""
    maps: NDArray[np.float32]
    """(pictures, 32 x 32) tones without shading, each of mean 0 and length 1."""
    digests: tuple[str, ...]
    """Hash of the pixels of each, the same for all turns and mirror images."""


def prints_of(items: Sequence[SliceItem]) -> Prints:
    """Return what the pictures of items are compared by."""
    maps, digests = [], []
    for item in items:
        one = item.read()
        maps.append(_map_of(one))
        digests.append(_digest(one.values))
    stacked = np.stack(maps) if maps else np.zeros((0, SIDE_PX**2), np.float32)
    return Prints(tuple(item.name for item in items), stacked, tuple(digests))


def _map_of(one: Slice) -> NDArray[np.float32]:
    align = align_hu if one.intensity is Intensity.HU else align_picture
    tones = resized(align(one.values), (SIDE_PX, SIDE_PX))
    detail = (tones - ndimage.gaussian_filter(tones, SHADING_PX)).ravel()
    centred = detail - detail.mean()
    return np.asarray(centred, np.float32) / max(float(np.linalg.norm(centred)), 1e-6)


def _turned(maps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the maps in their eight turns and mirror images."""
    planes = maps.reshape(len(maps), SIDE_PX, SIDE_PX)
    return [
        np.rot90(mirrored, quarter, (1, 2)).reshape(len(maps), SIDE_PX**2)
        for mirrored in (planes, planes[:, :, ::-1])
        for quarter in range(4)
    ]


def _digest(values: NDArray[np.generic]) -> str:
    views = [np.rot90(side, quarter) for side in (values, values[:, ::-1]) for quarter in range(4)]
    return min(
        hashlib.sha256(str(view.shape).encode() + np.ascontiguousarray(view).tobytes()).hexdigest()
        for view in views
    )


def find_twins(one: Prints, other: Prints, least: float = SAME_FROM) -> list[Twins]:
    """Return the pairs of pictures, one of each side, that look alike, most alike first.

    Parameters
    ----------
    one, other : Prints
        Both sides; for pairs within one set give it twice, then no picture is its own twin.
    least : float
        Correlation from which a pair counts.
    """
    within = one is other
    equal = set(one.digests) & set(other.digests)
    found = []
    for start in range(0, len(one.names), _BLOCK):
        part = one.maps[start : start + _BLOCK]
        alike = np.max([part @ turned.T for turned in _turned(other.maps)], axis=0)
        for row, column in np.argwhere(alike >= least):
            first = start + int(row)
            if within and first >= column:
                continue
            same = one.digests[first] in equal and one.digests[first] == other.digests[column]
            likeness = 1.0 if same else min(float(alike[row, column]), 0.9999)
            found.append(Twins(one.names[first], other.names[column], likeness))
    return sorted(found, key=lambda twins: (-twins.likeness, twins.first, twins.second))


def joined_sources(items: Sequence[SliceItem], prints: Prints) -> tuple[SliceItem, ...]:
    """Return items whose groups are joined where their pictures are related.

    A joined group bears the name of its first member.
    """
    parent = {item.group: item.group for item in items}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    group_of = {item.name: item.group for item in items}
    order = {group: place for place, group in enumerate(dict.fromkeys(group_of.values()))}
    for twins in find_twins(prints, prints, RELATED_FROM):
        pair = (root(group_of[twins.first]), root(group_of[twins.second]))
        first, second = sorted(pair, key=order.__getitem__)
        parent[second] = first
    return tuple(item.within(root(item.group)) for item in items)


def guard(
    prints: Prints,
    sides: Mapping[str, Sequence[str]],
    *,
    allowed: bool = False,
    least: float = SAME_FROM,
) -> str | None:
    """Stop if the same picture lies on two sides of a split.

    Parameters
    ----------
    prints : Prints
        All pictures.
    sides : mapping
        Names of the pictures of each side.
    allowed : bool
        Do not stop; return what was found.
    least : float
        Correlation from which two pictures are the same.

    Returns
    -------
    str or None
        What was let through, for the card; ``None`` where nothing was found.

    Raises
    ------
    LeakError
        If a picture lies on two sides and that is not allowed; pairs are named.
    """
    place = {name: index for index, name in enumerate(prints.names)}
    parts = {side: _part(prints, [place[name] for name in names]) for side, names in sides.items()}
    names = list(parts)
    told: list[str] = []
    for index, side in enumerate(names):
        for other in names[index + 1 :]:
            told += [
                f"{twins.first} ({side}) and {twins.second} ({other}), {twins.likeness:.3f} alike"
                for twins in find_twins(parts[side], parts[other], least)
            ]
    if not told:
        return None
    shown = "; ".join(told[:NAMED_PAIRS])
    more = f"; and {len(told) - NAMED_PAIRS} more" if len(told) > NAMED_PAIRS else ""
    text = f"{len(told)} pairs of pictures lie on two sides of the split: {shown}{more}"
    if allowed:
        return text
    msg = f"{text}; keep them on one side, or say --allow-leak, which the card will tell"
    raise LeakError(msg)


def _part(prints: Prints, rows: Sequence[int]) -> Prints:
    return Prints(
        tuple(prints.names[row] for row in rows),
        prints.maps[list(rows)],
        tuple(prints.digests[row] for row in rows),
    )
