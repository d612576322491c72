"""Lungs and infection of a scan made of pictures: the 2-D rule, picture by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from groundglass.core.results import RIGHT, InfectionMask, LungMask
from groundglass.core.scan import Scan
from groundglass.core.verdict import Verdict
from groundglass.errors import NoLungsError
from groundglass.infection.picture import PictureConfig, PictureResult, segment_picture

__all__ = ["PictureConfig", "find_in_pictures", "masks_of_pictures", "segment_pictures"]

METHOD = "training-free, single pictures"


def find_in_pictures(
    scan: Scan, config: PictureConfig | None = None, lungs: LungMask | None = None
) -> tuple[LungMask, InfectionMask]:
    """Return lungs and infection of a scan of display values, every picture on its own.

    Parameters
    ----------
    scan : Scan
        Pictures of unknown window.
    config : PictureConfig, optional
        Settings of the rule.
    lungs : LungMask, optional
        A mask on the same grid; infection outside it is dropped.

    Returns
    -------
    lungs : LungMask
        All lung has label 1; the sides are not known unless the given mask knows them.
    infection : InfectionMask
        Ground glass and consolidation, with extent.

    Raises
    ------
    NoLungsError
        If no lung is found in any picture.
    """
    return masks_of_pictures(scan, segment_pictures(scan, config), lungs)


def segment_pictures(scan: Scan, config: PictureConfig | None = None) -> tuple[PictureResult, ...]:
    """Return what the 2-D rule finds in every picture of a scan."""
    return tuple(segment_picture(picture, config) for picture in scan.voxels)


def masks_of_pictures(
    scan: Scan, found: Sequence[PictureResult], lungs: LungMask | None = None
) -> tuple[LungMask, InfectionMask]:
    """Return lungs and infection of a scan from what was found in its pictures.

    Parameters
    ----------
    scan : Scan
        Pictures of unknown window.
    found : sequence of PictureResult
        One for every picture.
    lungs : LungMask, optional
        A mask on the same grid; infection outside it is dropped.

    Raises
    ------
    NoLungsError
        If no lung is found in any picture.
    """
    verdicts = _told(Counter(v for result in found for v in result.findings), len(found))
    mask = np.stack([result.lungs for result in found])
    if not mask.any():
        reasons = "; ".join(verdict.found for verdict in verdicts)
        msg = f"a lung is needed in at least one picture, found none in {len(found)}: {reasons}"
        raise NoLungsError(msg, verdicts)
    if lungs is None:
        labels = np.where(mask, RIGHT, 0).astype(np.uint8)
        lungs = LungMask(labels, scan.geometry, METHOD, sides_known=False, verdicts=verdicts)
    inside = lungs.labels > 0
    infection = InfectionMask(
        np.where(inside, np.stack([result.labels for result in found]), 0).astype(np.uint8),
        np.where(inside, np.stack([result.extent for result in found]), 0).astype(np.uint8),
        scan.geometry,
        METHOD,
    )
    return lungs, infection


def _told(findings: Counter[Verdict], pictures: int) -> tuple[Verdict, ...]:
    """Return each finding once, with the number of pictures it holds for."""
    if pictures == 1:
        return tuple(findings)
    return tuple(
        Verdict(v.check, v.status, f"in {n} of {pictures} pictures: {v.found}", v.done, v.effect)
        for v, n in findings.items()
    )
