"""Lungs and tones of one picture of unknown window: rotated, cropped or whole, 8 or 16 bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from groundglass.imaging.planar import depth_inside, disk_closing, fill_small_holes
from groundglass.imaging.tone import otsu_threshold

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

BINS = 256
"""Histogram bins a picture's tones are looked at in."""
RAYS = 360
"""Directions in which the outer side of the lungs is sought."""


@dataclass(frozen=True)
class PictureLungConfig:
    """Settings of finding tones and lungs; lengths are shares of the lungs' size."""

    lung_hu: float = -870.0
    """Density given to the lung tone."""
    tissue_hu: float = 40.0
    """Density given to the soft-tissue tone."""
    lung_percentile: float = 10.0
    """Percentile of aerated lung taken as lung tone."""
    lung_below: tuple[float, ...] = (0.75, 0.6, 0.45)
    """Places between lung tone (0) and tissue tone (1) under which a pixel is dark; the first at
    which the lungs do not run into the air outside is taken."""
    thickness_share: float = 0.012
    """A lung is at least twice this share of the picture's size thick."""
    smallest_share: float = 0.004
    """Least area of a lung as a share of the picture."""
    smallest_of_largest: float = 0.08
    """Least area of a lung as a share of the largest one."""
    airway_share: float = 0.12
    """A darker object smaller than this share of the largest one is windpipe."""
    airway_hu: float = -880.0
    """Mean density below which a small object is windpipe."""
    frame_share: float = 0.3
    """A dark object that covers more of the picture's frame than this is outside air."""
    most_noise: float = 0.2
    """Greatest step between neighbours in the lungs as a share of the distance of the two tones;
    a picture of noise has more."""
    closing_share: float = 0.01
    """Radius of the closing as a share of the lungs' size."""
    largest_hole_share: float = 0.03
    """Largest hole that is filled as a share of the lung area: a liver dome is larger."""


@dataclass(frozen=True, eq=False)
class PictureLungs:
    """Lungs of one picture."""

    mask: Mask
    """(rows, columns)."""
    density_hu: Float32
    """(rows, columns) densities estimated from the two tones."""
    lung_tone: float
    """Grey value taken as aerated lung."""
    tissue_tone: float
    """Grey value taken as soft tissue."""
    size_px: float
    """Geometric mean of height and width of the box round the lungs."""
    hole_share: float
    """Share of holes in the lungs as first found; large for the body of an inverted picture."""
    paired: bool
    """Whether there are two objects, the second at least a quarter of the first."""


def find_picture_lungs(
    grey: Float32, config: PictureLungConfig, *, opened: bool = False
) -> PictureLungs | None:
    """Return lungs and densities of one picture, ``None`` where nothing looks like a lung.

    Dark objects that do not reach a corner or much of the frame are lungs; their tone and the most
    common brighter tone set the density scale, on which they are found again.

    Parameters
    ----------
    grey : ndarray
        (rows, columns) float32, finite, brighter is denser.
    config : PictureLungConfig
        Settings.
    opened : bool
        Cut thin dark links first: an arrow or torn skin may join the lungs with the air outside.
    """
    low, high = float(grey.min()), float(grey.max())
    if high <= low or min(grey.shape) < 16:
        return None
    cut = otsu_threshold(grey, BINS)
    dark = ndimage.gaussian_filter(grey, 1) < cut
    apart = ndimage.binary_opening(dark, iterations=_turns(dark, config)) if opened else dark
    first = _lung_objects(np.asarray(apart), config)
    if not first.any() or dark.all():
        return None
    lung_tone = float(np.percentile(grey[first & (grey < cut)], config.lung_percentile))
    tissue_tone = _mode(grey[~dark], low, high)
    noise = np.median(np.abs(np.diff(grey, axis=0)[first[1:]]))
    if noise >= config.most_noise * (tissue_tone - lung_tone):
        return None
    scale = (config.tissue_hu - config.lung_hu) / (tissue_tone - lung_tone)
    density = (config.lung_hu + (grey - lung_tone) * scale).astype(np.float32)
    mask = _without_airway(_whole_lungs(density, first, config), density, config)
    size = _size(mask)
    whole = np.asarray(ndimage.binary_fill_holes(mask))
    holes = np.count_nonzero(whole & ~mask) / np.count_nonzero(whole)
    mask = fill_small_holes(
        disk_closing(mask, config.closing_share * size), config.largest_hole_share
    )
    mask = mask | (_outer_notches(mask) & ~np.asarray(ndimage.binary_fill_holes(mask)))
    return PictureLungs(mask, density, lung_tone, tissue_tone, size, holes, _is_pair(mask))


def without_frame(grey: Float32) -> tuple[slice, slice]:
    """Return the rows and columns left without a plain bright frame of up to a tenth per side."""
    low, span = float(grey.min()), float(np.ptp(grey))
    found = []
    for lines in (grey, grey.T):
        quantiles = np.quantile(lines, (0.05, 0.5, 0.95), axis=1)
        plain = (quantiles[2] - quantiles[0] < 0.06 * span) & (quantiles[1] > low + 0.8 * span)
        most = len(lines) // 10
        start = int(np.argmin(np.append(plain[:most], False)))
        stop = int(np.argmin(np.append(plain[::-1][:most], False)))
        found.append(slice(start, len(lines) - stop))
    return found[0], found[1]


def _lung_objects(dark: Mask, config: PictureLungConfig) -> Mask:
    """Return the dark objects that are large enough and not outside air."""
    labels, count = ndimage.label(dark)
    area = np.bincount(labels.ravel(), minlength=int(count) + 1)
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    keep = np.bincount(frame, minlength=area.size) <= config.frame_share * frame.size
    keep[labels[[0, 0, -1, -1], [0, -1, 0, -1]]] = False
    core = ndimage.binary_erosion(dark, iterations=_turns(dark, config), border_value=1)
    keep &= np.bincount(labels[core], minlength=area.size) > 0
    keep[0] = False
    largest = int(area[keep].max(initial=0))
    least = max(config.smallest_share * dark.size, config.smallest_of_largest * largest)
    return np.asarray((keep & (area >= least))[labels])


def _turns(dark: Mask, config: PictureLungConfig) -> int:
    return max(1, round(config.thickness_share * float(np.sqrt(dark.size))))


def _whole_lungs(density: Float32, first: Mask, config: PictureLungConfig) -> Mask:
    """Return the lungs at the widest limit that does not lose them to the air outside."""
    for place in config.lung_below:
        limit = config.lung_hu + place * (config.tissue_hu - config.lung_hu)
        mask = _lung_objects(density < limit, config)
        if np.count_nonzero(mask & first) > 0.6 * np.count_nonzero(first):
            return mask
    return first


def _without_airway(mask: Mask, density: Float32, config: PictureLungConfig) -> Mask:
    """Return the mask without small objects that are darker than lung."""
    labels, count = ndimage.label(mask)
    area = np.bincount(labels.ravel(), minlength=int(count) + 1)
    total = np.bincount(labels.ravel(), weights=density.ravel(), minlength=area.size)
    small = area < config.airway_share * area[1:].max(initial=0)
    airway = small & (total < config.airway_hu * area)
    airway |= small & (area < 0.03 * mask.sum())
    airway[0] = False
    return np.asarray(mask & ~airway[labels])


def _mode(values: Float32, low: float, high: float) -> float:
    """Return the most common tone of a histogram smoothed over five bins."""
    counts, edges = np.histogram(values, BINS, (low, high))
    smooth = np.convolve(counts, np.ones(5) / 5, "same")
    best = int(np.argmax(smooth))
    return float(edges[best] + edges[best + 1]) / 2


def _is_pair(mask: Mask) -> bool:
    labels, count = ndimage.label(mask)
    areas = np.sort(np.bincount(labels.ravel(), minlength=int(count) + 1)[1:])
    return bool(areas.size > 1 and areas[-2] > 0.25 * areas[-1])


def _size(mask: Mask) -> float:
    height, width = (np.ptp(np.flatnonzero(mask.any(axis=axis))) + 1 for axis in (1, 0))
    return float(np.sqrt(float(height) * float(width)))


def _outer_notches(mask: Mask) -> Mask:
    """Return the parts of each lung's convex hull that have lung between them and the middle.

    These are dense lesions on the outer pleura; notches towards the heart and spine stay out.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    down, right = y - (rows[0] + rows[-1]) / 2, x - (columns[0] + columns[-1]) / 2
    distance = np.hypot(down, right)
    turn = (np.arctan2(down, right) + np.pi) / (2 * np.pi)
    ray = (turn * RAYS).astype(np.intp) % RAYS
    nearest = np.full(RAYS, np.inf)
    np.minimum.at(nearest, ray[mask], distance[mask])
    labels = _sides(mask)
    hulls = np.zeros(mask.shape, dtype=bool)
    for label in range(1, int(labels.max()) + 1):
        hulls |= _hull(labels == label)
    notches = hulls & ~mask & (distance > nearest[ray])
    # Rays that pass a single strand of lung give wedges and lines, which are no notches.
    return np.asarray(ndimage.binary_opening(notches, np.ones((3, 3), dtype=bool)))


def _sides(mask: Mask) -> NDArray[np.int32]:
    """Return object labels, two lungs that touch parted at the thinnest erosion that parts them."""
    labels, _ = ndimage.label(mask)
    if not _is_pair(mask):
        depth = depth_inside(mask)
        for share in np.linspace(0.01, 0.08, 8):
            cores, _ = ndimage.label(depth > share * _size(mask))
            if _is_pair(cores > 0):
                nearest = ndimage.distance_transform_edt(
                    cores == 0, return_distances=False, return_indices=True
                )
                labels = np.where(mask, cores[tuple(nearest)], 0)
                break
    return np.asarray(labels, dtype=np.int32)


def _hull(mask: Mask) -> Mask:
    """Return the pixels inside the convex hull of a mask; the mask itself where it has no area."""
    points = np.argwhere(mask ^ ndimage.binary_erosion(mask))
    try:
        equations = ConvexHull(points).equations
    except (QhullError, ValueError):
        return mask
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    inside = np.ones(mask.shape, dtype=bool)
    for down, right, offset in equations:
        inside &= down * y + right * x + offset <= 1e-6
    return inside
