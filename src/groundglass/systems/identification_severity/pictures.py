"""What the published classifier looks at: dense lung and its outline, slice by slice.

Inside the lungs a mixture of three Gaussians gives two density bands; pixels in them keep their
value, all others are black, and the outline of the lungs is added. The published code does this in
several ways that differ between its sets; this is the way of its training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.errors import GridMismatchError
from groundglass.imaging.mixture import Mixture, MixtureConfig, fit_mixture
from groundglass.systems.identification_severity.infection import bands
from groundglass.systems.identification_severity.presets import Preset

Mask = NDArray[np.bool_]

STORED_OFFSET = 1024
"""Added to HU to get stored values."""
OUTLINE_VALUE = 950
"""Added on the outline of the lungs, in stored values."""
LEAST_HU = 2
"""A slice without lung of this density and more is left out."""
BANDS = Preset("classification", ceiling_hu=30.0, middle_else_hu=10.0)
"""Limits of the density bands."""


@dataclass(frozen=True)
class ClassificationConfig:
    """How pictures for the classifier are made."""

    fill_holes: bool = True
    """Whether holes of the bands are filled, MO in the ablation's names."""
    outline: bool = True
    """Whether the outline of the lungs is added, B in the ablation's names."""
    fill_lungs: bool = False
    """Whether holes of the lung mask are filled first, as for the low-dose sets."""
    long_above: int = 80
    """With more slices than this the longer window is taken."""
    long_reach: int = 40
    """Slices on either side of the middle one in a long series."""
    short_reach: int = 20
    """Slices on either side of the middle one in a short series."""

    @property
    def name(self) -> str:
        """Name in the published ablation, e.g. ``GMM+MO+B``."""
        return "GMM" + "+MO" * self.fill_holes + "+B" * self.outline


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one scan."""

    index: NDArray[np.intp]
    """(pictures,): slice of each, head to feet."""
    values: NDArray[np.uint8]
    """(pictures, rows, columns), each from its minimum to its maximum."""
    pooled: NDArray[np.bool_]
    """(pictures,): whether the slice's own mixture failed and the volume's was used."""


def window_of(slices: int, config: ClassificationConfig | None = None) -> range:
    """Return the slices round the middle that are looked at, of so many."""
    rule = config or ClassificationConfig()
    reach = rule.long_reach if slices > rule.long_above else rule.short_reach
    middle = slices // 2 - 1  # the code counts from 1
    return range(max(middle - reach, 0), min(middle + reach + 1, slices))


def classification_pictures(
    hu: NDArray[Any], lungs: NDArray[Any], config: ClassificationConfig | None = None
) -> Pictures:
    """Return the pictures of a scan that the classifier looks at.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns) in HU, canonical.
    lungs : ndarray
        Same shape, non-zero inside; left and right count alike.
    config : ClassificationConfig, optional
        How they are made.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    if hu.shape != lungs.shape or hu.ndim != 3:
        msg = f"densities of shape {hu.shape} need lungs of the same, found {lungs.shape}"
        raise GridMismatchError(msg)
    rule = config or ClassificationConfig()
    inside = np.asarray(lungs) > 0
    whole: list[Mixture | None] = []
    index, values, pooled = [], [], []
    for place in window_of(hu.shape[0], rule):
        lung = inside[place]
        if rule.fill_lungs:
            lung = np.asarray(ndimage.binary_fill_holes(lung))
        if not (hu[place][lung] >= LEAST_HU).any():
            continue
        mixture = _fit(hu[place][lung])
        failed = mixture is None
        if failed:
            if not whole:
                whole.append(_fit(hu[inside]))
            mixture = whole[0]
        if mixture is None:
            continue
        index.append(place)
        pooled.append(failed)
        values.append(_picture(hu[place], lung, mixture, rule))
    shape = (len(values), *hu.shape[1:])
    stacked = np.stack(values) if values else np.zeros(shape, dtype=np.uint8)
    return Pictures(np.array(index, np.intp), stacked, np.array(pooled, dtype=bool))


def _fit(values: NDArray[Any]) -> Mixture | None:
    levels, counts = np.unique(np.rint(values), return_counts=True)
    return fit_mixture(levels.astype(np.float64), counts.astype(np.float64), MixtureConfig())


def _picture(
    hu: NDArray[Any], lung: Mask, mixture: Mixture, rule: ClassificationConfig
) -> NDArray[np.uint8]:
    found = np.zeros(lung.shape, dtype=bool)
    for low, high in bands(mixture, BANDS):
        found |= (hu > low) & (hu < high)
    found &= lung
    if rule.fill_holes:
        found = np.asarray(ndimage.binary_fill_holes(found))
    picture = np.where(found, hu.astype(np.float32) + STORED_OFFSET, np.float32(0))
    if rule.outline:
        picture += OUTLINE_VALUE * lung_outline(lung)
    low, high = float(picture.min()), float(picture.max())
    if high <= low:
        return np.zeros(picture.shape, dtype=np.uint8)
    return np.rint((picture - low) * (255 / (high - low))).astype(np.uint8)


def lung_outline(lung: Mask) -> Mask:
    """Return the union of Prewitt's and Roberts' edges of a lung mask, thinned to their ridges.

    An edge is a pixel whose squared gradient is over 4 (Prewitt) or 6 (Roberts) times its mean and
    not below that of its neighbours across the edge.
    """
    values = lung.astype(np.float64)
    down, across = (ndimage.prewitt(values, axis=axis, mode="nearest") for axis in (0, 1))
    first = np.pad(values, ((0, 1), (0, 1)), mode="edge")
    one = first[:-1, :-1] - first[1:, 1:]
    other = first[:-1, 1:] - first[1:, :-1]
    return _ridges(down, across, 4) | _ridges(one, other, 6)


def _ridges(
    down: NDArray[np.float64], across: NDArray[np.float64], times: float
) -> NDArray[np.bool_]:
    strength = down**2 + across**2
    strong = strength > times * strength.mean()
    kept = np.zeros(strength.shape, dtype=bool)
    for axis, leads in ((0, np.abs(down) >= np.abs(across)), (1, np.abs(across) >= np.abs(down))):
        before, after = (np.roll(strength, step, axis) for step in (1, -1))
        kept |= leads & (before <= strength) & (strength > after)
    return np.asarray(strong & kept)
