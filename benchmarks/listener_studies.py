"""Copies of real series as studies of their own, to be sent to a node, and what comes back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pydicom
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SERIES = ("P001", "cap001", "normal001")
"""Series of COVID-CT-MD."""


@dataclass(frozen=True)
class Study:
    """A copy of a real series as a study of its own."""

    uid: str
    """Study Instance UID."""
    folder: Path
    """Its files."""
    secrets: frozenset[str]
    """What must not be in any log."""


def make_study(series: Path, folder: Path, every: int, shrink: int) -> Study:
    """Write a part of a series, or all of it, with fresh UIDs."""
    paths = {path: pydicom.dcmread(path) for path in series.iterdir()}
    order = sorted(paths, key=lambda path: float(paths[path].ImagePositionPatient[2]))
    study, serie, frame = generate_uid(), generate_uid(), generate_uid()
    folder.mkdir(parents=True)
    for number, path in enumerate(order[::every]):
        dataset = paths[path]
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, serie
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        if shrink > 1:
            shrunk(dataset, path, shrink)
        dataset.save_as(folder / f"{number:04d}.dcm")
    first = paths[order[0]]
    told = (study, serie, str(first.get("PatientID", "")), str(first.get("PatientName", "")))
    return Study(study, folder, frozenset(word for word in told if len(word) > 3))


def shrunk(dataset: pydicom.Dataset, path: Path, shrink: int) -> None:
    """Keep every Nth row and column of a slice."""
    hu = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0, ::shrink, ::shrink]
    pixels = (hu - int(dataset.RescaleIntercept)).astype("<i2")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing = [shrink * float(one) for one in dataset.PixelSpacing]
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OW", False


def make_studies(data: Path, folder: Path, count: int, every: int, shrink: int) -> list[Study]:
    """Write copies of the series in turn."""
    names = [SERIES[i % len(SERIES)] for i in range(count)]
    found = [next(data.glob(f"*/{name}")) for name in names]
    return [make_study(one, folder / f"study{i}", every, shrink) for i, one in enumerate(found)]


def image(path: Path) -> str:
    """Return a digest of the pixels of a file."""
    return sha256(pydicom.dcmread(path).PixelData).hexdigest()


@dataclass
class Returned:
    """What came back, by study: kind, UID and digest of every object, in order."""

    objects: dict[str, list[tuple[str, str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def keep(self, event: Any) -> int:
        """Note one object."""
        dataset = event.dataset
        digest = sha256(event.request.DataSet.getvalue()).hexdigest()
        entry = (str(dataset.Modality), str(dataset.SOPInstanceUID), digest)
        self.objects[str(dataset.StudyInstanceUID)].append(entry)
        return 0

    def counts(self, study: str) -> dict[str, Counter[tuple[str, str]]]:
        """Return how often each object of each kind came back for a study."""
        found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for kind, uid, digest in self.objects[study]:
            found[kind][uid, digest] += 1
        return found


@contextmanager
def receiver() -> Iterator[tuple[Returned, str]]:
    """Receive results; yield what came, and our address."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    returned = Returned()
    ae = AE(ae_title="SENDER")
    ae.supported_contexts = AllStoragePresentationContexts
    handlers: list[Any] = [(evt.EVT_C_STORE, returned.keep)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    try:
        yield returned, f"SENDER@127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
