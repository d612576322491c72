"""What a scan shows: whether it is a chest, whole lungs, thin slices, contrast agent.

All checks are rules of thumb with their limits as named constants; they never change a number, they
say what it is worth. Only a scan in which nothing is lung is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.results import LEFT, RIGHT, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError

CUT_SHARE = 0.03
"""Lung area in an end slice, as share of the largest, from which the lungs count as cut there."""
CUT_SIDE_MM2 = 100.0
"""Lung area in the frame of the slices from which the lungs count as cut at that side."""
BODY_AT_FRAME = 0.15
"""Share of the frame that is body from which the field of view counts as cutting the body."""
THICK_MM, VERY_THICK_MM = 3.0, 5.0
"""Slice widths above which slices count as thick, and as very thick."""
CONTRAST_HU = (130.0, 500.0)
"""Blood with contrast agent; without it lies near 40 HU, bone mostly above."""
CONTRAST_SHARE = 0.12
"""Share of such voxels among soft tissue between the lungs that shows contrast agent."""
ADULT_ML = (1500.0, 9000.0)
"""Lung volumes of adults, breathed out to breathed in."""
SIDE_RATIO = (0.7, 1.6)
"""Right lung volume over left lung volume that is usual."""
BASE_DIFFERENCE_MM = 60.0
"""How far one lung base usually ends above the other at most."""
NO_LUNG_ML = 100.0
"""Less is no lung of an adult or child: sinuses, bowel gas, a bubble."""
NO_LUNG_CM2 = 10.0
"""Less in every slice is no lung either."""
GAS_HU = -965.0
"""A median density of the inside below this is gas without tissue, not lung."""
_STRIDE = 2

Labels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Case:
    """A scan with its lungs and what several checks need of them."""

    scan: Scan
    lungs: LungMask

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Lung voxels of every slice."""
        return np.asarray(np.count_nonzero(self.lungs.labels, axis=(1, 2)))

    @cached_property
    def is_hu(self) -> bool:
        """Whether densities and a body around the lungs can be looked at."""
        return self.scan.intensity is Intensity.HU

    @cached_property
    def side_ml(self) -> dict[int, float] | None:
        """Volume of the right and the left lung, where volumes can be told."""
        volumes = self.scan.geometry.slice_volumes_mm3
        if volumes is None:
            return None
        counted = {
            side: np.count_nonzero(self.lungs.labels == side, axis=(1, 2)) for side in (RIGHT, LEFT)
        }
        return {side: float(count @ volumes) / 1000 for side, count in counted.items()}

    @cached_property
    def cut_ends(self) -> tuple[str, ...]:
        """At which ends of the scan the lungs go on."""
        if len(self.counts) < 2 or not self.counts.any():
            return ()
        limit = max(CUT_SHARE * self.counts.max(), 1)
        ends = (("top", self.counts[0]), ("bottom", self.counts[-1]))
        return tuple(name for name, count in ends if count > limit)


def check_content(scan: Scan, lungs: LungMask) -> tuple[Verdict, ...]:
    """Say what about a scan limits what its numbers are worth.

    Parameters
    ----------
    scan : Scan
        The scan, calibrated.
    lungs : LungMask
        Its lungs.

    Returns
    -------
    tuple of Verdict
        ``body_region``, ``coverage``, ``slice_thickness``, ``contrast``, ``patient_position``,
        ``lung_plausibility`` and ``single_slice`` where they apply; none that the scan carries
        already.

    Raises
    ------
    NotAnalyzableError
        If what was taken for lung is none: too small, or gas without tissue.
    """
    case = _Case(scan, lungs)
    known = {verdict.check for verdict in scan.verdicts}
    checks: tuple[Callable[[_Case], Iterator[Verdict]], ...] = (
        _body_region,
        _coverage,
        _slice_thickness,
        _single_slice,
        _contrast,
        _patient_position,
        _lung_plausibility,
    )
    found = tuple(verdict for check in checks for verdict in check(case))
    return tuple(verdict for verdict in found if verdict.check not in known)


def _body_region(case: _Case) -> Iterator[Verdict]:
    if not case.is_hu:
        return
    total = None if case.side_ml is None else sum(case.side_ml.values())
    median = _inner_median(case)
    if total is not None:
        area = float(case.counts.max()) * case.scan.geometry.pixel_area_mm2 / 100
        whole = len(case.counts) >= 3 and not case.cut_ends
        if (whole and total < NO_LUNG_ML) or area < NO_LUNG_CM2:
            found = f"what looks like lung has {area:.0f} cm² at most, {total:.0f} ml in all"
            raise _not_a_chest(found)
    if median is not None and median < GAS_HU:
        found = f"what looks like lung is gas of {median:.0f} HU without tissue"
        raise _not_a_chest(found)
    part = case.scan.acquisition.body_part
    if part and not any(word in part for word in ("CHEST", "THORAX", "LUNG", "BODY", "TRUNK")):
        yield Verdict(
            "body_region",
            Status.NOTE,
            "The header names another body part than the chest",
            "Lungs were found and measured",
            "Check in the pictures that they are lungs",
        )


def _inner_median(case: _Case) -> float | None:
    """Return the median density of the lungs away from their edge."""
    labels = case.lungs.labels[:, ::_STRIDE, ::_STRIDE] > 0
    inner = np.zeros_like(labels)
    for mask, target in zip(labels, inner, strict=True):
        if mask.any():
            target[...] = ndimage.binary_erosion(mask, iterations=2)
    chosen = inner if inner.sum() > 50 else labels
    values = case.scan.voxels[:, ::_STRIDE, ::_STRIDE][chosen]
    return float(np.median(values)) if values.size else None


def _not_a_chest(found: str) -> NotAnalyzableError:
    verdict = Verdict(
        "body_region",
        Status.REFUSED,
        f"The scan does not show a chest: {found}",
        "Nothing was measured",
        "No numbers",
    )
    return NotAnalyzableError(f"a CT of the chest is needed; {found}", (verdict,))


def _coverage(case: _Case) -> Iterator[Verdict]:
    if not case.is_hu:
        return
    places = [f"the {end} of the scan" for end in case.cut_ends]
    sides = _cut_sides(case)
    places += [f"its {side} side" for side in sides]
    if places:
        yield Verdict(
            "coverage",
            Status.WARNING,
            f"The lungs reach {' and '.join(places)} and go on outside" + _cut_area(case, sides),
            "The part inside was measured",
            "Lung and infected ml are lower bounds; percentages and zones are those of the part "
            "inside",
        )
    elif (share := _body_at_frame(case)) > BODY_AT_FRAME:
        yield Verdict(
            "coverage",
            Status.NOTE,
            f"The field of view cuts the body ({100 * share:.0f} % of the frame), not the lungs",
            "",
            "",
        )


def _cut_sides(case: _Case) -> dict[str, float]:
    """Return lung area in mm² at every side of the slices where the lungs are cut."""
    labels = case.lungs.labels
    step, row, column = case.scan.geometry.spacing_mm
    faces = {
        "front": (labels[:, 0], column),
        "back": (labels[:, -1], column),
        "right": (labels[:, :, 0], row),
        "left": (labels[:, :, -1], row),
    }
    areas = {name: np.count_nonzero(face) * step * width for name, (face, width) in faces.items()}
    return {name: float(area) for name, area in areas.items() if area >= CUT_SIDE_MM2}


def _cut_area(case: _Case, sides: dict[str, float]) -> str:
    if not case.scan.geometry.spacing_known:
        return ""
    area = case.scan.geometry.pixel_area_mm2 * (
        case.counts[0] * ("top" in case.cut_ends) + case.counts[-1] * ("bottom" in case.cut_ends)
    )
    return f" (over {(area + sum(sides.values())) / 100:.0f} cm²)"


def _body_at_frame(case: _Case) -> float:
    """Return the share of the slices' frame that is body, over slices with lung."""
    slices = case.scan.voxels[case.counts > 0]
    frame = (slices[:, 0], slices[:, -1], slices[:, :, 0], slices[:, :, -1])
    values = np.concatenate([part.ravel() for part in frame])
    return float((values > -300).mean()) if values.size else 0.0


def _slice_thickness(case: _Case) -> Iterator[Verdict]:
    geometry = case.scan.geometry
    if not geometry.spacing_known:
        return
    width = max(geometry.slice_width_mm or 0.0, geometry.step_mm if len(case.counts) > 1 else 0.0)
    if width <= THICK_MM + 1e-3:
        return
    yield Verdict(
        "slice_thickness",
        Status.WARNING if width > VERY_THICK_MM + 1e-3 else Status.NOTE,
        f"The slices are {width:.3g} mm thick or apart",
        "They were measured as they are",
        "Small lesions are blurred away or look like ground glass; percentages change by more than "
        f"with slices of {THICK_MM:.0f} mm or less",
    )


def _single_slice(case: _Case) -> Iterator[Verdict]:
    if len(case.counts) == 1 and case.is_hu:
        yield Verdict(
            "single_slice",
            Status.WARNING,
            "The scan is one slice",
            "It was measured alone",
            "Percentages are those of this slice, not of the lungs; zones and scores are not known",
        )


def _contrast(case: _Case) -> Iterator[Verdict]:
    if not case.is_hu:
        return
    share = _bright_share(case)
    seen = share is not None and share >= CONTRAST_SHARE
    if not seen and not case.scan.acquisition.contrast_agent:
        return
    source = "The vessels are bright" if seen else "The header names a contrast agent"
    yield Verdict(
        "contrast",
        Status.NOTE,
        f"{source}: the scan was made with contrast agent",
        "It was measured like one without",
        "Lung density rises a little and vessels next to lesions may count as consolidation",
    )


def _bright_share(case: _Case) -> float | None:
    """Return the share of voxels as bright as contrast agent in front of the spine, between lungs.

    ``None`` where there are not two lungs or too little tissue between them.
    """
    labels = case.lungs.labels[:, ::_STRIDE, ::_STRIDE]
    columns = np.arange(labels.shape[2])
    weights = [np.count_nonzero(labels == side, axis=(0, 1)) for side in (RIGHT, LEFT)]
    if min(weight.sum() for weight in weights) == 0:
        return None
    right, left = (int(weight @ columns / weight.sum()) for weight in weights)
    rows = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    slices = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    front, back = rows[0] + len(rows) // 5, rows[0] + (len(rows) * 3) // 5
    low, high = slices[0] + len(slices) // 4, slices[0] + (len(slices) * 3) // 4
    box = (slice(low, high + 1), slice(front, back), slice(right, max(left, right + 1)))
    smooth = ndimage.uniform_filter(
        case.scan.voxels[:, ::_STRIDE, ::_STRIDE][box].astype(np.float32), size=(1, 3, 3)
    )
    values = smooth[labels[box] == 0]
    tissue = values[(values > -20) & (values < CONTRAST_HU[1])]
    if tissue.size < 200:
        return None
    return float((tissue >= CONTRAST_HU[0]).mean())


def _patient_position(case: _Case) -> Iterator[Verdict]:
    position = (case.scan.acquisition.patient_position or "").upper()
    if position.startswith("FF"):
        yield Verdict(
            "patient_position",
            Status.NOTE,
            "The patient went in feet first",
            "Slices were ordered head to feet by their positions",
            "",
        )
    if position.endswith("P") and len(position) == 3:
        yield Verdict(
            "patient_position",
            Status.NOTE,
            "The patient lay on the belly",
            "Front and back were taken from the positions",
            "Lung is denser at the front, where it lies below; that may count as ground glass",
        )


def _lung_plausibility(case: _Case) -> Iterator[Verdict]:
    if not case.is_hu or not case.lungs.sides_known or len(case.counts) < 3:
        return
    found = [*_odd_volume(case), *_odd_sides(case)]
    if found:
        yield Verdict(
            "lung_plausibility",
            Status.WARNING,
            "; ".join(found),
            "The lungs were measured as found",
            "Dense lung, effusion or a wrong outline may be missing from the lungs: the infected "
            "share is then a lower bound",
        )


def _odd_volume(case: _Case) -> Iterator[str]:
    if case.side_ml is None or case.cut_ends:
        return
    total = sum(case.side_ml.values())
    low, high = ADULT_ML
    if total < low or total > high:
        word = "less" if total < low else "more"
        yield (
            f"the lungs have {total:.0f} ml, {word} than an adult's "
            f"{low if total < low else high:.0f} ml"
        )


def _odd_sides(case: _Case) -> Iterator[str]:
    sizes = {side: np.count_nonzero(case.lungs.labels == side) for side in (RIGHT, LEFT)}
    if min(sizes.values()) == 0:
        yield f"only a {'left' if sizes[RIGHT] == 0 else 'right'} lung was found"
        return
    ratio = sizes[RIGHT] / sizes[LEFT]
    if not SIDE_RATIO[0] <= ratio <= SIDE_RATIO[1]:
        yield f"the right lung is {ratio:.2g} times as large as the left"
    if not case.scan.geometry.spacing_known or "bottom" in case.cut_ends:
        return
    z = case.scan.geometry.z_mm
    lowest = {
        side: z[np.flatnonzero((case.lungs.labels == side).any(axis=(1, 2)))[-1]]
        for side in (RIGHT, LEFT)
    }
    difference = float(lowest[LEFT] - lowest[RIGHT])
    if abs(difference) > BASE_DIFFERENCE_MM:
        side = "left" if difference > 0 else "right"
        yield f"the {side} lung ends {abs(difference):.0f} mm above the other"
