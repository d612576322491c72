"""The infected percentage of a scan by a regressor: lungs cut out of slices, one number each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import Estimate, LungMask, PercentEstimate
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.datasets.slices import Slice
from groundglass.errors import UnknownModelError, WeightsError
from groundglass.models.card import ModelCard, Task
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.pictures import answers

METHOD = "regression"
SYSTEM = "per-covid-19"
LIMITS_OF_AGREEMENT = ("subject_loa_low", "subject_loa_high")
"""Figures of a card that the interval is made of."""


@dataclass(frozen=True)
class PercentConfig:
    """Settings of the percentage by regression."""

    model: str | None = DEFAULT
    """Name of the regressor; ``None`` to leave it out. Without a default regressor at hand,
    ``default`` leaves it out as well."""
    margin_share: float = 0.03
    """Margin around the lungs cut out, as a share of their height and width."""
    most_slices: int = 24
    """Slices of a volume that are read at most, evenly spaced; pictures are all read."""
    least_area_share: float = 0.3
    """Lung area from which a slice of a volume is read, as a share of the largest."""
    apart_points: float = 20.0
    """Difference from the percentage of the mask from which a verdict says so."""


def lungs_cut_out(
    plane: NDArray[np.generic], lungs: NDArray[np.bool_], margin_share: float = 0.03
) -> NDArray[np.generic]:
    """Return the smallest upright rectangle of a slice that holds its lungs, with a margin.

    Parameters
    ----------
    plane : ndarray
        (rows, columns).
    lungs : ndarray
        Mask of the same shape, not empty.
    margin_share : float
        Margin as a share of the rectangle's sides.
    """
    cuts = []
    for axis, size in enumerate(lungs.shape):
        places = np.flatnonzero(lungs.any(axis=1 - axis))
        low, high = int(places[0]), int(places[-1]) + 1
        margin = round(margin_share * (high - low))
        cuts.append(slice(max(low - margin, 0), min(high + margin, size)))
    return plane[cuts[0], cuts[1]]


def estimate_percent(
    scan: Scan, lungs: LungMask, model: Model, config: PercentConfig | None = None
) -> PercentEstimate:
    """Return what a regressor answers for a scan, its slices weighted by their lung area.

    Parameters
    ----------
    scan : Scan
        In HU, or of pictures.
    lungs : LungMask
        On the scan's grid.
    model : Model
        Opened regressor of percentages.
    config : PercentConfig, optional
    """
    config = config or PercentConfig()
    name = model.card.name
    if scan.intensity is Intensity.UNKNOWN:
        reason = "the regressor needs HU or pictures; the meaning of the values is not known"
        return PercentEstimate(METHOD, name, Estimate.unknown(reason), "")
    areas = np.count_nonzero(lungs.labels, axis=(1, 2)).astype(np.float64)
    chosen = _chosen(areas, scan.intensity is Intensity.HU, config)
    if not chosen:
        return PercentEstimate(METHOD, name, Estimate.unknown("no slice holds lung"), "")
    found = np.array([_answer(scan, lungs, model, place, config) for place in chosen])
    percents = np.clip(found, 0, 100)
    weighted = float(np.average(percents, weights=areas[chosen]))
    low, high = _interval(weighted, model.card)
    by_slice: list[float | None] = [None] * len(areas)
    for place, percent in zip(chosen, percents, strict=True):
        by_slice[place] = float(percent)
    if len(chosen) < np.count_nonzero(areas):
        by_slice = []  # some slices with lung were not read: the list would have holes
    note = (
        f"Mean of {len(chosen)} of {len(areas)} slices weighted by their lung area; the plain mean "
        f"is {percents.mean():.1f} %. {_about(scan, model.card)}"
    )
    return PercentEstimate(METHOD, name, Estimate(weighted, low, high), note, tuple(by_slice))


def _chosen(areas: NDArray[np.float64], volume: bool, config: PercentConfig) -> list[int]:
    """Return the places of the slices that are read."""
    if not areas.any():
        return []
    least = config.least_area_share * areas.max() if volume else 0.0
    open_ones = np.flatnonzero((areas >= least) & (areas > 0))
    if volume and open_ones.size > config.most_slices:
        steps = np.linspace(0, open_ones.size - 1, config.most_slices)
        open_ones = open_ones[np.rint(steps).astype(int)]
    return [int(place) for place in open_ones]


def _answer(scan: Scan, lungs: LungMask, model: Model, place: int, config: PercentConfig) -> float:
    inside = lungs.labels[place] > 0
    cut = lungs_cut_out(scan.voxels[place], inside, config.margin_share)
    return float(answers(model, [Slice(cut, scan.intensity, None)])[0, 0])


def _interval(percent: float, card: ModelCard) -> tuple[float | None, float | None]:
    """Return the range that the limits of agreement measured on subjects leave."""
    known = {one.metric: one.value for one in card.scores}
    if not set(LIMITS_OF_AGREEMENT) <= set(known):
        return None, None
    low, high = (known[name] for name in LIMITS_OF_AGREEMENT)
    return max(percent - high, 0.0), min(percent - low, 100.0)


def _about(scan: Scan, card: ModelCard) -> str:
    """Return what the interval is, and how slices of HU became pictures."""
    known = {one.metric for one in card.scores}
    text = ""
    if set(LIMITS_OF_AGREEMENT) <= known:
        text = (
            "The range holds 95 % of the differences from radiologists in subjects not trained on."
        )
    if scan.intensity is Intensity.HU and card.preparation.window_hu is not None:
        low, high = card.preparation.window_hu
        text += f" Slices were cut to the lungs and shown in the window {low:.0f} to {high:.0f} HU."
    return text.strip()


def state_percent(
    scan: Scan, lungs: LungMask, masked: Estimate, config: PercentConfig | None = None
) -> tuple[tuple[PercentEstimate, ...], tuple[Verdict, ...]]:
    """Return a regressor's percentage of a scan and what must be said beside it.

    Parameters
    ----------
    scan : Scan
        In HU, or of pictures.
    lungs : LungMask
        On the scan's grid.
    masked : Estimate
        Infected share of both lungs by the mask that is measured.
    config : PercentConfig, optional

    Returns
    -------
    estimates : tuple of PercentEstimate
        One, or none where the regressor is left out.
    verdicts : tuple of Verdict
        That it was trained on pictures, and that it disagrees with the mask.

    Raises
    ------
    ModelError
        If the model named is not there, not sound, or does not answer percentages.
    """
    config = config or PercentConfig()
    if config.model is None:
        return (), ()
    try:
        model = open_regressor(config.model)
    except UnknownModelError:
        if config.model == DEFAULT:
            return (), ()
        raise
    found = estimate_percent(scan, lungs, model, config)
    return (found,), judge_percent(found, masked.value, scan.intensity, config)


def open_regressor(name: str) -> Model:
    """Return an opened regressor of percentages.

    Raises
    ------
    ModelError
        If there is none of that name, its file is another one, or it answers something else.
    """
    model = Model(find_model(name, SYSTEM))
    if model.card.task is not Task.PERCENT:
        msg = f"model {model.card.name} answers {model.card.task}, a percentage is needed"
        raise WeightsError(msg)
    return model


def judge_percent(
    estimate: PercentEstimate,
    masked_percent: float | None,
    intensity: Intensity,
    config: PercentConfig | None = None,
) -> tuple[Verdict, ...]:
    """Return what must be said beside a regressor's percentage.

    Parameters
    ----------
    estimate : PercentEstimate
        Of the regressor.
    masked_percent : float or None
        Infected share of both lungs by the mask that is measured.
    intensity : Intensity
        What the values of the scan are.
    config : PercentConfig, optional
    """
    config, value = config or PercentConfig(), estimate.percent.value
    if value is None:
        return ()
    found: list[Verdict] = []
    if intensity is Intensity.HU:
        found.append(
            Verdict(
                "regressor_domain",
                Status.NOTE,
                "the model behind the second percentage was trained on pictures of single slices, "
                "this scan is a volume in HU",
                "slices were cut to the lungs and windowed like those pictures",
                "the second percentage may be off in ways not measured; ml and percent of the mask "
                "are not affected",
            )
        )
    gap = None if masked_percent is None else value - masked_percent
    if gap is not None and abs(gap) > config.apart_points:
        found.append(
            Verdict(
                "percent_disagreement",
                Status.WARNING,
                f"mask and regressor disagree: {masked_percent:.1f} % and {value:.1f} % of the "
                "lung are infected",
                "both are reported, the mask's percentage is the one that is measured",
                f"one of the two is off by {abs(gap) / 2:.0f} points or more; look at the mask",
            )
        )
    return tuple(found)
