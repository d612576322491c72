"""A later scan laid over an earlier one: by height of the lungs, rigid, or affine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import CaseResult
from groundglass.core.verdict import Status, Verdict

Kind = Literal["none", "rigid", "affine"]

COARSE_MM = 4.0
"""Grid on which scans are brought together."""
AIR_HU = -1024
"""What lies outside the later scan."""
SHOWN_HU = (-1000.0, 100.0)
"""Densities that count in bringing scans together."""
ROUNDS = 120
"""Most steps of the search at each of two resolutions."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A later scan on the grid of an earlier one."""

    voxels: NDArray[np.int16]
    """Densities, air outside."""
    lungs: NDArray[np.uint8]
    """Lung labels."""
    infection: NDArray[np.uint8]
    """Infection labels."""
    covered: NDArray[np.bool_]
    """Where the later scan has slices."""
    overlap_before: float
    """Dice of the lungs when matched by their boxes alone."""
    overlap: float
    """Dice of the lungs as laid over."""
    verdict: Verdict
    """How it was done."""


def overlay(earlier: CaseResult, later: CaseResult, kind: Kind) -> Overlay:
    """Return the later scan on the earlier one's grid.

    The lungs' boxes are matched first: middles side to side and front to back, apex and base from
    head to feet. From there ``rigid`` turns and shifts, ``affine`` also stretches, until the
    densities around the lungs agree. If that does not raise the overlap of the lungs, the boxes
    stand.

    Parameters
    ----------
    earlier, later : CaseResult
        Analyses of two scans with known spacing.
    kind : str
        ``none``, ``rigid`` or ``affine``.
    """
    fixed, moving = _image(earlier.scan.hu(), earlier), _image(later.scan.hu(), later)
    masks = [_image(result.lungs.labels, result) for result in (earlier, later)]
    boxes = _by_boxes(earlier, later)
    before = _dice(*_coarse(masks, boxes))
    transform, after = boxes, before
    if kind != "none":
        transform = _search(fixed, moving, masks, boxes, kind)
        after = _dice(*_coarse(masks, transform))
        if after < before:
            transform = boxes
    verdict = _verdict(kind, before, after)
    itk: Any = SimpleITK

    def laid(image: Any, how: Any, outside: float) -> NDArray[Any]:
        found: NDArray[Any] = itk.GetArrayFromImage(
            itk.Resample(image, fixed, transform, how, outside, image.GetPixelID())
        )
        return found

    voxels = laid(moving, itk.sitkLinear, AIR_HU)
    lungs = laid(masks[1], itk.sitkNearestNeighbor, 0)
    infection = laid(_image(later.infection.labels, later), itk.sitkNearestNeighbor, 0)
    ones = _image(np.ones(later.scan.shape, np.uint8), later)
    covered = laid(ones, itk.sitkNearestNeighbor, 0).astype(np.bool_)
    return Overlay(voxels, lungs, infection, covered, before, max(before, after), verdict)


def _image(array: NDArray[Any], result: CaseResult) -> Any:
    """Return an array as an ITK image in the patient; uneven steps by their mean."""
    itk: Any = SimpleITK
    geometry: Geometry = result.scan.geometry
    image = itk.GetImageFromArray(np.ascontiguousarray(array))
    axes = geometry.affine[:3, 2::-1]
    spacing = np.linalg.norm(axes, axis=0)
    directions, _ = np.linalg.qr(axes / spacing)
    directions *= np.sign((directions * axes).sum(axis=0))
    image.SetSpacing([float(mm) for mm in spacing])
    image.SetDirection([float(v) for v in directions.ravel()])
    image.SetOrigin([float(mm) for mm in geometry.origins_mm[0]])
    return image


def _by_boxes(earlier: CaseResult, later: CaseResult) -> Any:
    """Return the transform from earlier to later points that matches the lungs' boxes."""
    itk: Any = SimpleITK
    (low, high), (low_2, high_2) = _lung_box(earlier), _lung_box(later)
    scale = (high_2[2] - low_2[2]) / max(high[2] - low[2], 1e-6)
    transform = itk.AffineTransform(3)
    transform.SetMatrix([1, 0, 0, 0, 1, 0, 0, 0, float(np.clip(scale, 0.5, 2))])
    middle, middle_2 = (low + high) / 2, (low_2 + high_2) / 2
    transform.SetCenter([float(mm) for mm in middle])
    transform.SetTranslation([float(mm) for mm in middle_2 - middle])
    return transform


def _lung_box(result: CaseResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of the lungs in patient mm."""
    lungs = result.lungs.labels
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(lungs.any(axis=others))
        ends.append((held[0], held[-1]))
    affine = result.scan.geometry.affine
    corners = np.array(
        [
            affine @ (ends[0][i], ends[1][j], ends[2][k], 1)
            for i in (0, 1)
            for j in (0, 1)
            for k in (0, 1)
        ]
    )[:, :3]
    return corners.min(axis=0), corners.max(axis=0)


def _search(fixed: Any, moving: Any, masks: list[Any], boxes: Any, kind: Kind) -> Any:
    itk: Any = SimpleITK
    images = [_shrunk(itk.Clamp(i, itk.sitkFloat32, *SHOWN_HU)) for i in (fixed, moving)]
    near = itk.BinaryDilate(itk.Cast(_shrunk(masks[0]) > 0, itk.sitkUInt8), [3, 3, 3])
    start: Any = itk.AffineTransform(boxes)
    if kind == "rigid":
        start = itk.Euler3DTransform()
        start.SetCenter(boxes.GetCenter())
        start.SetTranslation(boxes.GetTranslation())
    search = itk.ImageRegistrationMethod()
    search.SetMetricAsCorrelation()
    search.SetMetricFixedMask(near)
    search.SetInterpolator(itk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, ROUNDS, 0.6)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel([2, 1])
    search.SetSmoothingSigmasPerLevel([1, 0])
    search.SetInitialTransform(start, inPlace=True)
    search.SetNumberOfThreads(1)
    try:
        search.Execute(*images)
    except RuntimeError:  # no overlap left to compare: the boxes stand
        return boxes
    return start


def _shrunk(image: Any) -> Any:
    itk: Any = SimpleITK
    factors = [
        max(1, min(round(COARSE_MM / mm), size // 8 or 1))
        for mm, size in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    if image.GetPixelID() == itk.sitkFloat32:
        return itk.BinShrink(image, factors)
    return itk.Shrink(image, factors)


def _coarse(masks: list[Any], transform: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    itk: Any = SimpleITK
    grid = _shrunk(masks[0])
    laid = itk.Resample(masks[1], grid, transform, itk.sitkNearestNeighbor, 0)
    return itk.GetArrayFromImage(grid) > 0, itk.GetArrayFromImage(laid) > 0


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 0.0


def _verdict(kind: Kind, before: float, after: float) -> Verdict:
    if kind == "none":
        return Verdict(
            "registration",
            Status.NOTE,
            f"matched by the lungs' boxes alone, the lungs overlap by a Dice of {before:.3f}",
            "the scans were not brought together, as asked",
            "the map of changes is coarse; ml and percent of each scan do not depend on it",
        )
    if after < before:
        return Verdict(
            "registration",
            Status.WARNING,
            f"a {kind} registration lowered the overlap of the lungs from {before:.3f} to "
            f"{after:.3f}",
            "it was dropped, and the lungs' boxes were matched instead",
            "the map of changes is coarse; ml and percent of each scan do not depend on it",
        )
    return Verdict(
        "registration",
        Status.OK if after >= 0.9 else Status.NOTE,
        f"the overlap of the lungs is {after:.3f} after a {kind} registration, {before:.3f} before",
        "the later scan was laid over the earlier one",
        "the map of changes rests on it; ml and percent of each scan do not",
    )
