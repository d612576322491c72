"""A result as the document of ``result.json``."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from groundglass.core.geometry import Geometry
from groundglass.core.provenance import Provenance, Step
from groundglass.core.results import (
    LOBES,
    CaseResult,
    Estimate,
    RegionBurden,
    SliceBurden,
    SliceSelection,
)
from groundglass.core.scan import Scan
from groundglass.core.serial import to_json
from groundglass.core.verdict import Verdict
from groundglass.writers.document import (
    SCHEMA,
    ErrorPart,
    InfectionPart,
    LobesPart,
    LungsPart,
    ProvenancePart,
    RegionPart,
    ResultDocument,
    ScanPart,
    SelectionPart,
    SelectionRulePart,
    SidesPart,
    SlicePart,
    StepPart,
    VerdictPart,
    ZonesPart,
)
from groundglass.writers.estimates import estimate_parts
from groundglass.writers.masks import grid_verdict
from groundglass.writers.predictions import prediction_part
from groundglass.writers.reasons import Reasons
from groundglass.writers.scores import severity_part

SIDES = ("total", "right", "left")
NO_LOBES = "no lobe mask was given, and none were looked for or could be found"
"""Why there are no numbers by lobe."""
ZONES = ("upper", "middle", "lower")
LIBRARIES = ("numpy", "scipy", "SimpleITK", "pydicom", "nibabel", "pillow")


def result_document(
    result: CaseResult, seconds: Mapping[str, float] | None = None
) -> ResultDocument:
    """Return the document of an analysis.

    Parameters
    ----------
    result : CaseResult
        What ``analyze`` returned.
    seconds : mapping, optional
        Wall time of stages outside the analysis, such as reading.
    """
    reasons = Reasons()
    regions = result.burden.regions
    return ResultDocument(
        schema=SCHEMA,
        status="analyzed",
        scan=_scan(result.scan, reasons),
        verdicts=[_verdict(v) for v in result_verdicts(result)],
        lungs=_lungs(regions, result.lungs.method, reasons),
        infection=_infection(result, reasons),
        severity=severity_part(result.severity, reasons),
        slices=_slices(result.burden.slices, reasons),
        selection=SelectionPart(
            area=_rule(result.selection, "selection.area.threshold", reasons),
            ctset=_rule(result.selection_ctset, "selection.ctset.threshold", reasons),
        ),
        predictions=[prediction_part(prediction) for prediction in result.predictions],
        reasons=dict(sorted(reasons.known.items())),
        provenance=_provenance(
            result.config,
            result.provenance.sha256,
            result.provenance.steps,
            {**(seconds or {}), **result.seconds},
        ),
        error=None,
    )


def refusal_document(
    error: BaseException,
    config: Any = None,
    seconds: Mapping[str, float] | None = None,
    message: str | None = None,
    scan: Scan | None = None,
) -> ResultDocument:
    """Return the document of an input that was not analyzed.

    Parameters
    ----------
    error : BaseException
        Why; its ``verdicts`` are kept if it has any.
    config : Any
        The settings that were asked for.
    seconds : mapping, optional
        Wall time of the stages that were reached.
    message : str, optional
        What to say instead of the error's own text.
    scan : Scan, optional
        The scan, if it could be read.
    """
    verdicts: tuple[Verdict, ...] = getattr(error, "verdicts", ())
    reasons = Reasons()
    past = Provenance() if scan is None else scan.provenance
    return ResultDocument(
        schema=SCHEMA,
        status="refused",
        scan=None if scan is None else _scan(scan, reasons),
        verdicts=[_verdict(v) for v in verdicts],
        lungs=None,
        infection=None,
        severity=None,
        slices=[],
        selection=None,
        predictions=[],
        reasons=reasons.known,
        provenance=_provenance(config, past.sha256, past.steps, seconds or {}),
        error=ErrorPart(type=type(error).__name__, message=message or str(error)),
    )


def result_verdicts(result: CaseResult) -> tuple[Verdict, ...]:
    """Return the verdicts of a result, with what writing its masks adds."""
    verdict = grid_verdict(result.scan.geometry)
    return result.verdicts if verdict is None else (*result.verdicts, verdict)


_NO_REGION = Estimate.unknown("the scan does not show this region, or it cannot be told apart")


def _absent(name: str) -> RegionBurden:
    return RegionBurden(name, _NO_REGION, _NO_REGION, _NO_REGION, None, None, None)


def _why(region: RegionBurden) -> str:
    """Return why a region lacks a number that is not an estimate."""
    reasons = (region.percent.reason, region.lung_ml.reason, region.infected_ml.reason)
    return next((reason for reason in reasons if reason), "the values are not Hounsfield units")


def _lungs(regions: Mapping[str, RegionBurden], method: str, reasons: Reasons) -> LungsPart:
    sides = {side: regions.get(side) or _absent(side) for side in SIDES}
    density = {
        side: reasons.number(f"lungs.mean_hu.{side}", region.mean_hu, 1, _why(region))
        for side, region in sides.items()
    }
    volumes = {side: region.lung_ml for side, region in sides.items()}
    return LungsPart(
        method=method,
        volume_ml=reasons.sides("lungs.volume_ml", volumes, 2),
        mean_hu=SidesPart(**density),
    )


def _infection(result: CaseResult, reasons: Reasons) -> InfectionPart:
    regions = result.burden.regions
    sides = {side: regions.get(side) or _absent(side) for side in SIDES}
    at, total = "infection", sides["total"]
    percents = {side: region.percent for side, region in sides.items()}
    volumes = {side: region.infected_ml for side, region in sides.items()}
    zones = {name: _region(f"{at}.zones.{name}", regions.get(name), reasons) for name in ZONES}
    return InfectionPart(
        method=result.infection.method,
        percent=reasons.sides(f"{at}.percent", percents, 3),
        interval_percent=reasons.interval(f"{at}.interval_percent", total.percent, 3),
        volume_ml=reasons.sides(f"{at}.volume_ml", volumes, 2),
        interval_ml=reasons.interval(f"{at}.interval_ml", total.infected_ml, 2),
        side_intervals_percent=reasons.ranges(f"{at}.side_intervals_percent", percents, 3),
        side_intervals_ml=reasons.ranges(f"{at}.side_intervals_ml", volumes, 2),
        zones=ZonesPart(**zones),
        lobes_method=None if result.lobes is None else result.lobes.method,
        lobes=_lobes(f"{at}.lobes", regions, reasons),
        estimates=estimate_parts(result.estimates, f"{at}.estimates", reasons),
        **_kinds(at, total, reasons),
    )


def _kinds(at: str, total: RegionBurden, reasons: Reasons) -> dict[str, float | None]:
    """Return percent and ml of ground glass and of consolidation by name of the field."""
    kinds = {}
    for kind in ("ground_glass", "consolidation"):
        share, lung_ml = getattr(total, f"{kind}_percent"), total.lung_ml.value
        amount = None if share is None or lung_ml is None else share / 100 * lung_ml
        why = _why(total)
        kinds[f"{kind}_percent"] = reasons.number(f"{at}.{kind}_percent", share, 3, why)
        kinds[f"{kind}_ml"] = reasons.number(f"{at}.{kind}_ml", amount, 2, why)
    return kinds


def _lobes(path: str, regions: Mapping[str, RegionBurden], reasons: Reasons) -> LobesPart | None:
    if not any(name in regions for name in LOBES):
        reasons.known[path] = reasons.known[f"{path}_method"] = NO_LOBES
        return None
    return LobesPart(
        **{name: _region(f"{path}.{name}", regions.get(name), reasons) for name in LOBES}
    )


def _region(path: str, region: RegionBurden | None, reasons: Reasons) -> RegionPart | None:
    if region is None:
        reasons.known[path] = str(_NO_REGION.reason)
        return None
    why = _why(region)
    shares = (region.ground_glass_percent, region.consolidation_percent)
    return RegionPart(
        lung_ml=reasons.estimate(f"{path}.lung_ml", region.lung_ml, 2),
        volume_ml=reasons.estimate(f"{path}.volume_ml", region.infected_ml, 2),
        interval_ml=reasons.interval(f"{path}.interval_ml", region.infected_ml, 2),
        percent=reasons.estimate(f"{path}.percent", region.percent, 3),
        interval_percent=reasons.interval(f"{path}.interval_percent", region.percent, 3),
        ground_glass_percent=reasons.number(f"{path}.ground_glass_percent", shares[0], 3, why),
        consolidation_percent=reasons.number(f"{path}.consolidation_percent", shares[1], 3, why),
        mean_hu=reasons.number(f"{path}.mean_hu", region.mean_hu, 1, why),
        voxels=region.voxels,
        infected_voxels=region.infected_voxels,
    )


def _slices(slices: Iterable[SliceBurden], reasons: Reasons) -> list[SlicePart]:
    no_lung = "the slice holds no lung"
    return [
        SlicePart(
            index=one.index,
            position_mm=reasons.number(
                "slices.position_mm", one.position_mm, 3, "the position is not known"
            ),
            lung_area_mm2=reasons.number(
                "slices.lung_area_mm2", one.lung_area_mm2, 1, "the pixel size is not known"
            ),
            infected_percent=reasons.number(
                "slices.infected_percent", one.infected_percent, 3, no_lung
            ),
            infected_percent_plain=reasons.number(
                "slices.infected_percent_plain", one.infected_percent_plain, 3, no_lung
            ),
            selected=one.selected,
            selected_ctset=one.selected_ctset,
        )
        for one in slices
    ]


def _rule(selection: SliceSelection, path: str, reasons: Reasons) -> SelectionRulePart:
    return SelectionRulePart(
        method=selection.method,
        rule=selection.rule,
        threshold=reasons.number(path, selection.threshold, 3, "the rule cannot be applied here"),
        kept=int(selection.kept.sum()),
    )


def _spacing(grid: Geometry) -> list[float | None] | None:
    if not grid.spacing_known:
        return None
    step, row, column = (round(mm, 6) for mm in grid.spacing_mm)
    return [None if grid.widths_mm is None else step, row, column]


def _scan(scan: Scan, reasons: Reasons) -> ScanPart:
    grid, made = scan.geometry, scan.acquisition
    slices, rows, columns = grid.shape
    if not grid.spacing_known:
        reasons.known["scan.spacing_mm"] = "pictures carry no scale"
    elif grid.widths_mm is None:
        reasons.known["scan.spacing_mm[0]"] = "there is one slice and its thickness is not known"
    width = grid.slice_width_mm if grid.spacing_known else None
    return ScanPart.model_validate(
        {
            "slices": slices,
            "rows": rows,
            "columns": columns,
            "spacing_mm": _spacing(grid),
            "slice_width_mm": reasons.number(
                "scan.slice_width_mm", width, 4, "the source does not state it"
            ),
            "even_spacing": grid.is_even,
            "intensity": str(scan.intensity),
            "modality": made.modality,
            "series_uid": made.series_uid,
            "kernel": made.kernel,
            "patient_position": made.patient_position,
            "contrast_agent": made.contrast_agent,
            "source_format": scan.provenance.source_format,
            "files": scan.provenance.files,
        }
    )


def _verdict(verdict: Verdict) -> VerdictPart:
    return VerdictPart.model_validate(
        {
            "check": verdict.check,
            "status": str(verdict.status),
            "found": verdict.found,
            "done": verdict.done,
            "effect": verdict.effect,
        }
    )


def _provenance(
    config: Any, sha256: str | None, steps: Iterable[Step], seconds: Mapping[str, float]
) -> ProvenancePart:
    settings = json.loads(to_json(config)) if is_dataclass(config) else {}
    return ProvenancePart(
        version=version("groundglass"),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        config=settings,
        input_sha256=sha256,
        steps=[StepPart(name=step.name, parameters=_plain(step.parameters)) for step in steps],
        seconds={stage: round(float(spent), 3) for stage, spent in seconds.items()},
        python=platform.python_version(),
        libraries={name: found for name in LIBRARIES if (found := _installed(name))},
    )


def _plain(parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return parameters as JSON values; what JSON does not know becomes text."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(parameters), default=str))
    return plain


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
