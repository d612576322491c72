"""Lungs and findings as a DICOM segmentation on the slices they were found in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from groundglass.core.results import CONSOLIDATION, GROUND_GLASS, LEFT, RIGHT, CaseResult
from groundglass.dicomout.instance import MAKER, NOTICE, Series, new_uid, software_version
from groundglass.dicomout.methods import Method, methods_of
from groundglass.dicomout.source import Source
from groundglass.writers import codes
from groundglass.writers.codes import Code
from groundglass.writers.figures import CONSOLIDATION_RGB, GROUND_GLASS_RGB, LEFT_RGB, RIGHT_RGB

Mask = NDArray[np.bool_]


class SegKind(StrEnum):
    """How segments are stored."""

    BINARY = "binary"
    """One bit a voxel and segment; segments may overlap. Understood everywhere."""
    LABELMAP = "labelmap"
    """One label a voxel, compressed: small, but not all viewers know it yet."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment is."""

    label: str
    """Its name in viewers."""
    category: Code
    """Anatomy or abnormality."""
    kind: Code
    """What it is."""
    region: Code
    """Where it lies."""
    rgb: tuple[int, int, int]
    """The colour of the report."""
    side: int | None = None
    """Label of the lung mask it takes; ``None`` for both lungs."""
    ill: int | None = None
    """Label of the infection mask it takes; ``None`` for all voxels of the lung."""

    def mask(self, result: CaseResult) -> Mask:
        """Return the voxels of the segment on the scan's grid."""
        lungs, ill = result.lungs.labels, result.infection.labels
        if self.side is None:
            return np.asarray(ill == self.ill)
        inside = lungs == self.side
        return np.asarray(inside if self.ill is None else inside & (ill == self.ill))


_LUNGS = (
    Segment("Right lung", codes.ANATOMY, codes.RIGHT_LUNG, codes.RIGHT_LUNG, RIGHT_RGB, RIGHT),
    Segment("Left lung", codes.ANATOMY, codes.LEFT_LUNG, codes.LEFT_LUNG, LEFT_RGB, LEFT),
)
_FINDINGS = (
    Segment(
        "Ground glass",
        codes.ABNORMAL,
        codes.GROUND_GLASS,
        codes.LUNG,
        GROUND_GLASS_RGB,
        ill=GROUND_GLASS,
    ),
    Segment(
        "Consolidation",
        codes.ABNORMAL,
        codes.CONSOLIDATION,
        codes.LUNG,
        CONSOLIDATION_RGB,
        ill=CONSOLIDATION,
    ),
)


def segments(kind: SegKind) -> tuple[Segment, ...]:
    """Return the segments of an object, numbered from 1 in their order.

    Overlapping ones, lungs whole, if the kind can hold them; else both lungs without findings and
    the findings of each side apart, from which the whole can be put together.
    """
    if kind is SegKind.BINARY:
        return (*_LUNGS, *_FINDINGS)
    clear = [replace(lung, label=f"{lung.label} without findings", ill=0) for lung in _LUNGS]
    apart = [
        replace(
            finding,
            label=f"{finding.label}, {lung.label.lower()}",
            region=lung.region,
            side=lung.side,
        )
        for finding in _FINDINGS
        for lung in _LUNGS
    ]
    return (*clear, *apart)


def build_seg(
    result: CaseResult, source: Source, series: Series, kind: SegKind = SegKind.BINARY
) -> Any:
    """Return the masks of a result as a segmentation.

    Parameters
    ----------
    result : CaseResult
        The masks.
    source : Source
        The slices they were found in.
    series : Series
        The new series.
    kind : SegKind
        How segments are stored.

    Returns
    -------
    highdicom.seg.Segmentation
        Not yet written.
    """
    import highdicom as hd  # noqa: PLC0415 - two seconds that only this needs

    parts = segments(kind)
    binary = kind is SegKind.BINARY
    pixels = _stacked(result, source, parts) if binary else _labels(result, source, parts)
    lungs, infection = methods_of(result)
    described = [
        _described(number, part, lungs if part.category is codes.ANATOMY else infection)
        for number, part in enumerate(parts, 1)
    ]
    syntax = ExplicitVRLittleEndian if binary else RLELossless
    dataset = hd.seg.Segmentation(
        source_images=list(source.datasets),
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues[kind.name],
        segment_descriptions=described,
        series_instance_uid=series.uid,
        series_number=series.number,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=software_version(),
        device_serial_number=MAKER,
        content_label="LUNGS_INFECTION",
        content_description=f"Lungs and infection, {NOTICE}",
        omit_empty_frames=True,
        transfer_syntax_uid=syntax,
        series_description=series.description,
    )
    dataset.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator", "")
    return dataset


def _stacked(result: CaseResult, source: Source, parts: Sequence[Segment]) -> NDArray[np.uint8]:
    """Return (frames, rows, columns, segments) of 0 and 1."""
    planes = [source.turned(part.mask(result).view(np.uint8)) for part in parts]
    return np.stack(planes, axis=-1)


def _labels(result: CaseResult, source: Source, parts: Sequence[Segment]) -> NDArray[np.uint8]:
    """Return (frames, rows, columns) of segment numbers."""
    labels = np.zeros(result.scan.shape, np.uint8)
    for number, part in enumerate(parts, 1):
        labels[part.mask(result)] = number
    return source.turned(labels)


def _described(number: int, part: Segment, method: Method) -> Any:
    import highdicom as hd  # noqa: PLC0415

    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=part.label,
        segmented_property_category=part.category.coded(),
        segmented_property_type=part.kind.coded(),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=method.name[:64],
            family=method.family.coded(),
            version=method.version,
            source=MAKER,
            parameters=method.parameters,
        ),
        tracking_uid=hd.UID(),
        tracking_id=f"groundglass {part.label.lower()}",
        anatomic_regions=[part.region.coded()],
        display_color=hd.color.CIELabColor.from_rgb(*part.rgb),
    )
