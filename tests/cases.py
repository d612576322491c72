"""Results put together by hand, for tests of what is written from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groundglass.core.geometry import Geometry
from groundglass.core.provenance import Provenance
from groundglass.core.results import (
    Burden,
    CaseResult,
    Estimate,
    InfectionMask,
    LungMask,
    RegionBurden,
    Score,
    Severity,
    SliceBurden,
    SliceSelection,
)
from groundglass.core.scan import Acquisition, Intensity, Scan
from groundglass.core.verdict import Status, Verdict

NO_SCALE = "pictures carry no scale"


@dataclass(frozen=True)
class Settings:
    """Stands in for the settings of an analysis."""

    threshold_hu: float = -600.0
    """A number with a unit."""


def volume_case(slices: int = 12, **changes: Any) -> CaseResult:
    """Return the result of a small chest: two boxes of lung, a lesion of each kind."""
    shape = (slices, 48, 64)
    hu = np.full(shape, 40, dtype=np.int16)
    lungs = np.zeros(shape, dtype=np.uint8)
    lungs[1:-1, 8:40, 6:28] = 1
    lungs[1:-1, 8:40, 36:58] = 2
    ill = np.zeros(shape, dtype=np.uint8)
    ill[3:6, 20:30, 10:20] = 1
    ill[4:7, 12:18, 40:48] = 2
    hu[lungs > 0] = -850
    hu[ill == 1] = -500
    hu[ill == 2] = 20
    extent = np.where(ill > 0, 3, 0).astype(np.uint8)
    extent[3:4, 20, 20:22] = 1
    scan = replace(
        Scan.from_array(hu, (5.0, 4.0, 4.0)),
        acquisition=Acquisition(modality="CT", series_uid="1.2.3", patient_position="HFS"),
        provenance=Provenance("dicom", "ab" * 32, slices).after("calibrate", offset_hu=0),
    )
    grid = scan.geometry
    case = CaseResult(
        scan=scan,
        lungs=LungMask(lungs, grid, "by hand"),
        infection=InfectionMask(ill, extent, grid, "by hand"),
        burden=Burden(_regions(), _slices(grid, lungs, ill)),
        severity=severity(),
        selection=_selection("area", slices),
        selection_ctset=_selection("covid-ctset", slices),
        verdicts=(
            Verdict("series_choice", Status.OK, "one series was found", "it was taken", "none"),
            Verdict("coverage", Status.WARNING, "lungs are cut <below>", "nothing", "ml too low"),
        ),
        provenance=scan.provenance,
        config=Settings(),
        seconds={"finding lungs": 1.23456},
    )
    return replace(case, **changes)


def picture_case() -> CaseResult:
    """Return the result of one grey picture without a scale: percent known, ml not."""
    case = volume_case(1)
    grey = np.full((1, 48, 64), 90, dtype=np.uint8)
    lungs = np.zeros(grey.shape, dtype=np.uint8)
    lungs[0, 8:40, 6:58] = 1
    ill = np.zeros(grey.shape, dtype=np.uint8)
    ill[0, 10:20, 10:20] = 1
    grid = Geometry.from_spacing((1, 48, 64), (1.0, 1.0, 1.0), spacing_known=False)
    unknown = Estimate.unknown(NO_SCALE)
    total = RegionBurden("total", unknown, unknown, Estimate(6.01, 5.0, 7.5), 6.01, 0.0, None)
    row = SliceBurden(0, None, None, 6.01, 6.01, selected=True, selected_ctset=None)
    return replace(
        case,
        scan=Scan(grey, grid, Intensity.DISPLAY, Provenance("picture", None, 1)),
        lungs=LungMask(lungs, grid, "by hand", sides_known=False),
        infection=InfectionMask(ill, ill * 3, grid, "by hand"),
        burden=Burden({"total": total}, (row,)),
        severity=Severity(
            Score("ctss25", None, None, None, "five bands", reason="needs both lungs"),
            Score("tss20", None, None, None, "five lobes", reason="needs both lungs"),
            Score("ct_grade", 1, 1, 1, "by percent"),
            Score("ctss25_published", None, None, None, "five bands", reason="needs both lungs"),
        ),
        selection_ctset=replace(_selection("covid-ctset", 1), threshold=None),
    )


def severity(ctss25: int = 4) -> Severity:
    """Return scores with a spread."""
    return Severity(
        Score("ctss25", ctss25, 3, 5, "published bands, five regions", {"right_1": 2, "left_1": 2}),
        Score("tss20", 3, 3, 3, "published bands, five regions", {"right_1": 3}),
        Score("ct_grade", 1, 1, 2, "percent of both lungs"),
        Score("ctss25_published", ctss25, 3, 5, "published bands", {"right_front": 2}),
    )


def _regions() -> dict[str, RegionBurden]:
    def region(name: str, lung_ml: float, share: float) -> RegionBurden:
        ml = lung_ml * share / 100
        return RegionBurden(
            name,
            Estimate(lung_ml),
            Estimate(ml, ml * 0.8, ml * 1.3),
            Estimate(share, share * 0.8, share * 1.3),
            share * 0.75,
            share * 0.25,
            -812.34567,
        )

    shares = {"total": 3.456789, "right": 4.5, "left": 2.4, "upper": 0.0, "middle": 8.0}
    regions = {name: region(name, 1126.4, share) for name, share in shares.items()}
    return regions | {"lower": region("lower", 300.0, 1.5)}


def _slices(grid: Geometry, lungs: Any, ill: Any) -> tuple[SliceBurden, ...]:
    rows = []
    for index in range(grid.shape[0]):
        lung, sick = int((lungs[index] > 0).sum()), int((ill[index] > 0).sum())
        share = 100 * sick / lung if lung else None
        area = lung * grid.pixel_area_mm2
        place = float(grid.z_mm[index])
        rows.append(SliceBurden(index, place, area, share, share, bool(lung), index % 2 == 0))
    return tuple(rows)


def _selection(name: str, slices: int) -> SliceSelection:
    kept = np.ones(slices, dtype=bool)
    return SliceSelection(name, kept, kept.astype(float), 0.5, "more than half of the most")
