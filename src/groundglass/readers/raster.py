"""PNG, JPEG and 8-bit TIFF pictures of slices: grey values of an unknown window, no scale.

A picture is never taken for Hounsfield units unless the user states the window it was made with,
and never for a size unless the user states the spacing.
"""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from groundglass.core.geometry import Geometry
from groundglass.core.provenance import Step
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers.build import MAX_VOXELS, Source, build_scan, natural_key, without_scale
from groundglass.readers.options import ReadOptions

MAX_PIXELS = 64_000_000
"""Most pixels of one picture."""
MAX_PICTURES = 5000
"""Most pictures of one scan."""
COLOUR_STEP = 32
"""Difference of red, green and blue from which a pixel counts as coloured."""
COLOUR_SHARE = 2e-4
"""Share of coloured pixels from which marks are mentioned."""
_WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, struct.error)


@dataclass(frozen=True, eq=False)
class _Frame:
    """One picture, grey."""

    path: Path
    values: NDArray[Any]
    wide: bool
    coloured: float
    turned: bool
    more_frames: bool


def read_pictures(paths: Sequence[Path], options: ReadOptions | None = None) -> Scan:
    """Read pictures of slices into one scan of display values.

    Parameters
    ----------
    paths : sequence of Path
        PNG, JPEG or TIFF files; put in the order of the numbers in their names, the first nearest
        the head unless ``options.feet_first``. Pictures of another size than most are left out.
    options : ReadOptions, optional
        ``spacing_mm`` gives the scan a scale, ``window_hu`` turns grey values into estimated HU.

    Returns
    -------
    Scan
        Values 0 to 255 of intensity ``DISPLAY``; 16-bit pictures keep their values, whose meaning
        a check must find out; HU where the window is stated. Always with a verdict ``picture``.

    Raises
    ------
    ReadError
        If no picture can be read.
    UnsafeInputError
        If there are too many pictures or pixels.
    """
    options = options or ReadOptions()
    if len(paths) > MAX_PICTURES:
        msg = f"at most {MAX_PICTURES} pictures are read as one scan, found {len(paths)}"
        raise UnsafeInputError(msg)
    frames, damaged = _load(sorted(paths, key=natural_key))
    kept = _largest_group(frames)
    if options.feet_first:
        kept = kept[::-1]
    wide = kept[0].wide
    values = np.stack([frame.values for frame in kept])
    geometry = Geometry.from_spacing(
        (values.shape[0], values.shape[1], values.shape[2]),
        options.spacing_mm or (1.0, 1.0, 1.0),
        spacing_known=options.spacing_mm is not None,
    )
    geometry = without_scale(geometry) if wide and options.spacing_mm is None else geometry
    intensity = Intensity.UNKNOWN if wide else Intensity.DISPLAY
    steps: tuple[Step, ...] = ()
    if options.window_hu is not None:
        values = _through_window(values, options.window_hu, 65535 if wide else 255)
        intensity = Intensity.HU
        steps = (Step("window_hu", {"low": options.window_hu[0], "high": options.window_hu[1]}),)
    verdicts = tuple(_verdicts(kept, options, len(frames) - len(kept), damaged))
    files = tuple(dict.fromkeys(frame.path for frame in kept))
    return build_scan(values, geometry, intensity, Source("picture", files, steps), verdicts)


def _load(paths: Sequence[Path]) -> tuple[list[_Frame], int]:
    """Return every readable picture and the number of those that are not."""
    frames: list[_Frame] = []
    damaged = 0
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frames.extend(_frames(path))
        except (*_DAMAGED, Image.DecompressionBombError):
            damaged += 1
        if (
            len(frames) > MAX_PICTURES
            or sum(f.values.size for f in frames[:1]) * len(frames) > MAX_VOXELS
        ):
            msg = f"the pictures hold more than {MAX_PICTURES} frames or {MAX_VOXELS:.0e} pixels"
            raise UnsafeInputError(msg)
    if not frames:
        msg = f"none of the {damaged} pictures can be read: damaged, cut off or too large"
        raise ReadError(msg)
    return frames, damaged


def _frames(path: Path) -> Iterator[_Frame]:
    with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            msg = f"pictures of at most {MAX_PIXELS} pixels are read"
            raise ValueError(msg)
        count = getattr(picture, "n_frames", 1)
        stacked = picture.format == "TIFF"
        for index in range(min(count, MAX_PICTURES + 1) if stacked else 1):
            picture.seek(index)
            if picture.width * picture.height > MAX_PIXELS:
                continue
            yield _frame(path, picture, more_frames=count > 1 and not stacked)


def _frame(path: Path, picture: Image.Image, *, more_frames: bool) -> _Frame:
    picture.load()
    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
    upright = ImageOps.exif_transpose(picture) if turned else picture
    if upright.mode in _WIDE_MODES:
        values = np.asarray(upright)
        return _Frame(path, values, True, 0.0, turned, more_frames)
    values, coloured = _grey(upright)
    return _Frame(path, values, False, coloured, turned, more_frames)


def _grey(picture: Image.Image) -> tuple[NDArray[np.uint8], float]:
    """Return grey values on black ground and the share of pixels that are coloured."""
    if picture.mode in ("L", "1"):
        return np.asarray(picture.convert("L")), 0.0
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(ground, picture)
    colours = np.asarray(picture.convert("RGB"))
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)
    return np.asarray(picture.convert("L")), float((spread >= COLOUR_STEP).mean())


def _largest_group(frames: Sequence[_Frame]) -> list[_Frame]:
    groups = Counter((frame.values.shape, frame.wide) for frame in frames)
    chosen = max(groups, key=lambda key: (groups[key], key[0][0] * key[0][1]))
    return [frame for frame in frames if (frame.values.shape, frame.wide) == chosen]


def _through_window(
    values: NDArray[Any], window: tuple[float, float], white: int
) -> NDArray[np.int16]:
    low, high = window
    hu: NDArray[np.int16] = np.rint(low + values * ((high - low) / white)).astype(np.int16)
    return hu


def _verdicts(
    kept: Sequence[_Frame], options: ReadOptions, left_out: int, damaged: int
) -> Iterator[Verdict]:
    yield _picture_verdict(kept, options)
    if len(kept) > 1:
        yield _order_verdict(len(kept), feet_first=options.feet_first)
    if left_out or damaged:
        yield Verdict(
            "files_skipped",
            Status.WARNING if damaged else Status.NOTE,
            f"{left_out} pictures differ in size or depth from the largest group of {len(kept)}, "
            f"{damaged} cannot be read",
            "They were left out",
            "The numbers say nothing about them",
        )
    yield from _oddities(kept)


def _picture_verdict(kept: Sequence[_Frame], options: ReadOptions) -> Verdict:
    grey = "65536" if kept[0].wide else "256"
    missing = ["density in HU"] if options.window_hu is None else []
    missing += ["ml"] if options.spacing_mm is None else []
    done = "They were measured as pictures, slice by slice"
    if options.window_hu is not None:
        low, high = options.window_hu
        done = f"HU were estimated from the stated window {low:g} to {high:g}"
    return Verdict(
        "picture",
        Status.WARNING,
        f"{len(kept)} picture{'s' * (len(kept) > 1)} with {grey} grey values, not a CT with "
        "Hounsfield units",
        done,
        f"Percentages are given, not {' and '.join(missing)}; right and left cannot be told"
        if missing
        else "Densities are only as good as the stated window and spacing",
    )


def _order_verdict(count: int, *, feet_first: bool) -> Verdict:
    return Verdict(
        "ordering",
        Status.NOTE,
        f"{count} pictures carry no positions",
        "They were put in the order of the numbers in their names, the "
        f"{'last' if feet_first else 'first'} nearest the head",
        "In another order upper and lower zones are exchanged; percentages of all are not affected",
    )


def _oddities(kept: Sequence[_Frame]) -> Iterator[Verdict]:
    coloured = sum(frame.coloured > COLOUR_SHARE for frame in kept)
    if coloured:
        yield Verdict(
            "image_type",
            Status.WARNING,
            f"{coloured} of {len(kept)} pictures hold coloured marks or text",
            "Colours were turned to grey and measured with the rest",
            "Marks inside the lungs may count as infection",
        )
    turned = sum(frame.turned for frame in kept)
    if turned:
        yield Verdict(
            "orientation",
            Status.NOTE,
            f"{turned} pictures say they were taken turned",
            "They were turned upright as they say",
            "Percentages are not affected",
        )
    animated = sum(frame.more_frames for frame in kept)
    if animated:
        yield Verdict(
            "image_type",
            Status.NOTE,
            f"{animated} pictures hold several frames",
            "The first frame was measured",
            "The numbers say nothing about the other frames",
        )
