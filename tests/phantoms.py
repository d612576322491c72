"""Chests of known volume for tests: the package's phantom on small grids, with its truth.

Everything is drawn by ``groundglass.phantom``; here it is made small, healthy, tilted or gappy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.phantom import Chest, build_chest, true_labels

SMALL = Chest(shape=(64, 96, 96), spacing_mm=(5.0, 3.75, 3.75), noise_hu=10.0)
"""Drawn in a third of a second."""
FINE = Chest(shape=(110, 176, 176), spacing_mm=(3.0, 2.0, 2.0), noise_hu=10.0)
"""Drawn in about two seconds; fine enough for vessels."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A drawn chest and what is true about it."""

    scan: Scan
    lungs: NDArray[np.uint8]
    infection: NDArray[np.uint8]
    truth: Mapping[str, float]
    """Closed form: ``lungs_ml``, ``right_ml``, ``left_ml``, ``ground_glass_ml``,
    ``consolidation_ml``, ``infected_ml``, ``infected_percent``; of whole lungs, whatever is
    shown."""


def phantom(
    chest: Chest = SMALL,
    *,
    healthy: bool = False,
    keep: Sequence[int] | None = None,
    tilt_degrees: float = 0.0,
    seed: int = 0,
) -> Phantom:
    """Return a phantom as a canonical scan.

    Parameters
    ----------
    chest
        What to draw.
    healthy
        Leave all lesions out.
    keep
        Slices kept, head to feet; the others are missing and the grid tells so.
    tilt_degrees
        Gantry tilt: slices lean against the way of the table. Volumes shrink by its cosine, and
        the truth with them.
    seed
        Of vessels and noise.
    """
    chest = replace(chest, ground_glass=(), consolidation=()) if healthy else chest
    scan = build_chest(chest, seed)
    lungs, infection = true_labels(chest)
    chosen = np.arange(chest.shape[0]) if keep is None else np.asarray(keep)
    geometry = lean(take(scan.geometry, chosen), tilt_degrees)
    scale = math.cos(math.radians(tilt_degrees))
    return Phantom(
        Scan(scan.voxels[chosen], geometry, Intensity.HU),
        lungs[chosen],
        infection[chosen],
        {
            name: value if name.endswith("percent") else value * scale
            for name, value in truth_of(chest).items()
        },
    )


def truth_of(chest: Chest) -> dict[str, float]:
    """Return what is true of a chest, in closed form."""
    return {
        "lungs_ml": float(chest.lungs_ml),
        "right_ml": float(chest.right.volume_ml),
        "left_ml": float(chest.left.volume_ml),
        "ground_glass_ml": float(chest.ground_glass_ml),
        "consolidation_ml": float(chest.consolidation_ml),
        "infected_ml": float(chest.ground_glass_ml + chest.consolidation_ml),
        "infected_percent": float(chest.infected_percent),
    }


def take(geometry: Geometry, chosen: NDArray[np.intp]) -> Geometry:
    """Return the grid of some of the slices."""
    shape = (len(chosen), *geometry.shape[1:])
    return replace(geometry, shape=shape, origins_mm=geometry.origins_mm[chosen])


def lean(geometry: Geometry, degrees: float) -> Geometry:
    """Return an axial grid with its slices turned about x while their origins stay in place."""
    angle = np.deg2rad(degrees)
    row = geometry.row_mm * np.array([0.0, np.cos(angle), np.sin(angle)])
    return replace(geometry, row_step_mm=row)
