"""Verdicts about geometry, told again in ml and percent once the lungs are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import InfectionMask, LungMask
from groundglass.core.verdict import Verdict

GAP_FACTOR = 1.5
"""A step of more than this many median steps is a gap."""


def state_effects(
    verdicts: tuple[Verdict, ...], lungs: LungMask, infection: InfectionMask
) -> tuple[Verdict, ...]:
    """Return the verdicts with the effect of uneven geometry told in ml and percent.

    Parameters
    ----------
    verdicts : tuple of Verdict
        What reading and checking found; only ``slice_gaps`` and ``slice_spacing`` change.
    lungs : LungMask
        Where the lungs are.
    infection : InfectionMask
        Where they are ill, on the same grid.

    Returns
    -------
    tuple of Verdict
        In the same order.
    """
    geometry = lungs.geometry
    if geometry.widths_mm is None or geometry.is_even:
        return verdicts
    tellers: dict[str, Callable[[], str]] = {
        "slice_gaps": lambda: _gap_effect(geometry, _areas(lungs.labels)),
        "slice_spacing": lambda: _spacing_effect(
            geometry, _areas(lungs.labels), _areas(infection.labels)
        ),
    }
    return tuple(
        verdict.with_effect(f"{verdict.effect.rstrip('.')}. {tellers[verdict.check]()}")
        if verdict.check in tellers
        else verdict
        for verdict in verdicts
    )


def _areas(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the number of labelled pixels of every slice."""
    return np.asarray(np.count_nonzero(labels, axis=(1, 2)), dtype=np.float64)


def _gap_effect(geometry: Geometry, lung: NDArray[np.float64]) -> str:
    volumes = geometry.slice_volumes_mm3
    assert volumes is not None
    total = float(lung @ volumes) / 1000
    beyond = geometry.steps_mm - geometry.step_mm
    beyond[geometry.steps_mm < GAP_FACTOR * geometry.step_mm] = 0
    beside = (lung[:-1] + lung[1:]) / 2
    gap = float(beside @ beyond) * geometry.pixel_area_mm2 / 1000
    share = 100 * gap / total if total else 0.0
    return (
        f"{gap:.0f} ml of the {total:.0f} ml of lung ({share:.1f} %) lie in the gaps and are "
        "interpolated from the slices beside them"
    )


def _spacing_effect(geometry: Geometry, lung: NDArray[np.float64], ill: NDArray[np.float64]) -> str:
    volumes = geometry.slice_volumes_mm3
    assert volumes is not None
    mean_step = float(np.mean(geometry.steps_mm)) * geometry.pixel_area_mm2
    total, even_total = float(lung @ volumes) / 1000, float(lung.sum()) * mean_step / 1000
    percent = 100 * float(ill @ volumes) / 1000 / total if total else 0.0
    even_percent = 100 * float(ill.sum()) / float(lung.sum()) if lung.sum() else 0.0
    return (
        f"With one mean step the lungs would have measured {even_total:.0f} ml instead of "
        f"{total:.0f} ml and {even_percent:.1f} % infected instead of {percent:.1f} %"
    )
