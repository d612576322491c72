"""Calling a DICOM node: is it there, what does it hold, take this, give me that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from groundglass.errors import PacsError
from groundglass.pacs.nodes import Peer, Tls
from groundglass.pacs.receive import MAX_PDU_BYTES, hush_pynetdicom
from groundglass.readers.dicom_file import quiet_pydicom

SUCCESS = 0x0000
MOST_CONTEXTS = 128
"""An association holds no more."""
_PENDING = (0xFF00, 0xFF01)
_NOT_OFFERED = "{} answers, but does not offer this service or kind of object"


def echo(peer: Peer, ae: str, tls: Tls | None = None) -> None:
    """Make sure that a node answers.

    Raises
    ------
    PacsError
        If it does not.
    """
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # noqa: PLC0415

    with _association(peer, ae, [(str(Verification), None)], tls) as association:
        _require(association.send_c_echo(), peer)


def send_files(peer: Peer, files: Sequence[Path], ae: str, tls: Tls | None = None) -> int:
    """Store files at a node, as they are; return their number.

    Parameters
    ----------
    peer : Peer
        The node.
    files : sequence of Path
        DICOM files.
    ae : str
        Our AE title.
    tls : Tls, optional
        What secures the connection.

    Raises
    ------
    PacsError
        If one of them was not stored, or a file is not DICOM.
    """
    kinds = {path: _kind(path) for path in files}
    wanted = sorted(set(kinds.values()))
    refused: Counter[str] = Counter()
    for start in range(0, len(wanted), MOST_CONTEXTS):
        part = wanted[start : start + MOST_CONTEXTS]
        with _association(peer, ae, part, tls) as association:
            for path in (path for path, kind in kinds.items() if kind in part):
                refused.update(_store(association, path))
    if refused:
        reasons = ", ".join(f"{count} x {why}" for why, count in sorted(refused.items()))
        msg = f"{peer} stored {len(files) - refused.total()} of {len(files)} objects ({reasons})"
        raise PacsError(msg)
    return len(files)


def _kind(path: Path) -> tuple[str, str]:
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        return str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID)
    except Exception as error:
        msg = "a file to send is not a DICOM file"
        raise PacsError(msg) from error


def _store(association: Any, path: Path) -> list[str]:
    """Return why a file was not stored, in a list that is empty if it was."""
    if not association.is_established:
        return ["connection lost"]
    try:
        with quiet_pydicom():
            answer = association.send_c_store(path)
    except RuntimeError:  # it has ended since
        return ["connection lost"]
    except (ValueError, AttributeError):
        return ["kind of object or transfer syntax not accepted"]
    status = answer.get("Status") if answer else None
    if status is None:
        association.abort()  # else the next file waits for a connection that is gone
        return ["no answer"]
    return [] if status == SUCCESS or status >> 12 == 0xB else [f"status 0x{status:04X}"]


def find(
    peer: Peer, query: Mapping[str, str], level: str, ae: str, tls: Tls | None = None
) -> list[Dataset]:
    """Return what a node holds that matches a query.

    Parameters
    ----------
    peer : Peer
        The node.
    query : mapping of str to str
        Values by keyword, with wildcards; empty values are asked for.
    level : str
        ``STUDY`` or ``SERIES``.
    ae : str
        Our AE title.
    tls : Tls, optional
        What secures the connection.

    Raises
    ------
    PacsError
        If the node refuses or fails.
    """
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # noqa: PLC0415
        StudyRootQueryRetrieveInformationModelFind as Model,
    )

    asked = _identifier(query, level)
    with _association(peer, ae, [(str(Model), None)], tls) as association:
        answers = association.send_c_find(asked, Model)
        found = []
        for status, identifier in answers:
            if status and status.Status in _PENDING:
                found.append(identifier)
            else:
                _require(status, peer)
        return [one for one in found if one is not None]


def _identifier(query: Mapping[str, str], level: str) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in query.items():
        setattr(dataset, keyword, value)
    return dataset


def get(
    peer: Peer, query: Mapping[str, str], out: Path, ae: str, tls: Tls | None = None
) -> tuple[Path, ...]:
    """Fetch a study or series from a node by C-GET and return the files.

    Parameters
    ----------
    peer : Peer
        The node.
    query : mapping of str to str
        ``StudyInstanceUID`` and maybe ``SeriesInstanceUID``.
    out : Path
        Folder for the files; made if missing.
    ae : str
        Our AE title.
    tls : Tls, optional
        What secures the connection.

    Raises
    ------
    PacsError
        If the node refuses, fails, or sends less than it says.
    """
    from pynetdicom import build_role, evt  # noqa: PLC0415 - an extra
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # noqa: PLC0415
        StudyRootQueryRetrieveInformationModelGet as Model,
    )

    out.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []

    def keep(event: Any) -> int:
        path = out / f"{len(files):05d}.dcm"
        path.write_bytes(event.encoded_dataset())
        files.append(path)
        return SUCCESS

    asked = _identifier(query, "SERIES" if query.get("SeriesInstanceUID") else "STUDY")
    kinds = _retrieved_kinds()
    roles = [build_role(kind, scp_role=True) for kind in sorted({kind for kind, _ in kinds})]
    contexts = [(str(Model), None), *kinds]
    extra = {"ext_neg": roles, "evt_handlers": [(evt.EVT_C_STORE, keep)]}
    with _association(peer, ae, contexts, tls, **extra) as association:
        for status, _ in association.send_c_get(asked, Model):
            if not status or status.Status not in _PENDING:
                _require(status, peer)
    if not files:
        msg = f"{peer} holds nothing of that UID, or sent nothing"
        raise PacsError(msg)
    return tuple(files)


def _retrieved_kinds() -> list[tuple[str, str | None]]:
    """Return kinds and transfer syntaxes to be taken: CT in each syntax, others uncompressed."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES, StoragePresentationContexts  # noqa: PLC0415

    ct = "1.2.840.10008.5.1.4.1.1.2"
    kinds: list[tuple[str, str | None]] = [(ct, str(syntax)) for syntax in ALL_TRANSFER_SYNTAXES]
    wanted: tuple[str, ...] = (
        "1.2.840.10008.5.1.4.1.1.2.",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.7",
    )
    wanted += ("1.2.840.10008.5.1.4.1.1.88", "1.2.840.10008.5.1.4.1.1.104.1")
    for context in StoragePresentationContexts:
        kind = str(context.abstract_syntax)
        if kind.startswith(wanted):
            kinds.append((kind, None))
    return kinds[: MOST_CONTEXTS - 1]


def _require(status: Any, peer: Peer) -> None:
    if not status:
        msg = f"{peer} gave no answer"
        raise PacsError(msg)
    if status.Status != SUCCESS and status.Status >> 12 != 0xB:
        msg = f"{peer} failed with status 0x{status.Status:04X}"
        raise PacsError(msg)


@contextmanager
def _association(
    peer: Peer,
    ae_title: str,
    contexts: Sequence[tuple[str, str | None]],
    tls: Tls | None,
    **extra: Any,
) -> Iterator[Any]:
    """Call a node, and turn what the library says of a call that failed into a sentence."""
    association = _call(peer, _caller(ae_title, contexts), tls, **extra)
    try:
        yield association
    except RuntimeError as error:  # of a connection that has ended
        msg = f"{peer} ended the call"
        raise PacsError(msg) from error
    except ValueError as error:  # of a service that was not agreed on
        raise PacsError(_NOT_OFFERED.format(peer)) from error
    finally:
        if association.is_established:
            association.release()


def _caller(ae_title: str, contexts: Sequence[tuple[str, str | None]]) -> Any:
    """Return what calls; a context is a kind of object with a syntax, or with the usual ones."""
    from pynetdicom import AE  # noqa: PLC0415 - an extra

    hush_pynetdicom()
    ae = AE(ae_title=ae_title)
    ae.maximum_pdu_size = MAX_PDU_BYTES
    ae.connection_timeout = ae.acse_timeout = 15
    ae.dimse_timeout = ae.network_timeout = 120
    for kind, syntax in contexts:
        if syntax is None:
            ae.add_requested_context(kind)
        else:
            ae.add_requested_context(kind, syntax)
    return ae


def _call(peer: Peer, ae: Any, tls: Tls | None, **extra: Any) -> Any:
    """Return a connection that is established."""
    from pynetdicom import evt  # noqa: PLC0415 - an extra
    from pynetdicom.pdu import A_ASSOCIATE_RJ  # noqa: PLC0415

    context = None if tls is None else tls.client()
    secured: dict[str, Any] = {} if context is None else {"tls_args": (context, peer.host)}
    # Not is_rejected: a refusal faster than its reader leaves pynetdicom with just a closed line.
    refused: list[bool] = []

    def heed(event: Any) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            refused.append(True)

    heard = [*extra.pop("evt_handlers", []), (evt.EVT_PDU_RECV, heed)]
    association = ae.associate(
        peer.host, peer.port, ae_title=peer.ae, evt_handlers=heard, **secured, **extra
    )
    if association.is_established:
        return association
    if association.rejected_contexts:
        raise PacsError(_NOT_OFFERED.format(peer))
    why = "refused the call (check both AE titles)" if refused else "no answer"
    msg = f"{peer} cannot be reached: {why}"
    raise PacsError(msg)
