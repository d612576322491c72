"""Infection on one picture of unknown window, without training: densities from two tones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from groundglass.core.results import CONSOLIDATION, GROUND_GLASS
from groundglass.core.verdict import Status, Verdict
from groundglass.imaging.planar import box_of, depth_inside, drop_small_parts
from groundglass.imaging.vesselness import SCALES_PX, vesselness
from groundglass.infection.picture_lungs import (
    Float32,
    Mask,
    PictureLungConfig,
    PictureLungs,
    find_picture_lungs,
    without_frame,
)

REFERENCE_SIZE_PX = 380.0
"""Size of the lungs in the pictures that the pixel lengths were chosen on."""

NO_LUNG = Verdict(
    "picture_lungs",
    Status.WARNING,
    "no dark object in the picture looks like a lung",
    "nothing was marked in it",
    "it has no percent",
)
DARK_CUT_OFF = Verdict(
    "picture_window",
    Status.WARNING,
    "the picture shows lung as plain black, as a soft-tissue window does",
    "nothing was marked in it",
    "ground glass cannot be told from healthy lung, so it has no percent",
)
BRIGHT_CUT_OFF = Verdict(
    "picture_window",
    Status.NOTE,
    "soft tissue is at the bright end of the picture's window",
    "its tone was taken as +40 HU",
    "dense lesions may be missed and consolidation be misjudged",
)
INVERTED = Verdict(
    "picture_inverted",
    Status.WARNING,
    "lungs are brighter than soft tissue, so the picture looks inverted",
    "it was turned to dark lungs",
    "none if it was inverted, otherwise the percent is wrong",
)


@dataclass(frozen=True)
class PictureConfig:
    """Settings of the rule for single pictures; lengths in pixels of lungs 380 pixels wide."""

    lungs: PictureLungConfig = field(default_factory=PictureLungConfig)
    """Finding tones and lungs."""
    least_hu: float = -700.0
    """Mean density without vessels from which lung counts as infected."""
    spread_hu: float = 30.0
    """How far that limit is moved for the interval."""
    solid_hu: float = -150.0
    """Density from which a pixel is vessel or wall and, with its rim, not averaged."""
    rim_px: float = 2.5
    """Width of that rim."""
    vesselness_from: float = 0.5
    """Relative vesselness from which a pixel is vessel and not averaged."""
    average_px: float = 4.0
    """Standard deviation of the Gaussian that averages what is left."""
    least_weight: float = 0.02
    """Least share of pixels left under the Gaussian; less is solid and decided by its
    neighbours."""
    margin_px: float = 3.0
    """Depth of the lung's border that is left out: partial volume with the chest wall."""
    smallest_px: float = 200.0
    """Least area of a lesion."""
    black_share: float = 0.4
    """Share of lung at the darkest grey from which the window is taken to cut lung off."""
    hole_share: float = 0.35
    """Lungs of the turned picture with holes above this share are the body."""
    inverted_factor: float = 1.5
    """How much larger the lungs of the turned picture must be to take it for inverted."""
    inverted_share: float = 0.05
    """Least area of its lungs, as a share of the picture, where it has none unturned."""
    consolidation_hu: float = -400.0
    """Density from which infected lung is consolidation."""


@dataclass(frozen=True, eq=False)
class PictureResult:
    """Lungs and infection of one picture."""

    lungs: Mask
    """(rows, columns)."""
    labels: NDArray[np.uint8]
    """(rows, columns): 0 none, 1 ground glass, 2 consolidation."""
    extent: NDArray[np.uint8]
    """(rows, columns): 0 none, 1 at the loose limit only, 2 at the default, 3 at the tight one."""
    lung_tone: float | None
    """Grey value taken as aerated lung; ``None`` without lungs."""
    tissue_tone: float | None
    """Grey value taken as soft tissue; ``None`` without lungs."""
    findings: tuple[Verdict, ...]
    """What was noticed."""


def segment_picture(grey: ArrayLike, config: PictureConfig | None = None) -> PictureResult:
    """Return lungs and infection of one CT picture whose window, size and turn are not known.

    The tones of aerated lung and soft tissue set a density scale. Inside the lungs, vessels
    (relative vesselness, and dense pixels with their rim) are taken out and the density of what is
    left is averaged with a Gaussian; lung whose average reaches the limit is infected. Nothing
    depends on the picture being upright; right and left are not told apart.

    Parameters
    ----------
    grey : array_like
        (rows, columns), any number type, brighter is denser. Non-finite values count as darkest.
    config : PictureConfig, optional
        Settings.

    Returns
    -------
    PictureResult
        Empty masks, with the reason among the findings, for a picture in which no lung is seen or
        whose window cuts off the tones of lung.

    Raises
    ------
    ValueError
        If the array does not have two dimensions with pixels in each.
    """
    settings = config or PictureConfig()
    picture = _as_float(grey)
    box = without_frame(picture)
    mask, labels, extent = np.zeros((3, *picture.shape), dtype=np.uint8)
    lungs, findings = _lungs(picture[box], settings)
    if lungs is None:
        return PictureResult(mask > 0, labels, extent, None, None, findings)
    mask[box], extent[box] = lungs.mask, _extent(lungs, settings)
    dense = lungs.density_hu >= settings.consolidation_hu
    labels[box] = np.where(extent[box] >= 2, np.where(dense, CONSOLIDATION, GROUND_GLASS), 0)
    return PictureResult(mask > 0, labels, extent, lungs.lung_tone, lungs.tissue_tone, findings)


def _as_float(grey: ArrayLike) -> Float32:
    picture = np.asarray(grey)
    if picture.ndim != 2 or picture.size == 0:
        msg = f"a picture of shape (rows, columns) is needed, found shape {picture.shape}"
        raise ValueError(msg)
    picture = picture.astype(np.float32)
    finite = np.isfinite(picture)
    if not finite.all():
        darkest = picture[finite].min() if finite.any() else 0.0
        picture = np.where(finite, picture, np.float32(darkest))
    return picture


def _lungs(
    picture: Float32, config: PictureConfig
) -> tuple[PictureLungs | None, tuple[Verdict, ...]]:
    """Return the lungs of a picture, turned to bright bone where it is inverted, or the reason."""
    lungs = find_picture_lungs(picture, config.lungs)
    turned = picture.max() + picture.min() - picture
    other = find_picture_lungs(turned, config.lungs)
    findings: tuple[Verdict, ...] = ()
    if other is not None and _is_inverted(lungs, other, config):
        lungs, picture, findings = other, turned, (INVERTED,)
    elif lungs is None:
        lungs = find_picture_lungs(picture, config.lungs, opened=True)
    if lungs is None:
        return None, (NO_LUNG,)
    inside = picture[lungs.mask]
    black = picture.min() + np.ptp(picture) / 64
    if np.count_nonzero(inside <= black) > config.black_share * inside.size:
        return None, (*findings, DARK_CUT_OFF)
    if lungs.tissue_tone >= picture.max() - np.ptp(picture) / 64:
        findings = (*findings, BRIGHT_CUT_OFF)
    return lungs, findings


def _is_inverted(lungs: PictureLungs | None, other: PictureLungs, config: PictureConfig) -> bool:
    """Return whether the lungs of the turned picture are the likelier ones.

    Lungs are two objects of like size without large holes; the body of a turned picture is one, and
    soft tissue that is cut off by the frame is not seen at all.
    """
    if lungs is None:
        return float(other.mask.mean()) > config.inverted_share
    factor = float(other.mask.sum() / lungs.mask.sum())
    if not other.paired or other.hole_share > config.hole_share:
        return False
    return factor > config.inverted_factor or (not lungs.paired and factor > 0.4)


def _extent(lungs: PictureLungs, config: PictureConfig) -> NDArray[np.uint8]:
    """Return how far infection reaches at the loose, default and tight limits: 1, 2, 3."""
    extent = np.zeros(lungs.mask.shape, dtype=np.uint8)
    box = box_of(lungs.mask)
    mask = lungs.mask[box]
    scale = lungs.size_px / REFERENCE_SIZE_PX
    average = _average_density(lungs.density_hu[box], mask, scale, config)
    inside = mask
    for level, step in ((1, -1), (2, 0), (3, 1)):
        found = average > config.least_hu + step * config.spread_hu
        smallest = config.smallest_px * scale**2
        whole = np.asarray(ndimage.binary_fill_holes(drop_small_parts(found, smallest)))
        inside = inside & whole
        extent[box][inside] = level
    return extent


def _average_density(density: Float32, lung: Mask, scale: float, config: PictureConfig) -> Float32:
    """Return the local mean density of lung without vessels; -inf where it is not to be judged."""
    outside = np.float32(config.lungs.lung_hu)
    scales = tuple(scale * px for px in SCALES_PX)
    vessel = vesselness(np.where(lung, density, outside), scales) >= config.vesselness_from
    solid = density > config.solid_hu
    near_solid = ndimage.distance_transform_edt(~solid) <= config.rim_px * scale
    inner = lung & (depth_inside(lung) > config.margin_px * scale)
    judged = inner & ~vessel & ~near_solid
    width = config.average_px * scale
    weight = ndimage.gaussian_filter(judged.astype(np.float32), width)
    total = ndimage.gaussian_filter(np.where(judged, density, np.float32(0)), width)
    known = inner & (weight > config.least_weight)
    return np.where(known, total / np.maximum(weight, 1e-6), np.float32(-np.inf))
