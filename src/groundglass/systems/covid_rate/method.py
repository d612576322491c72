"""Lesions of one slice by a network: prepare, run, average views, bring back to full size."""

from __future__ import annotations

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
    values: Values, intensity: Intensity, lungs: Lungs, preparation: Preparation
) -> NDArray[np.float32]:
    """Return the network's input for a slice, shape (rows, columns) of the network.

    Without a lung mask nothing is set to 0, whatever the preparation asks for.
    """
    tones = scaled(values, intensity, preparation)
    if preparation.zero_outside_lungs and lungs is not None:
        tones = tones * (lungs > 0)
    return resized(tones, preparation.size)


def infection_map(
    model: Model, values: Values, intensity: Intensity, lungs: Lungs = None
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

    Returns
    -------
    ndarray
        (labels, rows, columns) in 0..1.
    """
    preparation = model.card.preparation
    image = prepared(values, intensity, lungs, preparation)
    views = [np.flip(image[None], FLIPS[view]) for view in preparation.views]
    answers = model.run(np.stack(views))
    back = [
        np.flip(answer, FLIPS[view])
        for view, answer in zip(preparation.views, answers, strict=True)
    ]
    mean = np.mean(back, axis=0)
    return np.stack([resized(one, values.shape) for one in mean])
