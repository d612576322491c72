"""The variants of the published infection rule as they stand in its repository, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Element = Literal["diamond13", "square25", "octagon37"]


@dataclass(frozen=True)
class SliceRule:
    """Which slices a variant looks at."""

    lung_share: float = 0.0
    """Least lung area as a share of the slice's pixels."""
    skip_first: int = 0
    """Slices left out at the head end."""
    skip_last: int = 0
    """Slices left out at the feet end."""
    middle_above: int | None = None
    """With more slices than this, only those round the middle are looked at."""
    middle_reach: int = 0
    """Slices on either side of the middle one that are looked at then, whatever their lung area."""

    def chosen(self, lungs: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return which slices of a lung mask (slices, rows, columns) the rule looks at."""
        count = lungs.shape[0]
        index = np.arange(count)
        if self.middle_above is not None and count > self.middle_above:
            return np.asarray(np.abs(index - count // 2) <= self.middle_reach)
        area = np.count_nonzero(lungs, axis=(1, 2))
        inside = (index >= self.skip_first) & (index < count - self.skip_last)
        return np.asarray(inside & (area > 0) & (area >= self.lung_share * lungs[0].size))


@dataclass(frozen=True)
class Preset:
    """One variant of the published rule; densities in HU."""

    name: str
    """Name of the variant."""
    floor_hu: float = -650.0
    """Least lower limit of both bands."""
    ceiling_hu: float = 50.0
    """Greatest upper limit of both bands."""
    middle_else_hu: float | None = None
    """Upper limit of the middle band where mean + 1.5 deviations lies above the ceiling; the
    ceiling itself if ``None``."""
    deviations: float = 1.5
    """Half width of a band in standard deviations."""
    regularisation: float = 0.1
    """Added to the variances of the mixture."""
    vessel_from: float = 0.65
    """Relative vesselness from which a pixel is vessel."""
    vessel_outside_hu: float = -1024.0
    """Value outside the lungs while vessels are sought."""
    smallest_px: int = 70
    """Least area of a part, neighbours over corners connected."""
    dilation: Element | None = "square25"
    """Element of the last dilation."""
    dense_above_hu: float | None = None
    """Lung denser than this is added, in parts of at least ``dense_smallest_px``."""
    dense_smallest_px: int = 70
    """Least area of an added dense part."""
    zero_is_outside: bool = True
    """Whether pixels of exactly 0 HU are lost, as in the code."""
    stay_in_lung: bool = False
    """Whether the dilated mask is cut to the lungs again; the code does not."""
    slices: SliceRule = SliceRule()
    """Which slices are looked at."""


SEGMENTATION = Preset("segmentation")
"""The mask of the published tables; every slice with lung."""
VOLUME = Preset("volume", slices=SliceRule(lung_share=0.07))
"""The mask of whole volumes: slices with lung on at least 7 % of their pixels."""
CTSS = Preset(
    "ctss",
    ceiling_hu=30.0,
    middle_else_hu=10.0,
    regularisation=0.0,
    vessel_outside_hu=0.0,
    smallest_px=50,
    slices=SliceRule(lung_share=0.06, skip_first=6, skip_last=5),
)
"""The mask under the severity score."""
CLINIC = Preset(
    "clinic",
    smallest_px=50,
    dilation="octagon37",
    dense_above_hu=-125.0,
    slices=SliceRule(lung_share=0.10, middle_above=100, middle_reach=50),
)
"""The mask of the clinic's severity script, with all dense lung added."""
ABLATION = Preset(
    "ablation",
    ceiling_hu=30.0,
    middle_else_hu=10.0,
    regularisation=0.0,
    vessel_from=0.75,
    vessel_outside_hu=0.0,
    dilation=None,
    slices=SliceRule(lung_share=0.07, middle_above=80, middle_reach=40),
)
"""The mask of the ablation study."""
CORRECTED = Preset("corrected", zero_is_outside=False, stay_in_lung=True)
"""The segmentation mask with its two slips repaired: 0 HU kept, nothing outside the lungs."""

PRESETS = {p.name: p for p in (SEGMENTATION, VOLUME, CTSS, CLINIC, ABLATION, CORRECTED)}
"""All variants by name."""


def element(name: Element) -> NDArray[np.bool_]:
    """Return the structuring element that MATLAB's ``disk`` of radius 2, 3 or 4 stands for.

    Returns
    -------
    ndarray
        13 pixels in 5 x 5, 25 in 5 x 5, or 37 in 7 x 7.
    """
    y, x = np.mgrid[-3:4, -3:4]
    if name == "octagon37":
        return np.asarray(np.abs(x) + np.abs(y) <= 4)
    small = np.abs(x) + np.abs(y) <= 2 if name == "diamond13" else np.maximum(abs(x), abs(y)) <= 2
    return np.asarray(small[1:-1, 1:-1])
