"""The files behind a scan that was read before: which, in which order, on which grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundglass.errors import InconsistentSeriesError
from groundglass.readers import sniff
from groundglass.readers.archive import unpacked
from groundglass.readers.dicom_file import quiet_pydicom
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_index import index_dicom
from groundglass.readers.dicom_order import Placement, place
from groundglass.readers.dicom_series import choose
from groundglass.readers.dicom_stacks import find_stacks
from groundglass.readers.options import ReadOptions
from groundglass.readers.tree import Tree, list_files

_ARCHIVES = frozenset({"zip", "tar", "gzip"})


@contextmanager
def placed_slices(path: Path, options: ReadOptions) -> Iterator[Placement]:
    """Find again the DICOM slices that ``read_scan`` takes, without decoding them.

    Parameters
    ----------
    path : Path
        Folder, file or archive, as given to ``read_scan``.
    options : ReadOptions
        The same options, the wanted series among them.

    Yields
    ------
    Placement
        Headers in slice order with the grid they lie on, before the scan was turned to its
        canonical orientation and before slices with damaged pixels were dropped. The files exist
        as long as the context does.

    Raises
    ------
    InconsistentSeriesError
        If there are no DICOM slices at the path any more.
    """
    tree = list_files(path) if path.is_dir() else Tree((path,), {})
    index = index_dicom(tree.files)
    if index.images:
        yield _placed(index.images, options)
        return
    archives = [file for file in index.others if sniff.kind(file) in _ARCHIVES]
    if len(archives) != 1:
        raise _gone()
    with unpacked(archives[0]) as folder:
        images = index_dicom(list_files(folder).files).images
        if not images:
            raise _gone()
        yield _placed(images, options)


def _placed(images: tuple[ImageHeader, ...], options: ReadOptions) -> Placement:
    with quiet_pydicom():
        stack, _ = choose(find_stacks(images), options.series)
        return place(stack.located, options)


def _gone() -> InconsistentSeriesError:
    return InconsistentSeriesError("the DICOM slices that were read are not there any more")
