"""DICOM images to a scan: chosen, ordered, decoded, and every fault told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.progress import OnProgress, silent
from groundglass.core.provenance import Provenance
from groundglass.core.scan import Acquisition, Intensity, Scan, tidy_values
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import InconsistentSeriesError
from groundglass.readers.dicom_decode import SliceReport, decode
from groundglass.readers.dicom_file import quiet_pydicom
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_notes import fault_verdict, note_faults, note_files, note_headers
from groundglass.readers.dicom_order import Placement, common, place
from groundglass.readers.dicom_scale import agree_on_scale
from groundglass.readers.dicom_series import choose
from groundglass.readers.dicom_stacks import find_stacks
from groundglass.readers.dicom_steps import check_steps
from groundglass.readers.dicom_values import valid_uid
from groundglass.readers.options import ReadOptions

MOST_FAULTY = 0.2
"""Share of slices without usable pixels above which a scan is refused."""
MOST_WRONG_EXTREMES = 0.2
"""Share of slices whose stated extremes do not fit above which the tags are not believed."""
AXIAL_COSINE = 0.7
"""Cosine between slice normal and body axis from which slices are axial."""


def read_dicom(
    images: Sequence[ImageHeader],
    skipped: Mapping[str, int],
    options: ReadOptions,
    on_progress: OnProgress = silent,
) -> Scan:
    """Return the scan of the best, or the wanted, series among DICOM images.

    Parameters
    ----------
    images : sequence of ImageHeader
        At least one image, of any series, in any order.
    skipped : mapping of str to int
        Files left out so far, by reason; told in a verdict.
    options : ReadOptions
        Series wanted, spacing and HU offset stated by the user.
    on_progress : callable
        Told after every file.

    Returns
    -------
    Scan
        With a verdict for everything that was found.

    Raises
    ------
    InconsistentSeriesError
        If the wanted series is not there, or too many slices cannot be decoded.
    NotAnalyzableError
        If the images are not CT.
    UnsafeInputError
        If the series would fill more memory than any scan needs.
    """
    with quiet_pydicom():
        stacks = find_stacks(images)
        stack, told = choose(stacks, options.series)
        placement = place(stack.located, options)
        headers, intensity, about_values = agree_on_scale(placement.headers)
        decoded = decode(headers, to_hu=intensity is Intensity.HU, on_progress=on_progress)
    tags_lie = _extremes_lie(decoded.reports)
    kept = _sound(decoded.reports, tags_lie=tags_lie)
    placement = replace(placement, headers=headers).keep(kept)
    verdicts = (
        *told,
        *note_files(skipped, stack, stacks),
        *placement.verdicts,
        *about_values,
        *note_faults(decoded.reports, tags_lie=tags_lie),
        *check_steps(placement.geometry),
        *note_headers(placement.headers, placement.geometry),
    )
    voxels = decoded.voxels if len(kept) == len(decoded.voxels) else decoded.voxels[kept]
    voxels, intensity, more = _values(voxels, placement.headers, intensity, options)
    provenance = _provenance(placement, decoded.sha256)
    if more:
        provenance = provenance.after("hu_offset", added=options.hu_offset, stated=True)
    return Scan(
        voxels,
        placement.geometry,
        intensity,
        provenance,
        _acquisition(placement.headers),
        (*verdicts, *more),
    )


def _extremes_lie(reports: Sequence[SliceReport]) -> bool:
    """Return whether the stated extremes fit too few slices to be believed."""
    told = [r.true_extremes for r in reports if r.true_extremes is not None]
    return sum(not fits for fits in told) > MOST_WRONG_EXTREMES * len(told)


def _sound(reports: Sequence[SliceReport], *, tags_lie: bool) -> list[int]:
    """Return the indices of slices with usable pixels.

    Raises
    ------
    InconsistentSeriesError
        If more than ``MOST_FAULTY`` of the slices have none.
    """
    kept = [
        i
        for i, report in enumerate(reports)
        if report.fault is None and (tags_lie or report.true_extremes is not False)
    ]
    if not kept or len(reports) - len(kept) > MOST_FAULTY * len(reports):
        lost = [report.fault for i, report in enumerate(reports) if i not in kept]
        faults = Counter(fault or "damaged pixel values" for fault in lost)
        verdict = fault_verdict(faults, len(reports), Status.REFUSED)
        msg = (
            f"at least {100 * (1 - MOST_FAULTY):.0f} % of the slices must be readable, and "
            f"{len(reports) - len(kept)} of {len(reports)} are not; copy the files again"
        )
        raise InconsistentSeriesError(msg, (verdict,))
    return kept


def _values(
    voxels: NDArray[Any],
    headers: Sequence[ImageHeader],
    intensity: Intensity,
    options: ReadOptions,
) -> tuple[NDArray[Any], Intensity, tuple[Verdict, ...]]:
    """Return voxels as small as they fit, turned or offset where that is known."""
    if intensity is Intensity.HU:
        return voxels, intensity, ()
    if intensity is Intensity.DISPLAY:
        layout = headers[0].layout
        turned = (1 << layout.bits_stored) - 1 - voxels if layout.inverted else voxels
        return tidy_values(turned), intensity, ()
    if options.hu_offset is None:
        return tidy_values(voxels), intensity, ()
    hu = np.clip(np.rint(voxels + options.hu_offset), -32768, 32767).astype(np.int16)
    verdict = Verdict(
        "intensity",
        Status.NOTE,
        f"The user states that {options.hu_offset:g} added to the values gives HU",
        "It was added",
        "All HU follow that statement",
    )
    return hu, Intensity.HU, (verdict,)


def _provenance(placement: Placement, sha256: str) -> Provenance:
    """Return where the slices came from; no UIDs if one is missing or slices will be turned."""
    headers = placement.headers
    uids = tuple(header.instance_uid for header in headers if header.instance_uid is not None)
    is_axial = abs(float(placement.geometry.normal[2])) >= AXIAL_COSINE
    complete = len(uids) == len(headers) and is_axial
    files = len({header.path for header in headers})
    return Provenance("dicom", sha256, files, uids if complete else ())


def _acquisition(headers: Sequence[ImageHeader]) -> Acquisition:
    return Acquisition(
        modality=common([header.modality for header in headers]),
        series_uid=valid_uid(headers[0].series_key),
        study_uid=common([header.study_uid for header in headers]),
        patient_position=common([header.patient_position for header in headers]),
        contrast_agent=common([header.contrast for header in headers]),
        kernel=common([header.kernel for header in headers]),
        body_part=common([header.body_part for header in headers]),
    )
