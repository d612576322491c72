"""The folder a result is written to: all of it or nothing, and nothing of anybody else's."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from groundglass.core.results import CaseResult
from groundglass.core.serial import to_json
from groundglass.errors import ExportError
from groundglass.writers.document import ResultDocument
from groundglass.writers.masks import mask_bytes
from groundglass.writers.preview import preview_png
from groundglass.writers.report import render_report
from groundglass.writers.summary import result_document
from groundglass.writers.table import slices_csv

RESULT = "result.json"
FILES = (
    "attention.nii.gz",
    "config.json",
    "infection.nii.gz",
    "lobes.nii.gz",
    "lungs.nii.gz",
    "preview.png",
    "report.html",
    "slices.csv",
    RESULT,
)
"""All that a result folder may hold of ours; the result comes last and vouches for the rest."""
DICOM_FOLDER = "dicom"
"""Folder of DICOM objects beside them, where these were asked for."""
OVERLAY = "overlay"
"""Folder in it that holds one file per picture."""
_DICOM_FILES = re.compile(r"(seg|sr|report)\.dcm|overlay(/\d{4}\.dcm)?")
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a part of the path is a file",
}


def check_out(out: Path, *, force: bool = False, source: Path | None = None) -> None:
    """Refuse a folder that a result cannot go to, before any work is done.

    Parameters
    ----------
    out : Path
        The folder; it need not exist.
    force : bool
        Whether files of an earlier result may be replaced.
    source : Path, optional
        The input; a result must not lie inside an input folder.

    Raises
    ------
    ExportError
        If ``out`` is a link, a file, inside the input, holds a result already, or would replace
        the input.
    """
    with told_os_errors("looked at"):
        if out.is_symlink():
            msg = "the output folder is a symbolic link; name the folder it leads to"
            raise ExportError(msg)
        if out.exists() and not out.is_dir():
            msg = "the output folder is needed and a file of that name exists; choose another name"
            raise ExportError(msg)
        if source is not None and source.is_dir() and _inside(out, source):
            msg = "the output folder lies inside the input folder; choose one outside it"
            raise ExportError(msg)
        if source is not None and any(_same_file(source, out / name) for name in FILES):
            msg = (
                "the input or mask is a file that the result would replace; choose another output "
                "folder, or move it out of this one"
            )
            raise ExportError(msg)
        taken = [name for name in FILES if os.path.lexists(out / name)]
    folders = [name for name in taken if (out / name).is_dir() and not (out / name).is_symlink()]
    if folders:
        msg = f"the output folder holds folders of the names needed for files: {', '.join(folders)}"
        raise ExportError(msg)
    if (out / DICOM_FOLDER).is_dir():
        _require_ours(out / DICOM_FOLDER)
        taken.append(DICOM_FOLDER)
    if taken and not force:
        msg = (
            f"the output folder already holds {', '.join(taken)}; choose another folder or use "
            "--force to replace them"
        )
        raise ExportError(msg)


def write_case(
    result: CaseResult,
    out: Path | str,
    *,
    force: bool = False,
    source: Path | None = None,
    document: ResultDocument | None = None,
) -> tuple[Path, ...]:
    """Write a result to a folder, whole or not at all.

    Parameters
    ----------
    result : CaseResult
        What to write.
    out : path
        The folder; made if missing, with its parents.
    force : bool
        Replace the files of an earlier result; files of others are never touched.
    source : Path, optional
        The input, to make sure that ``out`` does not lie inside it.
    document : ResultDocument, optional
        The document, if it was made already.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    ExportError
        If the folder cannot be used, or writing fails.
    """
    told = document or result_document(result)
    return _write(Path(out), _makers(result, told), force=force, source=source)


def write_refusal(
    document: ResultDocument, out: Path | str, *, force: bool = False, source: Path | None = None
) -> tuple[Path, ...]:
    """Write why an input was not analyzed; with ``force`` files of an earlier result go.

    Parameters
    ----------
    document : ResultDocument
        A refusal.
    out : path
        The folder; made if missing.
    force : bool
        Replace the files of an earlier result.
    source : Path, optional
        The input.

    Raises
    ------
    ExportError
        If the folder cannot be used, or writing fails.
    """
    makers = {RESULT: lambda: document.to_json().encode()}
    return _write(Path(out), makers, force=force, source=source)


Makers = Mapping[str, Callable[[], bytes]]


def _makers(result: CaseResult, document: ResultDocument) -> Makers:
    """Return how each file is made, the slow ones first."""
    grid = result.scan.geometry
    lobes = result.lobes
    given: Makers = (
        {} if lobes is None else {"lobes.nii.gz": lambda: mask_bytes(lobes.labels, grid)}
    )
    seen = result.attention
    more: Makers = (
        {} if seen is None else {"attention.nii.gz": lambda: mask_bytes(seen.values, grid)}
    )
    return {
        **given,
        **more,
        "lungs.nii.gz": lambda: mask_bytes(result.lungs.labels, grid),
        "infection.nii.gz": lambda: mask_bytes(result.infection.labels, grid),
        "report.html": lambda: render_report(result, document).encode(),
        "preview.png": lambda: preview_png(result, document),
        "slices.csv": lambda: slices_csv(document.slices).encode(),
        "config.json": (to_json(result.config) + "\n").encode,
        RESULT: lambda: document.to_json().encode(),
    }


def _write(out: Path, makers: Makers, *, force: bool, source: Path | None) -> tuple[Path, ...]:
    check_out(out, force=force, source=source)
    with told_os_errors():
        out.parent.mkdir(parents=True, exist_ok=True)
        with _workshop(out) as work:
            _make(work, makers)
            _move(work, out, makers)
    return tuple(out / name for name in FILES if name in makers)


def _make(work: Path, makers: Makers) -> None:
    def make(name: str) -> None:
        (work / name).write_bytes(makers[name]())

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(make, makers))


def _move(work: Path, out: Path, makers: Makers) -> None:
    """Bring finished files into place; without a result file a folder is not a result."""
    if not out.exists():
        work.rename(out)
        return
    if (out / DICOM_FOLDER).is_dir():
        (out / DICOM_FOLDER).rename(work / DICOM_FOLDER)
    for name in reversed(FILES):
        if os.path.lexists(out / name):
            (out / name).unlink()
    for name in FILES:
        if name in makers:
            (work / name).replace(out / name)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``out`` and remove what is left of it in the end."""
    work = out.parent / f".groundglass-{secrets.token_hex(6)}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def told_os_errors(what: str = "written to") -> Iterator[None]:
    """Turn the system's errors about the output folder into a sentence without paths."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        msg = f"the output folder cannot be {what}: {reason}"
        raise ExportError(msg) from error


def _require_ours(folder: Path) -> None:
    """Refuse a folder of DICOM objects that holds what no result of ours does."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not _DICOM_FILES.fullmatch(path.relative_to(folder).as_posix()):
            msg = (
                "the output folder holds a folder 'dicom' with files of others; choose another "
                "folder, or move it out of this one"
            )
            raise ExportError(msg)


def _same_file(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.samefile(other)


def _inside(out: Path, source: Path) -> bool:
    return out.resolve().is_relative_to(source.resolve())
