"""Results written by ``analyze``, taken up with their scan instead of analyzing it again.

A folder is taken up only if it is of that very scan, on its grid, and its masks give its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from groundglass.checks.intensity import calibrate
from groundglass.core.provenance import Step
from groundglass.core.results import CaseResult, InfectionMask, Labels, LobeMask, LungMask
from groundglass.core.scan import Scan
from groundglass.core.serial import from_json
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import GridMismatchError, IdentityError, ReadError, UncalibratedError
from groundglass.followup.numbers import burden_of, estimates_of, severity_of, verdict_of
from groundglass.followup.settings import TAKEN_UP
from groundglass.pipeline import AnalyzeConfig
from groundglass.readers.masks import read_labels
from groundglass.systems.area_selection import select_by_area
from groundglass.systems.covid_ctset.selection import select_slices
from groundglass.writers.document import ResultDocument
from groundglass.writers.folder import RESULT

ROUNDED_ML = 0.011
"""By how much the volume of a mask may differ from the one told, which is rounded."""
STRAIGHTENED = 0.05
"""Share by which it may differ where the mask had to be brought onto an even grid and back."""
EXTENT = 2
"""Extent of a voxel that is infected at the default thresholds."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """A result folder that was read."""

    folder: Path
    """Where its masks lie."""
    document: ResultDocument
    """Its numbers."""
    config: AnalyzeConfig
    """The settings they were made with."""


def read_earlier(folder: Path) -> Earlier:
    """Read numbers and settings of a result folder.

    Raises
    ------
    ReadError
        If it is no result of ``analyze``, of a version whose document or settings are others, or a
        refusal.
    """
    try:
        document = ResultDocument.model_validate_json((folder / RESULT).read_bytes())
        settings = (folder / "config.json").read_text(encoding="utf-8")
        config = from_json(AnalyzeConfig, settings)
    except OSError as error:
        msg = (
            f"an earlier result needs a folder with {RESULT} and config.json, as analyze writes "
            f"them: {error.strerror or type(error).__name__}"
        )
        raise ReadError(msg) from error
    except ValidationError as error:
        msg = f"{RESULT} of an earlier result is damaged or of another version; analyze anew"
        raise ReadError(msg) from error
    except ValueError as error:
        msg = f"the settings of an earlier result are of another version; analyze anew ({error})"
        raise ReadError(msg) from error
    if document.status != "analyzed" or document.scan is None:
        msg = "an earlier result is a refusal without numbers; leave it out"
        raise ReadError(msg)
    return Earlier(folder, document, config)


def match_earlier(earlier: Sequence[Earlier], scans: Sequence[Scan]) -> list[Earlier | None]:
    """Return the result of each scan, ``None`` for scans without one.

    A result belongs to the scan of the same bytes, or else of the same series UID.

    Raises
    ------
    IdentityError
        If a result is of none of the scans, or a scan has two.
    """
    found: list[Earlier | None] = [None] * len(scans)
    for number, one in enumerate(earlier, start=1):
        place = _place(one, scans)
        if place is None:
            msg = (
                f"result {number} is of none of the scans: neither the bytes it was made from nor "
                "its series UID is that of one; give the scan it was made from"
            )
            raise IdentityError(msg)
        if found[place] is not None:
            msg = f"scan {place + 1} has two results; give one of them"
            raise IdentityError(msg)
        found[place] = one
    return found


def _place(one: Earlier, scans: Sequence[Scan]) -> int | None:
    told, made = one.document.provenance.input_sha256, one.document.scan
    assert made is not None
    for known, own in (
        (told, [scan.provenance.sha256 for scan in scans]),
        (made.series_uid, [scan.acquisition.series_uid for scan in scans]),
    ):
        if known is not None and own.count(known) == 1:
            return own.index(known)
    return None


def restore(earlier: Earlier, scan: Scan) -> CaseResult:
    """Return an analysis as it was: its masks on the scan, its numbers as they were told.

    Parameters
    ----------
    earlier : Earlier
        What was read.
    scan : Scan
        The scan it belongs to.

    Raises
    ------
    GridMismatchError
        If the masks do not lie on the scan's grid, or do not give the numbers told.
    UncalibratedError
        If it is of pictures.
    """
    document = earlier.document
    _require_same_size(document, scan)
    scan = calibrate(scan, earlier.config.hu_offset)
    told: list[Verdict] = []
    lungs = _labels(earlier, "lungs", scan, told)
    ill = _labels(earlier, "infection", scan, told)
    _require_numbers(document, lungs, ill, scan)
    assert document.lungs is not None
    assert document.infection is not None
    given = document.infection.lobes_method
    lobes = None
    if given is not None:
        lobes = LobeMask(_labels(earlier, "lobes", scan, told), scan.geometry, given)
    mask = LungMask(lungs, scan.geometry, document.lungs.method)
    how = document.infection.method
    steps = tuple(Step(one.name, one.parameters) for one in document.provenance.steps)
    past = replace(scan.provenance, steps=steps)
    return CaseResult(
        scan=scan,
        lungs=mask,
        infection=InfectionMask(ill, (ill > 0) * np.uint8(EXTENT), scan.geometry, how),
        burden=burden_of(document),
        severity=severity_of(document),
        selection=select_by_area(mask, earlier.config.selection),
        selection_ctset=select_slices(scan),
        verdicts=(*(verdict_of(one) for one in document.verdicts), _taken_up(document, scan)),
        provenance=past.after(TAKEN_UP, version=document.provenance.version),
        config=earlier.config,
        lobes=lobes,
        estimates=estimates_of(document),
    )


def _require_same_size(document: ResultDocument, scan: Scan) -> None:
    made = document.scan
    assert made is not None
    if made.intensity == "display":
        msg = "an earlier result is of pictures; a comparison needs Hounsfield units"
        raise UncalibratedError(msg)
    told = (made.slices, made.rows, made.columns)
    if told != scan.shape:
        msg = f"an earlier result is of {told} voxels and its scan of {scan.shape}; analyze anew"
        raise GridMismatchError(msg)


def _labels(earlier: Earlier, name: str, scan: Scan, told: list[Verdict]) -> Labels:
    path = earlier.folder / f"{name}.nii.gz"
    if not path.is_file():
        msg = f"an earlier result lacks {path.name}, so it cannot be taken up; analyze anew"
        raise ReadError(msg)
    return read_labels(path, scan.geometry, told.append)[0]


def _require_numbers(
    document: ResultDocument, lungs: NDArray[Any], ill: NDArray[Any], scan: Scan
) -> None:
    """Refuse masks that are not the ones the numbers were drawn from."""
    assert document.lungs is not None
    assert document.infection is not None
    volumes = scan.geometry.slice_volumes_mm3
    if volumes is None:
        return
    slack = 0.0 if scan.geometry.is_regular else STRAIGHTENED
    for name, mask, told in (
        ("lungs", lungs > 0, document.lungs.volume_ml.total),
        ("infection", (ill > 0) & (lungs > 0), document.infection.volume_ml.total),
    ):
        found = float(np.count_nonzero(mask, axis=(1, 2)) @ volumes) / 1000
        if told is None or abs(found - told) > ROUNDED_ML + slack * told:
            msg = (
                f"the mask '{name}' of an earlier result holds {found:.2f} ml where its numbers "
                f"say {told} ml: one of them was changed since; analyze anew"
            )
            raise GridMismatchError(msg)


def _taken_up(document: ResultDocument, scan: Scan) -> Verdict:
    same = document.provenance.input_sha256 == scan.provenance.sha256
    bytes_ = "the very bytes" if same else "the series UID and the grid, not the bytes,"
    return Verdict(
        "earlier_result",
        Status.OK if same else Status.NOTE,
        f"an earlier result names {bytes_} of this scan, and its masks give its numbers",
        f"masks and numbers of version {document.provenance.version} were taken as they are",
        "",
    )
