"""The core call: one scan in, one result out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from groundglass.checks.content import check_content
from groundglass.checks.intensity import calibrate
from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.provenance import Provenance
from groundglass.core.results import (
    Burden,
    CaseResult,
    InfectionMask,
    LobeMask,
    LungMask,
    PercentEstimate,
)
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Verdict
from groundglass.errors import GridMismatchError, GroundglassError
from groundglass.infection.picture import PictureConfig
from groundglass.infection.volume import VolumeInfectionConfig
from groundglass.lungs.find import LungConfig, find_lungs
from groundglass.lungs.lobes.config import LobeConfig
from groundglass.lungs.lobes.find import find_lobes
from groundglass.scoring.burden import measure_burden
from groundglass.scoring.cross_check import cross_check
from groundglass.scoring.effects import state_effects
from groundglass.scoring.severity import score_severity
from groundglass.systems.area_selection import AreaSelectionConfig, select_by_area
from groundglass.systems.classify import ClassifyConfig, classify_scan
from groundglass.systems.covid_ctset.selection import select_slices
from groundglass.systems.covid_rate.infection import InfectionNetworkConfig
from groundglass.systems.identification_severity.statement import state_patient
from groundglass.systems.infection import (
    FoundInfection,
    InfectionSettings,
    Method,
    find_in_pictures,
    find_in_volume,
)
from groundglass.systems.per_covid_19.method import PercentConfig, state_percent

STAGES = (
    "checking values",
    "finding lungs",
    "finding lobes",
    "finding infection",
    "measuring",
    "comparing with training pictures",
)


@dataclass(frozen=True)
class AnalyzeConfig:
    """Everything that can be set about an analysis; each part is documented beside its stage."""

    infection_method: Method = "network"
    """The mask that is measured: a network with the surest part of our rule, our rule alone, or the
    published one to the letter (volumes only)."""
    cross_check: bool = True
    """Whether network and rule are both run and set against each other, whichever is measured, and
    the percentage by regression beside them."""
    hu_offset: float | None = None
    """What to add to the values to get HU, where the source does not say; found out if None."""
    lungs: LungConfig = field(default_factory=LungConfig)
    """Finding the lungs of a volume."""
    lobes: LobeConfig = field(default_factory=LobeConfig)
    """Finding approximate lobes of a volume where none are given."""
    infection: VolumeInfectionConfig = field(default_factory=VolumeInfectionConfig)
    """Finding infection in a volume."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    """Lungs and infection of single pictures."""
    network: InfectionNetworkConfig = field(default_factory=InfectionNetworkConfig)
    """Infection by a network."""
    selection: AreaSelectionConfig = field(default_factory=AreaSelectionConfig)
    """Choosing slices by lung area."""
    percent: PercentConfig = field(default_factory=PercentConfig)
    """The percentage by regression, beside that of the mask."""
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    """Likeness to the training pictures of a classifier."""


def analyze(
    scan: Scan,
    config: AnalyzeConfig | None = None,
    *,
    lungs: LungMask | None = None,
    lobes: LobeMask | None = None,
    on_progress: OnProgress = silent,
) -> CaseResult:
    """Measure how much of the lung is ill, where and how badly.

    Parameters
    ----------
    scan : Scan
        A chest CT, or pictures of one.
    config : AnalyzeConfig, optional
        Settings; the defaults are what the documentation measures.
    lungs : LungMask, optional
        A lung mask on the scan's grid, used instead of finding one.
    lobes : LobeMask, optional
        A lobe mask on the scan's grid, used instead of finding approximate lobes.
    on_progress : callable
        Told about every stage.

    Returns
    -------
    CaseResult
        Masks, numbers with intervals, scores, and a verdict for everything noticed.

    Raises
    ------
    NotAnalyzableError
        If a check refuses the scan.
    NoLungsError
        If no lung is found.
    GridMismatchError
        If a given mask does not lie on the scan's grid.
    """
    config = config or AnalyzeConfig()
    clock = _Clock(on_progress)
    try:
        _require_grid(scan, lungs, lobes)
        with clock.stage("checking values"):
            scan = calibrate(scan, config.hu_offset)
        return _analyze(scan, config, lungs, lobes, clock)
    except GroundglassError as error:
        known = {verdict.check for verdict in error.verdicts}
        error.verdicts = (*(v for v in scan.verdicts if v.check not in known), *error.verdicts)
        raise


def _analyze(
    scan: Scan,
    config: AnalyzeConfig,
    lungs: LungMask | None,
    lobes: LobeMask | None,
    clock: _Clock,
) -> CaseResult:
    found = _segment(scan, config, lungs, clock)
    lungs, infection = found.lungs, found.infection
    if lobes is None:
        with clock.stage("finding lobes"):
            lobes = find_lobes(scan, lungs, config.lobes)
    with clock.stage("measuring"):
        by_area = select_by_area(lungs, config.selection)
        ctset = select_slices(scan)
        measured = measure_burden(scan, lungs, infection, lobes, by_area, ctset)
        burden, checked = cross_check(measured, found.method, found.others)
        severity = score_severity(burden, lungs, infection, lobes)
        verdicts = (*_verdicts(scan, lungs, infection, lobes), *checked)
        rated, told = _rated(scan, lungs, burden, config)
    with clock.stage("comparing with training pictures"):
        likeness = classify_scan(scan, lungs, by_area, config.classify)
    return CaseResult(
        scan=scan,
        lungs=lungs,
        infection=infection,
        burden=burden,
        severity=severity,
        selection=by_area,
        selection_ctset=ctset,
        verdicts=(*verdicts, *told),
        provenance=_provenance(scan, found, lobes),
        config=config,
        lobes=lobes,
        estimates=(*found.others, *rated),
        predictions=(*state_patient(scan, lungs), *likeness.predictions),
        attention=likeness.attention,
        seconds=clock.seconds,
    )


def _provenance(scan: Scan, found: FoundInfection, lobes: LobeMask | None) -> Provenance:
    steps = scan.provenance.after("lungs", method=found.lungs.method)
    steps = steps if lobes is None else steps.after("lobes", method=lobes.method)
    return steps.after("infection", method=found.infection.method, **found.model)


def _rated(
    scan: Scan, lungs: LungMask, burden: Burden, config: AnalyzeConfig
) -> tuple[tuple[PercentEstimate, ...], tuple[Verdict, ...]]:
    """Return the percentage by regression beside that of the mask."""
    regressor = config.percent if config.cross_check else PercentConfig(model=None)
    return state_percent(scan, lungs, burden.regions["total"].percent, regressor)


def _segment(
    scan: Scan, config: AnalyzeConfig, lungs: LungMask | None, clock: _Clock
) -> FoundInfection:
    settings = InfectionSettings(
        method=config.infection_method,
        cross_check=config.cross_check,
        volume=config.infection,
        picture=config.picture,
        network=config.network,
    )
    if scan.intensity is not Intensity.HU:
        with clock.stage("finding infection"):
            return find_in_pictures(scan, lungs, settings)
    if lungs is None:
        with clock.stage("finding lungs"):
            lungs = find_lungs(scan, config.lungs)
    with clock.stage("finding infection"):
        return find_in_volume(scan, lungs, settings)


def _verdicts(
    scan: Scan, lungs: LungMask, infection: InfectionMask, lobes: LobeMask | None
) -> tuple[Verdict, ...]:
    masks = (lungs, infection) if lobes is None else (lungs, infection, lobes)
    told = (verdict for mask in masks for verdict in mask.verdicts)
    found = (*scan.verdicts, *told, *check_content(scan, lungs))
    return state_effects(found, lungs, infection)


def _require_grid(scan: Scan, *masks: LungMask | LobeMask | None) -> None:
    for mask in masks:
        if mask is not None and not mask.geometry.same_grid(scan.geometry):
            msg = (
                f"the mask ({mask.method}) lies on another grid than the scan: "
                f"{mask.geometry.shape} voxels against {scan.geometry.shape}, or another place"
            )
            raise GridMismatchError(msg)


class _Clock:
    """Times the stages and tells about them."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = on_progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._tell(Progress(name, STAGES.index(name), len(STAGES)))
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self._tell(Progress(name, STAGES.index(name) + 1, len(STAGES)))
