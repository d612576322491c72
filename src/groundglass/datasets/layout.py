"""Finding files of a dataset's original layout, and refusing another in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundglass.errors import ReadError


def require_folder(root: Path, inside: str, dataset: str) -> Path:
    """Return a folder of the layout.

    Raises
    ------
    ReadError
        If it is missing, naming what was expected where.
    """
    folder = root / inside
    if not folder.is_dir():
        msg = f"{dataset} in its original layout needs the folder '{inside}', which is missing here"
        raise ReadError(msg)
    return folder


def require_file(root: Path, names: Sequence[str], dataset: str) -> Path:
    """Return the first of several file names that is there.

    Raises
    ------
    ReadError
        If none is.
    """
    for name in names:
        if (root / name).is_file():
            return root / name
    wanted = " or ".join(f"'{name}'" for name in names)
    msg = f"{dataset} in its original layout needs the file {wanted}, which is missing here"
    raise ReadError(msg)
