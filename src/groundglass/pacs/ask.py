"""One way to ask any node, be it DICOM or DICOMweb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from groundglass.errors import PacsError
from groundglass.pacs import send as dimse
from groundglass.pacs import web
from groundglass.pacs.nodes import Caller, Node, Web
from groundglass.readers import sniff
from groundglass.readers.tree import list_files

_ASKED = {
    "STUDY": (
        "StudyInstanceUID",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "PatientID",
        "PatientName",
        "AccessionNumber",
    ),
    "SERIES": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
    ),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; empty values ask for nothing."""

    level: str = "STUDY"
    """``STUDY`` or ``SERIES``."""
    patient: str = ""
    """Patient ID."""
    study: str = ""
    """Study Instance UID."""
    series: str = ""
    """Series Instance UID."""
    date: str = ""
    """Study date or range."""
    modality: str = ""
    """Modality."""

    @property
    def query(self) -> dict[str, str]:
        """What is asked of a node, by keyword."""
        query = dict.fromkeys(_ASKED[self.level], "")
        query["StudyInstanceUID"] = self.study
        if self.level == "SERIES":
            query |= {"SeriesInstanceUID": self.series, "Modality": self.modality}
        else:
            query |= {
                "PatientID": self.patient,
                "StudyDate": self.date,
                "ModalitiesInStudy": self.modality,
            }
        return query


def echo(node: Node, caller: Caller) -> None:
    """Make sure that a node answers.

    Raises
    ------
    PacsError
        If it does not.
    """
    if isinstance(node, Web):
        web.echo(node, caller)
    else:
        dimse.echo(node, caller.ae, caller.tls)


def find(node: Node, wanted: Wanted, caller: Caller) -> list[dict[str, Any]]:
    """Return what a node holds, one row of text by keyword for each study or series.

    Raises
    ------
    PacsError
        If the node refuses or fails.
    ValueError
        If series are asked for without naming their study.
    """
    if wanted.level == "SERIES" and not wanted.study:
        msg = "series are those of a study: give --study UID"
        raise ValueError(msg)
    if isinstance(node, Web):
        found = web.find(node, wanted.query, wanted.level, caller)
    else:
        found = dimse.find(node, wanted.query, wanted.level, caller.ae, caller.tls)
    return [_row(dataset, wanted.level) for dataset in found]


def _row(dataset: Dataset, level: str) -> dict[str, str]:
    row = {}
    for keyword in _ASKED[level]:
        value = dataset.get(keyword, "")
        many = not isinstance(value, str) and hasattr(value, "__iter__") and keyword.startswith("M")
        row[keyword] = "/".join(map(str, value)) if many else str(value or "")
    return row


def get(node: Node, wanted: Wanted, out: Path, caller: Caller) -> tuple[Path, ...]:
    """Fetch a study or series into a folder.

    Raises
    ------
    PacsError
        If the node refuses, fails or holds nothing of it, or the folder holds files.
    """
    if out.exists() and any(out.iterdir()):
        msg = "the folder for the files is not empty; name another one"
        raise PacsError(msg)
    query = {"StudyInstanceUID": wanted.study}
    if wanted.series:
        query["SeriesInstanceUID"] = wanted.series
    if isinstance(node, Web):
        return web.get(node, query, out, caller)
    return dimse.get(node, query, out, caller.ae, caller.tls)


def send(node: Node, paths: Sequence[Path], caller: Caller) -> int:
    """Store files, and those in folders, at a node; return their number.

    Raises
    ------
    PacsError
        If there is no DICOM file, or one was not stored.
    """
    files: list[Path] = []
    for path in paths:
        files += list_files(path).files if path.is_dir() else [path]
    files = [path for path in files if path.is_file() and sniff.kind(path) == "dicom"]
    if not files:
        msg = "there is no DICOM file to send"
        raise PacsError(msg)
    if isinstance(node, Web):
        return web.send_files(node, files, caller)
    return dimse.send_files(node, files, caller.ae, caller.tls)
