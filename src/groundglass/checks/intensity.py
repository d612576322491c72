"""Whether voxel values are Hounsfield units, and what to do if they are not.

Air lies at -1000 HU and soft tissue near 40 HU in every CT. Where the histogram has these peaks
the values are HU; where it has them after a known mistake is undone (an offset of 1024 or 1000,
exchanged signs, unsigned numbers) the mistake is undone and said; all other values are only grey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.checks.peaks import (
    AIR_HU,
    PADDING_HU,
    Peaks,
    Sample,
    find_peaks,
    take_sample,
    unwrap,
)
from groundglass.checks.slices import odd_slices
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError

LABEL_MAP_LEVELS = 16
"""Up to so many different whole numbers close together are labels, not a scan."""
NO_TISSUE_HU = -200.0
"""A scan with nothing denser holds no body."""
PADDING_SHARE = 0.001
"""Share of padding from which it is mentioned."""
_INT16 = np.iinfo(np.int16)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A known way in which HU are stored wrong, and how to undo it."""

    words: str
    slope: int
    offset: int
    wrapped: bool = False

    def undo(self, values: Array) -> Array:
        """Return int16 HU."""
        whole = unwrap(values) if self.wrapped else values
        return _int16(lambda part: part * self.slope + self.offset, whole)

    def undone(self, sample: Sample) -> Sample:
        plain = sample.unwrapped() if self.wrapped else sample
        return plain.mapped(self.slope, self.offset)


_LIMITS = (_INT16.min, _INT16.max)
_MISTAKES = (
    _Mistake("1024 added", 1, -1024),
    _Mistake("1000 added", 1, -1000),
    _Mistake("1024 taken away", 1, 1024),
    _Mistake("1000 taken away", 1, 1000),
    _Mistake("32768 added", 1, -32768),
    _Mistake("signs exchanged", -1, 0),
    _Mistake("signs exchanged after 1024 was added", -1, -1024),
    _Mistake("brightness inverted within 0 to 4095", -1, 3071),
    _Mistake("a slope of the wrong sign", -1, -2048),
    _Mistake("negative numbers stored as unsigned ones", 1, 0, wrapped=True),
    _Mistake("negative numbers stored as unsigned ones, 1024 taken away", 1, 1024, wrapped=True),
)


UNUSUAL_HU = 5.0
"""How much better a rarer mistake must fit than the usual one, 1024 added."""


def calibrate(scan: Scan, hu_offset: float | None = None) -> Scan:
    """Find out what a scan's values mean and return it in HU, or as grey values.

    Parameters
    ----------
    scan : Scan
        Any scan. Values that are display values already, or HU estimated from a window that the
        user stated, are left alone.
    hu_offset : float, optional
        What to add to the values to get HU, if the user knows; then it is done and not guessed.

    Returns
    -------
    Scan
        Of intensity ``HU``, int16, padding outside the field of view set to air, or ``DISPLAY``
        with values 0 to 255. With verdicts ``intensity``, ``padding`` and ``pixel_integrity``.

    Raises
    ------
    NotAnalyzableError
        If all values are equal, or are labels of a mask.
    """
    sample = take_sample(scan.voxels)
    _require_a_picture(scan, sample)
    scan = scan.told(*odd_slices(scan.voxels))
    if scan.intensity is Intensity.DISPLAY:
        return scan
    if any(step.name == "window_hu" for step in scan.provenance.steps):
        return scan.told(_by_window())
    if hu_offset is not None and not _already_added(scan):
        return _stated(scan, sample, hu_offset)
    return _judged(scan, sample)


def _judged(scan: Scan, sample: Sample) -> Scan:
    """Return the scan as what its peaks show it to be."""
    if scan.intensity is Intensity.UNKNOWN:
        scan = replace(scan, verdicts=tuple(_overtaken(v) for v in scan.verdicts))
    peaks = find_peaks(sample)
    if peaks.confirmed:
        return _as_hu(scan, scan.voxels, _confirmed(peaks))
    mistake = _best_mistake(sample)
    if mistake is not None:
        return _corrected(scan, mistake, find_peaks(mistake.undone(sample)))
    if scan.intensity is Intensity.HU and not _impossible(sample, peaks):
        return _as_hu(scan, scan.voxels, _unclear(peaks))
    return _as_grey(scan, sample)


def _overtaken(verdict: Verdict) -> Verdict:
    """Return what a reader said about unknown values with the effect left to this check."""
    if verdict.check != "intensity":
        return verdict
    return verdict.with_effect("What the check of the values found counts")


def _require_a_picture(scan: Scan, sample: Sample) -> None:
    """Refuse values in which nothing can be seen."""
    if sample.inside.min() == sample.inside.max() and scan.voxels.min() == scan.voxels.max():
        found = "All voxels have the same value"
    elif _is_label_map(sample.inside, scan.intensity):
        found = "The voxels are a few whole numbers, as in a mask, not a scan"
    else:
        return
    verdict = Verdict("intensity", Status.REFUSED, found, "Nothing was measured", "No numbers")
    msg = f"a CT is needed and {found[0].lower()}{found[1:]}; choose another file or series"
    raise NotAnalyzableError(msg, (verdict,))


def _is_label_map(values: Array, intensity: Intensity) -> bool:
    if np.ptp(values) > LABEL_MAP_LEVELS * 8 and intensity is not Intensity.DISPLAY:
        return False
    levels = np.unique(values)
    most = 3 if intensity is Intensity.DISPLAY else LABEL_MAP_LEVELS
    return levels.size <= most and bool((levels == np.rint(levels)).all())


def _already_added(scan: Scan) -> bool:
    steps = [step for step in scan.provenance.steps if step.name == "hu_offset"]
    return any(step.parameters.get("stated") for step in steps)


def _best_mistake(sample: Sample) -> _Mistake | None:
    """Return the mistake that explains the values best, if any does."""
    seen = [(find_peaks(mistake.undone(sample)), mistake) for mistake in _MISTAKES]
    fitting = [
        (peaks.misfit_hu + (0 if mistake is _MISTAKES[0] else UNUSUAL_HU), mistake)
        for peaks, mistake in seen
        if peaks.confirmed and (mistake.slope > 0 or peaks.certain)
    ]
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _impossible(sample: Sample, peaks: Peaks) -> bool:
    """Return whether values that claim to be HU cannot be."""
    values = sample.inside
    padding = values[values <= PADDING_HU]
    scattered = padding.size > 0.05 * values.size and np.unique(padding).size > 50
    no_tissue = np.quantile(values, 0.999) < NO_TISSUE_HU
    return peaks.contradicted or bool(
        values.min() >= 0 or np.ptp(values) < 100 or no_tissue or scattered
    )


def _as_hu(scan: Scan, values: Array, verdict: Verdict) -> Scan:
    """Return the scan in HU with padding set to air."""
    told = [verdict]
    padding = values <= PADDING_HU if values.min() <= PADDING_HU else None
    if padding is not None:
        share = float(padding.mean())
        values = np.where(padding, values.dtype.type(AIR_HU), values)
        told += [_padding(share)] if share >= PADDING_SHARE else []
    if values.dtype != np.int16:
        values = _int16(lambda part: part, values)
    if values is scan.voxels:
        return replace(scan, intensity=Intensity.HU).told(*told)
    return scan.derive(values, "calibrate", Intensity.HU, found=verdict.found).told(*told)


def _corrected(scan: Scan, mistake: _Mistake, peaks: Peaks) -> Scan:
    claimed = "claim to be" if scan.intensity is Intensity.HU else "are not said to be"
    verdict = Verdict(
        "intensity",
        Status.WARNING,
        f"The values {claimed} Hounsfield units and are not: the peaks show {mistake.words}",
        f"It was undone; air now lies at {peaks.air_hu:.0f}, soft tissue at {peaks.soft_hu:.0f} HU",
        "Numbers are as good as this finding; ml depend little on it, shares of ground glass and "
        "consolidation and mean densities more",
    )
    return _as_hu(scan, mistake.undo(scan.voxels), verdict)


def _stated(scan: Scan, sample: Sample, offset: float) -> Scan:
    peaks = find_peaks(sample.mapped(1, offset))
    verdict = Verdict(
        "intensity",
        Status.NOTE if peaks.confirmed else Status.WARNING,
        f"The user states that {offset:g} must be added to get Hounsfield units",
        "It was added"
        + ("" if peaks.confirmed else "; the peaks of air and soft tissue do not confirm it"),
        "All densities rest on this statement",
    )
    return _as_hu(scan, _int16(lambda part: part + np.float32(offset), scan.voxels), verdict)


def _as_grey(scan: Scan, sample: Sample) -> Scan:
    """Return the scan as grey values 0 to 255."""
    low, high = (float(q) for q in np.quantile(sample.inside, (0.002, 0.998)))
    low, high = (low, high) if high > low else (float(scan.voxels.min()), float(scan.voxels.max()))
    plain = low >= 0 and 64 < scan.voxels.max() <= 255
    inverted = _is_inverted(sample, low, high)
    if plain:
        low, high = 0.0, 255.0
    ends = (255.0, 0.0) if inverted else (0.0, 255.0)
    grey = _int16(lambda part: np.interp(part, (low, high), ends), scan.voxels)
    looks = _describe(sample.inside)
    verdict = Verdict(
        "intensity",
        Status.WARNING,
        f"The values are not Hounsfield units: {looks}, without the peaks of air and soft tissue",
        "They were measured as grey values, slice by slice" + ("; inverted" if inverted else ""),
        "Percentages are given with less certainty; no densities in HU",
    )
    return scan.derive(grey, "grey", Intensity.DISPLAY, low=low, high=high).told(verdict)


def _int16(change: Callable[[Array], Array], values: Array) -> NDArray[np.int16]:
    """Return changed values rounded to int16; 16-bit ones by a table of all they can be."""
    if values.dtype == np.int16:
        every = np.arange(_LIMITS[0], _LIMITS[1] + 1, dtype=np.float32)
        table = np.rint(np.clip(change(every), *_LIMITS)).astype(np.int16)
        return np.take(np.roll(table, _LIMITS[0]), values.view(np.uint16))
    result = np.empty(values.shape, np.int16)
    for part, target in zip(values, result, strict=True):
        target[...] = np.rint(np.clip(change(part.astype(np.float32)), *_LIMITS))
    return result


def _is_inverted(sample: Sample, low: float, high: float) -> bool:
    """Return whether the frame of the slices is bright as the air around no patient is."""
    bright = sample.border >= high - 0.1 * (high - low)
    dark_inside = float((sample.inside < (low + high) / 2).mean())
    return float(bright.mean()) > 0.6 and dark_inside > 0.2


def _describe(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    kinds: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: low >= 0 and high <= 1, "they lie between 0 and 1 as after normalising"),
        (lambda: high - low < 50, "they are small numbers as after normalising"),
        (lambda: low >= 0 and high <= 255, "they lie between 0 and 255 as in a picture"),
        (lambda: low >= 0 and high <= 4095, "they lie between 0 and 4095 as in a 12-bit picture"),
    )
    for fits, words in kinds:
        if fits():
            return words
    return f"they lie between {low:.6g} and {high:.6g}"


def _confirmed(peaks: Peaks) -> Verdict:
    return Verdict(
        "intensity",
        Status.OK,
        f"The values are Hounsfield units: air or lung at {peaks.air_hu:.0f}, soft tissue at "
        f"{peaks.soft_hu:.0f} HU",
        "",
        "",
    )


def _unclear(peaks: Peaks) -> Verdict:
    missing = "air or lung" if peaks.air_hu is None else "soft tissue"
    return Verdict(
        "intensity",
        Status.WARNING,
        f"The source states Hounsfield units and the peaks of {missing} that prove it are not seen",
        "The values were used as stated",
        "If the statement is wrong, all numbers are",
    )


def _by_window() -> Verdict:
    return Verdict(
        "intensity",
        Status.WARNING,
        "Hounsfield units were estimated from grey values and the window the user stated",
        "The estimates were measured",
        "What lay outside the window is lost; all numbers rest on the statement",
    )


def _padding(share: float) -> Verdict:
    return Verdict(
        "padding",
        Status.NOTE,
        f"{100 * share:.1f} % of the voxels hold filling values outside the field of view",
        "They were set to air",
        "The numbers are not affected as long as the field of view holds the lungs",
    )
