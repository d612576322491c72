"""Lung and lobe masks made by other programs, told apart by their label conventions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, LOBES, RIGHT, LobeMask, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import GridMismatchError, NoLungsError, UnsupportedFormatError
from groundglass.imaging.resample import block_mean, repeat_to, working_grid
from groundglass.lungs.config import LungConfig
from groundglass.lungs.split import nearest_side, split_lungs

Mask = NDArray[np.bool_]

TISSUE_HU = -200.0
"""A part named lung whose mean density is above is no lung."""


class Convention(StrEnum):
    """Label conventions that are understood; the value is the name to give."""

    SINGLE = "single"
    """One label for both lungs."""
    SIDES = "sides"
    """1 right lung, 2 left lung, as lungmask's R231 writes."""
    LUNGMASK_LOBES = "lungmask-lobes"
    """1 left upper, 2 left lower, 3 right upper, 4 right middle, 5 right lower (LTRCLobes)."""
    TOTALSEGMENTATOR = "totalsegmentator"
    """Task ``total`` of version 2: 10 left upper, 11 left lower, 12 right upper, 13 right middle,
    14 right lower."""
    TOTALSEGMENTATOR_V1 = "totalsegmentator-v1"
    """Task ``total`` of version 1: the same lobes from 13 to 17."""


_LOBE_NAMES = tuple(
    f"lung_{lobe}_lobe_{side}"
    for side, lobe in (
        ("left", "upper"), ("left", "lower"), ("right", "upper"), ("right", "middle"),
        ("right", "lower"),
    )
)  # fmt: skip
NAMES: Mapping[str, tuple[int, int]] = {
    "lung": (0, 0),
    "lungs": (0, 0),
    "lung_right": (RIGHT, 0),
    "right_lung": (RIGHT, 0),
    "lung_left": (LEFT, 0),
    "left_lung": (LEFT, 0),
    **{name: (LEFT if i < 2 else RIGHT, i + 1) for i, name in enumerate(_LOBE_NAMES)},
    **{name: (LEFT if i < 2 else RIGHT, i + 1) for i, name in enumerate(LOBES)},
}
"""Side (0 for both) and lobe (0 for none) of every understood name of a part."""

_FIRST_LOBE = {
    Convention.LUNGMASK_LOBES: 1,
    Convention.TOTALSEGMENTATOR: 10,
    Convention.TOTALSEGMENTATOR_V1: 13,
}


@dataclass(frozen=True, eq=False)
class ExternalMasks:
    """What another program's mask says on the scan's grid."""

    lungs: LungMask
    """Both lungs."""
    lobes: LobeMask | None
    """The lobes, where the mask tells them."""


def recognise(values: NDArray[Any]) -> Convention:
    """Return the convention that a mask's label values follow.

    Parameters
    ----------
    values : array
        The label values found, in any order; 0 is background.

    Raises
    ------
    UnsupportedFormatError
        If the values fit several conventions or none.
    NoLungsError
        If there is no value but 0.
    """
    found = {int(value) for value in np.unique(values)} - {0}
    if not found:
        msg = "the lung mask holds no label but 0; give a mask that marks the lungs"
        raise NoLungsError(msg)
    lobes = set(range(1, 6))
    if found in ({1, 2}, {2}):
        return Convention.SIDES
    if len(found) == 1 and found.isdisjoint(range(10, 18)):
        return Convention.SINGLE
    if found <= lobes and 5 in found:
        return Convention.LUNGMASK_LOBES
    if found <= set(range(13, 18)) and found & {15, 16, 17}:
        return Convention.TOTALSEGMENTATOR_V1
    if len(found & set(range(10, 15))) > 1 and not found <= lobes:
        return Convention.TOTALSEGMENTATOR
    shown = ", ".join(str(value) for value in sorted(found)[:12])
    msg = (
        f"the labels of the lung mask ({shown}) fit no known convention for certain; "
        f"name it as one of: {', '.join(Convention)}"
    )
    raise UnsupportedFormatError(msg)


def masks_from_labels(
    labels: NDArray[Any], scan: Scan, convention: Convention | str | None = None
) -> ExternalMasks:
    """Return lungs, and lobes where told, from a label array on the scan's grid.

    Parameters
    ----------
    labels : array of whole numbers, shape of the scan
        Canonical as the scan: slice 0 nearest the head, column 0 at the patient's right.
    scan : Scan
    convention : Convention or its name, optional
        Recognised from the label values if not given.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    UnsupportedFormatError
        If the convention is not known for certain, or its labels do not lie on lung.
    NoLungsError
        If no lung is marked.
    """
    _require_shape(labels, scan)
    kind = recognise(labels) if convention is None else _named(convention)
    if kind is Convention.SINGLE:
        parts = {"lung": labels != 0}
    elif kind is Convention.SIDES:
        parts = {"lung_right": labels == 1, "lung_left": labels == 2}
    else:
        first = _FIRST_LOBE[kind]
        parts = {name: labels == first + i for i, name in enumerate(_LOBE_NAMES)}
    return masks_from_parts(parts, scan, method=f"external: {kind}")


def masks_from_parts(
    parts: Mapping[str, Mask], scan: Scan, method: str = "external: named parts"
) -> ExternalMasks:
    """Return lungs, and lobes where told, from one mask per named part.

    Parameters
    ----------
    parts : mapping of str to array of bool, shape of the scan
        Names as TotalSegmentator writes them (``lung_upper_lobe_left`` ...), or ``lung_right``,
        ``lung_left``, ``lung``. Other names are passed over.
    scan : Scan
    method : str
        Where the masks come from, for the report.

    Raises
    ------
    GridMismatchError
        If a shape differs from the scan's.
    UnsupportedFormatError
        If a part named lung does not lie on lung.
    NoLungsError
        If no name is understood or nothing is marked.
    """
    known = {name: mask for name, mask in parts.items() if name in NAMES}
    lungs, lobes = np.zeros(scan.shape, np.uint8), np.zeros(scan.shape, np.uint8)
    whole = np.zeros(scan.shape, np.bool_)
    for name, mask in known.items():
        _require_shape(mask, scan)
        _require_lung(name, mask, scan)
        side, lobe = NAMES[name]
        lungs[mask] = side
        lobes[mask] = lobe
        whole |= mask
    if not whole.any():
        msg = f"no lung is marked; parts of these names are understood: {', '.join(NAMES)}"
        raise NoLungsError(msg)
    if (whole & (lungs == 0)).any():
        lungs = _split(whole, lungs, scan)
    verdicts = _right_way_round(lungs, bool(lobes.any()))
    both = LungMask(lungs, scan.geometry, method, verdicts=verdicts)
    return ExternalMasks(both, LobeMask(lobes, scan.geometry, method) if lobes.any() else None)


def _named(convention: Convention | str) -> Convention:
    try:
        return Convention(convention)
    except ValueError:
        msg = f"the label convention must be one of {', '.join(Convention)}, found {convention!r}"
        raise ValueError(msg) from None


def _require_shape(array: NDArray[Any], scan: Scan) -> None:
    if array.shape != scan.shape:
        msg = (
            f"the lung mask must lie on the scan's grid of {scan.shape}, found {array.shape}; "
            "resample it to the scan"
        )
        raise GridMismatchError(msg)


def _require_lung(name: str, mask: Mask, scan: Scan) -> None:
    """Refuse a part named lung that lies on soft tissue: another convention, or another scan."""
    if scan.intensity is not Intensity.HU or not mask.any():
        return
    mean = float(scan.hu()[mask].mean())
    if mean > TISSUE_HU and name not in ("lung_right", "lung_left", "right_lung", "left_lung"):
        msg = (
            f"the part read as {name} has a mean density of {mean:.0f} HU, so it is no lung; "
            f"name the label convention as one of: {', '.join(Convention)}"
        )
        raise UnsupportedFormatError(msg)


def _split(whole: Mask, known: NDArray[np.uint8], scan: Scan) -> NDArray[np.uint8]:
    """Return sides for a mask that does not tell them all."""
    spacing, config = scan.geometry.spacing_mm, LungConfig()
    grid = working_grid(scan.shape, spacing, config.grid_mm)
    small = block_mean(whole.astype(np.int16) * 100, grid) >= 50
    if scan.intensity is Intensity.HU:
        hu = block_mean(scan.hu(), grid)
    else:
        hu = np.zeros(grid.shape, np.int16)
    columns = np.flatnonzero(small.any(axis=(0, 1)))
    middle = float(columns.mean()) if columns.size else (grid.shape[2] - 1) / 2
    sides = split_lungs(hu, small, middle, grid, config).labels
    spread = repeat_to(nearest_side(sides, grid.spacing_mm), grid)
    return np.where(whole & (known == 0), spread, known)


def _right_way_round(lungs: NDArray[np.uint8], has_lobes: bool) -> tuple[Verdict, ...]:
    """Swap the sides in place if the right lung lies on the patient's left."""
    weights = [(lungs == side).sum(axis=(0, 1)) for side in (RIGHT, LEFT)]
    if not all(weight.any() for weight in weights):
        return ()
    columns = np.arange(lungs.shape[2])
    right, left = (float(weight @ columns) / weight.sum() for weight in weights)
    if right < left:
        return ()
    if not has_lobes:
        marked = lungs > 0
        lungs[marked] = (RIGHT + LEFT) - lungs[marked]
    return (
        Verdict(
            "lung_sides",
            Status.WARNING,
            "the lung mask names the lung on the patient's right the left one",
            "it was kept as named, as its lobes say the same" if has_lobes else "they were swapped",
            "check right and left before using numbers by side",
        ),
    )
