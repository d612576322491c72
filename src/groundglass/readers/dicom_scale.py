"""What the stored values of a series mean: HU, an unknown scale, or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from groundglass.core.scan import Intensity
from groundglass.core.verdict import Status, Verdict
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_order import common

FULL_RANGE_HU = 1000.0
"""Values that span less than this cannot tell air from tissue in HU."""
DISPLAY_BITS = 8
"""Values of so few bits are a picture unless their slope makes them span ``FULL_RANGE_HU``."""

Scaled = tuple[tuple[ImageHeader, ...], Intensity, tuple[Verdict, ...]]


def agree_on_scale(headers: Sequence[ImageHeader]) -> Scaled:
    """Return headers that all say how values become HU, and what the values mean.

    Parameters
    ----------
    headers : sequence of ImageHeader
        Slices of one series.

    Returns
    -------
    headers : tuple of ImageHeader
        Slices without rescale tags get those of their neighbours, if these have any.
    intensity : Intensity
        ``HU``, ``UNKNOWN`` without rescale tags, ``DISPLAY`` for 8-bit values.
    verdicts : tuple of Verdict
        Whatever is not plain HU.
    """
    scaled = [header for header in headers if header.scale.is_hu]
    if not scaled:
        intensity = Intensity.DISPLAY if _few_bits(headers[0]) else Intensity.UNKNOWN
        return tuple(headers), intensity, (_unscaled(headers, intensity),)
    if _few_bits(scaled[0]) and (scaled[0].scale.slope or 1) * 255 < FULL_RANGE_HU:
        return tuple(headers), Intensity.DISPLAY, (_unscaled(headers, Intensity.DISPLAY),)
    told = []
    missing = len(headers) - len(scaled)
    if missing:
        told.append(_borrowed(missing, len(headers)))
        headers = [_with_scale(header, scaled) for header in headers]
    if len({(h.scale.slope, h.scale.intercept) for h in headers}) > 1:
        told.append(_differing(headers))
    if _few_bits(headers[0]):
        told.append(_coarse(headers[0].scale.slope or 1.0))
    return tuple(headers), Intensity.HU, tuple(told)


def _few_bits(header: ImageHeader) -> bool:
    return header.layout.bits_stored <= DISPLAY_BITS


def _with_scale(header: ImageHeader, scaled: Sequence[ImageHeader]) -> ImageHeader:
    if header.scale.is_hu:
        return header
    slope, intercept = common([(h.scale.slope, h.scale.intercept) for h in scaled]) or (1.0, 0.0)
    return replace(header, scale=replace(header.scale, slope=slope, intercept=intercept, unit=None))


def _unscaled(headers: Sequence[ImageHeader], intensity: Intensity) -> Verdict:
    if intensity is Intensity.DISPLAY:
        return Verdict(
            "picture",
            Status.WARNING,
            "The DICOM images hold 8-bit grey values, not Hounsfield units",
            "They were read as pictures",
            "Percentages depend on the window the pictures were made with; no HU can be told",
        )
    unit = common([h.scale.unit for h in headers if h.scale.slope is not None])
    found = "no rescale slope and intercept" if unit is None else "a rescale to units other than HU"
    return Verdict(
        "intensity",
        Status.WARNING,
        f"The files state {found}, so their values are of unknown scale",
        "Values were read as stored; air, fat and lung must show what they mean",
        "Without a scale no HU, no ml and no infection can be told from them",
    )


def _borrowed(missing: int, total: int) -> Verdict:
    return Verdict(
        "intensity",
        Status.WARNING,
        f"{missing} of {total} slices state no rescale slope and intercept",
        "Those of the other slices were used for them",
        "If they were stored another way, infection in them is wrong",
    )


def _differing(headers: Sequence[ImageHeader]) -> Verdict:
    slopes = [h.scale.slope or 1.0 for h in headers]
    intercepts = [h.scale.intercept or 0.0 for h in headers]
    return Verdict(
        "intensity",
        Status.NOTE,
        f"Slices are rescaled differently: slope {min(slopes):g} to {max(slopes):g}, intercept "
        f"{min(intercepts):g} to {max(intercepts):g}",
        "Every slice was rescaled by its own",
        "HU are right in every slice",
    )


def _coarse(slope: float) -> Verdict:
    return Verdict(
        "intensity",
        Status.WARNING,
        f"The values have 8 bits: one step is {slope:g} HU",
        "They were rescaled to HU",
        f"HU are exact to {slope / 2:g} HU only, and percentages somewhat less sure",
    )
