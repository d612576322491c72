"""The folder of a comparison: all of it or nothing, and nothing of anybody else's."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from groundglass.errors import ExportError
from groundglass.followup.compare import Comparison
from groundglass.followup.document import document, timeline_csv
from groundglass.followup.page import render_page
from groundglass.writers.masks import mask_bytes

PAGE, TABLE, DOCUMENT = "compare.html", "timeline.csv", "compare.json"


def names_of(scans: int) -> tuple[str, ...]:
    """Return the files a comparison of so many scans may write."""
    maps = tuple(f"change_{number}.nii.gz" for number in range(2, scans + 1))
    return (*maps, PAGE, TABLE, DOCUMENT)


def check_folder(
    out: Path, scans: int, *, force: bool = False, sources: Sequence[Path] = ()
) -> None:
    """Refuse a folder that the comparison cannot go to, before any work is done.

    Raises
    ------
    ExportError
        If it is a link or a file, lies inside an input, or holds an earlier comparison.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        msg = "a folder is needed for the comparison, and a file or link of that name exists"
        raise ExportError(msg)
    for source in sources:
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            msg = "the output folder lies inside an input folder; choose one outside it"
            raise ExportError(msg)
        if source.is_file() and any(
            (out / name).resolve() == source.resolve() for name in names_of(scans)
        ):
            msg = "an input is a file that the comparison would replace; choose another folder"
            raise ExportError(msg)
    taken = [name for name in names_of(scans) if (out / name).exists()]
    if taken and not force:
        msg = (
            f"the output folder already holds {', '.join(taken)}; choose another folder or use "
            "--force to replace them"
        )
        raise ExportError(msg)


def write_comparison(comparison: Comparison, out: Path, *, force: bool = False) -> tuple[Path, ...]:
    """Write page, table, document and maps of changes.

    Parameters
    ----------
    comparison : Comparison
    out : Path
        The folder; made if missing.
    force : bool
        Replace the files of an earlier comparison.

    Raises
    ------
    ExportError
        If the folder cannot be used, or writing fails.
    """
    check_folder(out, len(comparison.visits), force=force)
    makers = _makers(comparison)
    work = out.parent / f".groundglass-{secrets.token_hex(6)}"
    try:
        work.mkdir(parents=True)
        for name, make in makers.items():
            (work / name).write_bytes(make())
        out.mkdir(exist_ok=True)
        for name in names_of(len(comparison.visits)):
            (out / name).unlink(missing_ok=True)
        for name in makers:
            (work / name).replace(out / name)
    except OSError as error:
        msg = f"the output folder cannot be written to: {error.strerror or type(error).__name__}"
        raise ExportError(msg) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tuple(out / name for name in makers)


def _makers(comparison: Comparison) -> dict[str, Callable[[], bytes]]:
    grid = comparison.visits[0].result.scan.geometry
    makers: dict[str, Callable[[], bytes]] = {
        f"change_{number}.nii.gz": partial(mask_bytes, visit.map, grid)
        for number, visit in enumerate(comparison.visits, start=1)
        if visit.map is not None
    }
    makers[PAGE] = lambda: render_page(comparison).encode()
    makers[TABLE] = lambda: timeline_csv(comparison).encode()
    makers[DOCUMENT] = partial(_json, comparison)
    return makers


def _json(comparison: Comparison) -> bytes:
    return (json.dumps(document(comparison), indent=2) + "\n").encode()
