"""Pictures of where a classifier looks: slices with the attention above them."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.results import Attention, CaseResult, Prediction
from groundglass.writers.figures import display_window

MOST_FIGURES = 4
WIDTH_PX = 300
HEAT_RGB = (230, 40, 30)
STRONGEST = 0.6
"""Share of colour at the strongest place."""


@dataclass(frozen=True, slots=True)
class LikenessFigure:
    """One slice with its attention."""

    uri: str
    """Data URI of the picture."""
    width: int
    """Columns of the picture."""
    height: int
    """Rows of the picture."""
    title: str
    """Which slice."""
    text: str
    """What was said about it."""
    label: str
    """The label that is looked for."""


def likeness_figures(result: CaseResult) -> list[LikenessFigure]:
    """Return the slices with the highest probability that have a say, head to feet.

    Parameters
    ----------
    result : CaseResult
        An analysis; without attention there are no pictures.
    """
    seen = result.attention
    prediction = next((p for p in result.predictions if seen and p.model == seen.model), None)
    if seen is None or prediction is None:
        return []
    counted = [one for one in prediction.slices if one.counts]
    highest = sorted(counted, key=lambda one: -one.probability)[:MOST_FIGURES]
    return [
        _figure(result, seen, prediction, one.index, one.probability)
        for one in sorted(highest, key=lambda one: one.index)
    ]


def _figure(
    result: CaseResult, seen: Attention, prediction: Prediction, index: int, probability: float
) -> LikenessFigure:
    rows, columns = _box(result)
    grey = _grey(result, result.scan.voxels[index, rows, columns])
    picture = heated(grey, seen.values[index, rows, columns])
    _, row_mm, column_mm = result.scan.geometry.spacing_mm
    height = max(round(WIDTH_PX * picture.height * row_mm / (picture.width * column_mm)), 1)
    size = (WIDTH_PX, min(height, 4 * WIDTH_PX))
    label = prediction.wanted or ""
    return LikenessFigure(
        _uri(picture.resize(size, Image.Resampling.BILINEAR)),
        *size,
        f"Slice {index}",
        f"{label} {probability:.2f}",
        label,
    )


def _box(result: CaseResult) -> tuple[slice, slice]:
    """Return rows and columns of the lungs with a margin of a twentieth of the slice."""
    flat = result.lungs.labels.max(axis=0) > 0
    found = []
    for present in (flat.any(axis=1), flat.any(axis=0)):
        places = np.flatnonzero(present)
        margin = present.size // 20
        low, high = (places[0], places[-1] + 1) if places.size else (0, present.size)
        found.append(slice(max(int(low) - margin, 0), min(int(high) + margin, present.size)))
    return found[0], found[1]


def _grey(result: CaseResult, plane: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = display_window(result.scan)
    share = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return np.asarray(np.rint(255 * share), np.uint8)


def heated(grey: NDArray[np.uint8], attention: NDArray[np.uint8]) -> Image.Image:
    """Return a slice tinted by its attention.

    Parameters
    ----------
    grey : ndarray
        (rows, columns).
    attention : ndarray
        Of the same shape, 0 to 100.
    """
    strength = (attention.astype(np.float32) / 100 * STRONGEST)[..., None]
    colours = (1 - strength) * grey[..., None] + strength * np.array(HEAT_RGB, np.float32)
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def _uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + b64encode(stream.getvalue()).decode("ascii")
