"""Infection masks for the published tasks: three models on slices in HU and on pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity, Scan
from groundglass.infection.picture import PictureConfig, segment_picture
from groundglass.infection.picture_lungs import find_picture_lungs
from groundglass.infection.volume import find_infection
from groundglass.lungs.find import find_lungs
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs
from groundglass.systems.covid_rate.infection import find_infection_by_network
from groundglass.systems.covid_rate.method import infection_map
from groundglass.systems.identification_severity.infection import published_infection
from groundglass.systems.identification_severity.presets import SEGMENTATION, Preset

Mask = NDArray[np.bool_]
PICTURE_WINDOW_HU = (-1150.0, 150.0)
"""Window by which our rule for pictures is shown a slice in HU."""
NETWORK_SYSTEM = "covid-rate"


class Method(StrEnum):
    """What is measured."""

    PUBLISHED = "published"
    """The published rule, to the letter."""
    OURS = "ours"
    """Our training-free rule."""
    NETWORK = "network"
    """The network that finds lesions in single slices."""


def open_network(name: str = DEFAULT, threads: int = 1) -> Model:
    """Return the network for slices by its name or file."""
    return Model(find_model(name, NETWORK_SYSTEM), threads)


def picture_masks(picture: NDArray[np.uint8], method: Method, network: Model | None) -> Mask:
    """Return the infection mask of one picture of unknown window.

    Parameters
    ----------
    picture : ndarray
        (rows, columns) grey values.
    method : Method
        Which model. The published rule gets densities estimated from the tones of lung and tissue.
    network : Model or None
        Needed for ``NETWORK``.
    """
    if method is Method.NETWORK:
        return _by_network(network, picture, Intensity.DISPLAY)
    if method is Method.OURS:
        return np.asarray(segment_picture(picture).labels > 0)
    lungs = find_picture_lungs(picture.astype(np.float32), PictureConfig().lungs)
    if lungs is None:
        return np.zeros(picture.shape, dtype=bool)
    density = np.rint(np.clip(lungs.density_hu, -1024, 3071)).astype(np.int16)
    found = published_infection(density, lungs.mask.astype(np.uint8), SEGMENTATION)
    return np.asarray(found.mask[0])


def slice_masks(hu: NDArray[Any], method: Method, network: Model | None) -> tuple[Mask, Mask]:
    """Return lungs and infection of one slice in HU that belongs to no volume.

    Parameters
    ----------
    hu : ndarray
        (rows, columns).
    method : Method
        Which model. Lungs are found in the slice alone; our rule is the one for pictures.
    network : Model or None
        Needed for ``NETWORK``.
    """
    lungs = fallback_lungs(hu)
    if method is Method.NETWORK:
        return lungs, _by_network(network, hu, Intensity.HU, lungs)
    if method is Method.PUBLISHED:
        return lungs, published_infection(hu, lungs.astype(np.uint8), SEGMENTATION).mask[0]
    low, high = PICTURE_WINDOW_HU
    picture = np.rint((np.clip(hu, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    return lungs, np.asarray(segment_picture(picture).labels > 0)


def volume_masks(
    scan: Scan, method: Method, network: Model | None, preset: Preset = SEGMENTATION
) -> tuple[NDArray[np.uint8], Mask]:
    """Return lungs (1 right, 2 left) and infection of a scan in HU.

    Parameters
    ----------
    scan : Scan
        In HU.
    method : Method
        Which model.
    network : Model or None
        Needed for ``NETWORK``, which is as in an analysis: with the surest part of our rule.
    preset : Preset
        Variant of the published rule.
    """
    lungs = find_lungs(scan)
    if method is Method.PUBLISHED:
        found = published_infection(scan.hu(), lungs.labels, preset)
        return lungs.labels, np.asarray(found.mask)
    rule = find_infection(scan, lungs)
    if method is Method.NETWORK:
        assert network is not None
        rule = find_infection_by_network(scan, lungs, rule, network)
    return lungs.labels, np.asarray(rule.labels > 0)


def _by_network(
    network: Model | None, values: NDArray[Any], intensity: Intensity, lungs: Mask | None = None
) -> Mask:
    assert network is not None
    card = network.card
    least = card.thresholds.get(card.labels[0], 0.5)
    lung = None if lungs is None else lungs.astype(np.uint8)
    return np.asarray(infection_map(network, values, intensity, lung)[0] >= least)
