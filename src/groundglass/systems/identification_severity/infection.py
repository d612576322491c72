"""The published infection mask: a Gaussian mixture per slice, less vessels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import CONSOLIDATION, GROUND_GLASS, InfectionMask, LungMask
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import GridMismatchError
from groundglass.imaging.mixture import Mixture, MixtureConfig, fit_mixture
from groundglass.imaging.planar import box_of, drop_small_parts
from groundglass.imaging.vesselness import vesselness
from groundglass.systems.identification_severity.presets import VOLUME, Preset, element

Mask = NDArray[np.bool_]

CLIP_HU = (-1024, 300)
"""Range the densities are clipped to."""
CONSOLIDATION_FROM_HU = -300
"""Density from which infected lung is called consolidation; the published mask has one class."""
SPREAD_HU = 50.0
"""How far the floor of the bands is moved for the interval."""
_MARGIN = 12
"""Pixels kept round the lungs: past the widest Gaussian and its differences."""


@dataclass(frozen=True, eq=False)
class PublishedMask:
    """Outcome of the published rule on a volume."""

    mask: Mask
    """(slices, rows, columns), as coded: it may leave the lungs."""
    looked_at: NDArray[np.bool_]
    """(slices,): whether the variant looks at the slice."""
    pooled: NDArray[np.bool_]
    """(slices,): whether the slice's own mixture failed and the volume's was used."""


def published_infection(
    hu: NDArray[np.integer], lungs: NDArray[np.uint8], preset: Preset = VOLUME
) -> PublishedMask:
    """Return the infection mask of the published rule, slice by slice.

    A mixture of three Gaussians of the lung's densities gives two bands, about its middle and its
    dense component. Their union, less vessels and small parts, is filled and dilated. The code
    starts its mixture at random; ours is seeded. Where it fails the code goes on with the slice
    before, ours with a mixture of the whole volume.

    Parameters
    ----------
    hu : ndarray
        (slices, rows, columns), or one slice (rows, columns), in HU.
    lungs : ndarray
        Same shape, non-zero inside.
    preset : Preset
        The variant.

    Returns
    -------
    PublishedMask
        Of shape (1, rows, columns) for a single slice.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    stack = np.asarray(hu)[None] if hu.ndim == 2 else np.asarray(hu)
    inside = np.asarray(lungs)[None] if lungs.ndim == 2 else np.asarray(lungs)
    if stack.shape != inside.shape:
        msg = f"densities of shape {stack.shape} need lungs of the same, found {inside.shape}"
        raise GridMismatchError(msg)
    mask = np.zeros(stack.shape, dtype=bool)
    pooled = np.zeros(stack.shape[0], dtype=bool)
    for work in _work(stack, inside > 0, preset):
        pooled[work.index] = work.pooled
        if work.mixture is not None:
            mask[work.index][work.box] = _slice_mask(work, work.mixture, preset)
    return PublishedMask(mask, preset.slices.chosen(inside), pooled)


def find_published_infection(scan: Scan, lungs: LungMask, preset: Preset = VOLUME) -> InfectionMask:
    """Return the published mask of a scan, cut to the lungs, with its extent.

    The extent comes from moving the floor of the bands by 50 HU either way. Infected lung of -300
    HU and more is called consolidation, a division the published mask does not have.

    Parameters
    ----------
    scan : Scan
        In HU.
    lungs : LungMask
        On the same grid.
    preset : Preset
        The variant.

    Raises
    ------
    UncalibratedError
        If the scan is not in HU.
    GridMismatchError
        If the mask has another shape.
    """
    hu, inside = scan.hu(), lungs.labels > 0
    if hu.shape != inside.shape:
        msg = f"a lung mask of the scan's shape {hu.shape} is needed, found {inside.shape}"
        raise GridMismatchError(msg)
    extent = np.zeros(hu.shape, dtype=np.uint8)
    pooled = 0
    for work in _work(hu, inside, preset):
        pooled += work.pooled
        if work.mixture is not None:
            extent[work.index][work.box] = _slice_extent(work, work.mixture, preset)
    dense = hu >= CONSOLIDATION_FROM_HU
    labels = np.where(extent >= 2, np.where(dense, CONSOLIDATION, GROUND_GLASS), 0)
    passed = int((inside.any(axis=(1, 2)) & ~preset.slices.chosen(lungs.labels)).sum())
    return InfectionMask(
        labels.astype(np.uint8),
        extent,
        scan.geometry,
        f"published, {preset.name}",
        _verdicts(passed, pooled),
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """One slice to treat, cut to its lungs, with the mixture to use."""

    index: int
    box: tuple[slice, slice]
    clipped: NDArray[np.float32]
    lung: Mask
    mixture: Mixture | None
    pooled: bool


def _work(hu: NDArray[np.integer], lungs: Mask, preset: Preset) -> Iterator[_Work]:
    whole: list[Mixture | None] = []
    for index in np.flatnonzero(preset.slices.chosen(lungs.view(np.uint8))):
        if not lungs[index].any():
            continue
        box = box_of(lungs[index], _MARGIN)
        clipped = np.clip(hu[index][box], *CLIP_HU)
        lung = lungs[index][box]
        mixture = _fit(clipped[lung], preset)
        failed = mixture is None
        if failed:
            if not whole:
                whole.append(_fit(np.clip(hu[lungs], *CLIP_HU), preset))
            mixture = whole[0]
        yield _Work(int(index), box, clipped.astype(np.float32), lung, mixture, failed)


def _fit(values: NDArray[np.integer], preset: Preset) -> Mixture | None:
    """Fit the mixture to lung densities; 0 HU counts as outside where the variant has it so."""
    counts = np.bincount(np.rint(values).astype(np.intp) - CLIP_HU[0], minlength=1)
    levels = np.arange(counts.size, dtype=np.float64) + CLIP_HU[0]
    if preset.zero_is_outside:
        counts[levels == 0] = 0
    config = MixtureConfig(regularisation=preset.regularisation)
    return fit_mixture(levels, counts.astype(np.float64), config)


def bands(mixture: Mixture, preset: Preset) -> tuple[tuple[float, float], ...]:
    """Return the open density bands of the middle and the dense component, in HU."""
    limits = []
    for component, above in ((1, preset.middle_else_hu), (2, None)):
        mean, reach = mixture.means[component], preset.deviations * mixture.deviations[component]
        high = float(mean + reach)
        if high > preset.ceiling_hu:
            high = preset.ceiling_hu if above is None else above
        limits.append((max(float(mean - reach), preset.floor_hu), high))
    return tuple(limits)


def _slice_mask(work: _Work, mixture: Mixture, preset: Preset, vessel: Mask | None = None) -> Mask:
    image, lung = work.clipped, work.lung
    kept = lung & (image != 0) if preset.zero_is_outside else lung
    if vessel is None:
        vessel = _vessels(work, preset)
    found = np.zeros(lung.shape, dtype=bool)
    for low, high in bands(mixture, preset):
        found |= (image > low) & (image < high)
    found = drop_small_parts(found & kept & ~vessel, preset.smallest_px)
    found = np.asarray(ndimage.binary_fill_holes(found)) & kept
    if preset.dense_above_hu is not None:
        found |= drop_small_parts(lung & (image > preset.dense_above_hu), preset.dense_smallest_px)
    if preset.dilation is not None:
        found = np.asarray(ndimage.binary_dilation(found, element(preset.dilation)))
    return found & lung if preset.stay_in_lung else found


def _slice_extent(work: _Work, mixture: Mixture, preset: Preset) -> NDArray[np.uint8]:
    """Return the extent inside the lungs: nested masks at a lower, the default, a higher floor."""
    vessel = _vessels(work, preset)
    extent = np.zeros(work.lung.shape, dtype=np.uint8)
    default = _slice_mask(work, mixture, preset, vessel)
    loose, tight = (
        _slice_mask(work, mixture, replace(preset, floor_hu=preset.floor_hu + step), vessel)
        for step in (-SPREAD_HU, SPREAD_HU)
    )
    extent[work.lung & (loose | default)] = 1
    extent[work.lung & default] = 2
    extent[work.lung & default & tight] = 3
    return extent


def _vessels(work: _Work, preset: Preset) -> Mask:
    image = np.where(work.lung, work.clipped, np.float32(preset.vessel_outside_hu))
    return np.asarray(vesselness(image) >= preset.vessel_from)


def _verdicts(passed: int, pooled: int) -> tuple[Verdict, ...]:
    found = []
    if passed:
        found.append(
            Verdict(
                "published_slices",
                Status.NOTE,
                f"{passed} slices hold lung but less than the published rule looks at",
                "nothing was marked in them",
                "the percent of the lungs is a little lower than over all slices",
            )
        )
    if pooled:
        found.append(
            Verdict(
                "published_mixture",
                Status.NOTE,
                f"the mixture of {pooled} slices could not be fitted",
                "a mixture of the whole volume was used there",
                "their limits are those of the volume",
            )
        )
    return tuple(found)
