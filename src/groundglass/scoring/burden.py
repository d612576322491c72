"""How much of the lungs is infected: ml and percent by region, and the table of slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import (
    LEFT,
    LOBES,
    RIGHT,
    Burden,
    Estimate,
    InfectionMask,
    LobeMask,
    LungMask,
    RegionBurden,
    SliceBurden,
    SliceSelection,
)
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError
from groundglass.scoring.counts import (
    HIGH,
    LOW,
    NO_LUNG,
    Counts,
    Float,
    count_voxels,
    floored_percent,
    percent_of,
    share_percent,
)

ZONES = ("upper", "middle", "lower")
"""Thirds of the lungs by height, from the head."""
NO_SCALE = "the size of a pixel is not known, so volumes cannot be told"
NO_THICKNESS = "there is one slice of unknown thickness, so volumes cannot be told"
NO_HU = "grey values of a picture outline the lungs too loosely for volumes"
NO_SIDES = "right and left cannot be told apart in a picture"
NO_HEIGHT = "fewer than three slices hold lung at known heights, so there are no thirds"


def measure_burden(  # noqa: PLR0913, PLR0917
    scan: Scan,
    lungs: LungMask,
    infection: InfectionMask,
    lobes: LobeMask | None,
    by_area: SliceSelection,
    ctset: SliceSelection,
) -> Burden:
    """Return infected volume and share by region, and the table of slices.

    Infection outside the lungs is not counted, so every percent lies in [0, 100]. Every slice
    counts with the length it stands for; without a known spacing all count alike. No ml is
    told without it, nor from display values, whose lungs are too rough.

    Parameters
    ----------
    scan : Scan
        Gives densities where its values are HU.
    lungs, infection : LungMask, InfectionMask
        On the scan's grid.
    lobes : LobeMask, optional
        On the same grid; adds a region for each lobe.
    by_area, ctset : SliceSelection
        The two selections for the table of slices.

    Returns
    -------
    Burden
        Regions ``total``, ``right``, ``left``, ``upper``, ``middle``, ``lower`` and the lobes where
        given. What cannot be known is ``None`` with its reason. The interval is that of the
        infection's extent: tight to loose thresholds.

    Raises
    ------
    GridMismatchError
        If a mask has another shape than the scan.
    """
    _require_shape(scan, lungs, infection, lobes)
    hu = scan.hu() if scan.intensity is Intensity.HU else None
    counts = count_voxels(lungs.labels, infection.labels, infection.extent, hu)
    volumes, no_ml = scan.geometry.slice_volumes_mm3, _why_no_ml(scan)
    every, both = np.ones(counts.voxels.shape[0], dtype=bool), (RIGHT, LEFT)
    regions = {"total": _region("total", counts, every, both, volumes, no_ml)}
    for name, label in (("right", RIGHT), ("left", LEFT)):
        if lungs.sides_known:
            regions[name] = _region(name, counts, every, (label,), volumes, no_ml)
        else:
            regions[name] = _unknown(name, NO_SIDES)
    regions.update(_zones(counts, scan.geometry, volumes, no_ml))
    if lobes is not None:
        inside = count_voxels(lobes.labels, infection.labels, infection.extent, hu, len(LOBES) + 1)
        for label, name in enumerate(LOBES, start=1):
            regions[name] = _region(name, inside, every, (label,), volumes, no_ml)
    return Burden(regions, _slices(counts, scan.geometry, by_area, ctset))


def zone_of_slices(
    lung: NDArray[np.floating], positions_mm: NDArray[np.floating]
) -> NDArray[np.intp] | None:
    """Return the third of the lung height that each slice lies in.

    Parameters
    ----------
    lung : ndarray
        (slices,) lung area.
    positions_mm : ndarray
        (slices,) position of every slice, falling from head to feet or rising.

    Returns
    -------
    ndarray or None
        (slices,): 0 upper, 1 middle, 2 lower, counted from slice 0; -1 above and below the lungs.
        ``None`` where fewer than three slices hold lung.
    """
    held = np.flatnonzero(lung > 0)
    if held.size < 3:
        return None
    first, last = int(held[0]), int(held[-1])
    depth = np.abs(positions_mm - positions_mm[first])
    height = depth[last] * (1 + 1 / (last - first))
    thirds = np.floor(3 * (depth + height / (last - first + 1) / 2) / height).astype(np.intp)
    index = np.arange(lung.size)
    return np.where((index >= first) & (index <= last), np.clip(thirds, 0, 2), -1)


def _why_no_ml(scan: Scan) -> str | None:
    """Return why the scan gives no ml; ``None`` if it does."""
    if not scan.geometry.spacing_known:
        return NO_SCALE
    if scan.geometry.slice_volumes_mm3 is None:
        return NO_THICKNESS
    return NO_HU if scan.intensity is Intensity.DISPLAY else None


def _zones(
    counts: Counts, geometry: Geometry, volumes: Float | None, no_ml: str | None
) -> dict[str, RegionBurden]:
    zone = None
    if geometry.spacing_known:
        zone = zone_of_slices(counts.voxels.sum(axis=1), geometry.positions_mm)
    if zone is None:
        return {name: _unknown(name, NO_HEIGHT) for name in ZONES}
    return {
        name: _region(name, counts, zone == number, (RIGHT, LEFT), volumes, no_ml)
        for number, name in enumerate(ZONES)
    }


def _region(  # noqa: PLR0913, PLR0917
    name: str,
    counts: Counts,
    rows: NDArray[np.bool_],
    labels: tuple[int, ...],
    volumes: Float | None,
    no_ml: str | None,
) -> RegionBurden:
    """Draw the numbers of one region from the slices ``rows`` and the given labels."""
    weights = np.ones(rows.size) if volumes is None else volumes / 1000
    picked = np.where(rows, weights, 0)

    def measure(table: Float) -> float:
        return float(picked @ table[:, labels].sum(axis=1))

    whole = measure(counts.voxels)
    if whole <= 0:
        return _unknown(name, NO_LUNG)
    parts = [measure(counts.infected(level)) for level in (2, LOW, HIGH)]
    hu = None if counts.hu_sum is None else measure(counts.hu_sum) / whole
    return RegionBurden(
        name=name,
        lung_ml=Estimate.unknown(no_ml) if no_ml else Estimate(whole),
        infected_ml=Estimate.unknown(no_ml) if no_ml else Estimate(parts[0], parts[1], parts[2]),
        percent=percent_of(parts, whole),
        ground_glass_percent=share_percent(measure(counts.ground_glass), whole),
        consolidation_percent=share_percent(measure(counts.consolidation), whole),
        mean_hu=hu,
        voxels=_count(counts.voxels, rows, labels),
        infected_voxels=_count(counts.infected(), rows, labels),
    )


def _count(table: Float, rows: NDArray[np.bool_], labels: tuple[int, ...]) -> int:
    return int(table[rows][:, labels].sum())


def _unknown(name: str, reason: str) -> RegionBurden:
    nothing = Estimate.unknown(reason)
    return RegionBurden(name, nothing, nothing, nothing, None, None, None)


def _slices(
    counts: Counts, geometry: Geometry, by_area: SliceSelection, ctset: SliceSelection
) -> tuple[SliceBurden, ...]:
    lung, ill = counts.voxels.sum(axis=1), counts.infected().sum(axis=1)
    plain = floored_percent(ill, lung, 0.0)
    # Pictures may be of different patients and scales: no slice is measured against another.
    floored = floored_percent(ill, lung) if geometry.spacing_known else plain
    known, area, height = geometry.spacing_known, geometry.pixel_area_mm2, geometry.z_mm
    return tuple(
        SliceBurden(
            index=index,
            position_mm=float(height[index]) if known else None,
            lung_area_mm2=float(lung[index] * area) if known else None,
            infected_percent=_number(floored[index]),
            infected_percent_plain=_number(plain[index]),
            selected=bool(by_area.kept[index]),
            selected_ctset=None if ctset.threshold is None else bool(ctset.kept[index]),
        )
        for index in range(lung.size)
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _require_shape(
    scan: Scan, lungs: LungMask, infection: InfectionMask, lobes: LobeMask | None
) -> None:
    for mask in (lungs, infection, lobes):
        if mask is not None and mask.labels.shape != scan.shape:
            msg = f"the mask of shape {mask.labels.shape} does not fit the scan of {scan.shape}"
            raise GridMismatchError(msg)
