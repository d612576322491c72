"""What comes in over DICOM: checked, put on disk, and only then acknowledged."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from groundglass.pacs.spool import Spool
from groundglass.pacs.study import FullError, Instance
from groundglass.readers.dicom_file import quiet_pydicom

logger = logging.getLogger(__name__)

OK, NO_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""Answers to a C-STORE."""
MAX_PDU_BYTES = 1 << 17
_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Manufacturer"]
_OWN = "groundglass"


@dataclass(eq=False)
class _Carried:
    """What a connection carries."""

    started: float = field(default_factory=time.time)
    """When it began to, in seconds since 1970."""
    keys: set[str] = field(default_factory=set)
    """Studies of which it may bring more."""
    whole: bool | None = None
    """Whether it ended in good order; ``None`` before."""


@dataclass(eq=False)
class Receiver:
    """Takes instances from associations into the spool.

    Nothing that tells who a patient is ever reaches the log: studies go by their key. Images and
    the end of their connection are told by different threads, in any order.
    """

    spool: Spool
    """The queue."""
    _carried: WeakKeyDictionary[Any, _Carried] = field(default_factory=WeakKeyDictionary)
    _mutex: Lock = field(default_factory=Lock)

    def on_store(self, event: Any) -> int:
        """Keep one instance and return the status of the answer."""
        try:
            instance = parse_instance(event.encoded_dataset())
        except Exception:  # noqa: BLE001  whatever a sender made of it
            logger.warning("an object without valid UIDs was refused")
            return CANNOT_UNDERSTAND
        if instance is None:
            return OK
        sender = str(event.assoc.requestor.ae_title).strip()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._mutex:
            carried = self._carried.setdefault(event.assoc, _Carried())
            first = instance.key not in carried.keys
        try:
            self.spool.add(instance, sender, now, first=first)
        except (FullError, OSError) as error:
            why = "the limit is reached" if isinstance(error, FullError) else "the disk failed"
            logger.warning("no room for study %s: %s", instance.key, why)
            self._lose(instance.key)
            return NO_RESOURCES
        with self._mutex:
            ended = carried.whole is not None
            if not ended:
                carried.keys.add(instance.key)
        if ended and first:
            self._end(instance.key, carried)
        return OK

    def _lose(self, key: str) -> None:
        try:
            self.spool.lose(key, "images of it were refused for want of room")
        except OSError:
            logger.warning("no room to note that study %s is not whole", key)

    def on_release(self, event: Any) -> None:
        """Note that a sender finishes in good order."""
        self._end_all(event, whole=True)

    def on_close(self, event: Any) -> None:
        """Note what was being carried when a connection ended without a release."""
        self._end_all(event, whole=False)

    def _end_all(self, event: Any, *, whole: bool) -> None:
        with self._mutex:
            carried = self._carried.setdefault(event.assoc, _Carried())
            if carried.whole is None:
                carried.whole = whole
            keys, carried.keys = carried.keys, set()
        for key in keys:
            self._end(key, carried)

    def _end(self, key: str, carried: _Carried) -> None:
        try:
            if carried.whole:
                self.spool.set_down(key, carried.started)
                return
            logger.warning("the connection was lost while study %s came in", key)
            self.spool.drop(key, "the connection was lost while the study came in")
        except OSError:
            logger.warning("no room to note how the connection of study %s ended", key)


def parse_instance(data: bytes) -> Instance | None:
    """Return an encoded object with its UIDs; ``None`` for one that we made ourselves.

    Raises
    ------
    ValueError
        If a UID is missing or none.
    """
    with quiet_pydicom():
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=_TAGS)
    uids = [
        str(dataset.get(keyword, "") or "")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    if not all(UID(uid).is_valid for uid in uids):
        msg = "an object needs valid UIDs"
        raise ValueError(msg)
    if str(dataset.get("Manufacturer", "")).strip() == _OWN:
        return None
    return Instance(uids[0], uids[1], uids[2], data)


def hush_pynetdicom() -> None:
    """Keep the library from logging: at its finer levels it writes whole objects."""
    log = logging.getLogger("pynetdicom")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    log.setLevel(logging.CRITICAL)


def facts_of(dataset: Dataset) -> dict[str, str]:
    """Return what rules look at, of one instance."""
    keywords = ("Modality", "BodyPartExamined", "SeriesDescription", "StudyDescription")
    return {keyword: str(dataset.get(keyword, "") or "").strip() for keyword in keywords}
