"""The files below a folder: regular ones only, no link followed out of it, within bounds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundglass.errors import ReadError, UnsafeInputError

MAX_FILES = 50_000
"""Most files below a folder."""
MAX_DEPTH = 32
"""Most folders inside one another."""


@dataclass(frozen=True)
class Tree:
    """What lies below a folder."""

    files: tuple[Path, ...]
    """Regular files, each once, in order of their paths."""
    left_out: Mapping[str, int]
    """Number of entries not looked at, by reason."""


def list_files(folder: Path) -> Tree:
    """Return the regular files below a folder.

    Links to files inside the folder are followed, as version control of data uses them; links to
    folders, links out of the folder, pipes, sockets and devices are left out and counted.

    Parameters
    ----------
    folder : Path
        A folder; may itself be reached by a link.

    Raises
    ------
    ReadError
        If the folder cannot be opened.
    UnsafeInputError
        If there are more than ``MAX_FILES`` files.
    """
    root = Path(os.path.realpath(folder))
    found: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    waiting = [(root, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            if place == root:
                msg = "the folder cannot be opened; check its permissions"
                raise ReadError(msg) from error
            left_out["folder that cannot be opened"] += 1
            continue
        for entry in entries:
            _sort_in(entry, depth, root, (found, left_out, waiting))
        if len(found) > MAX_FILES:
            msg = f"a folder of at most {MAX_FILES} files is needed; give the folder of one study"
            raise UnsafeInputError(msg)
    return Tree(tuple(found[key] for key in sorted(found)), dict(left_out))


def _sort_in(
    entry: os.DirEntry[str],
    depth: int,
    root: Path,
    books: tuple[dict[str, Path], Counter[str], list[tuple[Path, int]]],
) -> None:
    found, left_out, waiting = books
    if entry.is_dir(follow_symlinks=False):
        if depth < MAX_DEPTH:
            waiting.append((Path(entry.path), depth + 1))
        else:
            left_out["folder too deep"] += 1
    elif entry.is_file(follow_symlinks=False):
        found.setdefault(entry.path, Path(entry.path))
    elif entry.is_symlink():
        target = os.path.realpath(entry.path)
        if target.startswith(f"{root}{os.sep}") and Path(target).is_file():
            found.setdefault(target, Path(target))
        else:
            left_out["link out of the folder, to a folder or to nothing"] += 1
    else:
        left_out["pipe, socket or device"] += 1
