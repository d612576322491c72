"""Whole slices as networks for percentages and classes read them. No torch is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import UncalibratedError
from groundglass.imaging.tone import align_hu, align_picture, resized
from groundglass.models.card import Fit, Preparation, Scale
from groundglass.models.runtime import Model

FLIPS: dict[str, tuple[int, ...]] = {"as_is": (), "rows": (1,), "columns": (2,), "both": (1, 2)}
"""Axes of (channels, rows, columns) that each view flips."""
LUNG_WINDOW_HU = (-1350.0, 150.0)
"""The lung window, level -600 and width 1500, where a card names none."""

STORED_OFFSET = 1024
"""What values as scanners store them have more than HU."""

Planes = NDArray[Any]
"""(channels, rows, columns)."""


def planes_of(one: Slice, channels: int) -> Planes:
    """Return the channels of a slice as stored: one grey channel, or three as red, green and blue.

    Parameters
    ----------
    one : Slice
        As read; without colours its grey is repeated.
    channels : int
        1 or 3.

    Raises
    ------
    ValueError
        If another number of channels is wanted.
    """
    if channels not in {1, 3}:
        msg = f"a slice has 1 or 3 channels, {channels} wanted"
        raise ValueError(msg)
    if channels == 3 and one.colours is not None:
        return np.ascontiguousarray(np.moveaxis(one.colours, 2, 0))
    return np.repeat(one.values[None], channels, axis=0)


def input_of(planes: Planes, intensity: Intensity, preparation: Preparation) -> NDArray[np.float32]:
    """Return a network's input: scaled, brought to size, normalised.

    Parameters
    ----------
    planes : ndarray
        (channels, rows, columns) Hounsfield units, or display values in 0..255.
    intensity : Intensity
        Which of the two.
    preparation : Preparation
        The card's.
    """
    scaled = np.stack([_scaled(plane, intensity, preparation) for plane in planes])
    fitted = np.stack([_fitted(plane, preparation) for plane in scaled])
    if preparation.mean:
        fitted -= np.array(preparation.mean, np.float32)[:, None, None]
    if preparation.deviation:
        fitted /= np.array(preparation.deviation, np.float32)[:, None, None]
    return fitted


def _scaled(
    plane: NDArray[Any], intensity: Intensity, preparation: Preparation
) -> NDArray[np.float32]:
    picture = intensity is not Intensity.HU
    if preparation.scale is Scale.TONE:
        return align_picture(plane) if picture else align_hu(plane)
    if preparation.scale is Scale.STORED:
        if picture:
            msg = "a network of stored values needs Hounsfield units, found a picture"
            raise UncalibratedError(msg)
        return np.maximum(plane.astype(np.float32) + STORED_OFFSET, 0)
    if preparation.scale is not Scale.BYTES:
        msg = f"whole slices are scaled as tone or bytes, found {preparation.scale}"
        raise ValueError(msg)
    if picture:
        return np.asarray(plane / np.float32(255), np.float32)
    low, high = preparation.window_hu or LUNG_WINDOW_HU
    share = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return np.asarray(np.rint(share * 255) / 255, np.float32)


def _fitted(plane: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float32]:
    rows, columns = preparation.size
    if preparation.fit is Fit.STRETCH:
        return resized(plane, preparation.size)
    pick = max if preparation.fit is Fit.CROP else min
    factor = pick(rows / plane.shape[0], columns / plane.shape[1])
    near = [max(round(side * factor), 1) for side in plane.shape]
    moved = resized(plane, (near[0], near[1]))
    if preparation.fit is Fit.CROP:
        top, left = max(near[0] - rows, 0) // 2, max(near[1] - columns, 0) // 2
        return resized(moved[top : top + rows, left : left + columns], preparation.size)
    board = np.zeros(preparation.size, np.float32)
    near = [min(near[0], rows), min(near[1], columns)]
    top, left = (rows - near[0]) // 2, (columns - near[1]) // 2
    board[top : top + near[0], left : left + near[1]] = moved[: near[0], : near[1]]
    return board


def slice_input(one: Slice, preparation: Preparation) -> NDArray[np.float32]:
    """Return a network's input for one slice, shape (channels, rows, columns)."""
    return input_of(planes_of(one, preparation.channels), one.intensity, preparation)


def answers(model: Model, slices: Sequence[Slice]) -> NDArray[np.float32]:
    """Return a model's answers for whole slices, averaged over its views.

    Parameters
    ----------
    model : Model
        Opened network that answers (slices, labels).
    slices : sequence of Slice
        At least one.

    Returns
    -------
    ndarray
        (slices, labels).
    """
    preparation = model.card.preparation
    inputs = [slice_input(one, preparation) for one in slices]
    views = [np.stack([np.flip(one, FLIPS[view]) for one in inputs]) for view in preparation.views]
    return np.asarray(np.mean([model.run(view) for view in views], axis=0), np.float32)


class Lazy:
    """The channels of items, read when one is needed and kept while there is room.

    Parameters
    ----------
    items : sequence of SliceItem
        What to read.
    take : callable
        Takes a slice as read, returns its channels.
    room : int
        Bytes that are kept at most.
    """

    def __init__(
        self, items: Sequence[SliceItem], take: Callable[[Slice], Planes], room: int = 1 << 30
    ) -> None:
        self._items, self._take, self._room = items, take, room
        self._kept: dict[int, Planes] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int, /) -> Planes:
        """Return the channels of one item."""
        if place in self._kept:
            return self._kept[place]
        planes = self._take(self._items[place].read())
        if planes.nbytes <= self._room:
            self._room -= planes.nbytes
            self._kept[place] = planes
        return planes


def targets_of(items: Sequence[SliceItem]) -> NDArray[np.float32]:
    """Return the targets of items.

    Raises
    ------
    ValueError
        If one has none.
    """
    without = [item.name for item in items if item.target is None]
    if without:
        msg = f"'{without[0]}' has no percentage or class to train on"
        raise ValueError(msg)
    return np.array([item.target for item in items], np.float32)
