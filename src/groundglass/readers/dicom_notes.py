"""What headers and files say that bears on the numbers, as verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from groundglass.core.geometry import Geometry
from groundglass.core.verdict import Status, Verdict
from groundglass.readers.dicom_decode import SliceReport
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_order import common
from groundglass.readers.dicom_stacks import Stack, is_parallel
from groundglass.readers.dicom_terms import counted

CONTRADICTION = 0.1
"""Relative difference by which a tag must miss the positions to be told."""
THICK_MM = 3.0
"""Thickness above which slices blur small lesions."""
TILT_TOLERANCE_DEGREES = 1.0
"""Difference between stated and measured tilt worth telling."""
_HARMLESS = frozenset(
    {
        "localizer",
        "structured or dose report",
        "encapsulated document",
        "presentation state",
        "segmentation or registration object",
        "index of a medium (DICOMDIR)",
        "radiotherapy object",
        "secondary capture",
        "colour picture",
        "file of another kind",
    }
)
_POSITIONS = {
    "FF": "feet first",
    "HF": "head first",
    "P": "prone",
    "S": "supine",
    "DR": "on the right side",
    "DL": "on the left side",
}


def note_files(
    skipped: Mapping[str, int], stack: Stack, stacks: Sequence[Stack]
) -> tuple[Verdict, ...]:
    """Return verdicts on files and images left out.

    Parameters
    ----------
    skipped : mapping of str to int
        Files left out before the choice, by reason.
    stack : Stack
        The stack that was chosen.
    stacks : sequence of Stack
        All stacks found.
    """
    counts = Counter(skipped)
    for other in stacks:
        reason = _why_not(other, stack)
        if reason:
            counts[reason] += len(other.headers)
    told = []
    if counts:
        kinds = ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items()))
        serious = any(reason not in _HARMLESS for reason in counts)
        effect = "If slices of this scan are among them, their places count as gaps"
        told.append(
            Verdict(
                "files_skipped",
                Status.WARNING if serious else Status.NOTE,
                f"{sum(counts.values())} files or images are not slices of this scan: {kinds}",
                "They were left out",
                effect if serious else "",
            )
        )
    if stack.copies:
        told.append(_copies(stack.copies))
    if stack.displaced:
        told.append(_displaced(stack.displaced))
    return tuple(told)


def note_faults(reports: Sequence[SliceReport], *, tags_lie: bool) -> tuple[Verdict, ...]:
    """Return verdicts on slices that could not be decoded, decoded wrongly, or hold padding.

    Parameters
    ----------
    reports : sequence of SliceReport
        One per slice, faulty ones included.
    tags_lie : bool
        Whether the stated extremes are not to be believed, as they fit too few slices.
    """
    told = []
    faults = Counter(report.fault for report in reports if report.fault is not None)
    if faults:
        told.append(fault_verdict(faults, len(reports), Status.WARNING))
    checked = sum(r.fault is None and r.true_extremes is not None for r in reports)
    wrong = sum(r.fault is None and r.true_extremes is False for r in reports)
    if wrong:
        told.append(_wrong_extremes(wrong, checked, tags_lie=tags_lie))
    padded = [r.padded for r in reports if r.fault is None]
    if sum(padded):
        told.append(_padding(sum(count > 0 for count in padded)))
    return tuple(told)


def fault_verdict(faults: Mapping[str, int], total: int, status: Status) -> Verdict:
    """Return the verdict on slices without usable pixels."""
    count = sum(faults.values())
    kinds = ", ".join(f"{number} x {fault}" for fault, number in sorted(faults.items()))
    refused = status is Status.REFUSED
    return Verdict(
        "truncated_file",
        status,
        f"{count} of {total} slices cannot be decoded ({kinds})",
        "Nothing was measured; copy the files again" if refused else "They were left out",
        "Too little of the scan is left"
        if refused
        else "Their places count as gaps that the slices beside them fill",
    )


def note_headers(headers: Sequence[ImageHeader], geometry: Geometry) -> tuple[Verdict, ...]:
    """Return verdicts on what headers say, and where they contradict the positions.

    Parameters
    ----------
    headers : sequence of ImageHeader
        The slices read.
    geometry : Geometry
        Their grid.
    """
    found = (
        _no_image_type(headers),
        _single(headers, geometry),
        _thickness(headers, geometry),
        _between(headers, geometry),
        _tilt_tag(headers, geometry),
        _patient_position(headers),
        _lossy(headers),
        _burned_in(headers),
        _inverted(headers),
    )
    return tuple(verdict for verdict in found if verdict is not None)


def _why_not(other: Stack, chosen: Stack) -> str | None:
    """Return why a stack of the same series was left out; ``None`` for other series and phases."""
    if other is chosen or other.series_key != chosen.series_key:
        return None
    one, two = other.headers[0], chosen.headers[0]
    if (one.layout.rows, one.layout.columns) != (two.layout.rows, two.layout.columns):
        return "image of another size in the same series"
    if other.is_projection != chosen.is_projection:
        return "projection in the same series"
    if not is_parallel(one, two):
        return "image of another orientation or pixel spacing in the same series"
    return "image of another modality in the same series" if one.modality != two.modality else None


def _copies(count: int) -> Verdict:
    return Verdict(
        "duplicate_positions",
        Status.NOTE,
        f"{counted(count, 'image')} more than once in the series, as exact copies",
        "Every slice was used once",
        "Numbers are those of the scan without the copies",
    )


def _displaced(count: int) -> Verdict:
    return Verdict(
        "duplicate_positions",
        Status.WARNING,
        f"{counted(count, 'image')} at places that another image of the series takes",
        "The earlier image of each place was used",
        "At those places the numbers follow one of two images",
    )


def _wrong_extremes(wrong: int, checked: int, *, tags_lie: bool) -> Verdict:
    found = (
        f"Smallest and largest value stated in the header are not those of the pixels in {wrong} "
        f"of {checked} slices"
    )
    if tags_lie:
        return Verdict(
            "pixel_integrity",
            Status.NOTE,
            found,
            "As this concerns too many slices for an accident, the tags were not believed",
            "Damaged pixels, if there are any, cannot be told from sound ones",
        )
    return Verdict(
        "pixel_integrity",
        Status.WARNING,
        found,
        "These slices are damaged and were left out",
        "Their places count as gaps that the slices beside them fill",
    )


def _padding(slices: int) -> Verdict:
    return Verdict(
        "padding",
        Status.NOTE,
        f"{counted(slices, 'slice')} with pixels outside the field of measurement",
        "These were set to the value of air",
        "They lie outside the body, so no number of the lungs depends on them",
    )


def _no_image_type(headers: Sequence[ImageHeader]) -> Verdict | None:
    missing = sum(not header.image_type for header in headers)
    if not missing:
        return None
    return Verdict(
        "image_type",
        Status.NOTE,
        f"{missing} of {len(headers)} slices state no image type",
        "They were read as slices of a scan; localizers were told by size and orientation",
        "The numbers are not affected if the pictures of the report show plain slices",
    )


def _single(headers: Sequence[ImageHeader], geometry: Geometry) -> Verdict | None:
    if len(headers) > 1:
        return None
    thickness = geometry.slice_width_mm
    effect = (
        "No ml can be told, as the thickness is not known; percentages are of this slice alone"
        if thickness is None
        else f"Volumes are of a slab of {thickness:g} mm, the thickness the header states; "
        "percentages are of this slice alone"
    )
    return Verdict(
        "single_slice",
        Status.WARNING,
        "There is one slice only",
        "It was read alone; give the folder of the series if there are more",
        effect,
    )


def _thickness(headers: Sequence[ImageHeader], geometry: Geometry) -> Verdict | None:
    thickness = common([header.thickness_mm for header in headers])
    if thickness is None or len(headers) < 2 or not geometry.spacing_known:
        return None
    step = geometry.step_mm
    if thickness < step * (1 - CONTRADICTION):
        return Verdict(
            "slice_thickness",
            Status.WARNING,
            f"Slices are stated to be {thickness:g} mm thick and lie {step:.2f} mm apart",
            "Positions were believed; every slice stands for the lung up to halfway to the next",
            f"{100 * (1 - thickness / step):.0f} % of the lung was not imaged; ml and percent "
            "rest on the slices between",
        )
    if thickness > step * (1 + CONTRADICTION):
        blurred = "; small lesions are blurred or look like ground glass"
        return Verdict(
            "slice_thickness",
            Status.NOTE,
            f"Slices are stated to be {thickness:g} mm thick and lie {step:.2f} mm apart",
            "Positions were believed: the slices overlap, or the tag is wrong",
            f"With the stated thickness as step, ml would be {thickness / step:.2f} times as much"
            + (blurred if thickness > THICK_MM else ""),
        )
    return None


def _between(headers: Sequence[ImageHeader], geometry: Geometry) -> Verdict | None:
    stated = common([header.between_mm for header in headers])
    if stated is None or len(headers) < 2 or not geometry.spacing_known:
        return None
    if abs(stated - geometry.step_mm) <= CONTRADICTION * geometry.step_mm:
        return None
    return Verdict(
        "ordering",
        Status.NOTE,
        f"The header states {stated:g} mm between slices and the positions "
        f"{geometry.step_mm:.2f} mm",
        "Positions were believed",
        f"With the stated spacing, ml would be {stated / geometry.step_mm:.2f} times as much",
    )


def _tilt_tag(headers: Sequence[ImageHeader], geometry: Geometry) -> Verdict | None:
    stated = common([header.tilt_degrees for header in headers])
    if stated is None or len(headers) < 2:
        return None
    measured = float(np.degrees(np.arctan(geometry.drift)))
    if abs(abs(stated) - measured) <= TILT_TOLERANCE_DEGREES:
        return None
    return Verdict(
        "gantry_tilt",
        Status.NOTE,
        f"The header states a gantry tilt of {stated:g} degrees and the positions show "
        f"{measured:.1f}",
        "Positions were believed",
        "Volumes follow the positions",
    )


def _patient_position(headers: Sequence[ImageHeader]) -> Verdict | None:
    code = common([header.patient_position for header in headers])
    if code is None or code == "HFS":
        return None
    words = [_POSITIONS[part] for part in (code[:2], code[2:]) if part in _POSITIONS]
    return Verdict(
        "patient_position",
        Status.NOTE,
        f"The patient was scanned {' and '.join(words) or code}",
        "Head, feet, right and left were taken from the orientation of the slices",
        "Sides are right; in another position than on the back, blood and fluid settle elsewhere "
        "and look like ground glass there",
    )


def _lossy(headers: Sequence[ImageHeader]) -> Verdict | None:
    count = sum(header.lossy for header in headers)
    if not count:
        return None
    return Verdict(
        "pixel_integrity",
        Status.WARNING,
        f"{count} of {len(headers)} slices were compressed with loss",
        "They were read as they are",
        "Values are off by an unknown amount; faint ground glass is the least sure",
    )


def _burned_in(headers: Sequence[ImageHeader]) -> Verdict | None:
    if not any(header.burned_in for header in headers):
        return None
    return Verdict(
        "pixel_integrity",
        Status.WARNING,
        "The header says that text is burned into the pixels",
        "The images were read as they are",
        "Text over the lungs counts as tissue; the pictures of the report may show personal data",
    )


def _inverted(headers: Sequence[ImageHeader]) -> Verdict | None:
    if not any(header.layout.inverted for header in headers):
        return None
    return Verdict(
        "intensity",
        Status.NOTE,
        "The header asks for small values to be shown white (MONOCHROME1)",
        "Values were used as they are, pictures of 8 bits were turned round",
        "If HU are turned round as well, the check of air and tissue says so",
    )
