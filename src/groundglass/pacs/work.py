"""From a complete study to returned results, one study at a time, each step safe to repeat."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from groundglass.errors import GroundglassError
from groundglass.pacs.nodes import Peer, Tls
from groundglass.pacs.receive import facts_of
from groundglass.pacs.rules import Rules, SeriesFacts, decide
from groundglass.pacs.send import send_files
from groundglass.pacs.spool import INSTANCES, Spool
from groundglass.pacs.study import Note, State
from groundglass.readers.dicom_file import quiet_pydicom

logger = logging.getLogger(__name__)

RETURNED = ("seg.dcm", "sr.dcm", "report.dcm")
"""What goes back to the sender, as far as it was made."""
LEAST_RETURNED = 2
"""SEG and SR are always made; the PDF needs a library that may be missing."""
INPUT, SCRATCH = "input", "scratch"
_RETRY_SECONDS = (10.0, 60.0, 300.0, 900.0)
_PR_SET_PDEATHSIG = 1
_UID_LIKE = re.compile(r"\d+(?:\.\d+){5,}")


@dataclass(frozen=True)
class Plan:
    """How studies are worked on."""

    rules: Rules = field(default_factory=Rules)
    """Which are analyzed."""
    quiet_seconds: float = 30.0
    """A study is complete when nothing has come for so long."""
    return_to: Peer | str | None = "sender"
    """Where results go: a node, ``sender``, or ``None`` to keep them here."""
    nodes: Mapping[str, Peer] = field(default_factory=dict)
    """Where senders listen, by AE title."""
    ae: str = "GROUNDGLASS"
    """Our AE title."""
    tls: Tls | None = None
    """What secures the connections on which results are returned."""
    config: Path | None = None
    """Settings of the analysis, as ``analyze --config`` reads them."""
    keep_days: float | None = None
    """Days after which a study that is done is removed; ``None`` to keep all."""
    most_attempts: int = 5
    """After so many analyses that ended without an answer a study has failed."""
    most_seconds: float = 3600.0
    """Longest time of one analysis."""


class Worker:
    """Takes studies through the queue.

    Parameters
    ----------
    spool : Spool
        The queue.
    plan : Plan
        How.
    """

    def __init__(self, spool: Spool, plan: Plan) -> None:
        self.spool = spool
        self.plan = plan
        self._child: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the analysis that runs, if one does; its study goes back to the queue."""
        self._stopped.set()
        child = self._child
        if child is not None:
            child.kill()

    def step(self) -> bool:
        """Do the next thing there is to do; return whether there was one."""
        for key in self.spool.keys(State.INCOMING):
            if self.spool.idle_seconds(key) >= self.plan.quiet_seconds:
                with self._kept_apart(key, State.INCOMING):
                    self._complete(key)
        if self.plan.keep_days is not None:
            self.spool.forget(self.plan.keep_days * 86400)
        for key in self.spool.keys(State.READY):
            if self.spool.note(key, State.READY).not_before <= time.time():
                self._work(key)
                return True
        return False

    @contextmanager
    def _kept_apart(self, key: str, state: State) -> Iterator[None]:
        """Make what goes wrong with one study that study's failure and nobody else's."""
        try:
            yield
        except GroundglassError as error:
            self._move(key, state, State.FAILED, str(error))
        except OSError:
            self._move(key, state, State.FAILED, "its files cannot be read or written")
        except Exception as error:  # noqa: BLE001  the node goes on, whatever one study does
            reason = f"groundglass failed in a way it should not ({type(error).__name__})"
            self._move(key, state, State.FAILED, reason)

    def _complete(self, key: str) -> None:
        """Decide about a study that has stopped growing."""
        note = self.spool.note(key, State.INCOMING)
        if note.broken_at is not None:
            self._move(key, State.INCOMING, State.FAILED, note.reason)
            return
        decision = decide(list(series_facts(self.spool.path(key, State.INCOMING))), self.plan.rules)
        new = State.READY if decision.series else State.DONE
        with self.spool.mutex:
            same = self.spool.note(key, State.INCOMING) == note
            if same and self.spool.idle_seconds(key) >= self.plan.quiet_seconds:
                self._move(key, State.INCOMING, new, decision.reason)

    def _move(self, key: str, old: State, new: State, reason: str, **changes: object) -> None:
        try:
            self.spool.move(key, old, new, reason=reason, **changes)
        except OSError:
            logger.warning("study %s changed its state by itself", key)
            return
        logger.info("study %s: %s (%s)", key, new, reason)

    def _work(self, key: str) -> None:
        try:
            self.spool.move(key, State.READY, State.WORKING)
        except OSError:
            return  # new images took it back
        with self._kept_apart(key, State.WORKING):
            try:
                note = self.spool.note(key, State.WORKING)
                self._return(key, note if note.result else self._analyze(key, note))
            except _AgainError as error:
                later = error.not_before
                self._move(key, State.WORKING, State.READY, str(error), not_before=later)
            else:
                self._move(key, State.WORKING, State.DONE, "analyzed and returned")

    def _analyze(self, key: str, note: Note) -> Note:
        """Analyze the series that fit, in a process of its own.

        Raises
        ------
        StudyError
            If it cannot be analyzed.
        _AgainError
            If we were told to stop meanwhile, or somebody else ended it.
        """
        folder = self.spool.path(key, State.WORKING)
        if note.attempts >= self.plan.most_attempts:
            msg = f"the analysis ended {note.attempts} times without an answer"
            raise StudyError(msg)
        note = self.spool.change(key, State.WORKING, attempts=note.attempts + 1)
        decision = decide(list(series_facts(folder)), self.plan.rules)
        if not decision.series:
            raise StudyError(decision.reason)
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        _gather(folder, decision.series)
        result = f"result-{note.attempts}-{int(time.time())}"
        for old in folder.glob("result-*"):
            shutil.rmtree(old, ignore_errors=True)
        code, said = self._run(folder / INPUT, folder / result)
        for left in (INPUT, SCRATCH):
            shutil.rmtree(folder / left, ignore_errors=True)
        if self._stopped.is_set() and code != 0:
            self.spool.change(key, State.WORKING, attempts=note.attempts - 1)
            msg = "the listener was stopped"
            raise _AgainError(msg)
        if code < 0:
            msg = f"the analysis was ended by signal {-code} and is tried again"
            raise _AgainError(msg, time.time() + _RETRY_SECONDS[0])
        if code != 0:
            raise StudyError(said or "the analysis failed without a word")
        return self.spool.change(key, State.WORKING, result=result)

    def _run(self, series: Path, out: Path) -> tuple[int, str]:
        """Run one analysis; return its exit code and what it said last.

        What it writes on the way lies in the study's own folder, so that nothing of a patient is
        left elsewhere if it is killed.
        """
        scratch = series.parent / SCRATCH
        scratch.mkdir(mode=0o700)
        command = [sys.executable, "-m", "groundglass", "analyze", str(series), "-o", str(out)]
        if self.plan.config is not None:
            command += ["--config", str(self.plan.config)]
        child = self._child = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--dicom", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "GROUNDGLASS_OFFLINE": "1", "TMPDIR": str(scratch)},
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
        )
        if self._stopped.is_set():  # before there was a child to end
            child.kill()
        try:
            _, said = child.communicate(timeout=self.plan.most_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return 1, f"the analysis took longer than {self.plan.most_seconds:.0f} s"
        finally:
            self._child = None
        return child.returncode, last_words(said)

    def _return(self, key: str, note: Note) -> None:
        """Send the results.

        Raises
        ------
        StudyError
            If nobody knows where to.
        _AgainError
            If sending failed and is to be tried once more.
        """
        target = self._target(note)
        if target is None:
            return
        folder = self.spool.path(key, State.WORKING) / str(note.result) / "dicom"
        files = [folder / name for name in RETURNED if (folder / name).exists()]
        if len(files) < LEAST_RETURNED:
            msg = "the result holds no SEG and SR to return"
            raise StudyError(msg)
        try:
            send_files(target, files, self.plan.ae, self.plan.tls)
        except GroundglassError as error:
            sends = note.sends + 1
            self.spool.change(key, State.WORKING, sends=sends)
            if sends > len(_RETRY_SECONDS):
                msg = f"analyzed, but the results could not be returned: {error}"
                raise StudyError(msg) from error
            msg = f"returning the results failed and is tried again: {error}"
            raise _AgainError(msg, time.time() + _RETRY_SECONDS[sends - 1]) from error

    def _target(self, note: Note) -> Peer | None:
        wanted = self.plan.return_to
        if not isinstance(wanted, str):
            return wanted
        if note.sender_ae not in self.plan.nodes:
            msg = (
                f"analyzed, but nobody said where {note.sender_ae} listens; name it with "
                f"--allow {note.sender_ae}@HOST:PORT and use groundglass pacs retry"
            )
            raise StudyError(msg)
        return self.plan.nodes[note.sender_ae]


def last_words(said: str) -> str:
    """Return the last line of what an analysis said, without identifiers, for log and status."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return _UID_LIKE.sub("(UID)", lines[-1]) if lines else ""


class StudyError(GroundglassError):
    """A study has failed; the message is kept with it."""


class _AgainError(Exception):
    """A study is to be taken up again later."""

    def __init__(self, message: str, not_before: float = 0.0) -> None:
        super().__init__(message)
        self.not_before = not_before


def series_facts(folder: Path) -> Iterator[SeriesFacts]:
    """Yield what rules look at, of every series of a study's folder."""
    for series in sorted((folder / INSTANCES).glob("*/")):
        files = sorted(series.glob("*.dcm"))
        if not files:
            continue
        with quiet_pydicom():
            dataset = pydicom.dcmread(files[0], stop_before_pixels=True)
        told = facts_of(dataset)
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        yield SeriesFacts(
            folder=series.name,
            modality=told["Modality"].upper(),
            body_part=told["BodyPartExamined"].upper(),
            description=told["SeriesDescription"],
            study_description=told["StudyDescription"],
            slices=max(len(files), frames),
        )


def _gather(folder: Path, series: Sequence[str]) -> None:
    """Put the files of some series into one folder, without copying where that is possible."""
    target = folder / INPUT
    shutil.rmtree(target, ignore_errors=True)
    for name in series:
        (target / name).mkdir(parents=True)
        for path in (folder / INSTANCES / name).glob("*.dcm"):
            _link(path, target / name / path.name)


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


def _die_with(parent: int) -> Callable[[], None] | None:
    """Return what makes a child die with its parent, however that ends, where it is possible."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it is gone already
            os._exit(1)

    return prepare
