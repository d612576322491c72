"""A whole tree, or an archive, to a tree of de-identified copies."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.verdict import Verdict
from groundglass.deidentify.audit import Summary
from groundglass.deidentify.copy import PART_NAME, Copier, Outcome
from groundglass.deidentify.journal import NAME, Journal
from groundglass.deidentify.plan import Plan, Source, make_plan
from groundglass.deidentify.rules import EDITION, Keep
from groundglass.deidentify.secret import Pseudonyms, load_or_make_key, new_key
from groundglass.errors import ExportError, ReadError
from groundglass.readers import sniff
from groundglass.readers.archive import unpacked
from groundglass.readers.dicom_file import quiet_pydicom
from groundglass.readers.tree import list_files

TABLE_COLUMNS = ("source", "outcome", "copy", "patient", "pseudonym", "object", "new_object")


@dataclass(frozen=True)
class Job:
    """What the user asked for."""

    source: Path
    """Folder, file or archive; never changed."""
    out: Path
    """Folder of the copies."""
    keep: frozenset[Keep] = frozenset()
    """Options of the profile."""
    key: Path | None = None
    """File with the secret; made if absent. Without it a secret is made up and forgotten."""
    report: Path | None = None
    """File for the audit."""
    table: Path | None = None
    """File that says which copy stands for which original; as secret as the originals."""
    resume: bool = False
    """Go on with a run that was stopped."""
    force: bool = False
    """Write into a folder that holds other files."""
    flag_only: bool = False
    """Write images that may show names, and say so, instead of holding them back."""


def deidentify(job: Job, on_progress: OnProgress = silent) -> Summary:
    """Write de-identified copies of all DICOM objects of a source and return what was done.

    Every copy is written under a temporary name, read again, verified and renamed; a copy that
    does not pass is not kept.

    Raises
    ------
    ExportError
        If the destination cannot be used, or a run to resume does not fit.
    ReadError
        If the source cannot be opened.
    """
    check_places(job)
    if job.resume and job.key is None:
        msg = "a run can be resumed only with its key; name the file with --key"
        raise ExportError(msg)
    names = Pseudonyms(new_key() if job.key is None else load_or_make_key(job.key))
    with _opened(job.source) as (files, root, left_out), quiet_pydicom():
        plan = make_plan(files, root, names, job.keep, on_progress)
        for reason, count in left_out.items():
            plan.left_out[reason] += count
        summary = _copy_all(job, plan, names, root, on_progress)
    summary.found = len(files)
    if job.report is not None:
        summary.write(job.report)
    return summary


def check_places(job: Job) -> None:
    """Refuse places where originals could be touched or secrets would travel with the copies.

    Raises
    ------
    ExportError
        If source and destination overlap, the destination holds something, or a file with
        secrets would lie in it.
    ReadError
        If there is no source.
    """
    source, out = (Path(os.path.realpath(path)) for path in (job.source, job.out))
    if not source.exists():
        msg = "the source does not exist"
        raise ReadError(msg)
    if _overlap(source, out):
        msg = "the destination must lie outside the source, and the source outside of it"
        raise ExportError(msg)
    secrets = {"key": job.key, "table": job.table}
    for name, path in {**secrets, "report": job.report}.items():
        if path is None:
            continue
        place = Path(os.path.realpath(path))
        if place == source or source in place.parents:
            msg = f"the {name} must not lie in the source, which is never changed"
            raise ExportError(msg)
        if name in secrets and out in place.parents:
            msg = f"the {name} must not lie among the copies: it tells who the patients are"
            raise ExportError(msg)
    _check_out(job, out)


def _overlap(source: Path, out: Path) -> bool:
    return source == out or source in out.parents or out in source.parents


def _check_out(job: Job, out: Path) -> None:
    if out.exists() and not out.is_dir():
        msg = "the destination is a file; a folder is needed"
        raise ExportError(msg)
    if job.resume or job.force or not out.exists():
        return
    names = {path.name for path in out.iterdir()}
    if NAME in names:
        msg = "the destination holds a run that was stopped; --resume goes on with it"
        raise ExportError(msg)
    if names:
        msg = "the destination is not empty; name another folder, or add --force"
        raise ExportError(msg)


@contextmanager
def _opened(source: Path) -> Iterator[tuple[tuple[Path, ...], Path, dict[str, int]]]:
    """Yield the files of a source, the folder they lie in, and what was not looked at."""
    if source.is_dir():
        tree = list_files(source)
        yield tree.files, Path(os.path.realpath(source)), dict(tree.left_out)
    elif sniff.kind(source) in ("zip", "tar", "gzip"):
        told: list[Verdict] = []
        with unpacked(source, told.append) as folder:
            tree = list_files(folder)
            left = {"member of the archive that could not be unpacked": len(told)} if told else {}
            yield tree.files, Path(os.path.realpath(folder)), left
    else:
        path = Path(os.path.realpath(source))
        yield (path,), path.parent, {}


def _copy_all(
    job: Job, plan: Plan, names: Pseudonyms, root: Path, on_progress: OnProgress
) -> Summary:
    journal = _begin(job, names)
    summary = Summary(job.keep, held=plan.held.copy(), left_out=plan.left_out.copy())
    copier = Copier(plan, names, job.keep, job.out, flag_only=job.flag_only)
    folders: set[Path] = set()
    finished = False
    try:
        with _table(job.table) as table:
            for number, source in enumerate(plan.sources, 1):
                outcome = copier.copy(source, journal.done.get(source.mark))
                _count(summary, outcome)
                if outcome.held is None:
                    folders.add(source.target.parent)
                    journal.note(source.mark, outcome.flag or "")
                if table is not None:
                    table.writerow(_line(source, outcome, plan, root))
                on_progress(Progress("writing copies", number, len(plan.sources)))
        finished = True
    finally:
        journal.close(finished=finished)
        (job.out / PART_NAME).unlink(missing_ok=True)
    summary.series = len(folders)
    summary.studies = len({folder.parent for folder in folders})
    summary.patients = len({folder.parent.parent for folder in folders})
    return summary


def _begin(job: Job, names: Pseudonyms) -> Journal:
    """Make the destination and return its journal, that of an earlier run to go on with it."""
    settings = {
        "keep": sorted(job.keep),
        "key": names.check,
        "table": EDITION,
        "flag_only": job.flag_only,
    }
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the destination cannot be made: {error.strerror}"
        raise ExportError(msg) from error
    journal = Journal(job.out, settings)
    if job.resume:
        journal.load()
    journal.open()
    return journal


def _count(summary: Summary, outcome: Outcome) -> None:
    summary.faults.update(outcome.faults)
    if outcome.held is not None:
        summary.held[outcome.held] += 1
        return
    summary.written += 1
    if outcome.flag is not None:
        summary.flagged[outcome.flag] += 1
    if outcome.audit is not None:
        summary.audit.update(outcome.audit)


@contextmanager
def _table(path: Path | None) -> Iterator[Any]:
    """Yield a writer for the table of originals and copies, readable by its owner alone."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        msg = f"the table cannot be written: {error.strerror}"
        raise ExportError(msg) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TABLE_COLUMNS)
        yield writer


def _line(source: Source, outcome: Outcome, plan: Plan, root: Path) -> tuple[str, ...]:
    copied = outcome.held is None
    return (
        source.path.relative_to(root).as_posix(),
        outcome.held or outcome.flag or "copied",
        source.target.as_posix() if copied else "",
        source.patient.split("\0")[0],
        plan.subjects[source.patient].pseudonym,
        *outcome.uids,
    )
