"""One file: read, de-identified, written under a temporary name, verified, renamed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from groundglass.deidentify.burned_in import suspicion
from groundglass.deidentify.pixels import DamagedFileError, PixelElement, pixel_element
from groundglass.deidentify.plan import PLAIN_CLASSES, Plan, Source
from groundglass.deidentify.rules import Keep, rule_book
from groundglass.deidentify.secret import Pseudonyms
from groundglass.deidentify.stamp import mend_identifiers, new_meta, stamp
from groundglass.deidentify.values import text_of
from groundglass.deidentify.verify import Expected, violations
from groundglass.deidentify.walk import SOP_CLASS, Action, Audit, Cleaner, temporal_values
from groundglass.errors import ExportError
from groundglass.readers.dicom_file import inflate, load_header
from groundglass.readers.dicom_layout import guessed_syntax

PIXEL_DATA = 0x7FE00010
PART_NAME = ".groundglass-part"
"""Name of the file being written; what bears it is not finished."""
SHORTEST_IN_PIXELS = 6
"""Fewest characters of a removed value looked for among pixel bytes, where chance makes words."""
HIDDEN = "removed value hidden in the pixel data"
CHANGED = "file that changed while it was read"
FAILED = "copy that did not pass the verifier"


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    held: str | None
    """Why there is no copy; ``None`` if there is one."""
    flag: str | None = None
    """Why somebody should look at the copy."""
    faults: tuple[str, ...] = ()
    """What the verifier found."""
    audit: Audit | None = None
    """What was done."""
    uids: tuple[str, str] = ("", "")
    """Identifier of the object before and after; for the table of the user alone."""


@dataclass(frozen=True)
class _Prepared:
    dataset: Dataset
    """Original header."""
    pixels: PixelElement | None
    """Pixel data element of the copy."""
    syntax: str
    """Transfer syntax as written."""


class Copier:
    """De-identifies the files of a plan.

    Parameters
    ----------
    plan : Plan
        What to do.
    names : Pseudonyms
        Where identifiers come from.
    keep : frozenset of Keep
        Options.
    out : Path
        Destination.
    flag_only : bool
        Write images that may show names, and say so, instead of holding them back.
    """

    def __init__(
        self, plan: Plan, names: Pseudonyms, keep: frozenset[Keep], out: Path, *, flag_only: bool
    ) -> None:
        self._plan, self._names, self._keep = plan, names, keep
        self._out, self._flag_only = out, flag_only

    def copy(self, source: Source, known: str | None = None) -> Outcome:
        """Write the copy of a file and return what became of it.

        Parameters
        ----------
        source : Source
            What to copy.
        known : str, optional
            What an earlier run found in the pixels, empty for nothing; its copy, if it is there
            and passes the verifier, is left as it is.
        """
        try:
            prepared = self._prepare(source.path)
        except DamagedFileError as error:
            return Outcome(held=str(error))
        except Exception:  # noqa: BLE001 - whatever a damaged file raises, it costs itself only
            return Outcome(held="damaged file")
        flag = known or None
        if known is None and prepared.pixels is not None:
            flag = suspicion(prepared.dataset, prepared.pixels, self._out / f"{PART_NAME}-pixels")
        if flag is not None and not self._flag_only:
            return Outcome(held=flag)
        return self._write(source, prepared, flag, fresh=known is None)

    def _prepare(self, path: Path) -> _Prepared:
        dataset, offset = load_header(path)
        stored = path.read_bytes()
        meta = getattr(dataset, "file_meta", Dataset())
        written = str(meta.get("TransferSyntaxUID", "") or guessed_syntax(dataset))
        if offset < 0:
            return _Prepared(dataset, None, _as_stored(stored, written))
        plain = inflate(stored)
        pixels = pixel_element(plain, offset, dataset, written)
        return _Prepared(dataset, pixels, _as_stored(stored, written))

    def _write(
        self, source: Source, prepared: _Prepared, flag: str | None, *, fresh: bool
    ) -> Outcome:
        dataset, pixels = prepared.dataset, prepared.pixels
        subject = self._plan.subjects[source.patient]
        if pixels is not None and subject.sought.found_raw(pixels.data, SHORTEST_IN_PIXELS):
            return Outcome(held=HIDDEN)
        before = text_of(dataset, 0x00080018) if 0x00080018 in dataset else ""
        strict = text_of(dataset, SOP_CLASS) not in PLAIN_CLASSES
        dates = dict(temporal_values(dataset))
        mend_identifiers(dataset, self._names, source.patient, source.identity)
        cleaner = Cleaner(self._names, subject, self._keep, strict=strict)
        cleaner.clean(dataset)
        stamp(dataset, subject, self._keep, cleaner.audit)
        if pixels is not None:
            action = Action.CLEANED if pixels.cleaned else Action.KEPT
            cleaner.audit[(PIXEL_DATA,), action] += 1
        expected = Expected(
            self._names,
            subject,
            rule_book(self._keep, strict=strict),
            dates,
            b"" if pixels is None else pixels.data,
        )
        faults = self._put(source.target, dataset, prepared, expected, fresh=fresh)
        held = FAILED if faults else None
        return Outcome(held, flag, faults, cleaner.audit, (before, str(dataset.SOPInstanceUID)))

    def _put(
        self,
        target: Path,
        dataset: Dataset,
        prepared: _Prepared,
        expected: Expected,
        *,
        fresh: bool,
    ) -> tuple[str, ...]:
        """Write, verify and rename; return the faults of a copy that was not kept."""
        final, part = self._out / target, self._out / PART_NAME
        if not fresh and final.is_file() and not violations(final, expected):
            return ()
        data = file_bytes(dataset, prepared.syntax, expected.pixels)
        try:
            part.write_bytes(data)
            faults = violations(part, expected)
            if not faults:
                final.parent.mkdir(parents=True, exist_ok=True)
                part.replace(final)
        except OSError as error:
            msg = f"a copy cannot be written: {error.strerror}"
            raise ExportError(msg) from error
        finally:
            part.unlink(missing_ok=True)
        return faults


def file_bytes(dataset: Dataset, syntax: str, pixels: bytes) -> bytes:
    """Return a DICOM file of a header and the pixel data element that follows it."""
    plain = ExplicitVRLittleEndian if syntax == DeflatedExplicitVRLittleEndian else syntax
    dataset.file_meta = new_meta(dataset, plain)
    dataset.preamble = b"\0" * 128
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    if plain == syntax:
        return buffer.getvalue() + pixels
    whole = buffer.getvalue() + pixels
    dataset.file_meta = new_meta(dataset, syntax)
    head = DicomBytesIO()
    length = 144 + int.from_bytes(whole[140:144], "little")
    write_file_meta_info(head, dataset.file_meta, enforce_standard=True)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(whole[length:]) + packer.flush()
    return b"\0" * 128 + b"DICM" + head.getvalue() + packed + b"\0" * (len(packed) % 2)


def _as_stored(stored: bytes, syntax: str) -> str:
    """Return the transfer syntax of a file that was inflated before its header was read."""
    deflated = str(DeflatedExplicitVRLittleEndian)
    return deflated if deflated.encode() in stored[:2048] else syntax
