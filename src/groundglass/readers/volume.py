"""Volumes in one file, and TIFF slices: the door to the readers by format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundglass.core.scan import Scan
from groundglass.errors import UnsupportedFormatError
from groundglass.readers import sniff
from groundglass.readers.metaimage import read_metaimage
from groundglass.readers.nifti import read_nifti
from groundglass.readers.nrrd import read_nrrd
from groundglass.readers.options import ReadOptions
from groundglass.readers.raster import read_pictures
from groundglass.readers.tiff import is_deep, read_tiff

_READERS = {"nifti": read_nifti, "nrrd": read_nrrd, "metaimage": read_metaimage}


def read_volume(path: Path, options: ReadOptions | None = None) -> Scan:
    """Read a NIfTI, NRRD, MetaImage or TIFF file, whatever its name says.

    Parameters
    ----------
    path : Path
        A file, or a folder of TIFF slices.
    options : ReadOptions, optional
        Offset, spacing and direction of TIFF files.

    Returns
    -------
    Scan
        In canonical orientation, with verdicts on everything doubtful. NIfTI, NRRD and MetaImage
        do not say what their values mean: intensity ``UNKNOWN``.

    Raises
    ------
    UnsupportedFormatError
        If the content is none of these formats.
    ReadError
        If the file is damaged or holds no volume.
    """
    if path.is_dir():
        return read_slices([p for p in path.iterdir() if sniff.kind(p) == "tiff"], options)
    kind = sniff.kind(path)
    reader = _READERS.get(kind or "")
    if reader is not None:
        return reader(path)
    if kind == "tiff":
        return read_slices([path], options)
    msg = f"a NIfTI, NRRD, MetaImage or TIFF volume is needed, found {kind or 'unknown content'}"
    raise UnsupportedFormatError(msg)


def read_slices(paths: Sequence[Path], options: ReadOptions | None = None) -> Scan:
    """Read TIFF files as one scan: of HU if they have more than 8 bits, else as pictures.

    Parameters
    ----------
    paths : sequence of Path
        TIFF files; of mixed depths those of more than 8 bits are read.
    options : ReadOptions, optional
        Offset, spacing, direction and window.

    Raises
    ------
    ReadError
        If none can be read.
    """
    deep = [path for path in paths if is_deep(path)]
    return read_tiff(deep, options) if deep else read_pictures(paths, options)
