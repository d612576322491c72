"""Choosing slices by lung area: the default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundglass.core.results import LungMask, SliceSelection


@dataclass(frozen=True)
class AreaSelectionConfig:
    """Settings of the choice by lung area."""

    least_share: float = 0.3
    """Least lung area as a share of the largest in the scan, in (0, 1]."""


def select_by_area(lungs: LungMask, config: AreaSelectionConfig | None = None) -> SliceSelection:
    """Keep the slices in which the lungs are open.

    Parameters
    ----------
    lungs : LungMask
        Where the lungs are.
    config : AreaSelectionConfig, optional
        Settings.

    Returns
    -------
    SliceSelection
        ``values`` are lung areas in mm², or in pixels without a known spacing. Nothing is kept
        where no slice holds lung.
    """
    settings = config or AreaSelectionConfig()
    geometry = lungs.geometry
    unit = "mm²" if geometry.spacing_known else "pixels"
    area = np.count_nonzero(lungs.labels, axis=(1, 2)).astype(np.float64)
    area *= geometry.pixel_area_mm2 if geometry.spacing_known else 1.0
    threshold = settings.least_share * float(area.max())
    kept = (area >= threshold) & (area > 0)
    rule = (
        f"lung area of at least {100 * settings.least_share:g} % of the largest "
        f"({threshold:.0f} of {area.max():.0f} {unit})"
    )
    return SliceSelection("lung-area", kept, area, threshold, rule)
