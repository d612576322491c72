"""Plain chests for tests of lungs: ellipsoids in an ellipse, one fault at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AIR, LUNG, TISSUE, BONE = -1000, -860, 40, 500
Point = tuple[float, float, float]
Mask = NDArray[np.bool_]
Line = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Plan:
    """Where the parts of a plain chest lie; mm from the middle: down, to the back, to the left."""

    shape: tuple[int, int, int] = (48, 96, 96)
    spacing_mm: Point = (6.0, 4.0, 4.0)
    body_mm: tuple[float, float] = (110.0, 170.0)
    right_mm: Point = (0.0, 0.0, -78.0)
    left_mm: Point = (0.0, 0.0, 78.0)
    radii_mm: Point = (115.0, 75.0, 52.0)
    noise_hu: float = 0.0

    def axes(self) -> tuple[Line, Line, Line]:
        """Return voxel centres along each axis in mm from the middle, ready to broadcast."""
        z, y, x = (
            (np.arange(n) - (n - 1) / 2) * mm
            for n, mm in zip(self.shape, self.spacing_mm, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def ball(self, centre: Point, radii: Point | float) -> Mask:
        """Return the voxels of an ellipsoid."""
        radii = (radii,) * 3 if isinstance(radii, (int, float)) else radii
        parts = zip(self.axes(), centre, radii, strict=True)
        return np.asarray(sum(((p - c) / r) ** 2 for p, c, r in parts) <= 1)

    def tube(self, centre: tuple[float, float], radius: float, span: tuple[float, float]) -> Mask:
        """Return the voxels of an upright tube."""
        z, y, x = self.axes()
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
        return np.asarray(inside & (z >= span[0]) & (z <= span[1]))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def lung_ml(self) -> float:
        """Volume of one lung in closed form."""
        return float(4 / 3 * np.pi * np.prod(self.radii_mm)) / 1000


def draw(plan: Plan | None = None, seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return densities and true lung labels of a plain chest."""
    plan = plan or Plan()
    _, y, x = plan.axes()
    body = (y / plan.body_mm[0]) ** 2 + (x / plan.body_mm[1]) ** 2 <= 1
    hu = np.where(body, TISSUE, AIR) * np.ones(plan.shape, np.int16)
    labels = np.zeros(plan.shape, np.uint8)
    labels[plan.ball(plan.right_mm, plan.radii_mm)] = 1
    labels[plan.ball(plan.left_mm, plan.radii_mm)] = 2
    hu[labels > 0] = LUNG
    noise = np.random.default_rng(seed).normal(0, plan.noise_hu, plan.shape)
    return (hu + noise).astype(np.int16), labels
