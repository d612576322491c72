"""A chest whose lobes are cut by planes, with its fissures drawn and its volumes in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, LOBES, RIGHT
from groundglass.core.scan import Intensity, Scan
from groundglass.phantom import LUNG_HU, Chest, Ellipsoid, Lung, build_chest

Float = NDArray[np.floating[Any]]

FISSURE_HU = -600.0
FISSURE_MM = 1.2


@dataclass(frozen=True)
class Plane:
    """A plane across y and z: a point and the normal that looks to the head."""

    point: tuple[float, float]
    """y and z in mm."""
    slope: float
    """Rise of z with y."""

    @property
    def normal(self) -> Float:
        """Unit normal (x, y, z)."""
        vector = np.array([0.0, -self.slope, 1.0])
        return np.asarray(vector / np.linalg.norm(vector))

    def height(self, y: Float, z: Float) -> Float:
        """Return the distance above the plane in mm."""
        above = (y - self.point[0]) * self.normal[1] + (z - self.point[1]) * self.normal[2]
        return np.asarray(above)

    def share_above(self, solid: Ellipsoid) -> float:
        """Return the share of an ellipsoid above the plane: a cap of the unit ball."""
        _, y, z = solid.centre_mm
        radii = np.array(solid.radii_mm)
        away = -float(self.height(np.array(y), np.array(z)))
        height = 1 - away / float(np.linalg.norm(radii * self.normal))
        return height**2 * (3 - height) / 4


LUNG_R = Lung(Ellipsoid((-80.0, 0.0, -13.0), (56.0, 85.0, 140.0)), 0.3, 1.3)
LUNG_L = Lung(Ellipsoid((80.0, 0.0, -13.0), (50.0, 82.0, 136.0)), 0.3, 1.3)
LEFT_OBLIQUE = Plane((12.0, -13.0), 1.04)
RIGHT_OBLIQUE = Plane((15.0, -18.0), 1.07)
HORIZONTAL = Plane((-20.0, 21.0), 0.08)
LESIONS = {
    "left_upper": Ellipsoid((82.0, -32.0, 60.0), (24.0, 24.0, 24.0)),
    "left_lower": Ellipsoid((80.0, 42.0, -60.0), (26.0, 26.0, 44.0)),
    "right_lower": Ellipsoid((-82.0, 40.0, -70.0), (30.0, 28.0, 40.0)),
    "right_upper": Ellipsoid((-82.0, -20.0, 65.0), (17.0, 17.0, 17.0)),
}
"""One lesion of ground glass in every lobe but the middle one."""
CHEST = Chest(
    shape=(120, 176, 176),
    spacing_mm=(2.4, 2.0, 2.0),
    right=LUNG_R,
    left=LUNG_L,
    ground_glass=(),
    consolidation=(),
    noise_hu=14.0,
)
"""No dome reaches into these lungs, so that a lobe is a cap of an ellipsoid."""


def lobes_ml() -> dict[str, float]:
    """Return the closed-form volumes; the right upper and middle lobe together."""
    left, right = LUNG_L.body, LUNG_R.body
    upper = LEFT_OBLIQUE.share_above(left)
    front = RIGHT_OBLIQUE.share_above(right)
    return {
        "left_upper": upper * left.volume_ml,
        "left_lower": (1 - upper) * left.volume_ml,
        "right_front": front * right.volume_ml,
        "right_lower": (1 - front) * right.volume_ml,
    }


def lobed(
    chest: Chest = CHEST, *, fissures: bool = True, ill: bool = False
) -> tuple[Scan, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the scan, its lungs (1 right, 2 left) and its lobes (1 to 5)."""
    chest = replace(chest, ground_glass=tuple(LESIONS.values())) if ill else chest
    scan = build_chest(chest)
    n, rows, columns = chest.shape
    dz, dy, dx = chest.spacing_mm
    z = (dz * ((n - 1) / 2 - np.arange(n)))[:, None, None]
    y = (dy * (np.arange(rows) - (rows - 1) / 2))[None, :, None]
    x = (dx * (np.arange(columns) - (columns - 1) / 2))[None, None, :]
    lungs = np.zeros(chest.shape, np.uint8)
    for lung, label in ((chest.right, RIGHT), (chest.left, LEFT)):
        parts = [
            ((axis - c) / r) ** 2
            for axis, c, r in zip((x, y, z), lung.body.centre_mm, lung.body.radii_mm, strict=True)
        ]
        lungs[parts[0] + parts[1] + parts[2] <= 1] = label
    above = {
        name: np.broadcast_to(plane.height(y, z), chest.shape)
        for name, plane in (("lo", LEFT_OBLIQUE), ("ro", RIGHT_OBLIQUE), ("rh", HORIZONTAL))
    }
    lobes = np.where(above["lo"] > 0, 1, 2) * (lungs == LEFT)
    right = np.where(above["ro"] > 0, np.where(above["rh"] > 0, 3, 4), 5)
    lobes = (lobes + right * (lungs == RIGHT)).astype(np.uint8)
    if not fissures:
        return scan, lungs, lobes
    where = {"lo": lungs == LEFT, "ro": lungs == RIGHT, "rh": (lungs == RIGHT) & (lobes != 5)}
    voxels = scan.voxels.astype(np.float32)
    for name, inside in where.items():
        share = _sheet(above[name], float(np.hypot(dz, dy)) / math.sqrt(2))
        voxels += np.float32(FISSURE_HU - LUNG_HU) * share * inside
    return (
        Scan(np.rint(voxels).astype(np.int16), scan.geometry, Intensity.HU),
        lungs,
        lobes,
    )


def _sheet(height: Float, voxel_mm: float) -> NDArray[np.float32]:
    """Return how much of each voxel a thin sheet fills."""
    reach = (voxel_mm + FISSURE_MM) / 2
    overlap = np.clip(reach - np.abs(height), 0, min(voxel_mm, FISSURE_MM))
    return (overlap / voxel_mm).astype(np.float32)


def dice(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> dict[str, float]:
    """Return the overlap of each lobe."""
    return {
        name: 2
        * float(((one == k) & (other == k)).sum())
        / float((one == k).sum() + (other == k).sum())
        for k, name in enumerate(LOBES, start=1)
    }
