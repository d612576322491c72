"""Training slices without doctors' masks: healthy volumes, made-up lesions, read percentages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.datasets.per_covid_19 import read_per_covid_19
from groundglass.imaging.tone import BRIGHTEST, SOFT_TISSUE, align_hu, resized
from groundglass.infection.picture import PictureConfig
from groundglass.infection.picture_lungs import find_picture_lungs
from groundglass.lungs.config import LungConfig
from groundglass.lungs.find import find_lungs
from groundglass.readers.read import read_scan
from groundglass.systems.covid_rate.ours.synthetic import SyntheticConfig, add_lesions
from groundglass.systems.covid_rate.ours.weak import WeakMaskConfig, mask_from_percent
from groundglass.systems.recipes import byte_stack

Bytes = NDArray[np.uint8]
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Takes a tone map (rows, columns), returns the probability of infection."""

VOLUMES, RATED = "covid-ct-md", "per-covid-19"
"""Folders of the two data sets beside the one with masks."""
LEAST_LUNG_SHARE = 0.06
MARGIN_SHARE = 0.03
LUNG_TONE = 0.06
LEAST_CONTRAST = 10.0
BYTE_OF_TONE = 200.0


@dataclass(frozen=True, eq=False)
class HealthySlice:
    """One slice of a healthy lung, cut to the lungs' box."""

    hu: NDArray[np.float32]
    """(side, side) densities."""
    lungs: NDArray[np.bool_]
    """(side, side) lung mask."""


def sibling(root: Path | None, name: str) -> Path | None:
    """Return another data set in the same folder of several; ``None`` where there is none."""
    if root is None:
        return None
    places = [root / name, root.parent / name]
    return next((place for place in places if place.is_dir()), None)


@lru_cache(maxsize=1)
def healthy_slices(root: Path | None, side_px: int) -> tuple[HealthySlice, ...]:
    """Return the slices of normal patients of COVID-CT-MD; none without that data set."""
    place = sibling(root, VOLUMES)
    found: list[HealthySlice] = []
    if place is None:
        return ()
    for patient in read_covid_ct_md(place):
        if patient.diagnosis != "NORMAL":
            continue
        scan = read_scan(patient.folder)
        lungs = find_lungs(scan, LungConfig(method="training-free")).labels > 0
        rows, columns = _box(lungs, (0, 2)), _box(lungs, (0, 1))
        for hu, lung in zip(scan.hu(), lungs, strict=True):
            mask = resized(lung[rows, columns].astype(np.float32), (side_px, side_px)) > 0.5
            if mask.any():
                density = resized(hu[rows, columns].astype(np.float32), (side_px, side_px))
                found.append(HealthySlice(density, mask))
    return tuple(found)


def _box(mask: NDArray[np.bool_], axes: tuple[int, int]) -> slice:
    places = np.flatnonzero(mask.any(axes))
    if not places.size:
        return slice(None)
    margin = int(MARGIN_SHARE * (places[-1] - places[0]))
    return slice(max(places[0] - margin, 0), places[-1] + margin + 1)


def negative_stacks(slices: Sequence[HealthySlice]) -> Bytes:
    """Return stacks of healthy slices with empty masks."""
    return np.stack([_stack(one.hu, one.lungs & False, one.lungs & False) for one in slices])


@lru_cache(maxsize=1)
def synthetic_stacks(
    slices: tuple[HealthySlice, ...], repeats: int, config: SyntheticConfig, seed: int
) -> Bytes | None:
    """Return stacks of healthy slices with made-up lesions; ``None`` without enough lung."""
    generator = np.random.default_rng(seed)
    able = [one for one in slices if one.lungs.mean() >= LEAST_LUNG_SHARE]
    made = [
        _stack(*add_lesions(one.hu, one.lungs, config, generator))
        for _ in range(repeats)
        for one in able
    ]
    return np.stack(made) if made else None


def _stack(hu: NDArray[Any], infected: NDArray[Any], dense: NDArray[Any]) -> Bytes:
    return byte_stack(align_hu(hu), (infected, dense))


@dataclass(frozen=True, eq=False)
class RatedStacks:
    """Pictures with a read percentage."""

    tones: Bytes
    """(pictures, side, side) tone maps times 200."""
    lungs: NDArray[np.bool_]
    """(pictures, side, side) lung masks."""
    percent: NDArray[np.float64]
    """(pictures,) infected share of the lungs."""


@lru_cache(maxsize=1)
def rated_stacks(root: Path | None, side_px: int) -> RatedStacks | None:
    """Return the slices of Per-COVID-19 in which lungs are found; ``None`` without that set."""
    place = sibling(root, RATED)
    if place is None:
        return None
    tones, lungs, percent = [], [], []
    size = (side_px, side_px)
    for one in read_per_covid_19(place):
        grey = one.image().astype(np.float32)
        found = find_picture_lungs(grey, PictureConfig().lungs)
        if found is None:
            continue
        contrast = max(found.tissue_tone - found.lung_tone, LEAST_CONTRAST)
        share = (grey - found.lung_tone) / contrast
        tone = np.clip(LUNG_TONE + share * (SOFT_TISSUE - LUNG_TONE), 0, BRIGHTEST)
        tones.append(np.rint(resized(tone, size) * BYTE_OF_TONE).astype(np.uint8))
        lungs.append(resized(found.mask.astype(np.float32), size) > 0.5)
        percent.append(one.percent)
    if not tones:
        return None
    return RatedStacks(np.stack(tones), np.stack(lungs), np.array(percent))


def weak_stacks(rated: RatedStacks, predict: Predict, config: WeakMaskConfig) -> Bytes | None:
    """Return stacks whose masks are a network's answers cut so that their area fits the reading.

    Consolidation is empty and not a label. Pictures whose answer and reading disagree are left
    out; ``None`` where that leaves none.
    """
    made = []
    for tone, lung, percent in zip(rated.tones, rated.lungs, rated.percent, strict=True):
        if percent <= 0:
            continue
        tones = (tone / BYTE_OF_TONE).astype(np.float32)
        mask = mask_from_percent(predict(tones), lung, float(percent), config)
        if mask is not None:
            made.append(_bytes(tone, mask))
    return np.stack(made) if made else None


def unhurt_stacks(rated: RatedStacks) -> Bytes | None:
    """Return stacks of the pictures read as 0 %, masks empty."""
    chosen = [tone for tone, percent in zip(rated.tones, rated.percent, strict=True) if not percent]
    empty = np.zeros(rated.tones.shape[1:], bool)
    return np.stack([_bytes(tone, empty) for tone in chosen]) if chosen else None


def _bytes(tone: Bytes, mask: NDArray[np.bool_]) -> Bytes:
    return np.stack([tone, mask * np.uint8(255), np.zeros_like(tone)])
