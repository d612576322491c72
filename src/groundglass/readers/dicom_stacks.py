"""Images to stacks: sets of slices that could form one scan, each place taken once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.readers.build import natural_key
from groundglass.readers.dicom_file import load_pixels
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_order import (
    SAME_PLACE_MM,
    Located,
    Source,
    locate,
    usable_orientation,
)

ORIENTATION_TOLERANCE = 0.01
"""Difference of direction cosines below which slices are parallel."""
SPACING_TOLERANCE = 0.01
"""Relative difference of pixel spacings below which they are equal."""
MOST_PHASES = 60
"""More values of an attribute than this do not tell phases apart."""
_PROJECTIONS = frozenset({"MIP", "MINIP", "PROJECTION IMAGE", "VOLUME RENDERING", "VRT"})
_SEPARATORS: tuple[tuple[str, Callable[[ImageHeader], Hashable | None]], ...] = (
    ("temporal position", lambda h: h.temporal_position),
    ("acquisition number", lambda h: h.acquisition_number),
    ("reconstruction kernel", lambda h: h.kernel),
    ("image type", lambda h: h.image_type or None),
    ("slice thickness", lambda h: h.thickness_mm),
    ("contrast agent", lambda h: bool(h.contrast)),
)
_CONFLICT = 0.5
_ENOUGH_TO_OVERLAP = 4


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices that could form one scan."""

    located: Located
    """The slices in order of their place, each at a place of its own."""
    is_projection: bool
    """Whether the images are projections (MIP), not slices."""
    phase: int = 0
    """Number of this stack among those told apart on the same places, earliest first."""
    phases: int = 1
    """Number of stacks on the same places."""
    told_apart_by: str | None = None
    """What told them apart."""
    copies: int = 0
    """Exact copies of slices that were left out."""
    displaced: int = 0
    """Other images at places already taken that were left out."""

    @property
    def headers(self) -> tuple[ImageHeader, ...]:
        """The slices in order of their place."""
        return self.located.headers

    @property
    def series_key(self) -> str:
        """Series Instance UID as it stands in the files."""
        return self.headers[0].series_key


def find_stacks(images: Iterable[ImageHeader]) -> list[Stack]:
    """Return the stacks that images form.

    Images belong together if they share series, size, orientation, pixel spacing and kind of
    image. Images on the same places are told apart by temporal position, acquisition number,
    kernel, image type or thickness, else by time and number.

    Parameters
    ----------
    images : iterable of ImageHeader
        In any order; the result does not depend on it.

    Returns
    -------
    list of Stack
        Largest first within a series.
    """
    stacks: list[Stack] = []
    ordered = sorted(images, key=lambda h: (h.series_key, natural_key(h.path), h.frame))
    for members in _alike(ordered):
        stacks += _split(members)
    return sorted(stacks, key=lambda s: (s.series_key, -len(s.headers), s.phase))


def _alike(images: Iterable[ImageHeader]) -> list[list[ImageHeader]]:
    groups: list[list[ImageHeader]] = []
    by_key: dict[Hashable, list[list[ImageHeader]]] = {}
    for image in images:
        key = (
            image.series_key,
            image.modality,
            image.layout.rows,
            image.layout.columns,
            is_projection(image),
        )
        fitting = (g for g in by_key.setdefault(key, []) if is_parallel(g[0], image))
        group = next(fitting, None)
        if group is None:
            group = []
            by_key[key].append(group)
            groups.append(group)
        group.append(image)
    return groups


def is_projection(image: ImageHeader) -> bool:
    """Return whether an image is a projection through many slices."""
    return not _PROJECTIONS.isdisjoint(image.image_type)


def is_parallel(one: ImageHeader, other: ImageHeader) -> bool:
    """Return whether two images have the same orientation and pixel spacing."""
    return _close(
        usable_orientation(one), usable_orientation(other), 0.0, ORIENTATION_TOLERANCE
    ) and _close(one.spacing_mm, other.spacing_mm, SPACING_TOLERANCE, 0.0)


def _close(
    one: Sequence[float] | None, other: Sequence[float] | None, relative: float, absolute: float
) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=relative, atol=absolute))


def _split(members: list[ImageHeader]) -> list[Stack]:
    """Return the stacks of images alike, told apart where they lie on the same places."""
    kept, copies = _drop_copies(members)
    for name, key in _SEPARATORS:
        parts = _partition(kept, key)
        if 2 <= len(parts) <= MOST_PHASES and _in_conflict(parts):
            return _numbered([_untangle(part, copies) for part in parts], name)
    return _untangle(kept, copies)


def _numbered(families: list[list[Stack]], name: str) -> list[Stack]:
    stacks = [stack for family in families for stack in family]
    return [
        Stack(
            stack.located,
            stack.is_projection,
            number,
            len(stacks),
            name,
            stack.copies,
            stack.displaced,
        )
        for number, stack in enumerate(stacks)
    ]


def _partition(
    images: Sequence[ImageHeader], key: Callable[[ImageHeader], Hashable | None]
) -> list[list[ImageHeader]]:
    """Return images by value of an attribute, smallest value first; one part if some lack it."""
    parts: dict[Hashable, list[ImageHeader]] = {}
    for image in images:
        value = key(image)
        if value is None:
            return [list(images)]
        parts.setdefault(value, []).append(image)
    return [parts[value] for value in sorted(parts, key=_sort_key)]


def _sort_key(value: Hashable) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if isinstance(value, int | float) else 0.0, str(value)


def _in_conflict(parts: list[list[ImageHeader]]) -> bool:
    """Return whether two parts cannot belong to one scan: they lie on or between one another."""
    located = [locate(part) for part in parts]
    if any(one.source is not located[0].source for one in located):
        return False
    if located[0].source in (Source.NUMBER, Source.NAME):
        return False
    return any(_conflict(one.along_mm, other.along_mm) for one, other in combinations(located, 2))


def _conflict(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    small, large = sorted((one, other), key=len)
    after = np.searchsorted(large, small - SAME_PLACE_MM)
    shared = large[np.minimum(after, len(large) - 1)] <= small + SAME_PLACE_MM
    if (shared & (after < len(large))).mean() >= _CONFLICT:
        return True
    inside = (small >= large[0]) & (small <= large[-1])
    return len(small) >= _ENOUGH_TO_OVERLAP and float(inside.mean()) >= _CONFLICT


def _untangle(images: Sequence[ImageHeader], copies: int) -> list[Stack]:
    """Return stacks with one image at every place; images of one place are ranked by time."""
    located = locate(images)
    places = _places(located)
    projection = is_projection(images[0])
    crowded = sum(len(place) > 1 for place in places)
    if crowded <= _CONFLICT * len(places):
        taken = [place[0] for place in places]
        displaced = len(located.headers) - len(taken)
        return [Stack(_chosen(located, taken), projection, copies=copies, displaced=displaced)]
    count = max(len(place) for place in places)
    return [
        Stack(
            _chosen(located, [place[rank] for place in places if rank < len(place)]),
            projection,
            rank,
            count,
            "time or number of the images",
            copies,
        )
        for rank in range(count)
    ]


def _places(located: Located) -> list[list[int]]:
    """Return the indices of the images at every place, earliest first."""
    groups: list[list[int]] = []
    for index, along in enumerate(located.along_mm):
        if groups and along - located.along_mm[groups[-1][0]] <= SAME_PLACE_MM:
            groups[-1].append(index)
        else:
            groups.append([index])

    def moment(index: int) -> tuple[float, int, object, int]:
        header = located.headers[index]
        return (
            header.time or 0.0,
            header.instance_number or 0,
            natural_key(header.path),
            header.frame,
        )

    return [sorted(group, key=moment) for group in groups]


def _chosen(located: Located, taken: Sequence[int]) -> Located:
    return Located(
        tuple(located.headers[i] for i in taken),
        located.along_mm[list(taken)],
        located.source,
        located.lost,
    )


def _drop_copies(images: list[ImageHeader]) -> tuple[list[ImageHeader], int]:
    """Return images without those that lie at the same place twice with the same stored pixels."""
    located = locate(images)
    if located.source is Source.NAME:
        return images, 0
    digests: dict[Path, bytes | None] = {}
    dropped: set[Path] = set()
    for place in _places(located):
        alike: dict[Hashable, list[ImageHeader]] = {}
        for header in (located.headers[i] for i in place):
            alike.setdefault(_marks(header), []).append(header)
        for group in alike.values():
            dropped.update(_copies(group, digests))
    kept = [image for image in images if image.path not in dropped]
    return kept, len(images) - len(kept)


def _marks(header: ImageHeader) -> Hashable:
    """Return what an image and its copy share, without reading pixels."""
    return (
        header.frame,
        header.kernel,
        header.temporal_position,
        header.acquisition_number,
        header.time,
        header.thickness_mm,
        header.layout.offset,
    )


def _copies(headers: Sequence[ImageHeader], digests: dict[Path, bytes | None]) -> set[Path]:
    """Return the files whose pixels repeat those of an earlier file; ``digests`` remembers them."""
    if len({header.path for header in headers}) < 2:
        return set()
    seen: set[bytes] = set()
    copies = set()
    for header in headers:
        if header.path not in digests:
            digests[header.path] = _pixel_digest(header)
        digest = digests[header.path]
        if digest in seen:
            copies.add(header.path)
        elif digest is not None:
            seen.add(digest)
    return copies


def _pixel_digest(header: ImageHeader) -> bytes | None:
    """Return a digest of the stored pixels; ``None`` if they cannot be read."""
    try:
        pixels = load_pixels(header.path, header.layout.offset)[1]
    except (OSError, ValueError):
        return None
    return blake2b(pixels, digest_size=16).digest()
