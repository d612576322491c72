"""Infection by a network, together with what the training-free rule is sure of.

The network sees one slice at a time, cut to the lungs as its training slices were. In a volume its
answers are blended along the patient, since a lesion goes on in the next slice and noise does not.
The network misses lung that is wholly dense; there the training-free rule is at its best, so what
that rule finds even at its tight limits counts as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.geometry import Geometry
from groundglass.core.results import CONSOLIDATION, GROUND_GLASS, InfectionMask, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import WeightsError
from groundglass.imaging import components
from groundglass.imaging.planar import box_of
from groundglass.imaging.tone import resized
from groundglass.infection.picture import INVERTED, PictureConfig, PictureResult
from groundglass.models.card import Task
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.method import infection_map, network_maps, prepared
from groundglass.systems.covid_rate.slicing import blend_weights, blended, chosen_slices

SYSTEM, LABEL = "covid-rate", "infection"
SURE, ANY = 3, 1
"""Extent of the training-free rule at its tight and at its loose limits."""
MOST_THREADS = 4

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class InfectionNetworkConfig:
    """Settings of infection by a network."""

    model: str = DEFAULT
    """Name or file of the model; ``default`` is the default of the system covid-rate."""
    step_mm: float = 4.0
    """The network sees slices at most this far apart; those between are blended."""
    blend_mm: float = 4.0
    """Standard deviation of the Gaussian by which answers are blended along the patient."""
    margin_share: float = 0.03
    """Margin round the lungs' box, as a share of its sides, as in training."""
    views: tuple[str, ...] = ("as_is", "columns")
    """Views whose answers are averaged in volumes; pictures get those of the model's card."""
    volume_threshold: float = 0.5
    """Probability from which a voxel of a volume is infected; pictures get the threshold of the
    model's card, which was chosen on pictures."""
    spread: float = 0.1
    """How far the threshold is moved either way for the interval."""
    smallest_mm3: float = 300.0
    """Objects of the network below this volume are dropped."""
    consolidation_hu: float = -250.0
    """Density from which infected lung is consolidation, averaged over ``consolidation_mm``. The
    networks' own answer about that is weak and not used."""
    consolidation_mm: float = 2.0
    """Standard deviation of that in-plane average: vessels within ground glass drop out."""
    batch: int = 4
    """Slices in one call of the network."""
    threads: int | None = None
    """Threads of the network; all processors, at most four, where not given."""


def open_infection_model(config: InfectionNetworkConfig | None = None) -> Model:
    """Return the opened network.

    Raises
    ------
    ModelError
        If there is no such model, its file is not the one its card names, or it does not mark
        infection.
    """
    config = config or InfectionNetworkConfig()
    entry = find_model(config.model, SYSTEM)
    if entry.card.task is not Task.INFECTION or LABEL not in entry.card.labels:
        msg = (
            f"a model that marks infection is needed, {entry.card.name} is one of {entry.card.task}"
        )
        raise WeightsError(msg)
    return Model(entry, config.threads or min(_processors(), MOST_THREADS))


def _processors() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def method_name(model: Model) -> str:
    """Return how a mask of this module is named."""
    return f"network ({model.card.name}), with the surest part of the training-free rule"


def find_infection_by_network(
    scan: Scan,
    lungs: LungMask,
    rule: InfectionMask,
    model: Model,
    config: InfectionNetworkConfig | None = None,
) -> InfectionMask:
    """Return the infected part of the lungs of a volume.

    Parameters
    ----------
    scan : Scan
        In Hounsfield units.
    lungs : LungMask
        On the scan's grid.
    rule : InfectionMask
        What the training-free rule finds in them. Its tight part counts as infected; objects of the
        network in which it sees nothing even at its loose limits are dropped.
    model : Model
        The network.
    config : InfectionNetworkConfig, optional

    Raises
    ------
    UncalibratedError
        If the scan is not in Hounsfield units.
    ModelError
        If the network fails.
    """
    config = config or InfectionNetworkConfig()
    hu = scan.hu()
    labels, extent = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    box = _lung_box(lungs.labels, config.margin_share)
    if box is not None:
        part, inside, seen = hu[box], lungs.labels[box] > 0, rule.extent[box]
        found = _network_extent(part, inside, _positions(scan.geometry, box[0]), model, config)
        found[~_kept(found, seen, scan.geometry, config)] = 0
        found[(seen >= SURE) & inside] = SURE
        extent[box] = found
        labels[box] = _kinds(part, found, rule.labels[box], scan.geometry, config)
    return InfectionMask(labels, extent, scan.geometry, method_name(model))


def _lung_box(lungs: Labels, margin_share: float) -> components.Box | None:
    tight = components.bounding_box(lungs)
    if tight is None:
        return None
    sides = [int(margin_share * (part.stop - part.start)) for part in tight]
    return components.bounding_box(lungs, (0, sides[1], sides[2]))


def _positions(geometry: Geometry, slices: slice) -> NDArray[np.float64]:
    """Return positions of slices in mm; without a known scale every slice is far from the next."""
    if geometry.spacing_known:
        return geometry.positions_mm[slices]
    return np.arange(slices.stop - slices.start) * 1e3


def _network_extent(
    hu: NDArray[np.int16],
    lungs: Mask,
    positions_mm: NDArray[np.float64],
    model: Model,
    config: InfectionNetworkConfig,
) -> Labels:
    """Return how far the network's infection reaches at the three thresholds, within the lungs."""
    card = model.card
    chosen = chosen_slices(positions_mm, config.step_mm)
    images = np.stack([prepared(hu[i], Intensity.HU, lungs[i], card.preparation) for i in chosen])
    maps = network_maps(model, images, config.views, config.batch)[:, card.labels.index(LABEL)]
    weights = blend_weights(positions_mm, chosen, config.blend_mm)
    extent = np.zeros(hu.shape, np.uint8)
    for row, inside, target in zip(weights, lungs, extent, strict=True):
        probability = resized(blended(row, maps), inside.shape)
        target[...] = _levels(probability, inside, config.volume_threshold, config.spread)
    return extent


def _levels(probability: Float32, inside: Mask, middle: float, spread: float) -> Labels:
    """Return the number of thresholds, loose, default and tight, that are reached in the lungs."""
    reached = np.zeros(inside.shape, np.uint8)
    for shift in (-spread, 0.0, spread):
        reached += (probability >= np.clip(middle + shift, 0.01, 0.99)) & inside
    return reached


def _kept(extent: Labels, rule: Labels, geometry: Geometry, config: InfectionNetworkConfig) -> Mask:
    """Return the objects that are large enough and in which the rule sees something too.

    Objects at the loose threshold decide for all three, so that the masks stay nested.
    """
    objects, counts = components.label(extent > 0)
    keep = np.bincount(objects[rule >= ANY], minlength=counts.size) > 0
    if geometry.spacing_known:
        keep &= counts * float(np.prod(geometry.spacing_mm)) >= config.smallest_mm3
    keep[0] = False
    kept: Mask = keep[objects]
    return kept


def _kinds(
    hu: NDArray[np.int16],
    extent: Labels,
    rule: Labels,
    geometry: Geometry,
    config: InfectionNetworkConfig,
) -> Labels:
    """Return ground glass and consolidation of infected lung by density."""
    infected = extent >= 2
    labels = np.where(infected, GROUND_GLASS, 0).astype(np.uint8)
    sigma = [config.consolidation_mm / mm for mm in geometry.spacing_mm[1:]]
    for index in np.flatnonzero(infected.any(axis=(1, 2))):
        where = box_of(infected[index], margin=int(3 * max(sigma)) + 1)
        dense = ndimage.gaussian_filter(hu[index][where].astype(np.float32), sigma, truncate=3.0)
        solid = dense >= config.consolidation_hu
        labels[index][where][infected[index][where] & solid] = CONSOLIDATION
    labels[infected & (rule == CONSOLIDATION)] = CONSOLIDATION
    return labels


def find_in_pictures_by_network(  # noqa: PLR0913, PLR0917
    scan: Scan,
    pictures: Sequence[PictureResult],
    lungs: LungMask,
    rule: InfectionMask,
    model: Model,
    config: InfectionNetworkConfig | None = None,
    picture_config: PictureConfig | None = None,
) -> InfectionMask:
    """Return the infected part of the lungs of pictures, every picture on its own.

    Parameters
    ----------
    scan : Scan
        Pictures of unknown window.
    pictures : sequence of PictureResult
        What the 2-D rule found in each; pictures in which it saw no lung are left empty.
    lungs, rule : LungMask, InfectionMask
        Lungs and infection by the rule, on the scan's grid.
    model : Model
        The network.
    config : InfectionNetworkConfig, optional
    picture_config : PictureConfig, optional
        Densities of the tones, and the limit of consolidation.
    """
    config, picture_config = config or InfectionNetworkConfig(), picture_config or PictureConfig()
    labels, extent = np.zeros(scan.shape, np.uint8), np.zeros(scan.shape, np.uint8)
    threshold = model.card.thresholds.get(LABEL, 0.5)
    for index, result in enumerate(pictures):
        inside = lungs.labels[index] > 0
        if result.lung_tone is None or result.tissue_tone is None or not inside.any():
            continue
        values = _dense_is_bright(scan.voxels[index], result)
        box = box_of(inside, int(config.margin_share * max(inside.shape)))
        maps = infection_map(model, _in_byte_range(values), Intensity.DISPLAY, inside, box)
        probability = maps[model.card.labels.index(LABEL)]
        reached = _levels(probability, inside, threshold, config.spread)
        reached[(rule.extent[index] >= SURE) & inside] = SURE
        extent[index] = reached
        dense = _density(values, result, picture_config) >= picture_config.consolidation_hu
        labels[index] = np.where(reached >= 2, np.where(dense, CONSOLIDATION, GROUND_GLASS), 0)
    return InfectionMask(labels, extent, scan.geometry, f"{method_name(model)}, single pictures")


def _dense_is_bright(picture: NDArray[Any], result: PictureResult) -> Float32:
    """Return a picture in which dense tissue is bright, as the rule looked at it."""
    values = picture.astype(np.float32)
    if INVERTED in result.findings:
        values = values.max() + values.min() - values
    return values


def _in_byte_range(values: Float32) -> Float32:
    """Return a picture's values in 0..255, stretched only where they leave that range."""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 255:
        return values
    return (values - low) * np.float32(255 / max(high - low, 1e-6))


def _density(values: Float32, result: PictureResult, config: PictureConfig) -> Float32:
    """Return densities between the two tones of a picture, and beyond them."""
    assert result.lung_tone is not None
    assert result.tissue_tone is not None
    air, tissue = config.lungs.lung_hu, config.lungs.tissue_hu
    share = (values - result.lung_tone) / max(result.tissue_tone - result.lung_tone, 1e-6)
    return np.asarray(air + share * (tissue - air), np.float32)
