"""The numbers of a result as a structured report of template TID 1500."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groundglass.core.results import CaseResult
from groundglass.dicomout.instance import MAKER, Series, new_uid, software_version
from groundglass.dicomout.methods import Method, methods_of
from groundglass.dicomout.numbers import Group, Number
from groundglass.dicomout.source import Source
from groundglass.writers import codes
from groundglass.writers.codes import Code

RANGES = "Range: lower and upper uncertainty are the distances to what "


def build_sr(
    result: CaseResult,
    groups: Sequence[Group],
    source: Source,
    seg: Any,
    series: Series,
) -> Any:
    """Return the numbers of a result as a Comprehensive 3D SR document.

    Parameters
    ----------
    result : CaseResult
        Tells the methods.
    groups : sequence of Group
        The numbers.
    source : Source
        The slices they were measured in.
    seg : highdicom.seg.Segmentation
        The segments that numbers of lungs and findings refer to.
    series : Series
        The new series.
    """
    import highdicom as hd  # noqa: PLC0415 - two seconds that only this needs

    evidence = [seg, *source.datasets]
    methods = methods_of(result)
    report = hd.sr.MeasurementReport(
        observation_context=_context(),
        procedure_reported=codes.PROCEDURE.coded(),
        title=codes.REPORT_TITLE.coded(),
        imaging_measurements=[_group(group, source, seg, methods) for group in groups],
    )
    document = hd.sr.Comprehensive3DSR(
        evidence=evidence,
        content=report,
        series_instance_uid=series.uid,
        series_number=series.number,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=series.description,
    )
    document.CodingSchemeIdentificationSequence = [_scheme()]
    document.SoftwareVersions = software_version()
    document.ManufacturerModelName = document.DeviceSerialNumber = MAKER
    return document


def _scheme() -> Any:
    from pydicom.dataset import Dataset  # noqa: PLC0415

    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeUID = codes.SCHEME, codes.SCHEME_UID
    item.CodingSchemeName = codes.SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = MAKER
    return item


def _context() -> Any:
    import highdicom as hd  # noqa: PLC0415

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(), name=MAKER, manufacturer_name=MAKER, model_name=software_version()
    )
    kind = hd.sr.CodedConcept("121007", "DCM", "Device")
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=kind, observer_identifying_attributes=device
        )
    )


def _group(group: Group, source: Source, seg: Any, methods: tuple[Method, Method]) -> Any:
    import highdicom as hd  # noqa: PLC0415

    lungs, infection = methods
    site = hd.sr.FindingSite(
        group.site.coded(), laterality=group.side.coded() if group.side else None
    )
    shared: dict[str, Any] = {
        "tracking_identifier": hd.sr.TrackingIdentifier(hd.UID(), group.title),
        "finding_type": (group.finding or group.site).coded(),
        "finding_sites": [site],
        "measurements": [_number(number, lungs, infection) for number in group.numbers],
    }
    if group.segment is None:
        return hd.sr.MeasurementsAndQualitativeEvaluations(**shared)
    segment = hd.sr.ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=group.segment,
        source_series=hd.sr.SourceSeriesForSegmentation(source.first.SeriesInstanceUID),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **shared, referenced_segment=segment
    )


def _number(number: Number, lungs: Method, infection: Method) -> Any:
    import highdicom as hd  # noqa: PLC0415

    measured = hd.sr.Measurement(
        name=number.name.coded(),
        value=number.value,
        unit=number.unit.coded(),
        derivation=number.derivation.coded() if number.derivation else None,
        algorithm_id=_algorithm(number, lungs, infection),
    )
    if number.low is not None and number.high is not None:
        ends = ((codes.BELOW, number.value - number.low), (codes.ABOVE, number.high - number.value))
        measured[0].ContentSequence.extend(_end(name, away, number.unit) for name, away in ends)
    return measured


def _end(name: Code, away: float, unit: Code) -> Any:
    """Return the distance to one end of a range, in the unit of the number itself."""
    import highdicom as hd  # noqa: PLC0415

    return hd.sr.NumContentItem(
        name=name.coded(),
        value=round(away, 6),
        unit=unit.coded(),
        relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
    )


def _algorithm(number: Number, lungs: Method, infection: Method) -> Any:
    """Return what made a number: the rule of a score, else what found the voxels."""
    import highdicom as hd  # noqa: PLC0415

    of_lungs = number.name in (codes.VOLUME, codes.ATTENUATION)
    name, said = number.rule if number.rule else ((lungs if of_lungs else infection).name, "")
    told = [said] if said else []
    for what, method in (("lungs", lungs), ("infection", infection)):
        told += [f"{what} {key}: {value}" for key, value in method.parameters.items()]
    if number.low is not None:
        told.append(RANGES + number.ends)
    return hd.sr.AlgorithmIdentification(
        name=name, version=software_version(), parameters=told, manufacturer=MAKER
    )
