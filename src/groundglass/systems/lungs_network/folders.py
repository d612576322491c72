"""What the lung network is trained on: folders of two data sets, none with masks of its own."""

from __future__ import annotations

from pathlib import Path

from groundglass.datasets.slices import SliceSet
from groundglass.errors import ReadError
from groundglass.systems.covid_rate.ours.extra import RATED, VOLUMES, sibling

LICENCE = "research, with citation of COVID-CT-MD and Per-COVID-19; has not seen COVID-SemiSeg"
"""Licence of weights trained on both."""


def lung_data(root: Path) -> SliceSet:
    """Return the name and terms of what is there; slices are made by the recipe.

    Parameters
    ----------
    root : Path
        A folder that holds ``covid-ct-md`` or ``per-covid-19`` or both, or one of them.

    Raises
    ------
    ReadError
        If it holds neither.
    """
    found = [name for name in (VOLUMES, RATED) if sibling(root, name) is not None]
    if not found:
        msg = f"the lung network is trained on folders {VOLUMES} and {RATED}, found neither"
        raise ReadError(msg)
    return SliceSet(found[0], LICENCE, ())


def published_for(dataset: str) -> tuple[str, dict[str, dict[str, float]]]:
    """Return no figures: nobody has published any on lungs made opaque like this."""
    return f"no published figures on {dataset}", {}
