"""The one door: whatever lies at a path becomes a scan, told by content and not by suffix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from groundglass.core.progress import OnProgress, silent
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import (
    GroundglassError,
    InconsistentSeriesError,
    ReadError,
    UnsupportedFormatError,
)
from groundglass.readers import sniff
from groundglass.readers.archive import unpacked
from groundglass.readers.dicom import read_dicom
from groundglass.readers.dicom_index import index_dicom
from groundglass.readers.options import ReadOptions
from groundglass.readers.raster import read_pictures
from groundglass.readers.tree import Tree, list_files
from groundglass.readers.volume import read_slices, read_volume

__all__ = ["ReadOptions", "read_scan"]

_VOLUMES = frozenset({"nifti", "nrrd", "metaimage"})
_ARCHIVES = frozenset({"zip", "tar", "gzip"})
_PICTURES = frozenset({"png", "jpeg"})
_OTHER = "file of another kind"
_NEEDED = (
    "a CT is needed: DICOM slices, NIfTI, NRRD, MetaImage, TIFF, PNG or JPEG slices, or a ZIP or "
    "tar file of these"
)


def read_scan(
    path: Path | str,
    series: str | None = None,
    options: ReadOptions | None = None,
    on_progress: OnProgress = silent,
) -> Scan:
    """Read whatever lies at a path into one scan.

    Parameters
    ----------
    path : Path or str
        A folder with any mix of files (nested, without suffixes, several DICOM series), one file,
        or a ZIP or tar archive of either. DICOM wins over other formats in the same place.
    series : str, optional
        DICOM series to read: its UID, the beginning of it, or its number in the list of series.
        Without it the series that suits best is chosen, and a verdict says why.
    options : ReadOptions, optional
        What the files do not say.
    on_progress : callable
        Told about headers and slices read.

    Returns
    -------
    Scan
        In canonical orientation, with a verdict for everything that was noticed.

    Raises
    ------
    UnsupportedFormatError
        If nothing at the path is an image of a known format.
    InconsistentSeriesError
        If the images do not form one scan, or the wanted series is not there.
    UnsafeInputError
        If reading would harm the machine.
    NotAnalyzableError
        If the images are of another modality than CT.
    ReadError
        If the path does not exist or what is there is damaged.
    """
    options = options or ReadOptions()
    options = options if series is None else replace(options, series=series)
    path = Path(path)
    if path.is_dir():
        return _read_tree(list_files(path), options, on_progress)
    if not path.is_file():
        msg = "a file or folder is needed, and there is none at the path given"
        raise ReadError(msg)
    return _read_tree(Tree((path,), {}), options, on_progress)


def _read_tree(tree: Tree, options: ReadOptions, on_progress: OnProgress) -> Scan:
    index = index_dicom(tree.files, on_progress)
    left_out = Counter(tree.left_out) + Counter(index.skipped)
    if index.images:
        left_out[_OTHER] += len(index.others)
        return read_dicom(index.images, +left_out, options, on_progress)
    kinds: dict[str, list[Path]] = {}
    for path in index.others:
        kinds.setdefault(sniff.kind(path) or "unknown", []).append(path)
    return _read_kinds(kinds, left_out, options, on_progress)


def _read_kinds(
    kinds: Mapping[str, list[Path]],
    left_out: Counter[str],
    options: ReadOptions,
    on_progress: OnProgress,
) -> Scan:
    """Read the files of the best kind there is: volumes, then TIFF, pictures, archives."""
    volumes = _without_pairs([p for kind in sorted(_VOLUMES) for p in kinds.get(kind, [])])
    pictures = [p for kind in sorted(_PICTURES) for p in kinds.get(kind, [])]
    archives = [p for kind in sorted(_ARCHIVES) for p in kinds.get(kind, [])]
    tiffs = kinds.get("tiff", [])
    total = sum(len(paths) for paths in kinds.values())
    if volumes:
        _require_one(volumes, "volumes")
        scan, used = read_volume(volumes[0], options), total - len(_beside(kinds, _VOLUMES))
    elif len(tiffs) >= max(1, len(pictures)):
        scan, used = read_slices(tiffs, options), len(tiffs)
    elif pictures:
        scan, used = read_pictures(pictures, options), len(pictures)
    elif archives:
        _require_one(archives, "archives")
        scan, used = _read_archive(archives[0], options, on_progress), 1
    else:
        raise _nothing(left_out, total)
    left_out[_OTHER] += total - used
    return scan.told(*_left_out_verdict(+left_out))


def _beside(kinds: Mapping[str, list[Path]], used: frozenset[str]) -> list[Path]:
    return [path for kind, paths in kinds.items() if kind not in used for path in paths]


def _read_archive(path: Path, options: ReadOptions, on_progress: OnProgress) -> Scan:
    told: list[Verdict] = []
    with unpacked(path, told.append) as folder:
        try:
            scan = _read_tree(list_files(folder), options, on_progress)
        except GroundglassError as error:
            error.verdicts = (*told, *error.verdicts)
            raise
    return replace(scan, verdicts=(*told, *scan.verdicts))


def _without_pairs(volumes: Sequence[Path]) -> list[Path]:
    """Return volumes without the voxel files of header and voxel pairs."""
    headers = {path.with_suffix("") for path in volumes if path.suffix.lower() == ".hdr"}
    return [
        path
        for path in volumes
        if not (path.suffix.lower() == ".img" and path.with_suffix("") in headers)
    ]


def _require_one(paths: Sequence[Path], what: str) -> None:
    if len(paths) > 1:
        msg = f"one scan is needed and {len(paths)} {what} were found; give the path of one"
        raise InconsistentSeriesError(msg)


def _left_out_verdict(left_out: Mapping[str, int]) -> tuple[Verdict, ...]:
    if not left_out:
        return ()
    kinds = ", ".join(f"{count} x {reason}" for reason, count in sorted(left_out.items()))
    return (
        Verdict(
            "files_skipped",
            Status.NOTE,
            f"{sum(left_out.values())} files are not part of the scan: {kinds}",
            "They were left out",
            "",
        ),
    )


def _nothing(left_out: Counter[str], others: int) -> ReadError:
    left_out[_OTHER] += others
    if not +left_out:
        return UnsupportedFormatError(f"{_NEEDED}; there is no file")
    kinds = ", ".join(f"{count} x {reason}" for reason, count in sorted((+left_out).items()))
    verdict = Verdict(
        "files_skipped",
        Status.REFUSED,
        f"No file holds a slice of a CT: {kinds}",
        "Nothing was read",
        "No number can be told",
    )
    return UnsupportedFormatError(f"{_NEEDED}; found {kinds}", (verdict,))
