"""What an analysis yields: masks on the scan's grid and the numbers drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.provenance import Provenance
from groundglass.core.scan import Scan
from groundglass.core.verdict import Verdict
from groundglass.errors import GridMismatchError

Labels = NDArray[np.uint8]

RIGHT, LEFT = 1, 2
"""Labels of a lung mask."""
GROUND_GLASS, CONSOLIDATION = 1, 2
"""Labels of an infection mask."""
LOBES = ("left_upper", "left_lower", "right_upper", "right_middle", "right_lower")
"""Names of lobe labels 1 to 5."""


def _frozen(labels: NDArray[Any], geometry: Geometry, what: str) -> Labels:
    if labels.shape != geometry.shape:
        msg = f"the {what} is of shape {labels.shape}, the scan's grid of {geometry.shape}"
        raise GridMismatchError(msg)
    if labels.dtype != np.uint8 and labels.size:
        if not 0 <= labels.min() <= labels.max() <= 255:
            msg = f"the {what} holds labels outside 0 to 255, or NaN"
            raise ValueError(msg)
        if labels.dtype.kind == "f" and (np.rint(labels) != labels).any():
            msg = f"the {what} needs whole numbers as labels"
            raise ValueError(msg)
    view = labels.astype(np.uint8, copy=False).view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True, eq=False)
class LungMask:
    """Where the lungs are."""

    labels: Labels
    """(slices, rows, columns): 0 outside, 1 right, 2 left. A picture without sides uses 1 alone."""
    geometry: Geometry
    """The scan's grid."""
    method: str
    """What made the mask, e.g. ``training-free`` or ``external: TotalSegmentator``."""
    sides_known: bool = True
    """False for pictures, where right and left cannot be told."""
    verdicts: tuple[Verdict, ...] = ()
    """What was noticed while finding the lungs."""

    def __post_init__(self) -> None:
        """Freeze the labels and check their grid."""
        object.__setattr__(self, "labels", _frozen(self.labels, self.geometry, "lung mask"))


@dataclass(frozen=True, eq=False)
class LobeMask:
    """Where the five lobes are."""

    labels: Labels
    """0 outside, 1 left upper, 2 left lower, 3 right upper, 4 right middle, 5 right lower."""
    geometry: Geometry
    """The scan's grid."""
    method: str
    """What made the mask, e.g. ``approximate: fissures`` or ``external: lungmask-lobes``."""
    verdicts: tuple[Verdict, ...] = ()
    """What was noticed while finding the lobes."""

    def __post_init__(self) -> None:
        """Freeze the labels and check their grid."""
        object.__setattr__(self, "labels", _frozen(self.labels, self.geometry, "lobe mask"))


@dataclass(frozen=True, eq=False)
class InfectionMask:
    """Where lung is infected, with the mask's own uncertainty."""

    labels: Labels
    """0 none, 1 ground glass, 2 consolidation."""
    extent: Labels
    """0 none, 1 only at loose thresholds, 2 also at the default ones, 3 also at tight ones."""
    geometry: Geometry
    """The scan's grid."""
    method: str
    """What made the mask."""
    verdicts: tuple[Verdict, ...] = ()
    """What was noticed on the way."""

    def __post_init__(self) -> None:
        """Freeze the arrays and check their grid."""
        object.__setattr__(self, "labels", _frozen(self.labels, self.geometry, "infection mask"))
        object.__setattr__(self, "extent", _frozen(self.extent, self.geometry, "infection extent"))


@dataclass(frozen=True, eq=False)
class SliceSelection:
    """Which slices a rule keeps."""

    method: str
    """Name of the rule."""
    kept: NDArray[np.bool_]
    """(slices,): whether each slice is kept."""
    values: NDArray[np.float64]
    """(slices,): the quantity the rule looks at."""
    threshold: float | None
    """What ``values`` are compared with; ``None`` where the rule could not be applied."""
    rule: str
    """The rule in words, with its numbers."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the range that moving the thresholds gives; or the reason why there is none."""

    value: float | None
    """The number; ``None`` if it cannot be known."""
    low: float | None = None
    """Lower end of the threshold spread."""
    high: float | None = None
    """Upper end of the threshold spread."""
    reason: str | None = None
    """Why there is no number; ``None`` where there is one."""

    @classmethod
    def unknown(cls, reason: str) -> Estimate:
        """Return the absence of a number, with its reason."""
        return cls(None, None, None, reason)


@dataclass(frozen=True, slots=True)
class PercentEstimate:
    """Another way's answer to the same question: how much of both lungs is infected."""

    method: str
    """What made it, e.g. ``training-free`` or ``network``."""
    model: str | None
    """Name of the trained model behind it; ``None`` for a rule without training."""
    percent: Estimate
    """Infected share of both lungs, 0 to 100; or the reason why there is none."""
    note: str
    """How it was made and what limits it, in sentences."""
    slices_percent: tuple[float | None, ...] = ()
    """Infected percent of every slice, head to feet, ``None`` for slices without one; empty where
    the method does not tell slices apart."""


@dataclass(frozen=True, slots=True)
class RegionBurden:
    """How much of one region is infected."""

    name: str
    """``total``, ``right``, ``left``, ``upper``, ``middle``, ``lower``, or a lobe name."""
    lung_ml: Estimate
    """Volume of the region."""
    infected_ml: Estimate
    """Infected volume in it."""
    percent: Estimate
    """Infected share of the region, 0 to 100."""
    ground_glass_percent: float | None
    """Share that is ground glass."""
    consolidation_percent: float | None
    """Share that is consolidation."""
    mean_hu: float | None
    """Mean density of the region in HU."""
    voxels: int = 0
    """Voxels of the region."""
    infected_voxels: int = 0
    """Infected voxels among them."""


@dataclass(frozen=True, slots=True)
class SliceBurden:
    """One slice of the table."""

    index: int
    """Position in the scan, 0 at the head."""
    position_mm: float | None
    """Patient z of the slice (LPS, grows to the head); ``None`` without known geometry."""
    lung_area_mm2: float | None
    """Lung area; ``None`` without known spacing."""
    infected_percent: float | None
    """Infected area as percent of the slice's lung area, or of 0.3 of the largest lung area if that
    is more, so that thin slivers at apex and base do not explode; ``None`` without lung."""
    infected_percent_plain: float | None
    """Infected area as percent of the slice's own lung area; ``None`` without lung."""
    selected: bool
    """Kept by the lung-area rule."""
    selected_ctset: bool | None
    """Kept by the COVID-CTset rule; ``None`` where that rule cannot be applied."""


@dataclass(frozen=True)
class Burden:
    """How much of the lungs is infected, by region and slice."""

    regions: Mapping[str, RegionBurden]
    """By name; ``total`` is always there."""
    slices: tuple[SliceBurden, ...]
    """Head to feet."""


@dataclass(frozen=True, slots=True)
class Score:
    """One severity score with the rule that produced it."""

    name: str
    """``ctss25``, ``tss20``, ``ct_grade`` or ``ctss25_published``."""
    value: int | None
    """The score; ``None`` if it cannot be known."""
    low: int | None
    """At the tight thresholds."""
    high: int | None
    """At the loose thresholds."""
    rule: str
    """The rule in words, naming the regions it used."""
    points: Mapping[str, int] = field(default_factory=dict)
    """Points per region, where the score is a sum."""
    reason: str | None = None
    """Why there is no value."""


@dataclass(frozen=True, slots=True)
class Severity:
    """The published scores, all from one mask."""

    ctss25: Score
    """CT severity score, 0 to 25."""
    tss20: Score
    """Total severity score, 0 to 20."""
    ct_grade: Score
    """CT-0 to CT-4."""
    ctss25_published: Score
    """CTSS as published: by slices and front-to-back bands, not by lobes."""


@dataclass(frozen=True, slots=True)
class SliceChance:
    """What a classifier says about one slice."""

    index: int
    """Position in the scan, 0 at the head."""
    probability: float
    """Of the label the classifier looks for, 0 to 1."""
    strangeness: float | None
    """How unlike the training pictures the slice is, too unlike above 1; ``None`` where that is not
    measured."""
    counts: bool
    """Whether the slice has a say; if not, it is too unlike the training pictures."""


@dataclass(frozen=True)
class Prediction:
    """What a trained classifier says; absent where none is installed."""

    model: str
    """Name of the model."""
    label: str
    """The statement, or ``no statement``."""
    probabilities: Mapping[str, float]
    """By label, summing to one; empty where no slice has a say."""
    note: str
    """What the model was trained on and what that limits."""
    reason: str | None = None
    """Why there is no statement; ``None`` where there is one."""
    wanted: str | None = None
    """The label that the slices' probabilities are of."""
    slices: tuple[SliceChance, ...] = ()
    """The slices that were looked at, head to feet."""


@dataclass(frozen=True, eq=False)
class Attention:
    """Where in the slices a classifier's answer comes from."""

    values: Labels
    """(slices, rows, columns): 0 nothing to 100 the most in this scan."""
    geometry: Geometry
    """The scan's grid."""
    model: str
    """Name of the classifier."""
    label: str
    """The label whose logit is raised there."""
    method: str
    """How it was found, in words."""

    def __post_init__(self) -> None:
        """Freeze the values and check their grid."""
        object.__setattr__(self, "values", _frozen(self.values, self.geometry, "attention"))


@dataclass(frozen=True, eq=False)
class CaseResult:
    """Everything one analysis yields."""

    scan: Scan
    """The scan as analyzed."""
    lungs: LungMask
    """Where the lungs are."""
    infection: InfectionMask
    """Where they are ill."""
    burden: Burden
    """How much."""
    severity: Severity
    """How badly."""
    selection: SliceSelection
    """Slices kept by lung area."""
    selection_ctset: SliceSelection
    """Slices kept by the COVID-CTset rule."""
    verdicts: tuple[Verdict, ...]
    """Everything found out, with effects in ml and percent."""
    provenance: Provenance
    """Every step."""
    config: Any
    """The ``AnalyzeConfig`` used."""
    lobes: LobeMask | None = None
    """Where the lobes are, if they were given or could be found."""
    predictions: tuple[Prediction, ...] = ()
    """What classifiers say."""
    attention: Attention | None = None
    """Where in the slices the first of them looks."""
    estimates: tuple[PercentEstimate, ...] = ()
    """Other estimates of the infected share of both lungs, beside the one of ``infection``."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage."""
