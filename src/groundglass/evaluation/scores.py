"""What one slice says about a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import ReadError
from groundglass.evaluation.surfaces import hd95, normalised_surface_dice
from groundglass.infection.picture import PictureConfig
from groundglass.infection.picture_lungs import find_picture_lungs
from groundglass.metrics import Overlap, infnet_curve, overlap
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs

Maps = NDArray[np.float32]
Mask = NDArray[np.bool_]
Predict = Callable[[Slice], Maps]
"""Takes a slice, returns (labels, rows, columns) of probabilities."""

NSD_TOLERANCE = 2.0
"""Tolerance of the surface Dice, in mm where the spacing is known, else in pixels."""


@dataclass(frozen=True, eq=False)
class SliceScore:
    """Agreement on one slice."""

    name: str
    """Name of the slice."""
    group: str
    """Its patient or source."""
    overlap: Overlap
    """Counts at the model's threshold."""
    curve: NDArray[np.float64]
    """(3, 256) Dice, sensitivity, specificity by Inf-Net's convention."""
    dice_adaptive: float
    """Dice of the scaled map cut at twice its mean."""
    mae: float
    """Mean absolute difference of probability and reference."""
    mae_scaled: float
    """The same of the map scaled to 0..1, Inf-Net's convention."""
    hd95: float | None
    """95 % outline distance; ``None`` where mask or reference alone is empty."""
    nsd: float
    """Surface Dice."""
    percent_reference: float | None
    """Infected share of the lung by the reference; ``None`` without lung."""
    percent_found: float | None
    """The same by the model."""
    consolidation: Overlap | None = None
    """Counts of consolidation, where model and reference tell it apart."""


def lungs_of(one: Slice) -> Mask:
    """Return the lung mask of a slice: its own, else the best to be had without training."""
    if one.lungs is not None:
        return one.lungs > 0
    if one.intensity is Intensity.HU:
        return fallback_lungs(one.values)
    found = find_picture_lungs(one.values.astype(np.float32), PictureConfig().lungs)
    return np.zeros(one.values.shape, bool) if found is None else found.mask


def score_slice(item: SliceItem, one: Slice, maps: Maps, thresholds: Sequence[float]) -> SliceScore:
    """Return the agreement of a model's probabilities with the reference of one slice.

    The infected percentage is that of the lung mask joined with the reference, as lung masks may
    leave out dense lesions.

    Parameters
    ----------
    item : SliceItem
        The slice.
    one : Slice
        As read.
    maps : ndarray
        (labels, rows, columns) probabilities: any lesion first, then consolidation if told apart.
    thresholds : sequence of float
        Probability from which a pixel counts, by label.

    Raises
    ------
    ReadError
        If the slice has no reference.
    """
    if one.lesion is None:
        msg = "a slice without a reference mask cannot be evaluated"
        raise ReadError(msg)
    truth, chance = one.lesion > 0, maps[0]
    mask = chance >= thresholds[0]
    spacing = one.spacing_mm or (1.0, 1.0)
    region = lungs_of(one) | truth
    low, high = float(chance.min()), float(chance.max())
    scaled = (chance - low) / (high - low) if high > low else np.clip(chance, 0, 1)
    adaptive = overlap(scaled >= min(2 * float(scaled.mean()), 1.0), truth)
    dense = None
    if len(maps) > 1 and one.kinds_known:
        dense = overlap((maps[1] >= thresholds[1]) & mask, one.lesion == 2)
    return SliceScore(
        name=item.name,
        group=item.group,
        overlap=overlap(mask, truth),
        curve=infnet_curve(chance, truth),
        dice_adaptive=adaptive.dice if adaptive.tp else 0.0,
        mae=float(np.abs(chance - truth).mean()),
        mae_scaled=float(np.abs(scaled - truth).mean()),
        hd95=hd95(mask, truth, spacing),
        nsd=normalised_surface_dice(mask, truth, spacing, NSD_TOLERANCE),
        percent_reference=_percent(truth, region),
        percent_found=_percent(mask & region, region),
        consolidation=dense,
    )


def _percent(part: Mask, whole: Mask) -> float | None:
    return 100 * float(part.sum()) / float(whole.sum()) if whole.any() else None


def score_all(
    items: Iterable[SliceItem],
    predict: Predict,
    thresholds: Sequence[float],
    on_progress: OnProgress = silent,
) -> list[SliceScore]:
    """Return the agreement on every slice; none is left out."""
    chosen = list(items)
    found = []
    for place, item in enumerate(chosen):
        on_progress(Progress("evaluating", place, len(chosen)))
        one = item.read()
        found.append(score_slice(item, one, predict(one), thresholds))
    return found
