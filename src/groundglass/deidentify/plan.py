"""What lies in the source: which files, which patients, under which names they will be written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from groundglass.core.progress import OnProgress, Progress
from groundglass.deidentify.rules import Keep, rule_book
from groundglass.deidentify.secret import STANDARD_ROOT, Pseudonyms
from groundglass.deidentify.stamp import mend_identifiers
from groundglass.deidentify.values import bytes_of, text_of
from groundglass.deidentify.walk import Subject, gather
from groundglass.deidentify.words import Sought
from groundglass.readers import sniff
from groundglass.readers.dicom_file import MAX_HEADER_BYTES, load_header

PLAIN_CLASSES = frozenset(
    {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1"}
)
"""CT, MR and CR images of one frame, which need few values."""
_UNFIT = {
    r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.104\.\d+": "document inside a DICOM file",
    r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.66": "raw data, whose content nobody can know",
}
"""Why objects of a class, by the pattern of its identifier, cannot be de-identified."""
_DIRECTORY = "1.2.840.10008.1.3.10"
_SOP_CLASS, _SOP_UID, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_PATIENT_NAME, _PATIENT_ID, _ISSUER, _BIRTH = 0x00100010, 0x00100020, 0x00100021, 0x00100030


@dataclass(frozen=True, slots=True)
class Source:
    """One DICOM file to be de-identified."""

    path: Path
    """Where it lies; never shown, names of files may tell who the patient is."""
    mark: str
    """Tells whether it is the file of an earlier run: place, size and time of change."""
    patient: str
    """What the patient is known by; a secret."""
    identity: str
    """Tells the object from others where it has no identifier of its own."""
    target: Path
    """Where the copy goes, below the destination."""


@dataclass(frozen=True)
class Plan:
    """All that will be done."""

    sources: tuple[Source, ...]
    """Files in order of their places."""
    subjects: dict[str, Subject]
    """Patients by what they are known by."""
    held: Counter[str]
    """Files that cannot be de-identified, by reason."""
    left_out: Counter[str]
    """Files that are no DICOM objects, by reason."""


@dataclass
class _Planner:
    names: Pseudonyms
    keep: frozenset[Keep]
    subjects: dict[str, Subject] = field(default_factory=dict)
    patients_of_studies: dict[tuple[str, str], str] = field(default_factory=dict)
    taken: Counter[Path] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def look(self, path: Path, root: Path) -> Source | None:
        """Return what is to be done with a file; ``None`` if nothing."""
        if sniff.kind(path) != "dicom":
            packed = sniff.kind(path) in ("zip", "tar")
            self.left_out["archive; give it by itself" if packed else "not DICOM"] += 1
            return None
        try:
            dataset, offset = load_header(path)
        except Exception:  # noqa: BLE001 - whatever a damaged header raises
            self.held["damaged header"] += 1
            return None
        sop_class = text_of(dataset, _SOP_CLASS) if _SOP_CLASS in dataset else ""
        if _is_directory(dataset, sop_class):
            self.left_out["directory of a medium (DICOMDIR)"] += 1
            return None
        reason = _unfit(sop_class, path.stat().st_size, offset)
        if reason:
            self.held[reason] += 1
            return None
        return self._source(path, root, dataset, offset, strict=sop_class not in PLAIN_CLASSES)

    def _source(
        self, path: Path, root: Path, dataset: Dataset, offset: int, *, strict: bool
    ) -> Source:
        patient = self._patient(dataset)
        gather(dataset, rule_book(self.keep, strict=strict), self._subject(patient).sought)
        head = path.read_bytes() if offset < 0 else _first_bytes(path, offset)
        identity = sha256(head).hexdigest()
        mend_identifiers(dataset, self.names, patient, identity)
        status = path.stat()
        place = path.relative_to(root).as_posix()
        mark = self.names.digest("file", f"{place}|{status.st_size}|{status.st_mtime_ns}")
        return Source(path, mark[:16].hex(), patient, identity, self._target(dataset, patient))

    def _patient(self, dataset: Dataset) -> str:
        """Return what a patient is known by, taken from the study where the file does not say."""
        study = text_of(dataset, _STUDY) if _STUDY in dataset else ""
        found = [text_of(dataset, t) if t in dataset else "" for t in (_PATIENT_ID, _ISSUER)]
        known = self.patients_of_studies.get((study, found[0]))
        if study and known is not None:
            return known
        if found[0]:
            patient = "\0".join(found)
            self.patients_of_studies[study, found[0]] = patient
            self.patients_of_studies.setdefault((study, ""), patient)
            return patient
        named = [text_of(dataset, t) if t in dataset else "" for t in (_PATIENT_NAME, _BIRTH)]
        return "\0".join(["name", *named]) if named[0] else f"study\0{study}"

    def _subject(self, patient: str) -> Subject:
        if patient not in self.subjects:
            self.subjects[patient] = Subject(
                self.names.patient(patient), self.names.shift(patient), Sought()
            )
        return self.subjects[patient]

    def _target(self, dataset: Dataset, patient: str) -> Path:
        """Return a path of pseudonyms, one that no other file has."""
        study, series, instance = (
            sha256(self.names.uid(text_of(dataset, tag)).encode()).hexdigest()[:10]
            for tag in (_STUDY, _SERIES, _SOP_UID)
        )
        number = bytes_of(dataset, 0x00200013).strip(b" \0") if 0x00200013 in dataset else b""
        order = f"{int(number):05d}-" if number.isdigit() and len(number) < 6 else ""
        folder = Path(self._subject(patient).pseudonym, f"study-{study}", f"series-{series}")
        path = folder / f"{order}{instance}"
        self.taken[path] += 1
        copy = "" if self.taken[path] == 1 else f"-{self.taken[path]}"
        return folder / f"{path.name}{copy}.dcm"


def make_plan(
    files: Sequence[Path],
    root: Path,
    names: Pseudonyms,
    keep: frozenset[Keep],
    on_progress: OnProgress,
) -> Plan:
    """Return what is to be done with files below a folder; only headers are read.

    Files that name no patient follow those of their study, so those are looked at first.
    """
    planner = _Planner(names, keep)
    found = []
    for number, path in enumerate(files, 1):
        source = planner.look(path, root)
        if source is not None:
            found.append(source)
        on_progress(Progress("looking at headers", number, len(files)))
    return Plan(tuple(found), planner.subjects, planner.held, planner.left_out)


def _is_directory(dataset: Dataset, sop_class: str) -> bool:
    meta = getattr(dataset, "file_meta", Dataset())
    return _DIRECTORY in (sop_class, str(meta.get("MediaStorageSOPClassUID", "")))


def _unfit(sop_class: str, size: int, offset: int) -> str | None:
    """Return why objects of a class cannot be de-identified; ``None`` if they can."""
    starts = (kind for kind in _UNFIT if re.fullmatch(kind, sop_class))
    if not sop_class.startswith(STANDARD_ROOT):
        missing = "no kind of object stated (SOP Class UID)"
        return "private kind of object, whose content nobody can know" if sop_class else missing
    if offset < 0 and "Image Storage" in UID(sop_class).name:
        return "image without pixel data"
    if offset < 0 and size > MAX_HEADER_BYTES:
        return "header too long"
    return _UNFIT[found] if (found := next(starts, "")) else None


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
