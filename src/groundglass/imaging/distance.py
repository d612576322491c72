"""Euclidean distances in mm by SimpleITK, three times as fast as SciPy's."""

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def distance_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Return the distance from every voxel centre to the nearest centre of a mask, 0 inside it.

    An empty mask is infinitely far away.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    itk: Any = SimpleITK
    image = itk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    image.SetSpacing([float(mm) for mm in reversed(spacing_mm)])
    signed = itk.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    found: NDArray[np.float32] = itk.GetArrayFromImage(signed)
    return np.maximum(found, 0, out=found)


def depth_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Return the distance of every voxel of a mask from the nearest one outside it, 0 outside.

    Nothing lies beyond the array, so a mask cut by the border keeps its depth there.
    """
    return distance_mm(~mask, spacing_mm)
