"""Slices in order to one array of Hounsfield units, a damaged slice costing itself only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.errors import UnsafeInputError
from groundglass.readers.build import MAX_VOXELS
from groundglass.readers.dicom_file import load_pixels
from groundglass.readers.dicom_header import ImageHeader, ValueScale
from groundglass.readers.dicom_pixels import PixelDataError, decode_frame, split_frames

THREADS = 4
"""Most threads that decode; never more than there are processors."""
AIR_HU = -1024
"""Value given to pixels that stand for no measurement."""
PADDING_BELOW_HU = -1500
"""Values below this are no measurement, whatever the header says."""
PADDING_MOST_HU = -900.0
"""A stated padding value above this is taken for a measurement: the tag lies."""
_STAGE = "reading slices"


@dataclass(frozen=True, slots=True)
class SliceReport:
    """What decoding one slice showed."""

    fault: str | None
    """Why it could not be decoded; ``None`` if it could."""
    true_extremes: bool | None = None
    """Whether smallest and largest value are as the header says; ``None`` if it does not."""
    padded: int = 0
    """Pixels that stand for no measurement."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Voxels of all slices and what was seen on the way."""

    voxels: NDArray[Any]
    """(slices, rows, columns): int16 HU, or int32 stored values; faulty slices hold no meaning."""
    reports: tuple[SliceReport, ...]
    """One per slice."""
    sha256: str
    """Hash of the bytes of the files in slice order, those without a decodable slice left out."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The slices of one file."""

    path: Path
    indices: tuple[int, ...]
    headers: tuple[ImageHeader, ...]


def decode(
    headers: Sequence[ImageHeader], *, to_hu: bool, on_progress: OnProgress = silent
) -> Decoded:
    """Return the voxels of slices in the order given.

    Parameters
    ----------
    headers : sequence of ImageHeader
        Slices of one size.
    to_hu : bool
        Rescale every slice by its own slope and intercept, rounded and clipped to int16, and set
        padding to air; otherwise leave the stored values.
    on_progress : callable
        Told after every file.

    Returns
    -------
    Decoded
        With a report per slice.

    Raises
    ------
    UnsafeInputError
        If the slices would fill more memory than any scan needs.
    """
    layout = headers[0].layout
    shape = (len(headers), layout.rows, layout.columns)
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        msg = f"a series of at most {MAX_VOXELS:.0e} voxels is needed, found {shape}; split it"
        raise UnsafeInputError(msg)
    voxels = np.empty(shape, dtype=np.int16 if to_hu else np.int32)
    jobs = _jobs(headers)
    digest = hashlib.sha256()
    reports: dict[int, SliceReport] = {}
    with (
        _quiet_itk(),
        TemporaryDirectory(prefix="groundglass-") as scratch,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool,
    ):
        results = pool.map(lambda job: _run(job, voxels, Path(scratch), to_hu=to_hu), jobs)
        for done, (stored, found) in enumerate(results, 1):
            if any(report.fault is None for report in found.values()):
                digest.update(stored)
            reports |= found
            on_progress(Progress(_STAGE, done, len(jobs)))
    return Decoded(voxels, tuple(reports[i] for i in range(len(headers))), digest.hexdigest())


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings off the user's screen, and leave the switch as it was."""
    switch: Any = SimpleITK.ProcessObject
    before = switch.GetGlobalWarningDisplay()
    switch.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        switch.SetGlobalWarningDisplay(before)


def _jobs(headers: Sequence[ImageHeader]) -> list[_Job]:
    by_path: dict[Path, list[int]] = {}
    for index, header in enumerate(headers):
        by_path.setdefault(header.path, []).append(index)
    return [
        _Job(path, tuple(indices), tuple(headers[i] for i in indices))
        for path, indices in by_path.items()
    ]


def _run(
    job: _Job, voxels: NDArray[Any], scratch: Path, *, to_hu: bool
) -> tuple[bytes, dict[int, SliceReport]]:
    """Decode the slices of one file into their places."""
    layout = job.headers[0].layout
    try:
        stored, element = load_pixels(job.path, layout.offset)
        frames = split_frames(element, layout)
    except PixelDataError as error:
        return b"", dict.fromkeys(job.indices, SliceReport(str(error)))
    except (OSError, ValueError):
        return b"", dict.fromkeys(job.indices, SliceReport("file that cannot be read"))
    reports = {}
    for index, header in zip(job.indices, job.headers, strict=True):
        try:
            values = decode_frame(frames[header.frame], layout, scratch / f"{index}.dcm")
        except (PixelDataError, MemoryError) as error:
            reports[index] = SliceReport(str(error))
            continue
        reports[index] = _fill(voxels[index], values, header, to_hu=to_hu)
    return stored, reports


def _fill(
    target: NDArray[Any], values: NDArray[Any], header: ImageHeader, *, to_hu: bool
) -> SliceReport:
    low, high = int(values.min()), int(values.max())
    single = header.layout.frames == 1
    true_extremes = _extremes_fit(header.scale, low, high) if single else None
    if not to_hu:
        target[...] = values
        return SliceReport(None, true_extremes)
    scale = header.scale
    slope, intercept = scale.slope or 1.0, scale.intercept or 0.0
    ends = (low * slope + intercept, high * slope + intercept)
    _rescale(target, values, slope, intercept, fits=max(ends) <= 32767 and min(ends) >= -32768)
    return SliceReport(None, true_extremes, _pad(target, values, scale, min(ends)))


def _rescale(
    target: NDArray[Any], values: NDArray[Any], slope: float, intercept: float, *, fits: bool
) -> None:
    if fits and slope == 1 and intercept.is_integer() and abs(intercept) < 32768:
        np.add(values, np.int16(intercept), out=target, casting="unsafe")
        return
    exact = np.rint(values * np.float64(slope) + intercept)
    target[...] = np.clip(exact, -32768, 32767)


def _pad(target: NDArray[Any], values: NDArray[Any], scale: ValueScale, lowest_hu: float) -> int:
    """Set pixels without a measurement to air and return how many there were."""
    padded = 0
    if scale.padding is not None and _is_air(scale):
        low, high = scale.padding
        mask = (values >= low) & (values <= high)
        padded = int(np.count_nonzero(mask))
        target[mask] = AIR_HU
    if lowest_hu < PADDING_BELOW_HU:
        mask = target < PADDING_BELOW_HU
        padded += int(np.count_nonzero(mask))
        target[mask] = AIR_HU
    return padded


def _is_air(scale: ValueScale) -> bool:
    """Return whether the stated padding lies below every measurement."""
    assert scale.padding is not None
    slope, intercept = scale.slope or 1.0, scale.intercept or 0.0
    return max(value * slope + intercept for value in scale.padding) <= PADDING_MOST_HU


def _extremes_fit(scale: ValueScale, low: int, high: int) -> bool | None:
    """Return whether the header's extremes are those found; signed and unsigned may be mixed."""
    if scale.extremes is None:
        return None
    pairs = zip(scale.extremes, (low, high), strict=True)
    return all((stated - found) % 65536 == 0 for stated, found in pairs)
