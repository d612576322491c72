"""The queue on disk: studies move between folders, one for each state, and no kill loses any.

::

    incoming/KEY   still growing
    ready/KEY      complete, waits for its turn
    working/KEY    being analyzed or returned
    done/KEY       returned, or left alone by the rules
    failed/KEY     kept with the reason

A study changes its state by one rename, an instance counts once it is renamed into place, and what
is known of a study is replaced as a whole. ``KEY`` is a digest that tells nothing of the patient.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from groundglass.core.serial import from_json, to_json
from groundglass.errors import PacsError
from groundglass.pacs.study import FullError, Instance, Limits, Note, State

INSTANCES, LATE, NOTE, TOUCHED = "instances", "late", "study.json", "touched"
_PART = ".part-"


class Spool:
    """The queue; safe for many threads, and for one process at a time (see ``lock``).

    Parameters
    ----------
    root : Path
        Its folder; made if missing, for the user alone.
    limits : Limits
        What a sender may fill.

    Attributes
    ----------
    mutex : RLock
        Held while a study is looked at and changed in one.
    """

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.limits = limits or Limits()
        self.mutex = threading.RLock()
        self._sizes: dict[str, tuple[int, int]] = {}
        for state in State:
            (root / state).mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)

    def lock(self) -> int:
        """Make sure that no other listener uses the folder; gone when the process is.

        Returns
        -------
        int
            A file descriptor to be kept open.

        Raises
        ------
        PacsError
            If there is another listener.
        """
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            import fcntl  # noqa: PLC0415 - not on every system

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return handle
        except OSError as error:
            os.close(handle)
            msg = "another listener uses this spool folder; stop it or name another folder"
            raise PacsError(msg) from error
        return handle

    def recover(self) -> int:
        """Put right what a kill left behind; return how many studies were being worked on."""
        for part in self.root.glob(f"*/*/*/*/{_PART}*"):
            part.unlink(missing_ok=True)
        for part in self.root.glob(f"*/*/{_PART}*"):
            part.unlink(missing_ok=True)
        for state in State:
            for key in self.keys(state):
                if self.note(key, state).open:
                    self.change(key, state, open=0)
                    self.lose(key, "the listener was stopped while the study came in")
        for key in self.keys(State.INCOMING):
            folder = self.path(key, State.INCOMING)
            if any(folder.glob("*/*/*.dcm")):
                (folder / TOUCHED).touch()
            else:  # nothing of it was acknowledged
                shutil.rmtree(folder, ignore_errors=True)
        left = self.keys(State.WORKING)
        for key in left:
            self.move(key, State.WORKING, State.READY)
        return len(left)

    def keys(self, state: State) -> list[str]:
        """Return the studies in a state, longest unchanged first."""
        folders = [path for path in (self.root / state).iterdir() if path.is_dir()]
        return [path.name for path in sorted(folders, key=_age)]

    def path(self, key: str, state: State) -> Path:
        """Return the folder of a study."""
        return self.root / state / key

    def find(self, key: str) -> State | None:
        """Return the state of a study; ``None`` if it is not here."""
        return next((state for state in State if self.path(key, state).is_dir()), None)

    def move(self, key: str, old: State, new: State, **changes: object) -> None:
        """Take a study from one state to another, with changes of its note first."""
        with self.mutex:
            if changes:
                self.change(key, old, **changes)
            self.path(key, old).rename(self.path(key, new))
            if new is not State.INCOMING:
                self._sizes.pop(key, None)

    def note(self, key: str, state: State) -> Note:
        """Return what is known of a study."""
        try:
            text = (self.path(key, state) / NOTE).read_text(encoding="utf-8")
            return from_json(Note, text)
        except (OSError, ValueError):
            return Note()

    def change(self, key: str, state: State, **changes: object) -> Note:
        """Change the note of a study, as a whole or not at all, and return it."""
        with self.mutex:
            note = replace(self.note(key, state), **changes)  # type: ignore[arg-type]
            _write(self.path(key, state) / NOTE, to_json(note).encode())
            return note

    def add(self, instance: Instance, sender_ae: str, received: str, *, first: bool = False) -> str:
        """Keep an instance; return the key of its study once it is safely on disk.

        An instance that is there already is not written again. Images of a study that was already
        analyzed are kept aside.

        Parameters
        ----------
        instance : Instance
            What came in.
        sender_ae : str
            AE title of the sender.
        received : str
            Now, ISO 8601.
        first : bool
            Whether it is the first of its study on a connection; noted before it is kept, so that
            a kill in the middle of a study is known afterwards. ``set_down`` ends it.

        Raises
        ------
        FullError
            If the study or the disk is full; what is there stays.
        OSError
            If writing fails otherwise.
        """
        key = instance.key
        with self.mutex:
            folder, among = self._room_for(instance)
            target = folder / among / instance.place
            if (folder / INSTANCES / instance.place).exists() or target.exists():
                self._carry(folder, Note(instance.study_uid, sender_ae, received), first=first)
            else:
                self._require_room(key, folder, len(instance.data))
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _part(target, instance.data) as part:
                    self._carry(folder, Note(instance.study_uid, sender_ae, received), first=first)
                    part.replace(target)
                count, size = self._size(key, folder)
                self._sizes[key] = (count + 1, size + len(instance.data))
            (folder / TOUCHED).touch()
        return key

    def _carry(self, folder: Path, fresh: Note, *, first: bool) -> None:
        """Note a study that is new, and a connection that begins to carry it."""
        key, state = folder.name, State(folder.parent.name)
        note = self.note(key, state)
        if not note.study_uid:
            told = {"study_uid": fresh.study_uid, "sender_ae": fresh.sender_ae}
            self.change(key, state, **told, received=fresh.received, open=note.open + first)
        elif first:
            self.change(key, state, open=note.open + 1)

    def set_down(self, key: str, started: float) -> None:
        """Note that a connection has carried a study to its end.

        What was lost before the connection started counts as sent again.
        """
        with self.mutex:
            state = self.find(key)
            if state is None:
                return
            note = self._one_less(key, state)
            lost = note.broken_at if state is State.INCOMING else None
            if lost is not None and started > lost:
                self.change(key, state, broken_at=None, reason="")

    def drop(self, key: str, why: str) -> None:
        """Note that a connection was lost that carried a study."""
        with self.mutex:
            state = self.find(key)
            if state is not None:
                self._one_less(key, state)
                self.lose(key, why)

    def _one_less(self, key: str, state: State) -> Note:
        return self.change(key, state, open=max(0, self.note(key, state).open - 1))

    def lose(self, key: str, why: str) -> None:
        """Note that images of a study that is coming in were lost: it is not whole until resent."""
        with self.mutex:
            if self.find(key) is State.INCOMING:
                self.change(
                    key, State.INCOMING, broken_at=time.time(), reason=f"{why}; send it again"
                )

    def _room_for(self, instance: Instance) -> tuple[Path, str]:
        """Return the folder of an instance's study, and where in it the instance belongs."""
        key = instance.key
        state = self.find(key)
        incoming = self.path(key, State.INCOMING)
        if state in (None, State.INCOMING):
            return incoming, INSTANCES
        assert state is not None
        folder = self.path(key, state)
        note = self.note(key, state)
        known = (folder / INSTANCES / instance.place).exists()
        closed = state is State.WORKING or note.result is not None
        if closed or (known and note.broken_at is None):
            return folder, LATE
        reason = "" if note.broken_at is None else note.reason
        self.move(key, state, State.INCOMING, reason=reason, attempts=0, not_before=0.0)
        return incoming, INSTANCES

    def _size(self, key: str, folder: Path) -> tuple[int, int]:
        """Return number and bytes of a study's instances."""
        if key not in self._sizes:
            sizes = [path.stat().st_size for path in folder.glob("*/*/*.dcm")]
            self._sizes[key] = (len(sizes), sum(sizes))
        return self._sizes[key]

    def _require_room(self, key: str, folder: Path, more: int) -> None:
        count, size = self._size(key, folder)
        free = shutil.disk_usage(self.root).free
        if (
            count + 1 > self.limits.instances
            or size + more > self.limits.bytes
            or free - more < self.limits.reserve_bytes
        ):
            raise FullError

    def idle_seconds(self, key: str) -> float:
        """Return how long nothing has come for a study that is coming in."""
        try:
            touched = (self.path(key, State.INCOMING) / TOUCHED).stat().st_mtime
        except OSError:
            touched = self.path(key, State.INCOMING).stat().st_mtime
        return max(0.0, time.time() - touched)

    def again(self, key: str, *, analyze: bool = False) -> bool:
        """Put a study that failed, or that is done and shall be analyzed again, back to work.

        Parameters
        ----------
        key : str
            The study.
        analyze : bool
            Analyze anew even if there is a result, late images among the others.

        Returns
        -------
        bool
            False if it is in no state from which that is possible.
        """
        state = self.find(key)
        if state is not State.FAILED and not (analyze and state is State.DONE):
            return False
        folder = self.path(key, state)
        if analyze:
            for path in sorted(folder.glob(f"{LATE}/*/*.dcm")):
                home = folder / INSTANCES / path.parent.name
                home.mkdir(parents=True, exist_ok=True)
                path.replace(home / path.name)
            shutil.rmtree(folder / LATE, ignore_errors=True)
        fresh: dict[str, object] = {"result": None} if analyze else {}
        self.move(
            key,
            state,
            State.READY,
            attempts=0,
            sends=0,
            not_before=0.0,
            broken_at=None,
            reason="",
            **fresh,
        )
        return True

    def forget(self, seconds: float) -> int:
        """Remove studies that have been done for so long; return their number."""
        old = [
            key
            for key in self.keys(State.DONE)
            if time.time() - _age(self.path(key, State.DONE)) > seconds
        ]
        for key in old:
            with self.mutex:
                shutil.rmtree(self.path(key, State.DONE), ignore_errors=True)
        return len(old)

    def overview(self) -> Iterator[tuple[str, State, Note, int, int]]:
        """Yield key, state, note, number of images and of late ones of every study."""
        for state in State:
            for key in self.keys(state):
                folder = self.path(key, state)
                counts = [
                    sum(1 for _ in folder.glob(f"{sub}/*/*.dcm")) for sub in (INSTANCES, LATE)
                ]
                yield key, state, self.note(key, state), counts[0], counts[1]


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole as soon as it has its name."""
    with _part(path, data) as part:
        part.replace(path)


@contextmanager
def _part(path: Path, data: bytes) -> Iterator[Path]:
    """Write a file under another name beside its own; gone unless it is renamed."""
    part = path.parent / f"{_PART}{secrets.token_hex(6)}"
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def spool_summary(spool: Spool) -> str:
    """Return the states of all studies as JSON, without anything about a patient."""
    rows = [
        {
            "study": key,
            "state": state,
            "images": images,
            "late": late,
            "from": note.sender_ae,
            "received": note.received,
            "reason": note.reason,
        }
        for key, state, note, images, late in spool.overview()
    ]
    return json.dumps(rows, indent=2)
