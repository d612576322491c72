"""Fissures as bright sheets: what a lung shows along a surface where one may lie.

A fissure is a sheet thinner than a voxel, 20 to 150 HU above the lung beside it, with few vessels
near it as none crosses it. The lung is sampled in layers parallel to the expected surface. Within
a layer vessels and pleura are left out and the rest is averaged; a sheet is what is then denser
than the layers on both sides of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.imaging.distance import depth_mm
from groundglass.lungs.lobes.prior import REACH_MM, STEP_MM, Frame
from groundglass.lungs.lobes.surfaces import best_heights, best_sheet, fit_surface

Float = NDArray[np.float64]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

VESSEL_HU = -600.0
"""Denser is a vessel, or ill lung: no fissure can be told from it."""
RIM_MM = 4.0
"""Lung nearer to its surface is not searched; pleura would look like a sheet."""
BESIDE_MM = (3, 4)
"""Distances of the layers a sheet must be denser than, on both sides."""
FAINT, SEEN, FULL = 0.6, 1.4, 3.0
"""Multiples of the noise from which a sheet counts at all, as seen, and in full."""
SLOPES = (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9)
"""Slopes against the average chest that are tried, in layers a grid point."""
BOWS = (-8.0, 0.0, 8.0, 16.0)
"""Bows that are tried, in layers."""
BEND = 0.11
"""Price of a change of height by one layer between neighbours; a full sheet gains 1."""
PASSES = ((16.0, 16.0, 4.5, 3.0), (10.0, 8.0, 5.0, 2.0))
"""Reach, leash, averaging and tolerance of the fit in mm, pass after pass."""
LEAST_POINTS = 60
"""Fewer searched points, of 9 mm² each, tell nothing about a fissure."""
LEAST_COVER = 0.15
"""Least share of an averaged spot that must be free of vessels."""
VESSEL_REACH_MM = (7.5, 7.5, 3.0)
"""Radii within which the share of vessels is taken."""


@dataclass(frozen=True, eq=False)
class LungView:
    """One lung on the working grid, cut to its box."""

    hu: Values
    """Densities, clipped to lung and vessels."""
    lung: Mask
    """Where this lung, or the part of it that may hold the fissure, is."""
    depths_mm: Float
    """(slices,): depth of every slice below slice 0, growing."""
    offset_mm: tuple[float, float]
    """Row and column of the box's first voxel in mm."""
    spacing_mm: tuple[float, float]
    """Row and column steps in mm."""

    def index(self, points_mm: tuple[Values, ...]) -> list[Values]:
        """Return array positions of points given in mm."""
        slices = np.interp(points_mm[0], self.depths_mm, np.arange(self.depths_mm.size))
        rows, columns = (
            (points_mm[axis + 1] - np.float32(self.offset_mm[axis]))
            / np.float32(self.spacing_mm[axis])
            for axis in (0, 1)
        )
        return [slices.astype(np.float32), rows, columns]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What lies above and below every point of a surface."""

    sheet_hu: Values
    """(axis 0, axis 1, layers): how much denser than the layers on both sides; 0 where unknown."""
    searched: Mask
    """Same shape: whether lung free of vessels allowed a look."""
    inside: Mask
    """Same shape: whether it is lung at all."""
    vessels: Values
    """Same shape: share of vessels nearby."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A fissure as it was followed."""

    heights_mm: Float
    """(axis 0, axis 1): heights above the frame's plane."""
    share: float | None
    """Share of the searched area that shows a sheet; ``None`` where too little was searched."""


def look(
    view: LungView, frame: Frame, middle_mm: Float, reach_mm: float, blur_mm: float
) -> Evidence:
    """Return the evidence in layers above and below a surface.

    Parameters
    ----------
    view : LungView
    frame : Frame
    middle_mm : array
        (axis 0, axis 1): heights of the surface above the frame's plane.
    reach_mm : float
        Outermost layers on either side.
    blur_mm : float
        Standard deviation of the averaging within a layer.
    """
    layers = np.arange(-reach_mm, reach_mm + STEP_MM[2] / 2, STEP_MM[2])
    where = view.index(frame.points(middle_mm[:, :, None] + layers))
    values = ndimage.map_coordinates(view.hu, where, order=1, mode="nearest", output=np.float32)
    inside = ndimage.map_coordinates(
        view.lung.view(np.uint8), where, order=0, mode="constant", output=np.uint8
    ).view(np.bool_)
    vessel = inside & (values > VESSEL_HU)
    free = depth_mm(inside, STEP_MM) > RIM_MM
    free &= ndimage.maximum_filter(vessel.view(np.uint8), (3, 3, 5)) == 0
    sheet, searched = _sheets(values, free, blur_mm)
    radii = [mm / step for mm, step in zip(VESSEL_REACH_MM, STEP_MM, strict=True)]
    near = ndimage.gaussian_filter(vessel.astype(np.float32), radii, truncate=2.5)
    held = ndimage.gaussian_filter(inside.astype(np.float32), radii, truncate=2.5)
    share = np.asarray(near / np.maximum(held, np.float32(0.05)), dtype=np.float32)
    return Evidence(sheet, searched, inside, share)


def _sheets(values: Values, free: Mask, blur_mm: float) -> tuple[Values, Mask]:
    """Return how far each layer's mean lies above those beside it, and where that is known."""
    blur = (blur_mm / STEP_MM[0], blur_mm / STEP_MM[1], 0.6)
    held = np.where(free, values + np.float32(850), np.float32(0))
    total: Values = ndimage.gaussian_filter(held, blur, truncate=2.5)
    cover: Values = ndimage.gaussian_filter(free.astype(np.float32), blur, truncate=2.5)
    known = cover > LEAST_COVER
    mean = np.asarray(total / np.maximum(cover, np.float32(1e-3)), dtype=np.float32)
    sheet, searched = np.zeros_like(mean), np.zeros_like(known)
    edge = max(BESIDE_MM)
    core = slice(edge, mean.shape[2] - edge)
    beside: list[Values] = []
    good = known[:, :, core].copy()
    for sign in (1, -1):
        parts = [slice(edge + sign * mm, mean.shape[2] - edge + sign * mm) for mm in BESIDE_MM]
        beside.append(np.mean([mean[:, :, part] for part in parts], axis=0))
        for part in parts:
            good &= known[:, :, part]
    above = mean[:, :, core] - np.maximum(beside[0], beside[1])
    sheet[:, :, core] = np.where(good, above, 0)
    searched[:, :, core] = good & free[:, :, core]
    return sheet, searched


def follow(view: LungView, frame: Frame) -> Sighting:
    """Return the fissure near a frame's plane, from the best rough sheet to the fitted surface.

    Parameters
    ----------
    view : LungView
        The lung, or the part of it that may hold the fissure.
    frame : Frame
        Where an average chest has it.
    """
    wide = look(view, frame, np.zeros(frame.shape), REACH_MM, 4.2)
    noise = noise_of(wide)
    heights = best_sheet(_gain(wide, noise), SLOPES, BOWS, int(REACH_MM) - 6)
    evidence = wide
    for reach, leash, blur, tolerance in PASSES:
        evidence = look(view, frame, heights, reach, blur)
        path, strength = trace(evidence, leash, noise)
        surface = fit_surface(heights + path, strength**2, tolerance).on_grid()
        moved, heights = surface - heights, surface
    return Sighting(heights, _share(evidence, moved, noise))


def noise_of(evidence: Evidence) -> float:
    """Return the usual size of what looks like a sheet and is none, in HU; at least 5."""
    values = evidence.sheet_hu[evidence.searched]
    return max(5.0, 1.48 * float(np.median(np.abs(values)))) if values.size else 5.0


def _strength(evidence: Evidence, noise: float) -> Values:
    """Return how sheet-like every place is, from 0 to 1."""
    above = (evidence.sheet_hu - np.float32(FAINT * noise)) / np.float32((FULL - FAINT) * noise)
    return np.asarray(np.clip(above, 0, 1), dtype=np.float32)


def _gain(evidence: Evidence, noise: float) -> Values:
    """Return what a surface gains by lying at each place: sheets, and lung without vessels."""
    gain = np.where(
        evidence.inside, _strength(evidence, noise) - np.minimum(2 * evidence.vessels, 0.4), 0
    )
    lung = evidence.inside.any(axis=2, keepdims=True)
    gain -= np.float32(0.02) * (_layers(evidence) / 20) ** 2 * lung
    return np.asarray(ndimage.gaussian_filter1d(gain.astype(np.float32), 1.5, axis=2))


def _layers(evidence: Evidence) -> Values:
    """Return the height of every layer above the middle one in mm."""
    count = evidence.sheet_hu.shape[2]
    heights = (np.arange(count) - (count - 1) / 2) * STEP_MM[2]
    return np.asarray(heights, dtype=np.float32)


def trace(evidence: Evidence, leash_mm: float, noise: float) -> tuple[Float, Float]:
    """Return the best path of heights through the evidence, and how sheet-like it is.

    Parameters
    ----------
    evidence : Evidence
    leash_mm : float
        Distance from the middle layer at which leaving it costs as much as half a full sheet.
    noise : float
        Usual size of what looks like a sheet and is none, in HU.

    Returns
    -------
    heights : array
        (axis 0, axis 1): in mm above the middle layer.
    strength : array
        (axis 0, axis 1): 0 no sheet to 1 full sheet there.
    """
    layers = _layers(evidence)
    strength = _strength(evidence, noise)
    cost = np.where(evidence.inside, np.minimum(5 * evidence.vessels, 1) - strength, 0)
    cost += np.float32(0.5) * (layers / np.float32(leash_mm)) ** 2
    found = best_heights(cost.astype(np.float32), BEND, 5 * BEND)
    there = np.where(evidence.searched, strength, 0)
    picked = np.take_along_axis(there, found[:, :, None], axis=2)[:, :, 0]
    heights = np.asarray(layers[found], dtype=np.float64)
    return heights, picked.astype(np.float64)


def _share(evidence: Evidence, heights_mm: Float, noise: float) -> float | None:
    """Return the share of a surface's searched area that shows a sheet within one layer."""
    count = evidence.sheet_hu.shape[2]
    at = np.rint(heights_mm / STEP_MM[2] + (count - 1) / 2).astype(np.intp)
    layers = np.clip(at[:, :, None] + np.array([-1, 0, 1]), 0, count - 1)
    sheet = np.take_along_axis(evidence.sheet_hu, layers, axis=2).max(axis=2)
    searched = np.take_along_axis(evidence.searched, layers, axis=2)[:, :, 1]
    if np.count_nonzero(searched) < LEAST_POINTS:
        return None
    return float((sheet[searched] > SEEN * noise).mean())
