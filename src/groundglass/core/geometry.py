"""Where voxels lie in the patient: the one place that converts between grids and millimetres.

The world is DICOM's LPS: x grows to the patient's left, y to the back, z to the head. NIfTI's RAS
is converted here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

STEP_TOLERANCE = 0.05
"""Relative difference of a slice step from the median step that still counts as even."""
STEP_TOLERANCE_MM = 0.02
"""The same in mm, for thin slices whose positions were rounded."""
SHEAR_TOLERANCE = 0.01
"""Sideways drift of slice origins per mm of normal that still counts as straight (0.6 degrees)."""
GRID_TOLERANCE_MM = 1e-3
"""Distance by which two grids may differ and still be the same."""
STEP_MIN_MM = 1e-4
"""Two slices nearer than this lie at one position."""
PARALLEL_TOLERANCE = 1e-3
"""Sine of the angle between rows and columns below which they run the same way."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Geometry:
    """Positions of the voxels of a (slices, rows, columns) array in the patient.

    Every slice has its own position, so uneven steps, gaps and gantry tilt are facts of the
    geometry and not errors of an affine.
    """

    shape: tuple[int, int, int]
    """Slices, rows, columns."""
    origins_mm: Float
    """LPS position of the centre of voxel (i, 0, 0) for every slice i, shape (slices, 3)."""
    row_step_mm: Float
    """LPS vector from one row to the next, shape (3,)."""
    column_step_mm: Float
    """LPS vector from one column to the next, shape (3,)."""
    slice_width_mm: float | None = None
    """Nominal slice thickness; gives a single slice its volume. ``None`` if not known."""
    spacing_known: bool = True
    """False for pictures without a scale: their steps are pixels, and no ml may be told."""
    frame_of_reference: str | None = None
    """DICOM frame of reference UID, where known."""

    def __post_init__(self) -> None:
        """Freeze the arrays and check their shapes."""
        for name, shape in (
            ("origins_mm", (self.shape[0], 3)),
            ("row_step_mm", (3,)),
            ("column_step_mm", (3,)),
        ):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                msg = f"{name} must be finite numbers of shape {shape}, found shape {array.shape}"
                raise ValueError(msg)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if min(self.shape) < 1 or min(self.row_mm, self.column_mm) <= 0:
            msg = f"a grid needs voxels and positive spacing, found {self.shape}"
            raise ValueError(msg)
        if self.pixel_area_mm2 <= PARALLEL_TOLERANCE * self.row_mm * self.column_mm:
            msg = "rows and columns run the same way; a grid needs two directions in its slices"
            raise ValueError(msg)
        steps = np.diff(self.positions_mm)
        if steps.size and (steps * np.sign(steps[0])).min() <= STEP_MIN_MM:
            msg = "slices at one position or out of order; sort them and keep one at each position"
            raise ValueError(msg)

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        *,
        spacing_known: bool = True,
    ) -> Geometry:
        """Return a canonical grid (slice 0 at the head, rows to the back, columns to the left).

        Parameters
        ----------
        shape : tuple of int
            Slices, rows, columns.
        spacing_mm : tuple of float
            Step between slices, rows and columns in mm.
        spacing_known : bool
            False where the spacing is only a stand-in.
        """
        dz, dy, dx = spacing_mm
        origins = np.zeros((shape[0], 3))
        origins[:, 2] = -dz * np.arange(shape[0])
        width = float(dz) if spacing_known else None
        return cls(
            shape, origins, np.array([0, dy, 0.0]), np.array([dx, 0, 0.0]), width, spacing_known
        )

    @classmethod
    def from_affine(cls, shape: tuple[int, int, int], affine: ArrayLike) -> Geometry:
        """Return the grid whose index (slice, row, column) the 4 x 4 ``affine`` maps to LPS mm."""
        matrix = np.asarray(affine, dtype=np.float64)
        origins = matrix[:3, 3] + np.outer(np.arange(shape[0]), matrix[:3, 0])
        width = float(np.linalg.norm(matrix[:3, 0]))
        return cls(shape, origins, matrix[:3, 1], matrix[:3, 2], width)

    @classmethod
    def from_ras_affine(cls, shape: tuple[int, int, int], affine: ArrayLike) -> Geometry:
        """Return the grid of an affine to RAS mm (NIfTI) given for index (slice, row, column)."""
        return cls.from_affine(shape, _LPS_TO_RAS @ np.asarray(affine, dtype=np.float64))

    @property
    def row_mm(self) -> float:
        """Distance between rows in mm."""
        return float(np.linalg.norm(self.row_step_mm))

    @property
    def column_mm(self) -> float:
        """Distance between columns in mm."""
        return float(np.linalg.norm(self.column_step_mm))

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel in mm²."""
        return float(np.linalg.norm(np.cross(self.column_step_mm, self.row_step_mm)))

    @cached_property
    def normal(self) -> Float:
        """Unit vector at right angles to the slices: columns cross rows."""
        vector = np.cross(self.column_step_mm, self.row_step_mm)
        return np.asarray(vector / np.linalg.norm(vector))

    @cached_property
    def positions_mm(self) -> Float:
        """Signed position of every slice along the normal, shape (slices,)."""
        return np.asarray(self.origins_mm @ self.normal)

    @property
    def z_mm(self) -> Float:
        """Patient z (LPS, growing to the head) of the centre of every slice, shape (slices,)."""
        _, rows, columns = self.shape
        middle = self.row_step_mm * (rows - 1) / 2 + self.column_step_mm * (columns - 1) / 2
        return np.asarray((self.origins_mm + middle)[:, 2])

    @cached_property
    def steps_mm(self) -> Float:
        """Distance along the normal from each slice to the next, shape (slices - 1,)."""
        return np.abs(np.diff(self.positions_mm))

    @property
    def step_mm(self) -> float:
        """Median step between slices; the nominal width, else 1, for a single slice."""
        if self.shape[0] > 1:
            return float(np.median(self.steps_mm))
        return self.slice_width_mm or 1.0

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Median slice step, row step and column step in mm."""
        return self.step_mm, self.row_mm, self.column_mm

    @cached_property
    def widths_mm(self) -> Float | None:
        """Length along the normal that every slice stands for, shape (slices,).

        Half the distance to each neighbour, so that volumes follow the real gaps; the outer slices
        reach as far outwards as inwards. A single slice has its nominal width. ``None`` if that is
        not known or the spacing is not.
        """
        if not self.spacing_known:
            return None
        if self.shape[0] == 1:
            return None if self.slice_width_mm is None else np.array([self.slice_width_mm])
        steps = np.concatenate([self.steps_mm[:1], self.steps_mm, self.steps_mm[-1:]])
        return np.asarray((steps[:-1] + steps[1:]) / 2)

    @cached_property
    def slice_volumes_mm3(self) -> Float | None:
        """Volume of one voxel of every slice, shape (slices,); ``None`` where no ml can be told."""
        return None if self.widths_mm is None else np.asarray(self.widths_mm * self.pixel_area_mm2)

    @property
    def is_even(self) -> bool:
        """Whether all slice steps are equal within the tolerances."""
        if self.shape[0] < 3:
            return True
        allowed = max(STEP_TOLERANCE * self.step_mm, STEP_TOLERANCE_MM)
        return bool(np.abs(self.steps_mm - self.step_mm).max() <= allowed)

    @property
    def drift(self) -> float:
        """Sideways shift of slice origins per mm along the normal; tan of the gantry tilt."""
        if self.shape[0] < 2:
            return 0.0
        way = self.origins_mm[-1] - self.origins_mm[0]
        along = float(way @ self.normal)
        sideways = float(np.linalg.norm(way - along * self.normal))
        return sideways / abs(along) if along else float("inf")

    @property
    def is_regular(self) -> bool:
        """Whether one orthogonal affine describes the whole grid."""
        return self.is_even and self.drift <= SHEAR_TOLERANCE

    @property
    def affine(self) -> Float:
        """4 x 4 matrix from index (slice, row, column) to LPS mm, with the mean slice step.

        Exact for regular grids; for others it is the best straight line through the slice origins'
        ends. Ask ``is_regular`` first where that matters.
        """
        matrix = np.eye(4)
        count = self.shape[0]
        if count > 1:
            matrix[:3, 0] = (self.origins_mm[-1] - self.origins_mm[0]) / (count - 1)
        else:
            matrix[:3, 0] = self.normal * self.step_mm
        matrix[:3, 1] = self.row_step_mm
        matrix[:3, 2] = self.column_step_mm
        matrix[:3, 3] = self.origins_mm[0]
        return matrix

    @property
    def ras_affine(self) -> Float:
        """The affine to RAS mm, as NIfTI wants it, still for index (slice, row, column)."""
        return np.asarray(_LPS_TO_RAS @ self.affine)

    def same_grid(self, other: Geometry) -> bool:
        """Return whether two grids put every voxel at the same place, in the same frame."""
        frames = {self.frame_of_reference, other.frame_of_reference} - {None}
        if self.shape != other.shape or len(frames) > 1:
            return False
        _, rows, columns = self.shape
        across = np.abs(self.row_step_mm - other.row_step_mm) * rows
        along = np.abs(self.column_step_mm - other.column_step_mm) * columns
        origins = np.abs(self.origins_mm - other.origins_mm)
        return bool(max(across.max(), along.max(), origins.max()) <= GRID_TOLERANCE_MM * 10)
