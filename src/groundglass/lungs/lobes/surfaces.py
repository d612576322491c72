"""Smooth surfaces through a volume of evidence: the best path, and a robust fit to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Float = NDArray[np.float64]
Cost = NDArray[np.float32]

DEGREE = 4
"""Highest total degree of a fitted surface."""
STIFFNESS = 0.3
"""Weight that pulls the surface's terms towards zero, by the square of their degree."""
THIN = 3
"""Every how many grid points the best sheet is looked for at."""
ROUNDS = 8
"""Rounds of reweighting."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Heights above a frame's plane as a low-order polynomial of the position on it."""

    terms: Float
    """Coefficients of products of Legendre polynomials, in the order of ``_degrees``."""
    shape: tuple[int, int]
    """Points of the plane's grid; the polynomial's square is that grid."""

    @classmethod
    def flat(cls, shape: tuple[int, int]) -> Surface:
        """Return the plane itself."""
        return cls(np.zeros(len(_degrees())), shape)

    def heights(self, positions: Float) -> Float:
        """Return (n,) heights in mm at grid positions (n, 2); held at the edge beyond the grid."""
        return np.asarray(_basis(positions, self.shape) @ self.terms)

    def on_grid(self) -> Float:
        """Return the heights at every grid point, of the grid's shape."""
        return self.heights(_grid(self.shape)).reshape(self.shape)


def best_heights(cost: Cost, bend: float, kink: float) -> NDArray[np.intp]:
    """Return for every point of a plane the height of the cheapest smooth surface.

    Costs are gathered along both axes in both directions (semi-global matching): a change by one
    step between neighbours costs ``bend``, by two 2.2 times as much, by three ``kink``; more is not
    allowed.

    Parameters
    ----------
    cost : array of float32
        (axis 0, axis 1, heights).
    bend, kink : float
        Prices of a change of height.

    Returns
    -------
    array of int
        (axis 0, axis 1): index of the height.

    References
    ----------
    .. [1] Hirschmueller. "Stereo processing by semiglobal matching and mutual information." IEEE
       Transactions on Pattern Analysis and Machine Intelligence 30(2), 2008. doi
       10.1109/TPAMI.2007.1166
    """
    prices = ((1, np.float32(bend)), (2, np.float32(2.2 * bend)), (3, np.float32(kink)))
    total = np.zeros_like(cost)
    for axis in (0, 1):
        for step in (1, -1):
            lines = np.moveaxis(cost, axis, 0)[::step]
            gathered = np.moveaxis(total, axis, 0)[::step]
            path = np.zeros_like(lines[0])
            for line, into in zip(lines, gathered, strict=True):
                path = line + _cheapest(path, prices)
                np.add(into, path, out=into)
    return np.asarray(total.argmin(axis=2))


def _cheapest(path: Cost, prices: tuple[tuple[int, np.float32], ...]) -> Cost:
    """Return the cheapest way to each height from the heights before, least one at zero."""
    best = path.copy()
    for step, price in prices:
        np.minimum(best[:, step:], path[:, :-step] + price, out=best[:, step:])
        np.minimum(best[:, :-step], path[:, step:] + price, out=best[:, :-step])
    least = best.min(axis=1, keepdims=True)
    return np.asarray(best - least)


def best_sheet(gain: Cost, slopes: Sequence[float], bows: Sequence[float], reach: int) -> Float:
    """Return the tilted and bowed sheet that gathers most, as heights above the middle layer.

    Parameters
    ----------
    gain : array of float32
        (axis 0, axis 1, layers): what a surface gains at each place.
    slopes : sequence of float
        Slopes to try along either axis, in layers a grid point.
    bows : sequence of float
        Bows to try along axis 1: how far its ends lie above its middle, in layers.
    reach : int
        Largest height of the sheet's middle.

    Returns
    -------
    array
        (axis 0, axis 1): heights of the best sheet in layers, not rounded.
    """
    thin = np.ascontiguousarray(gain[::THIN, ::THIN])
    rows, columns = np.indices(thin.shape[:2])
    first, second, bow = _shapes(gain.shape[0], gain.shape[1])
    middle = (gain.shape[2] - 1) // 2
    heights = np.arange(-reach, reach + 1, 2)
    best, found = -np.inf, np.zeros(first.shape)
    for across, along, bend in product(slopes, slopes, bows):
        sheet = across * first + along * second + bend * bow
        base = np.rint(sheet[::THIN, ::THIN]).astype(np.intp) + middle
        for height in heights:
            layer = np.minimum(np.maximum(base + height, 0), thin.shape[2] - 1)
            total = float(thin[rows, columns, layer].sum())
            if total > best:
                best, found = total, sheet + height
    return found


def _shapes(rows: int, columns: int) -> tuple[Float, Float, Float]:
    """Return a unit slope along each axis and a unit bow along axis 1, all of mean about zero."""
    first, second = np.indices((rows, columns), dtype=np.float64)
    first -= (rows - 1) / 2
    second -= (columns - 1) / 2
    bow = (2 * second / max(columns - 1, 1)) ** 2 - 1 / 3
    return first, second, bow


def fit_surface(heights_mm: Float, weights: Float, tolerance_mm: float) -> Surface:
    """Return the smooth surface that most of the weighted heights agree with.

    Iterated least squares with Tukey's weights: heights farther from the surface than three times
    the tolerance do not count. Without any weight it is the plane.

    Parameters
    ----------
    heights_mm, weights : array
        (axis 0, axis 1); points of weight 0 do not count.
    tolerance_mm : float
        Distance from the surface that is still usual.
    """
    shape = (heights_mm.shape[0], heights_mm.shape[1])
    used = np.flatnonzero(weights.ravel() > 0)
    if used.size == 0:
        return Surface.flat(shape)
    basis = _basis(_grid(shape)[used], shape)
    wanted, given = heights_mm.ravel()[used], weights.ravel()[used]
    degree = np.array([sum(pair) for pair in _degrees()], dtype=np.float64)
    pull = STIFFNESS * degree**2 + 0.05
    robust = np.ones(used.size)
    reach = 6 * tolerance_mm
    terms: Float = np.zeros(degree.size)
    for _ in range(ROUNDS):
        weight = given * robust
        normal = (basis * weight[:, None]).T @ basis + np.diag(pull)
        pulled = (basis * weight[:, None]).T @ wanted
        terms = np.asarray(np.linalg.solve(normal, pulled), dtype=np.float64)
        off = np.abs(wanted - basis @ terms) / reach
        robust = np.where(off < 1, (1 - off**2) ** 2, 0)
        reach = max(3 * tolerance_mm, 0.8 * reach)
    return Surface(terms, shape)


def _degrees() -> list[tuple[int, int]]:
    return [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]


def _grid(shape: tuple[int, int]) -> Float:
    return np.indices(shape).reshape(2, -1).T.astype(np.float64)


def _basis(positions: Float, shape: tuple[int, int]) -> Float:
    """Return (n, terms) products of Legendre polynomials at grid positions."""
    ends = np.maximum(np.array(shape) - 1, 1)
    square = np.clip(2 * positions / ends - 1, -1, 1)
    powers = [legendre.legvander(square[:, axis], DEGREE) for axis in (0, 1)]
    return np.stack([powers[0][:, i] * powers[1][:, j] for i, j in _degrees()], axis=1)
