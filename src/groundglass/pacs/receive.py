"""What comes in over DICOM: checked, put on disk, and only then acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from threading import Lock
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from groundglass.pacs.nodes import Tls
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
class Receiver:
    """Takes instances from associations into the spool.

    Nothing that tells who a patient is ever reaches the log: studies go by their key.
    """

    spool: Spool
    """The queue."""
    _carried: dict[int, tuple[float, set[str]]] = field(default_factory=dict)
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
            _, carried = self._carried.setdefault(id(event.assoc), (time.time(), set()))
        try:
            key = self.spool.add(instance, sender, now, first=instance.key not in carried)
        except (FullError, OSError) as error:
            why = "the limit is reached" if isinstance(error, FullError) else "the disk failed"
            logger.warning("no room for study %s: %s", instance.key, why)
            self._lose(instance.key)
            return NO_RESOURCES
        carried.add(key)
        return OK

    def _lose(self, key: str) -> None:
        try:
            self.spool.lose(key, "images of it were refused for want of room")
        except OSError:
            logger.warning("no room to note that study %s is not whole", key)

    def on_release(self, event: Any) -> None:
        """Note that a sender finished in good order."""
        started, keys = self._pop(event)
        for key in keys:
            self.spool.set_down(key, started)

    def on_close(self, event: Any) -> None:
        """Note what was being carried when a connection ended without a release."""
        _, keys = self._pop(event)
        for key in keys:
            logger.warning("the connection was lost while study %s came in", key)
            self.spool.drop(key, "the connection was lost while the study came in")

    def _pop(self, event: Any) -> tuple[float, set[str]]:
        with self._mutex:
            return self._carried.pop(id(event.assoc), (0.0, set()))


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


def start_server(
    receiver: Receiver,
    ae_title: str,
    address: tuple[str, int],
    allow: Sequence[str] = (),
    tls: Tls | None = None,
) -> Any:
    """Start to listen, in threads of its own.

    Parameters
    ----------
    receiver : Receiver
        What takes the instances.
    ae_title : str
        Our AE title; calls to another one are refused.
    address : tuple of str and int
        Address and port to bind.
    allow : sequence of str
        AE titles that may call; empty for all.
    tls : Tls, optional
        What secures the connections.

    Returns
    -------
    ThreadedAssociationServer
        With ``shutdown()``.

    Raises
    ------
    OSError
        If the port cannot be used.
    """
    from pynetdicom import (  # noqa: PLC0415 - an extra
        AE,
        ALL_TRANSFER_SYNTAXES,
        AllStoragePresentationContexts,
        evt,
    )
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # noqa: PLC0415

    hush_pynetdicom()
    ae = AE(ae_title=ae_title)
    ae.require_called_aet = True
    ae.require_calling_aet = list(allow)
    ae.maximum_pdu_size = MAX_PDU_BYTES
    ae.maximum_associations = 16
    ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = 60
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(Verification)
    handlers: list[Any] = [
        (evt.EVT_C_STORE, receiver.on_store),
        (evt.EVT_RELEASED, receiver.on_release),
        (evt.EVT_CONN_CLOSE, receiver.on_close),
        (evt.EVT_C_ECHO, lambda _: OK),
        (evt.EVT_REJECTED, _on_reject),
    ]
    secured = None if tls is None else tls.server()
    return ae.start_server(address, block=False, evt_handlers=handlers, ssl_context=secured)


def _on_reject(_: Any) -> None:
    logger.warning("a caller was refused: its AE title or ours does not fit")


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
