"""Where a histogram has its peaks, and whether they are those of air, lung, fat and soft tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Values = NDArray[np.float32]

SAMPLE_SLICES = 24
"""Slices looked at, evenly spread."""
SAMPLE_VOXELS = 12_000
"""Voxels looked at in each of them."""
PADDING_HU = -1500.0
"""Values below are not of the patient: the corners outside the round field of view."""
BIN_HU = 8.0
"""Width of a histogram bin."""
SMOOTHING_BINS = 1.5
"""Width of the smoothing of the histogram."""

AIR_HU = -1000.0
"""Air, by definition."""
AIR_TOLERANCE_HU = 45.0
"""How far the air around a patient may be off; scanners clip it at -1024."""
SOFT_HU = 40.0
"""Muscle and blood without contrast agent."""
SOFT_RANGE_HU = (-25.0, 115.0)
"""Where the peak of soft tissue, or water of a test object, may lie."""
AIR_PEAK_HU = (-1090.0, -750.0)
"""Where the peak of air, or of lung where there is no air around it, may lie."""
LUNG_PEAK_HU = (-950.0, -600.0)
"""Where the peak of lung lies; a frame of such values may be lung in a narrow cut."""
FAT_HU = -105.0
"""Fat."""
FAT_RANGE_HU = (-145.0, -60.0)
"""Where its peak may lie."""
LUNG_FROM_HU = -930.0
"""A peak above is lung and says nothing about where air lies."""
LOW_HU = -600.0
"""Air and aerated lung lie below."""
DENSE_HU = (-250.0, 250.0)
"""Fat and soft tissue lie between."""
BONE_HU = 400.0
"""Bone and metal lie above."""
FRAME_HU = 60.0
"""How far the values of a frame of one material lie around their median."""
LUNG_BESIDE = 0.15
"""Share of what is darker than -500 HU that is brighter than the frame where that is air, not lung:
the lung inside."""
SECOND_PEAK = 0.05
"""Height of a second peak over the valley beside it, as share of the highest."""
MIN_SHARE = 0.02
"""Share that air or lung, and fat or soft tissue, must have to count as seen."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Some of a scan's values."""

    inside: Values
    """Evenly spread over the scan, flat."""
    border: Values
    """From the frame of the slices, where there is air around a whole patient, flat."""

    def mapped(self, slope: float, offset: float) -> Sample:
        """Return the sample of slope * value + offset."""
        return Sample(
            self.inside * np.float32(slope) + np.float32(offset),
            self.border * np.float32(slope) + np.float32(offset),
        )

    def unwrapped(self) -> Sample:
        """Return the sample with values above 32767 read as the negative ones they were."""
        return Sample(unwrap(self.inside), unwrap(self.border))


@dataclass(frozen=True, slots=True)
class Peaks:
    """What was seen in values taken as HU."""

    confirmed: bool
    """Whether the values look like HU."""
    contradicted: bool
    """Whether they cannot be HU: the air around the patient is elsewhere."""
    air_hu: float | None
    """Peak below -600 HU; ``None`` if too little lies there."""
    soft_hu: float | None
    """Peak of soft tissue."""
    misfit_hu: float
    """How far air and soft tissue are from where they belong; for choosing between offsets."""

    @property
    def certain(self) -> bool:
        """Whether air itself and soft tissue itself are where they belong, not lung or fat."""
        return (
            self.confirmed
            and self.air_hu is not None
            and self.air_hu < LUNG_FROM_HU
            and self.soft_hu is not None
            and self.soft_hu > SOFT_RANGE_HU[0]
            and self.misfit_hu <= AIR_TOLERANCE_HU
        )


def take_sample(voxels: NDArray[Any]) -> Sample:
    """Return an even sample of voxels of shape (slices, rows, columns)."""
    count, rows, columns = voxels.shape
    chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLE_SLICES)).round().astype(int))
    stride = max(1, int(np.sqrt(rows * columns / SAMPLE_VOXELS)))
    start = min(stride // 2, rows - 1, columns - 1)
    inside = [voxels[i, start::stride, start::stride].ravel() for i in chosen]
    border = [
        np.concatenate([part.ravel() for part in (s[:2], s[-2:], s[:, :2], s[:, -2:])])
        for s in (voxels[i] for i in chosen)
    ]
    return Sample(
        np.concatenate(inside).astype(np.float32), np.concatenate(border).astype(np.float32)
    )


def unwrap(values: NDArray[Any]) -> NDArray[Any]:
    """Return values with those above 32767 read as 16-bit negative ones."""
    return np.where(values > 32767, values - 65536, values)


def find_peaks(sample: Sample) -> Peaks:
    """Return what a sample looks like if its values are taken as HU.

    Air or lung and fat or soft tissue must both be there with their peaks in place, little else
    beside them, and the air around the patient must lie at -1000 HU wherever it can be told from
    lung: as the narrow frame of the slices, or as the lower of two peaks.
    """
    values = sample.inside[sample.inside > PADDING_HU]
    if values.size < 16:
        return Peaks(confirmed=False, contradicted=False, air_hu=None, soft_hu=None, misfit_hu=1e4)
    low = float((values < LOW_HU).mean())
    dense = float(((values > DENSE_HU[0]) & (values < DENSE_HU[1])).mean())
    above = float((values > BONE_HU).mean())
    soft = _soft_peak(values) if dense >= MIN_SHARE else None
    air = _mode(values, (PADDING_HU, LOW_HU)) if low >= MIN_SHARE else None
    contradicted = _air_elsewhere(sample, values)
    confirmed = (
        air is not None
        and soft is not None
        and not contradicted
        and AIR_PEAK_HU[0] <= air <= AIR_PEAK_HU[1]
        and low + dense >= 0.6
        and above <= 0.25
    )
    return Peaks(confirmed, contradicted, air, soft, _misfit(values, air, soft))


def _air_elsewhere(sample: Sample, values: Values) -> bool:
    around = surrounding_air(sample)
    if around is not None and LUNG_PEAK_HU[0] <= around <= LUNG_PEAK_HU[1]:
        low = values[values < -500]
        beside = float((low > around + FRAME_HU).mean())
        around = around if beside > LUNG_BESIDE else None
    if around is None:
        around = _lower_of_two(values)
    return around is not None and abs(around - AIR_HU) > AIR_TOLERANCE_HU


def _lower_of_two(values: Values) -> float | None:
    """Return the lower peak below -500 HU if there are several: air beside lung."""
    counts, edges = _histogram(values, (PADDING_HU, -500.0))
    if counts.max() < MIN_SHARE * values.size / 4:
        return None
    from scipy import signal  # noqa: PLC0415 - its import takes longer than all checks

    rise = max(SECOND_PEAK * counts.max(), 4 * np.sqrt(counts.max()))
    tops, _ = signal.find_peaks(counts, prominence=rise)
    return float(edges[tops[0]] + BIN_HU / 2) if len(tops) > 1 else None


def _soft_peak(values: Values) -> float | None:
    """Return the peak of soft tissue; that of fat where there is hardly anything else."""
    soft = _mode(values, (-200.0, 300.0), above=SOFT_RANGE_HU[0])
    if SOFT_RANGE_HU[0] + BIN_HU < soft <= SOFT_RANGE_HU[1]:
        return soft
    fat = _mode(values, (-200.0, 300.0))
    return fat if FAT_RANGE_HU[0] <= fat <= FAT_RANGE_HU[1] else None


def surrounding_air(sample: Sample) -> float | None:
    """Return the value of the air around the patient, if the frame of the slices shows it.

    ``None`` where the frame is of several tissues, is padding, or is not the darkest thing.
    """
    border = sample.border[sample.border > PADDING_HU]
    if border.size < sample.border.size / 2:
        return None
    middle = float(np.median(border))
    narrow = float((np.abs(border - middle) <= FRAME_HU).mean())
    darkest = float(np.quantile(sample.inside, 0.05))
    spread = float(np.ptp(np.quantile(sample.inside, (0.02, 0.98))))
    if narrow < 0.7 or middle - darkest > 80 or spread < 300:
        return None
    return middle


def _misfit(values: Values, air: float | None, soft: float | None) -> float:
    misfit = 0.0
    if soft is not None:
        misfit = abs(soft - (SOFT_HU if soft > SOFT_RANGE_HU[0] else FAT_HU)) / 2
    if air is None or air > LUNG_FROM_HU:
        return misfit
    without_spike = values[values > values.min()]
    if ((without_spike > -1060) & (without_spike < -940)).sum() > MIN_SHARE * values.size:
        air = _mode(without_spike, (-1060.0, -940.0))
    return misfit + abs(air - AIR_HU)


def _mode(values: Values, limits: tuple[float, float], above: float | None = None) -> float:
    """Return the highest point of the smoothed histogram, to a fraction of a bin.

    Parameters
    ----------
    values : ndarray
        Flat values.
    limits : tuple of float
        Range of the histogram.
    above : float, optional
        Highest point at or above this value only, so that fat does not hide soft tissue.
    """
    smooth, edges = _histogram(values, limits)
    first = 0 if above is None else int((above - limits[0]) // BIN_HU)
    best = first + int(np.argmax(smooth[first:]))
    centre = edges[best] + BIN_HU / 2
    if 0 < best < smooth.size - 1:
        left, top, right = smooth[best - 1 : best + 2]
        bend = left - 2 * top + right
        centre += BIN_HU * float(np.clip(0.5 * (left - right) / bend, -1, 1)) if bend else 0.0
    return float(centre)


def _histogram(
    values: Values, limits: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.arange(limits[0], limits[1] + BIN_HU, BIN_HU)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    return ndimage.gaussian_filter1d(counts, SMOOTHING_BINS, mode="constant"), edges
