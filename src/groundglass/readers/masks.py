"""Label masks made by other programs, brought to the grid of a scan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.orientation import to_canonical
from groundglass.core.results import Labels
from groundglass.core.scan import Scan
from groundglass.core.verdict import Verdict
from groundglass.errors import ReadError, UnsupportedFormatError
from groundglass.readers import sniff
from groundglass.readers.build import natural_key
from groundglass.readers.label_grid import onto
from groundglass.readers.metaimage import read_metaimage
from groundglass.readers.nifti import label_names, read_nifti
from groundglass.readers.nrrd import load_nrrd
from groundglass.readers.raster import read_pictures
from groundglass.readers.segmentation import read_segmentation

MAX_PARTS = 255
"""Most files of a folder of masks."""
_SEGMENT = re.compile(r"Segment(\d{1,4})_(Name|LabelValue|Layer)")
_LOBE = re.compile(r"lung_(upper|middle|lower)_lobe_(left|right)|lung_(left|right)|lungs?")

OnVerdict = Callable[[Verdict], None]


@dataclass(frozen=True, eq=False)
class _Mask:
    """Labels on their own grid."""

    labels: Labels
    geometry: Geometry
    names: Mapping[int, str]


def _keep_silent(_: Verdict) -> None:
    """Take no notice."""


def read_labels(
    path: Path, geometry: Geometry, on_verdict: OnVerdict = _keep_silent
) -> tuple[Labels, dict[int, str]]:
    """Read a label mask onto the grid of a scan.

    Parameters
    ----------
    path : Path
        A NIfTI, NRRD (Slicer's segmentations too), MetaImage or DICOM SEG file, a PNG or TIFF
        stack with as many slices as the scan, or a folder with one NIfTI file for every part as
        TotalSegmentator writes it.
    geometry : Geometry
        The scan's grid. A mask on the same grid in another orientation, or on another grid at the
        same place, is brought to it.
    on_verdict : callable
        Told if the labels had to be brought from another grid.

    Returns
    -------
    labels : ndarray of uint8
        (slices, rows, columns) on ``geometry``, canonical.
    names : dict
        Names of labels, where the file or the file names tell them; else empty.

    Raises
    ------
    GridMismatchError
        If the mask lies somewhere else than the scan; the message states both grids.
    ReadError
        If the file is damaged, or holds no labels between 0 and 255.
    UnsupportedFormatError
        If no reader knows the content.
    """
    if path.is_dir():
        return _read_folder(path, geometry, on_verdict)
    mask = _read_file(path)
    labels, verdict = onto(mask.labels, mask.geometry, geometry)
    if verdict is not None:
        on_verdict(verdict)
    present = set(np.unique(labels).tolist())
    return labels, {value: name for value, name in mask.names.items() if value in present}


def _read_file(path: Path) -> _Mask:
    kind = sniff.kind(path)
    if kind == "nifti":
        return _of_scan(read_nifti(path), label_names(path))
    if kind == "nrrd":
        return _read_nrrd(path)
    if kind == "metaimage":
        return _of_scan(read_metaimage(path))
    if kind == "dicom":
        labels, grid, names = read_segmentation(path)
        return _Mask(labels, grid, names)
    if kind in ("png", "tiff"):
        return _of_scan(read_pictures([path]))
    msg = (
        "a mask as NIfTI, NRRD, MetaImage, DICOM SEG, PNG or TIFF is needed, found "
        f"{kind or 'unknown content'}"
    )
    raise UnsupportedFormatError(msg)


def _of_scan(scan: Scan, names: Mapping[int, str] | None = None) -> _Mask:
    return _Mask(_whole(scan.voxels), scan.geometry, names or {})


def _whole(values: NDArray[Any]) -> Labels:
    """Return label values as uint8, refusing what is no label."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255 or (values.dtype.kind == "f" and (values != np.rint(values)).any()):
        msg = (
            f"a mask of whole numbers from 0 to 255 is needed, found values from {low:g} to "
            f"{high:g}; is it the scan itself, or a probability map?"
        )
        raise ReadError(msg)
    return values.astype(np.uint8)


def _read_nrrd(path: Path) -> _Mask:
    """Read an NRRD mask with the names Slicer gives to segments; layers are put into one.

    Where segments in different layers overlap the later one counts.
    """
    volumes = load_nrrd(path)
    layers = [_whole(layer) for layer in volumes.values]
    segments = _segments(volumes.notes)
    names = {segment.label: segment.name for segment in segments}
    labels = layers[0]
    if len(layers) > 1:
        labels = np.zeros_like(labels)
        names = {}
        for value, segment in enumerate(segments, start=1):
            if segment.layer < len(layers) and value <= MAX_PARTS:
                labels[layers[segment.layer] == segment.label] = value
                names[value] = segment.name
    turned, grid = to_canonical(labels, volumes.geometry)
    return _Mask(np.ascontiguousarray(turned), grid, names)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One segment of a Slicer segmentation."""

    label: int
    layer: int
    name: str


def _segments(notes: Mapping[str, str]) -> list[_Segment]:
    """Return the segments that key and value pairs describe, in their order."""
    found: dict[int, dict[str, str]] = {}
    for key, value in notes.items():
        match = _SEGMENT.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [
        _Segment(int(tags["LabelValue"]), int(tags.get("Layer", "0")), tags["Name"])
        for _, tags in sorted(found.items())
        if "Name" in tags
        and tags.get("LabelValue", "").isdecimal()
        and tags.get("Layer", "0").isdecimal()
    ]


def _read_folder(
    folder: Path, geometry: Geometry, on_verdict: OnVerdict
) -> tuple[Labels, dict[int, str]]:
    """Read one file for every part; where parts overlap the first by name counts."""
    files = [p for p in sorted(folder.iterdir(), key=natural_key) if sniff.kind(p) == "nifti"]
    named = {path.name.split(".")[0].lower(): path for path in files}
    wanted = {name: path for name, path in named.items() if _LOBE.fullmatch(name)}
    wanted = wanted or {name: path for name, path in named.items() if "lung" in name}
    if not wanted or len(wanted) > MAX_PARTS:
        msg = (
            f"a folder of NIfTI masks named after parts of the lung is needed (as "
            f"TotalSegmentator writes them), found {len(files)} NIfTI files and none of these names"
        )
        raise UnsupportedFormatError(msg)
    labels = np.zeros(geometry.shape, np.uint8)
    told: list[Verdict] = []
    for value, path in enumerate(wanted.values(), start=1):
        part, _ = read_labels(path, geometry, told.append)
        labels[(part > 0) & (labels == 0)] = value
    if told:
        on_verdict(told[0])
    return labels, dict(enumerate(wanted, start=1))
