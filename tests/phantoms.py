"""Chests of ellipsoids with volumes known in closed form, for tests: thin names over the package's.

Everything is drawn by ``groundglass.phantom``; here are the grids and dishes tests ask for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from groundglass.phantom import (
    LEFT_LUNG,
    LESIONS,
    RIGHT_LUNG,
    Ellipsoid,
    Kind,
    Lesion,
    Phantom,
    PhantomConfig,
    Point,
    centred_grid,
    make_phantom,
)

__all__ = [
    "LEFT_LUNG",
    "LESIONS",
    "RIGHT_LUNG",
    "Ellipsoid",
    "Lesion",
    "Phantom",
    "PhantomConfig",
    "centred_grid",
    "chest",
    "healthy_chest",
    "lesion",
    "make_phantom",
]

SMALL = PhantomConfig(shape=(64, 96, 96), spacing_mm=(5.0, 3.75, 3.75))
"""Draws in a fifth of a second."""
FINE = PhantomConfig(shape=(110, 176, 176), spacing_mm=(3.0, 2.0, 2.0))
"""Draws in about a second; fine enough for vessels and small radii."""


def lesion(center_mm: Point, radii_mm: Point | float, kind: Kind = "ground_glass") -> Lesion:
    """Return one lesion; a single radius makes a ball."""
    radii = (radii_mm,) * 3 if isinstance(radii_mm, float | int) else radii_mm
    return Lesion(kind, Ellipsoid(center_mm, radii))


def chest(*, fine: bool = False, **changes: Any) -> Phantom:
    """Return a chest with ground glass in both lungs and consolidation in the left one.

    Keywords are fields of ``PhantomConfig``.
    """
    return make_phantom(replace(FINE if fine else SMALL, **changes))


def healthy_chest(*, fine: bool = False, **changes: Any) -> Phantom:
    """Return a chest without lesions."""
    return chest(fine=fine, lesions=(), **changes)
