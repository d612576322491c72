"""Slices as a classifier of pictures sees them, and its answers with where they come from.

No torch is loaded here. A shipped classifier has a linear head over the mean of its last maps; what
each place adds to a label's logit is an output of the file. That is Grad-CAM before its ReLU, and
exact for such a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import UncalibratedError
from groundglass.imaging.tone import resized
from groundglass.models.card import Fit, Preparation
from groundglass.models.runtime import Model
from groundglass.systems.pictures import FLIPS, input_of

BATCH = 2
"""Pictures of one call; their maps take about 80 MB each."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """What is cut out of every slice and made a picture of."""

    rows: tuple[int, int]
    """First row and the one after the last."""
    columns: tuple[int, int]
    """First column and the one after the last."""
    window_hu: tuple[float, float] | None
    """Ends of the window; ``None`` for pictures, which are taken as they are."""

    def of(self, plane: NDArray[Any]) -> Picture:
        """Return the picture of a slice, (rows, columns) in 0..255."""
        part = plane[slice(*self.rows), slice(*self.columns)].astype(np.float32)
        if self.window_hu is not None:
            low, high = self.window_hu
            part = (part - low) * (255 / (high - low))
        elif part.size and part.max() > 255:
            part *= 255 / part.max()
        return np.clip(np.rint(part), 0, 255).astype(np.uint8)


def view_of(scan: Scan, lungs: LungMask, window_hu: tuple[float, float], margin_mm: float) -> View:
    """Return what is shown of a scan: the lungs with a margin in a window, pictures whole.

    Publications show the chest without the table and little air; a whole slice would not look like
    them.

    Raises
    ------
    UncalibratedError
        If it is not known what the values mean.
    """
    if scan.intensity is Intensity.UNKNOWN:
        msg = "a classifier of pictures needs HU or display values; the meaning of these is unknown"
        raise UncalibratedError(msg)
    _, rows, columns = scan.shape
    if scan.intensity is Intensity.DISPLAY:
        return View((0, rows), (0, columns), None)
    flat = lungs.labels.max(axis=0) > 0
    grid = scan.geometry
    return View(
        _range(flat.any(axis=1), margin_mm / grid.row_mm),
        _range(flat.any(axis=0), margin_mm / grid.column_mm),
        window_hu,
    )


def _range(present: NDArray[np.bool_], margin: float) -> tuple[int, int]:
    found = np.flatnonzero(present)
    if not found.size:
        return 0, present.size
    more = int(np.ceil(margin))
    return max(int(found[0]) - more, 0), min(int(found[-1]) + 1 + more, present.size)


@dataclass(frozen=True, eq=False)
class PictureAnswers:
    """What a classifier says about pictures."""

    probabilities: NDArray[np.float32]
    """(pictures, labels), each row adding up to 1."""
    features: NDArray[np.float32] | None
    """(pictures, features); ``None`` where the file does not answer with them."""
    attention: NDArray[np.float32] | None
    """(pictures, labels, rows, columns) of the last maps: what each place adds to a label's logit;
    ``None`` where the file does not answer with it."""


def classify_pictures(model: Model, pictures: Sequence[NDArray[Any]]) -> PictureAnswers:
    """Return a classifier's answers for grey pictures, averaged over its views.

    Parameters
    ----------
    model : Model
        Opened classifier.
    pictures : sequence of ndarray
        (rows, columns) display values in 0..255; at least one.
    """
    preparation = model.card.preparation
    inputs = [_input(picture, preparation) for picture in pictures]
    parts = [
        _averaged(model, np.stack(inputs[start : start + BATCH]))
        for start in range(0, len(inputs), BATCH)
    ]
    joined = [
        None if parts[0][place] is None else np.concatenate([part[place] for part in parts])
        for place in range(3)
    ]
    assert joined[0] is not None
    return PictureAnswers(joined[0], joined[1], joined[2])


def _input(picture: NDArray[Any], preparation: Preparation) -> NDArray[np.float32]:
    planes = np.repeat(picture[None], preparation.channels, axis=0)
    return input_of(planes, Intensity.DISPLAY, preparation)


def _averaged(model: Model, batch: NDArray[np.float32]) -> tuple[Any, Any, Any]:
    """Return probabilities, features and attention, views turned back and averaged."""
    first = model.outputs[0]
    total: dict[str, NDArray[np.float32]] = {}
    views = model.card.preparation.views
    for view in views:
        axes = tuple(axis + 1 for axis in FLIPS[view])
        answers = model.run_all(np.flip(batch, axes))
        if "attention" in answers:
            answers["attention"] = np.flip(answers["attention"], axes)
        for name, one in answers.items():
            total[name] = np.asarray(total.get(name, 0) + one / len(views), np.float32)
    return total[first], total.get("features"), total.get("attention")


def enlarged(
    attention: NDArray[np.float32], shape: tuple[int, int], preparation: Preparation
) -> NDArray[np.float32]:
    """Return a map of the network's input at the size and place of the picture it came from.

    Parameters
    ----------
    attention : ndarray
        (rows, columns) of the last maps.
    shape : tuple of int
        Rows and columns of the picture.
    preparation : Preparation
        How the picture became the input.
    """
    rows, columns = preparation.size
    whole = resized(attention, preparation.size)
    if preparation.fit is Fit.STRETCH:
        return resized(whole, shape)
    pick = max if preparation.fit is Fit.CROP else min
    factor = pick(rows / shape[0], columns / shape[1])
    tall, wide = max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1)
    if preparation.fit is Fit.PAD:
        tall, wide = min(tall, rows), min(wide, columns)
        top, left = (rows - tall) // 2, (columns - wide) // 2
        return resized(whole[top : top + tall, left : left + wide], shape)
    board = np.zeros((max(tall, rows), max(wide, columns)), np.float32)
    top, left = max(tall - rows, 0) // 2, max(wide - columns, 0) // 2
    board[top : top + rows, left : left + columns] = whole
    return resized(board, shape)
