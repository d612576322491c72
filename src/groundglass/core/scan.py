"""A CT scan: voxels, where they lie, what their numbers mean, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical
from groundglass.core.provenance import Provenance
from groundglass.core.verdict import Verdict
from groundglass.errors import UncalibratedError


class Intensity(StrEnum):
    """What the voxel values mean."""

    HU = "HU"
    """Hounsfield units, as the source states."""
    UNKNOWN = "unknown"
    """Numbers whose scale the source does not state; a check must find out."""
    DISPLAY = "display"
    """Grey values of a picture: an unknown window has been applied."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the source says about how the scan was made; no personal data."""

    modality: str | None = None
    """DICOM modality, e.g. ``CT``; ``None`` where the format has none."""
    series_uid: str | None = None
    """Series Instance UID, where it is one."""
    study_uid: str | None = None
    """Study Instance UID, where it is one."""
    patient_position: str | None = None
    """DICOM patient position: ``HFS``, ``FFP`` ..."""
    contrast_agent: bool | None = None
    """Whether the header names a contrast agent; ``None`` where it says nothing."""
    kernel: str | None = None
    """Reconstruction kernel."""
    body_part: str | None = None
    """Body part examined, upper case."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, canonical: slices head to feet, rows front to back, columns right to left."""

    voxels: NDArray[Any]
    """(slices, rows, columns), int16 for HU; read-only."""
    geometry: Geometry
    """Where the voxels lie."""
    intensity: Intensity
    """What the values mean."""
    provenance: Provenance = field(default_factory=Provenance)
    """Where they came from."""
    acquisition: Acquisition = field(default_factory=Acquisition)
    """How they were made."""
    verdicts: tuple[Verdict, ...] = ()
    """What reading found out."""

    def __post_init__(self) -> None:
        """Turn to canonical orientation, check the shape, and freeze the array."""
        if self.voxels.shape != self.geometry.shape:
            msg = f"voxels of shape {self.voxels.shape} do not fit a grid of {self.geometry.shape}"
            raise ValueError(msg)
        voxels, geometry = to_canonical(self.voxels, self.geometry)
        voxels = np.ascontiguousarray(voxels)
        if voxels is self.voxels and voxels.flags.writeable:
            voxels = voxels.view()
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "geometry", geometry)

    @classmethod
    def from_array(
        cls,
        values: ArrayLike,
        spacing_mm: tuple[float, float, float] | None = None,
        *,
        affine: ArrayLike | None = None,
        intensity: Intensity = Intensity.HU,
    ) -> Scan:
        """Return a scan of an array in memory.

        Parameters
        ----------
        values : array_like
            (slices, rows, columns), or (rows, columns) for one slice. Without ``affine`` slice 0
            must be nearest the head, row 0 at the front and column 0 at the patient's right.
        spacing_mm : tuple of float, optional
            Step between slices, rows and columns. Without it and without ``affine`` no ml is told.
        affine : array_like, optional
            4 x 4 matrix from index (slice, row, column) to LPS mm, instead of ``spacing_mm``.
        intensity : Intensity
            Meaning of the values.

        Raises
        ------
        ValueError
            If the array is not of 2 or 3 dimensions, is empty, holds no finite number, or both
            spacing and affine are given.
        """
        array = np.asarray(values)
        array = array[None] if array.ndim == 2 else array
        if array.ndim != 3 or array.size == 0:
            msg = f"a scan needs 2 or 3 dimensions with voxels in each, found shape {array.shape}"
            raise ValueError(msg)
        if affine is not None and spacing_mm is not None:
            msg = "give spacing_mm or affine, not both"
            raise ValueError(msg)
        shape = (array.shape[0], array.shape[1], array.shape[2])
        if affine is not None:
            geometry = Geometry.from_affine(shape, affine)
        else:
            known = spacing_mm is not None
            geometry = Geometry.from_spacing(
                shape, spacing_mm or (1.0, 1.0, 1.0), spacing_known=known
            )
        return cls(tidy_values(array), geometry, Intensity(intensity))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.geometry.shape

    def hu(self) -> NDArray[np.int16]:
        """Return the voxels in Hounsfield units, rounded to int16 and held within its range.

        Raises
        ------
        UncalibratedError
            If the values are display values or of unknown scale: a picture is never taken for HU.
        """
        if self.intensity is not Intensity.HU:
            msg = (
                f"Hounsfield units are needed and the values are of kind '{self.intensity}'; "
                "calibrate them or give the offset that was added"
            )
            raise UncalibratedError(msg)
        if self.voxels.dtype == np.int16:
            return self.voxels
        limits = np.iinfo(np.int16)
        held = np.clip(self.voxels.astype(np.float32), limits.min, limits.max)
        return np.rint(held).astype(np.int16)

    def derive(
        self,
        voxels: NDArray[Any],
        step: str,
        intensity: Intensity | None = None,
        **parameters: object,
    ) -> Scan:
        """Return a scan of new voxels on the same grid that knows what was done to them."""
        return replace(
            self,
            voxels=voxels,
            intensity=intensity or self.intensity,
            provenance=self.provenance.after(step, **parameters),
        )

    def told(self, *verdicts: Verdict) -> Scan:
        """Return the scan with more verdicts."""
        return replace(self, verdicts=(*self.verdicts, *verdicts))


def tidy_values(array: NDArray[Any]) -> NDArray[Any]:
    """Return values as int16 where nothing but rounding is lost, float32 otherwise.

    Values that are not finite become the smallest finite one.

    Raises
    ------
    ValueError
        If no value is finite, or the array does not hold real numbers.
    """
    if array.dtype == np.int16:
        return array
    if array.dtype.kind not in "iufb":
        msg = f"real numbers are needed, found {array.dtype}"
        raise ValueError(msg)
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.any():
            msg = "the array holds no finite number"
            raise ValueError(msg)
        if not finite.all():
            array = np.where(finite, array, array[finite].min())
    low, high = float(array.min()), float(array.max())
    fits = low >= -32768 and high <= 32767
    if fits and (array.dtype.kind != "f" or high - low > 100):
        return (
            np.rint(array).astype(np.int16) if array.dtype.kind == "f" else array.astype(np.int16)
        )
    return array.astype(np.float32)
