"""Where fissures lie in an average pair of lungs, and the frames they are looked for in.

Heights and depths are shares of a lung's own box: height 0 at its apex and 1 at its lowest point,
depth 0 at its front and 1 at its back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LEFT, RIGHT

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP_MM = (3.0, 3.0, 1.0)
"""Steps of a frame: from right to left, along the fissure, across it."""
REACH_MM = 42.0
"""How far from its prior plane a fissure is looked for, on either side."""


@dataclass(frozen=True, slots=True)
class Prior:
    """One fissure as a plane in the box of its lung."""

    name: str
    """The fissure in words."""
    side: int
    """Label of its lung."""
    back: tuple[float, float]
    """Height and depth of a point at the back."""
    front: tuple[float, float]
    """Height and depth of a point at the front."""


LEFT_OBLIQUE = Prior("left oblique", LEFT, (0.16, 1.0), (0.71, 0.15))
RIGHT_OBLIQUE = Prior("right oblique", RIGHT, (0.20, 1.0), (0.72, 0.15))
HORIZONTAL = Prior("horizontal", RIGHT, (0.36, 1.0), (0.42, 0.0))
PRIORS = (LEFT_OBLIQUE, RIGHT_OBLIQUE, HORIZONTAL)
"""All fissures; the right oblique one comes before the horizontal one, which ends at it."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A plane with a grid on it and heights above it, in mm of (depth below slice 0, row, column).

    Axis 0 runs from right to left, axis 1 along the fissure to the front and to the feet, axis 2
    across it towards the head.
    """

    origin_mm: Float
    """(3,): the corner of the plane's grid."""
    axes: Float
    """(3, 3): unit vectors of the three axes."""
    shape: tuple[int, int]
    """Points of the plane's grid along axis 0 and 1."""

    def points(self, heights_mm: Float) -> tuple[NDArray[np.float32], ...]:
        """Return where points above the plane lie: three arrays of mm.

        Parameters
        ----------
        heights_mm : array
            (axis 0, axis 1, n): heights above the plane at each of its grid points.
        """
        first, second = (
            np.arange(count, dtype=np.float32) * np.float32(step)
            for count, step in zip(self.shape, STEP_MM[:2], strict=True)
        )
        heights = heights_mm.astype(np.float32)
        return tuple(
            np.float32(self.origin_mm[i])
            + first[:, None, None] * np.float32(self.axes[0, i])
            + second[None, :, None] * np.float32(self.axes[1, i])
            + heights * np.float32(self.axes[2, i])
            for i in range(3)
        )

    def locate(self, points_mm: Float) -> tuple[Float, Float]:
        """Return grid positions on the plane, (n, 2), and heights above it, (n,)."""
        inside = (points_mm - self.origin_mm) @ self.axes.T
        return inside[:, :2] / np.array(STEP_MM[:2]), inside[:, 2]


def prior_frame(prior: Prior, low_mm: Float, high_mm: Float) -> Frame:
    """Return the frame of a fissure's prior plane in the box of its lung.

    Parameters
    ----------
    prior : Prior
    low_mm, high_mm : array
        (3,): the lung's box in mm of (depth below slice 0, row, column).
    """
    size = high_mm - low_mm
    back, front = (low_mm[:2] + np.array(point) * size[:2] for point in (prior.back, prior.front))
    way = (front - back) / np.linalg.norm(front - back)
    across = np.array([way[1], -way[0]])
    across = across if across[0] < 0 else -across
    corners = np.array([[z, y] for z in (low_mm[0], high_mm[0]) for y in (low_mm[1], high_mm[1])])
    along = (corners - back) @ way
    start = back + way * along.min()
    axes = np.array([[0, 0, 1.0], [way[0], way[1], 0], [across[0], across[1], 0]])
    counts = (int(size[2] / STEP_MM[0]) + 2, int(np.ptp(along) / STEP_MM[1]) + 2)
    return Frame(np.array([start[0], start[1], low_mm[2]]), axes, counts)
