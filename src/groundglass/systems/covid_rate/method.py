"""Lesions of slices by a network: prepare, run, average views, bring back to full size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.scan import Intensity
from groundglass.errors import UncalibratedError
from groundglass.imaging.tone import align_hu, align_picture, resized
from groundglass.models.card import Preparation, Scale
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.synthesis import min_max

PICTURE_WINDOW_HU = (-1150.0, 150.0)
"""The window a picture is taken to have where nothing is known."""
FLIPS: dict[str, tuple[int, ...]] = {"as_is": (), "rows": (1,), "columns": (2,), "both": (1, 2)}

Values = NDArray[Any]
Lungs = NDArray[Any] | None
Box = tuple[slice, slice]
"""Rows and columns of a part of a slice."""


def estimated_hu(values: Values, window_hu: tuple[float, float] = PICTURE_WINDOW_HU) -> Values:
    """Return what a picture's tones would be in HU if it were made with a window."""
    low, high = window_hu
    return low + values.astype(np.float32) * ((high - low) / 255)


def scaled(values: Values, intensity: Intensity, preparation: Preparation) -> NDArray[np.float32]:
    """Return a slice as the network's scale wants it, at its own size.

    Parameters
    ----------
    values : ndarray
        (rows, columns) Hounsfield units, or display values in 0..255.
    intensity : Intensity
        Which of the two.
    preparation : Preparation
        The card's.

    Raises
    ------
    UncalibratedError
        If it is not known what the values mean.
    """
    if intensity is Intensity.UNKNOWN:
        msg = "a network needs HU or display values; the meaning of these is not known"
        raise UncalibratedError(msg)
    picture = intensity is Intensity.DISPLAY
    if preparation.scale is Scale.TONE:
        return align_picture(values) if picture else align_hu(values)
    if preparation.scale is Scale.SLICE_MINMAX:
        return min_max(values)
    hu = estimated_hu(values) if picture else values.astype(np.float32)
    low, high = preparation.window_hu or PICTURE_WINDOW_HU
    return np.asarray(np.clip((hu - low) / (high - low), 0, 1), np.float32)


def prepared(
    values: Values,
    intensity: Intensity,
    lungs: Lungs,
    preparation: Preparation,
    box: Box | None = None,
) -> NDArray[np.float32]:
    """Return the network's input for a slice, shape (rows, columns) of the network.

    Without a lung mask nothing is set to 0, whatever the preparation asks for. Tones come from the
    whole slice; what is given to the network is its part in ``box``.
    """
    tones = scaled(values, intensity, preparation)
    if preparation.zero_outside_lungs and lungs is not None:
        tones = tones * (lungs > 0)
    return resized(tones if box is None else tones[box], preparation.size)


def network_maps(
    model: Model,
    images: NDArray[np.float32],
    views: Sequence[str] | None = None,
    batch: int = 4,
) -> NDArray[np.float32]:
    """Return the probability of each label for prepared slices, at the network's size.

    Parameters
    ----------
    model : Model
        Opened network.
    images : ndarray
        (slices, rows, columns) as ``prepared`` makes them.
    views : sequence of str, optional
        Views to average; the card's where not given.
    batch : int
        Most pictures in one call.

    Returns
    -------
    ndarray
        (slices, labels, rows, columns) in 0..1.
    """
    return over_views(model.run, images[:, None], views or model.card.preparation.views, batch)


def over_views(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    stack: NDArray[np.float32],
    views: Sequence[str],
    batch: int = 4,
) -> NDArray[np.float32]:
    """Return the mean of a network's maps over views, each map turned back.

    Parameters
    ----------
    run : callable
        Takes and returns (slices, channels, rows, columns).
    stack : ndarray
        (slices, channels, rows, columns), at least one slice.
    views : sequence of str
        Names of at least one view.
    batch : int
        Most pictures in one call.
    """
    total: NDArray[np.float32] | None = None
    for turned in (_of_stack(FLIPS[view]) for view in views):
        answers = np.concatenate(
            [
                np.flip(run(np.flip(part, turned)), turned)
                for part in np.array_split(stack, -(-len(stack) // batch))
            ]
        )
        total = answers if total is None else total + answers
    assert total is not None
    return np.asarray(total / len(views), np.float32)


def _of_stack(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return axes of one picture as those of a stack of pictures."""
    return tuple(axis + 1 for axis in axes)


def infection_map(
    model: Model,
    values: Values,
    intensity: Intensity,
    lungs: Lungs = None,
    box: Box | None = None,
) -> NDArray[np.float32]:
    """Return the probability of each label in each pixel.

    Parameters
    ----------
    model : Model
        Opened network.
    values : ndarray
        (rows, columns) Hounsfield units, or display values in 0..255.
    intensity : Intensity
        Which of the two.
    lungs : ndarray, optional
        Lung mask of the same shape.
    box : tuple of slice, optional
        Rows and columns the network is shown; all where not given.

    Returns
    -------
    ndarray
        (labels, rows, columns) in 0..1; 0 outside the box.
    """
    image = prepared(values, intensity, lungs, model.card.preparation, box)
    mean = network_maps(model, image[None])[0]
    if box is None:
        return np.stack([resized(one, values.shape) for one in mean])
    full = np.zeros((len(mean), *values.shape), np.float32)
    for one, target in zip(mean, full, strict=True):
        target[box] = resized(one, target[box].shape)
    return full
