"""What the lung network sees of a volume, and its answers back on the working grid.

A slice is cut to the box of the body and put beside its neighbours about 5 mm above and below, and
for a network of five planes those four times as far away too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.imaging.tone import align_hu, resized

Floats = NDArray[np.float32]
PlaneBox = tuple[slice, slice]

NEIGHBOUR_MM = 5.0
"""Wanted distance of the neighbours; where slices are farther apart than twice this, the slice
itself stands for them."""
PLACES = {1: (0,), 3: (-1, 0, 1), 5: (-4, -1, 0, 1, 4)}
"""Where the slices of an input lie, in steps from the slice itself, by their number."""
WALLS_OF_BODY = 3
"""Directions of four in which a voxel of the body meets tissue."""
LEAST_PROFILE = 0.02
"""Rows and columns that hold less of the body than this share of the fullest are left out: a
table, a hand."""


def body_box(walls: NDArray[np.uint8]) -> PlaneBox:
    """Return the rows and columns of the body, the same for all slices.

    Parameters
    ----------
    walls : array of uint8, shape (slices, rows, columns)
        In how many in-plane directions each voxel meets tissue.
    """
    body = walls >= WALLS_OF_BODY
    rows, columns = (body.sum(axis=axes, dtype=np.int64) for axes in ((0, 2), (0, 1)))
    return _range_of(rows), _range_of(columns)


def _range_of(profile: NDArray[np.int64]) -> slice:
    held = np.flatnonzero(profile > LEAST_PROFILE * profile.max(initial=0))
    return slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, profile.size)


def neighbour_step(slice_mm: float) -> int:
    """Return how many slices away the neighbours lie; 0 if the slice stands for them."""
    return 0 if slice_mm > 2 * NEIGHBOUR_MM else max(1, round(NEIGHBOUR_MM / slice_mm))


class NetworkView:
    """The slices of a volume as a lung network sees them; each is brought to its size once.

    Parameters
    ----------
    hu : array, shape (slices, rows, columns)
    box : PlaneBox
        The body's box.
    size : tuple of int
        Rows and columns of the network's input.
    slices : int
        How many the network reads, one of ``PLACES``.
    """

    def __init__(self, hu: NDArray[Any], box: PlaneBox, size: tuple[int, int], slices: int) -> None:
        self._hu, self._box, self._size = hu, box, size
        self._places = np.array(PLACES[slices])
        self._maps: dict[int, Floats] = {}

    def __call__(self, index: int, step: int) -> Floats:
        """Return the tone maps of a slice and its neighbours, (slices, rows, columns).

        Beyond the ends of the volume the last slice stands for its neighbour.

        Parameters
        ----------
        index : int
            The slice.
        step : int
            How many slices away the nearest neighbours lie.
        """
        chosen = np.clip(index + step * self._places, 0, len(self._hu) - 1)
        return np.stack([self._map(int(one)) for one in chosen])

    def _map(self, index: int) -> Floats:
        if index not in self._maps:
            self._maps[index] = resized(align_hu(self._hu[index][self._box]), self._size)
        return self._maps[index]
