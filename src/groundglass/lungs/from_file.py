"""A lung or lobe mask from a file, on the grid of a scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundglass.core.scan import Scan
from groundglass.core.verdict import Verdict
from groundglass.lungs.external import (
    NAMES,
    Convention,
    ExternalMasks,
    masks_from_labels,
    masks_from_parts,
)
from groundglass.readers.masks import read_labels


def read_lung_masks(
    path: Path, scan: Scan, convention: Convention | str | None = None
) -> ExternalMasks:
    """Return the lungs, and the lobes where told, that a file marks.

    Parameters
    ----------
    path : Path
        What `read_labels` reads.
    scan : Scan
        The scan the mask belongs to.
    convention : Convention or its name, optional
        What the labels mean; goes before names in the file. Without either it is recognised from
        the label values.

    Raises
    ------
    ReadError
        If the file cannot be read.
    GridMismatchError
        If the mask lies somewhere else than the scan.
    UnsupportedFormatError
        If the meaning of the labels is not known for certain.
    NoLungsError
        If no lung is marked.
    """
    told: list[Verdict] = []
    labels, names = read_labels(path, scan.geometry, told.append)
    parts = {_plain(name): labels == value for value, name in names.items()}
    if convention is None and parts.keys() & NAMES.keys():
        masks = masks_from_parts(parts, scan)
    else:
        masks = masks_from_labels(labels, scan, convention)
    lungs = replace(masks.lungs, verdicts=(*told, *masks.lungs.verdicts))
    return replace(masks, lungs=lungs)


def _plain(name: str) -> str:
    """Return a part's name as the conventions write it: ``Right lung`` is ``right_lung``."""
    return name.strip().lower().replace(" ", "_")
