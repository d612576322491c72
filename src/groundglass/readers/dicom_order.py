"""Where the slices of a series lie: along the normal, from positions, never from file names.

Positions come from ImagePositionPatient. Where that is missing or the same for all, SliceLocation,
then InstanceNumber, then the order of the file names stand in, and a verdict says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.verdict import Status, Verdict
from groundglass.readers.build import STAND_IN_FIELD_MM, natural_key
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.options import ReadOptions

Float = NDArray[np.float64]
T = TypeVar("T")

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Columns to the patient's left, rows to the back."""
SAME_PLACE_MM = 0.02
"""Slices closer than this lie at the same place."""
_ENOUGH = 0.5
_DISTINCT = 0.9


class Source(StrEnum):
    """What tells where slices lie, best first."""

    POSITION = "ImagePositionPatient"
    LOCATION = "SliceLocation"
    NUMBER = "InstanceNumber"
    NAME = "file name"


@dataclass(frozen=True, eq=False)
class Located:
    """Slices with their place along the normal, head or higher value last."""

    headers: tuple[ImageHeader, ...]
    """Images, in order of their place."""
    along_mm: Float
    """Place along the normal (for numbers: the number), growing."""
    source: Source
    """What told the place."""
    lost: int
    """Images left out because they alone do not say where they lie."""

    @property
    def coverage(self) -> float:
        """Distance from the first to the last slice; in mm unless told by number or name."""
        return float(self.along_mm[-1] - self.along_mm[0])


@dataclass(frozen=True, eq=False)
class Placement:
    """Slices in order from head to feet with the grid they lie on."""

    headers: tuple[ImageHeader, ...]
    """Images from head to feet (for slices that are not axial: along their normal)."""
    geometry: Geometry
    """Their grid."""
    verdicts: tuple[Verdict, ...] = ()
    """What was missing or contradictory."""

    def keep(self, kept: Sequence[int]) -> Placement:
        """Return the placement of some of the slices."""
        rows, columns = self.geometry.shape[1:]
        geometry = replace(
            self.geometry,
            shape=(len(kept), rows, columns),
            origins_mm=self.geometry.origins_mm[list(kept)],
        )
        return replace(self, headers=tuple(self.headers[i] for i in kept), geometry=geometry)


def usable_orientation(header: ImageHeader) -> tuple[float, ...] | None:
    """Return the image orientation if it is two unit vectors at right angles, else ``None``."""
    if header.orientation is None:
        return None
    across, down = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across @ down)) > 0.02:
        return None
    return header.orientation


def slice_normal(orientation: Sequence[float]) -> Float:
    """Return the unit vector at right angles to the slices."""
    vector = np.cross(np.array(orientation[:3]), np.array(orientation[3:]))
    return np.asarray(vector / np.linalg.norm(vector))


def locate(headers: Sequence[ImageHeader]) -> Located:
    """Return images in order of their place along the normal.

    Parameters
    ----------
    headers : sequence of ImageHeader
        Images of one orientation, in any order.

    Returns
    -------
    Located
        Those whose place is known by the best source that more than half of them have.
    """
    normal = slice_normal(_orientation(headers)[0])
    positions = [
        None if h.position_mm is None else float(np.array(h.position_mm) @ normal) for h in headers
    ]
    locations = [h.slice_location_mm for h in headers]
    numbers = [None if h.instance_number is None else float(h.instance_number) for h in headers]
    if _share(positions) > _ENOUGH and not _collapsed(positions, locations, numbers, headers):
        return _sorted(headers, positions, Source.POSITION)
    if _share(locations) > _ENOUGH and (len(headers) == 1 or _distinct(locations) > 1):
        return _sorted(headers, locations, Source.LOCATION)
    if _share(numbers) > _ENOUGH and _distinct(numbers) >= _DISTINCT * len(headers):
        return _sorted(headers, numbers, Source.NUMBER)
    names = sorted(headers, key=lambda h: (natural_key(h.path), h.frame))
    return Located(tuple(names), np.arange(len(names), dtype=np.float64), Source.NAME, 0)


def place(located: Located, options: ReadOptions) -> Placement:
    """Return slices from head to feet on their grid.

    Parameters
    ----------
    located : Located
        Slices of one size, each at a place of its own.
    options : ReadOptions
        ``spacing_mm`` replaces what the files say.

    Returns
    -------
    Placement
        With verdicts on everything that had to be assumed.
    """
    headers = located.headers
    orientation, told = _orientation(headers)
    row_mm, column_mm, known, more = _pixel_spacing(headers, options)
    origins, also, step_known = _origins(located, orientation, options)
    order = _head_to_feet(origins, orientation)
    layout = headers[0].layout
    geometry = Geometry(
        shape=(len(headers), layout.rows, layout.columns),
        origins_mm=origins[order],
        row_step_mm=np.array(orientation[3:]) * row_mm,
        column_step_mm=np.array(orientation[:3]) * column_mm,
        slice_width_mm=common([h.thickness_mm for h in headers]) if known else None,
        spacing_known=known and step_known,
        frame_of_reference=common([h.frame_of_reference for h in headers]),
    )
    return Placement(tuple(headers[i] for i in order), geometry, (*told, *more, *also))


def _head_to_feet(origins: Float, orientation: Sequence[float]) -> list[int]:
    """Return the order in which slices run to the feet, or along the normal if not axial."""
    normal = slice_normal(orientation)
    towards_feet = -normal if normal[2] > 0 else normal
    return [int(i) for i in np.argsort(origins @ towards_feet, kind="stable")]


def _share(values: Sequence[float | None]) -> float:
    return sum(value is not None for value in values) / len(values)


def _distinct(values: Sequence[float | None]) -> int:
    return len({round(value, 2) for value in values if value is not None})


def _collapsed(
    positions: Sequence[float | None],
    locations: Sequence[float | None],
    numbers: Sequence[float | None],
    headers: Sequence[ImageHeader],
) -> bool:
    """Return whether all positions are one and the same although the slices are not.

    Many images of one place (perfusion) have acquisition numbers or times of their own.
    """
    if len(headers) < 3 or _distinct(positions) > 1:
        return False
    if _distinct(locations) >= _DISTINCT * len(headers):
        return True
    repeated = len({(h.acquisition_number, h.temporal_position, h.time) for h in headers}) > 1
    return not repeated and _distinct(numbers) >= _DISTINCT * len(headers)


def _sorted(
    headers: Sequence[ImageHeader], values: Sequence[float | None], source: Source
) -> Located:
    known = [(value, i) for i, value in enumerate(values) if value is not None]
    known.sort(key=lambda pair: (pair[0], natural_key(headers[pair[1]].path)))
    return Located(
        tuple(headers[i] for _, i in known),
        np.array([value for value, _ in known]),
        source,
        len(headers) - len(known),
    )


def _orientation(headers: Sequence[ImageHeader]) -> tuple[tuple[float, ...], tuple[Verdict, ...]]:
    found = Counter(o for h in headers if (o := usable_orientation(h)) is not None)
    if found:
        return found.most_common(1)[0][0], ()
    verdict = Verdict(
        "orientation",
        Status.WARNING,
        "The files do not say how the slices lie in the patient",
        "The usual axial orientation was assumed: the patient's right at the left of the picture",
        "Totals do not depend on it; right and left, front and back may be swapped",
    )
    return AXIAL, (verdict,)


def _pixel_spacing(
    headers: Sequence[ImageHeader], options: ReadOptions
) -> tuple[float, float, bool, tuple[Verdict, ...]]:
    if options.spacing_mm is not None:
        return options.spacing_mm[1], options.spacing_mm[2], True, ()
    stated = common([h.spacing_mm for h in headers])
    if stated is not None:
        return stated[0], stated[1], True, ()
    diameter = common([h.diameter_mm for h in headers])
    layout = headers[0].layout
    if diameter is not None:
        step = diameter / max(layout.rows, layout.columns)
        verdict = Verdict(
            "slice_spacing",
            Status.WARNING,
            "The files do not state the pixel spacing",
            f"It was taken from the reconstruction diameter: {step:.3f} mm",
            "If that is wrong, ml are wrong by its square, and percentages are less sure",
        )
        return step, step, True, (verdict,)
    verdict = Verdict(
        "slice_spacing",
        Status.WARNING,
        "The files do not state the pixel spacing",
        f"A field of view of {STAND_IN_FIELD_MM:.0f} mm stands in for it where a rule needs mm",
        "No ml can be told, and percentages are less sure",
    )
    step = STAND_IN_FIELD_MM / max(layout.rows, layout.columns)
    return step, step, False, (verdict,)


def _origins(
    located: Located, orientation: Sequence[float], options: ReadOptions
) -> tuple[Float, tuple[Verdict, ...], bool]:
    """Return slice origins, what had to be assumed, and whether distances are in mm."""
    headers, along = located.headers, located.along_mm
    told = (_lost_verdict(located),) if located.lost else ()
    normal = slice_normal(orientation)
    upwards = normal if normal[np.argmax(np.abs(normal))] > 0 else -normal
    counted = upwards if options.feet_first else -upwards
    if options.spacing_mm is not None:
        step = options.spacing_mm[0]
        way = {Source.POSITION: normal, Source.LOCATION: upwards}.get(located.source, counted)
        places = np.arange(len(along)) * step
        return np.outer(places, way), (*told, _stated_verdict(step)), True
    if located.source is Source.POSITION:
        return np.array([h.position_mm for h in headers], dtype=np.float64), told, True
    if located.source is Source.LOCATION:
        return np.outer(along, upwards), (*told, _location_verdict()), True
    step_mm = common([h.between_mm for h in headers]) or common([h.thickness_mm for h in headers])
    numbers = along if _plausible_numbers(along) else np.arange(len(along), dtype=np.float64)
    verdict = _number_verdict(located.source, step_mm, "feet" if options.feet_first else "head")
    return np.outer((step_mm or 1.0) * numbers, counted), (*told, verdict), step_mm is not None


def _plausible_numbers(numbers: Float) -> bool:
    """Return whether jumps in the numbers may be missing slices."""
    return bool(np.ptp(numbers) < 2 * len(numbers)) and bool((np.diff(numbers) >= 1).all())


def common(values: Sequence[T | None]) -> T | None:
    """Return the most frequent value that is known; ``None`` if none is."""
    found = Counter(value for value in values if value is not None)
    return found.most_common(1)[0][0] if found else None


def _lost_verdict(located: Located) -> Verdict:
    total = located.lost + len(located.headers)
    return Verdict(
        "ordering",
        Status.WARNING,
        f"{located.lost} of {total} slices without a place ({located.source} missing)",
        "They were left out",
        "Their place counts as a gap that the slices beside it fill",
    )


def _stated_verdict(step_mm: float) -> Verdict:
    return Verdict(
        "slice_spacing",
        Status.NOTE,
        f"A spacing was stated by the user: {step_mm:g} mm from slice to slice",
        "It replaced what the files say; only the order of the slices was taken from them",
        "All ml follow the stated spacing",
    )


def _location_verdict() -> Verdict:
    return Verdict(
        "ordering",
        Status.WARNING,
        "The files do not state slice positions (ImagePositionPatient missing or all the same)",
        "Slices were ordered by SliceLocation, taken to grow towards the head",
        "Totals do not depend on the direction; if it is the other way, upper and lower, and "
        "right and left as told by position, are swapped",
    )


def _number_verdict(source: Source, step_mm: float | None, end: str) -> Verdict:
    step = "an unknown step" if step_mm is None else f"a step of {step_mm:g} mm from the header"
    effect = (
        "No ml can be told"
        if step_mm is None
        else "Missing slices may go unnoticed and ml follow the stated step"
    )
    return Verdict(
        "ordering",
        Status.WARNING,
        "The files state neither slice positions nor slice locations",
        f"Slices were ordered by {source}, the first at the {end}, with {step}",
        f"{effect}; upper and lower may be swapped",
    )
