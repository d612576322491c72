"""A study in the queue: where it stands, what is known of it, and what came in of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path


class State(StrEnum):
    """Where a study stands."""

    INCOMING = "incoming"
    READY = "ready"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Note:
    """What is known of a study besides its images."""

    study_uid: str = ""
    """Study Instance UID."""
    sender_ae: str = ""
    """AE title that sent it."""
    received: str = ""
    """When its first image came, ISO 8601."""
    open: int = 0
    """How many connections carry it right now."""
    broken_at: float | None = None
    """When images of it were lost or refused; ``None`` if none were, or it was sent again."""
    attempts: int = 0
    """How often an analysis was begun."""
    result: str | None = None
    """Folder of the finished result; ``None`` before."""
    sends: int = 0
    """How often returning the result failed."""
    not_before: float = 0.0
    """Time before which nothing more is tried."""
    reason: str = ""
    """Why it is where it is."""


@dataclass(frozen=True)
class Limits:
    """What a sender may fill."""

    instances: int = 10_000
    """Most instances of a study."""
    bytes: int = 16 * 2**30
    """Most bytes of a study."""
    reserve_bytes: int = 2**30
    """Space that is left free on the disk."""


class FullError(Exception):
    """There is no room for an instance."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One object that came in."""

    study_uid: str
    """Study Instance UID."""
    series_uid: str
    """Series Instance UID."""
    sop_uid: str
    """SOP Instance UID."""
    data: bytes
    """The file."""

    @property
    def key(self) -> str:
        """The key of its study."""
        return digest(self.study_uid)

    @property
    def place(self) -> Path:
        """Where it lies among the instances of its study."""
        return Path(digest(self.series_uid)) / f"{digest(self.sop_uid)}.dcm"


def digest(uid: str) -> str:
    """Return a short name for a UID that tells nothing of it."""
    return sha256(uid.encode()).hexdigest()[:20]
