"""Files with personal data in every place one can think of, and the search for what is left.

Every value carries a mark of its own, so that each attribute that survives can be named. Dates
and times cannot carry one; they count as left where the same place still holds the same value.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, generate_uid

from groundglass.deidentify.rules import table
from tests.series import block, make_enhanced, make_slices

PREFIX = "ZQ"
NUMBERS = {"DS", "IS", "US", "UL", "SS", "SL", "FL", "FD", "AT", "AS"}
"""Value representations that hold no mark."""
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
NAME = "ZQNAME^ZQFIRST"
IDENTIFIER = "ZQ-ID-4711"
_UID_ROOT = "1.2.826.0.1.3680043.9.7433.19991124"


@dataclass
class Marks:
    """Gives out marks and remembers where they were put."""

    where: dict[str, str] = field(default_factory=dict)
    """Place by mark."""

    def new(self, place: str) -> str:
        """Return the next mark."""
        mark = f"{PREFIX}{len(self.where):05d}X"
        self.where[mark] = place
        return mark

    def uid(self, place: str) -> str:
        """Return a unique identifier with a date and a mark in it."""
        number = len(self.where)
        mark = f"{_UID_ROOT}.{number + 100000}"
        self.where[mark] = place
        return mark


def element(tag: int, vr: str, value: Any) -> DataElement:
    return DataElement(tag, vr, value, validation_mode=pydicom.config.IGNORE)


def _moment(count: int) -> tuple[str, str]:
    day = date(1960, 1, 1) + timedelta(days=7 * count)
    return day.strftime("%Y%m%d"), f"{1 + count % 22:02d}{count * 7 % 60:02d}{count * 13 % 60:02d}"


def marked(tag: int, place: str, marks: Marks) -> DataElement:  # noqa: PLR0911 - one a kind
    """Return an element whose value carries a mark, where its kind can."""
    vr = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "LO"
    where = f"{place} {Tag(tag)}"
    if vr == "SQ":
        return element(tag, vr, Items([_coded_item(where, marks)]))
    if vr in ("DA", "TM", "DT"):
        day, time = _moment(len(marks.where) + tag % 997)
        return element(tag, vr, {"DA": day, "TM": time, "DT": f"{day}{time}.123+0330"}[vr])
    if vr == "UI":
        return element(tag, vr, marks.uid(where))
    if vr in NUMBERS:
        return element(tag, vr, {"AS": "093Y", "AT": 0x00100010}.get(vr, 1))
    mark = marks.new(where)
    if vr in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
        return element(tag, vr, mark.encode())
    if vr == "PN":
        return element(tag, vr, f"{mark}^{mark}Jürgen")
    return element(tag, vr, f"Mr {mark}" if vr in ("LO", "LT", "ST", "UT") else mark)


def _coded_item(place: str, marks: Marks) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = marks.new(place), "99PHI"
    item.CodeMeaning = marks.new(place)
    item.add(element(0x0040A123, "PN", marks.new(place)))
    item.add(element(0x00081155, "UI", marks.uid(place)))
    return item


def fill_table(dataset: Dataset, place: str, marks: Marks) -> None:
    """Add every attribute of Table E.1-1 that an object can hold and does not have yet."""
    for tag in sorted(table()):
        if tag >> 16 > 4 and tag not in dataset and tag >> 16 != 0xFFFA:
            dataset.add(marked(tag, place, marks))


def fill_private(dataset: Dataset, place: str, marks: Marks) -> None:
    """Add private blocks: text, bytes, an unknown kind and a sequence."""
    for group in (0x0009, 0x0019, 0x0029, 0x3005):
        creator = f"{marks.new(place)} CREATOR"
        dataset.add(element(group << 16 | 0x0010, "LO", creator))
        dataset.add(element(group << 16 | 0x1001, "LO", marks.new(f"{place} private text")))
        dataset.add(element(group << 16 | 0x1002, "OB", marks.new(f"{place} bytes").encode()))
        dataset.add(element(group << 16 | 0x1003, "UN", marks.new(f"{place} unknown").encode()))
        inside = Dataset()
        inside.PatientName = marks.new(f"{place} private sequence")
        dataset.add(element(group << 16 | 0x1004, "SQ", Items([inside])))


def _fill_kept(dataset: Dataset, marks: Marks) -> None:
    """Hide identifiers in attributes that the table does not name."""
    dataset.PatientName, dataset.PatientID = NAME, IDENTIFIER
    marks.where |= {"ZQNAME": "patient's name", "ZQFIRST": "first name", IDENTIFIER: "patient ID"}
    dataset.Manufacturer = f"Scanner of {NAME.split('^', maxsplit=1)[0]}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", IDENTIFIER]
    dataset.SoftwareVersions = "1.0 built 20010911"
    dataset.ConvolutionKernel = f"B31 {NAME.split('^')[1].lower()}"
    known = Dataset()
    known.CodeValue, known.CodingSchemeDesignator = "T-D3000", "SRT"
    known.CodeMeaning = marks.new("meaning beside a public code")
    unknown = _coded_item("code of a private scheme", marks)
    dataset.AnatomicRegionSequence = Items([known])
    dataset.CTDIPhantomTypeCodeSequence = Items([unknown])
    dataset.add(element(0x00109FFE, "LO", marks.new("attribute unknown to the standard")))


def _fill_planes(dataset: Dataset, marks: Marks) -> None:
    for group in (0x6000, 0x6002):
        dataset.add(element(group << 16 | 0x0010, "US", 8))
        dataset.add(element(group << 16 | 0x0011, "US", 8))
        dataset.add(element(group << 16 | 0x0022, "LO", marks.new("overlay description")))
        dataset.add(element(group << 16 | 0x1500, "LO", marks.new("overlay label")))
        dataset.add(element(group << 16 | 0x3000, "OW", marks.new("overlay data").encode()))
    dataset.add(element(0x50000022, "LO", marks.new("curve description")))
    dataset.add(element(0x50003000, "OW", marks.new("curve data").encode()))
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.PixelData = marks.new("icon").encode()
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = Items([icon])


def worst_ct(marks: Marks) -> list[Dataset]:
    """Return three linked CT slices, the first with marks in every attribute of the table."""
    slices = make_slices(block((3, 64, 64)), series=f"{_UID_ROOT}.1")
    marks.where[f"{_UID_ROOT}.1"] = "series"
    for dataset in slices:
        uid = UID(marks.uid("object"))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.StudyInstanceUID = f"{_UID_ROOT}.2"
        dataset.Manufacturer, dataset.KVP, dataset.AcquisitionNumber = "", None, None
        dataset.PatientBirthDate = "19601231"
        _fill_kept(dataset, marks)
    marks.where[f"{_UID_ROOT}.2"] = "study"
    for dataset, other in zip(slices, [*slices[1:], slices[0]], strict=True):
        reference = Dataset()
        reference.ReferencedSOPClassUID = other.SOPClassUID
        reference.ReferencedSOPInstanceUID = other.SOPInstanceUID
        dataset.ReferencedImageSequence = Items([reference])
    first = slices[0]
    del first.StudyDate, first.StudyTime, first.SeriesDescription, first.AccessionNumber
    del first.ReferringPhysicianName, first.StudyID
    _fill_planes(first, marks)
    fill_table(first, "top", marks)
    nested = first.ReferencedImageSequence[0]
    fill_table(nested, "nested", marks)
    fill_private(first, "top", marks)
    fill_private(nested, "nested", marks)
    return slices


def worst_enhanced(marks: Marks) -> Dataset:
    """Return an enhanced CT with marks in its functional groups."""
    dataset = make_enhanced(block((3, 64, 64)))
    dataset.PatientName, dataset.PatientID = NAME, IDENTIFIER
    for place, groups in (
        ("shared group", dataset.SharedFunctionalGroupsSequence),
        ("frame group", dataset.PerFrameFunctionalGroupsSequence),
    ):
        for item in groups:
            content = Dataset()
            content.add(element(0x00189074, "DT", "20200305145625.95"))
            content.FrameComments = marks.new(place)
            fill_private(content, place, marks)
            item.FrameContentSequence = Items([content])
            fill_table(item, place, marks)
    return dataset


def worst_report(marks: Marks) -> Dataset:
    """Return a structured report that tells everything about its subject in its content."""
    dataset = make_slices(block((1, 64, 64)))[0]
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "ImagePositionPatient"):
        del dataset[keyword]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(COMPREHENSIVE_SR)
    dataset.Modality, dataset.ValueType, dataset.CompletionFlag = "SR", "CONTAINER", "COMPLETE"
    dataset.VerificationFlag = "VERIFIED"
    dataset.PatientName, dataset.PatientID = NAME, IDENTIFIER
    dataset.ContentSequence = Items(_content(marks))
    fill_table(dataset, "report", marks)
    return dataset


def _content(marks: Marks) -> Iterator[Dataset]:
    values: Mapping[str, tuple[int, str, Any]] = {
        "TEXT": (0x0040A160, "UT", f"Seen: {marks.new('text')}, {NAME}"),
        "PNAME": (0x0040A123, "PN", marks.new("person")),
        "UIDREF": (0x0040A124, "UI", marks.uid("reference")),
        "DATE": (0x0040A121, "DA", "20200305"),
        "CODE": (0x0040A168, "SQ", Items([_coded_item("code", marks)])),
    }
    for kind, (tag, vr, value) in values.items():
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", kind
        item.ConceptNameCodeSequence = Items([_concept("121071", "Finding")])
        item.add(element(tag, vr, value))
        below = Dataset()
        below.RelationshipType, below.ValueType = "HAS PROPERTIES", "TEXT"
        below.ConceptNameCodeSequence = Items([_concept("121030", marks.new("concept name"))])
        below.TextValue = marks.new("text below")
        item.ContentSequence = Items([below])
        yield item


def _concept(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def as_file(dataset: Dataset, marks: Marks) -> bytes:
    """Return a data set as a file with marks around it: preamble, meta information, padding."""
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle = marks.new("sender's title")
    meta.SendingApplicationEntityTitle = marks.new("sending title")
    meta.ReceivingApplicationEntityTitle = marks.new("receiving title")
    meta.ImplementationVersionName = marks.new("version name")
    meta.PrivateInformationCreatorUID = generate_uid()
    meta.PrivateInformation = marks.new("private information").encode()
    dataset.preamble = marks.new("preamble").encode().ljust(128, b".")
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
        excess = marks.new("behind the last pixel").encode()
        dataset.PixelData = dataset.PixelData + excess
    buffer = BytesIO()
    mode = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        dataset.save_as(buffer, enforce_file_format=True)
    finally:
        pydicom.config.settings.writing_validation_mode = mode
    padding = marks.new("trailing padding").encode()
    return buffer.getvalue() + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 8) + padding


def write_worst(folder: Path) -> Marks:
    """Write all crafted files into folders named after the patient and return the marks."""
    marks = Marks()
    place = folder / "ZQNAME ZQFIRST" / "1960-12-31"
    place.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write_worst(place, marks)
    return marks


def _write_worst(place: Path, marks: Marks) -> None:
    sets = {f"ct{i}": dataset for i, dataset in enumerate(worst_ct(marks))}
    sets |= {"enhanced": worst_enhanced(marks), "report": worst_report(marks)}
    for name, dataset in sets.items():
        (place / f"{IDENTIFIER}-{name}.dcm").write_bytes(as_file(dataset, marks))


def marks_left(files: Sequence[Path], marks: Marks) -> dict[str, str]:
    """Return the marks still found anywhere in files or in their names, with their places."""
    content = b"\0".join(path.read_bytes() + str(path.name).encode() for path in files).lower()
    return {mark: place for mark, place in marks.where.items() if mark.lower().encode() in content}


def dates_left(before: Dataset, after: Dataset, path: str = "") -> list[str]:
    """Return the places at which two data sets hold the same date or time."""
    found = []
    for element_before in before:
        tag = element_before.tag
        if tag not in after:
            continue
        here = f"{path}{tag}"
        if element_before.VR == "SQ" and after[tag].VR == "SQ":
            for one, other in zip(element_before.value, after[tag].value, strict=False):
                found += dates_left(one, other, f"{here}>")
        elif element_before.VR in ("DA", "TM", "DT") and element_before.value:
            same = str(element_before.value) == str(after[tag].value)
            found += [here] if same else []
    return found


def with_text(hu: Any, text: str, at: tuple[int, int], size: int = 14) -> Any:
    """Return a slice with bright letters drawn into it."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (hu.shape[1], hu.shape[0]))
    ImageDraw.Draw(picture).text(at[::-1], text, 255, ImageFont.load_default(size))
    drawn = np.asarray(picture).astype(float) / 255
    return np.where(drawn > 0, hu + (2000 - hu) * drawn, hu).astype(np.int16)
