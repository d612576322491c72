from __future__ import annotations

import stat
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from groundglass.cli_deidentify import Kept
from groundglass.deidentify import burned_in
from groundglass.deidentify.codes import UNKNOWN_CODE, clean_code, public_codes
from groundglass.deidentify.copy import file_bytes
from groundglass.deidentify.dates import shift_moment, shift_pair
from groundglass.deidentify.pixels import blank_comments
from groundglass.deidentify.rules import Keep, Rule, rule_book, table
from groundglass.deidentify.run import Job, deidentify
from groundglass.deidentify.secret import Pseudonyms, Shift, load_or_make_key
from groundglass.deidentify.stamp import stamp
from groundglass.deidentify.verify import Expected, violations
from groundglass.deidentify.walk import Cleaner, Subject, gather, temporal_values
from groundglass.deidentify.words import Sought, harmless, harmless_part
from groundglass.errors import ExportError
from groundglass.phantom import Chest, build_chest
from tests.fuzzing.case import Case
from tests.fuzzing.dicom import cases
from tests.phi import element, with_text
from tests.series import SECRETS, block, make_slices, save

SHIFT = Shift(-400, 7200)
NAMES = Pseudonyms(b"k" * 32)


def test_the_table_is_the_whole_one() -> None:
    codes = list(table().values())
    assert len(codes) == 652
    assert (codes.count("X"), codes.count("D"), codes.count("U")) == (412, 93, 55)
    assert table()[0x00100010] == "Z"
    assert table()[0x00400275] == "X"


@pytest.mark.parametrize(
    ("keyword", "plain", "strict"),
    [
        ("StudyDate", Rule.EMPTY, Rule.EMPTY),
        ("ContentDate", Rule.EMPTY, Rule.DUMMY),
        ("SeriesDate", Rule.REMOVE, Rule.DUMMY),
        ("AcquisitionDateTime", Rule.EMPTY, Rule.DUMMY),
        ("PatientAge", Rule.REMOVE, Rule.REMOVE),
        ("Manufacturer", Rule.KEEP, Rule.KEEP),
        ("FrameOfReferenceUID", Rule.UID, Rule.UID),
    ],
)
def test_choices_of_the_table(keyword: str, plain: Rule, strict: Rule) -> None:
    tag = pydicom.tag.Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag)
    assert rule_book(frozenset(), strict=False).rule(tag, vr) is plain
    assert rule_book(frozenset(), strict=True).rule(tag, vr) is strict


def test_birth_dates_are_never_shifted() -> None:
    book = rule_book(frozenset(Keep), strict=False)
    assert book.rule(0x00100030, "DA") is Rule.EMPTY
    assert book.rule(0x00080020, "DA") is Rule.SHIFT


def test_pairs_move_together() -> None:
    assert shift_pair("20200305", "145625.958916", SHIFT) == ("20190130", "165625.958916")
    assert shift_pair("20200305", "2300", SHIFT) == ("20190131", "0100")
    assert shift_pair("2020.03.05", "", SHIFT) == ("20190130", "")
    assert shift_pair("", "23", SHIFT) == ("", "01")
    assert shift_pair("today", "now", SHIFT) == ("", "")
    assert shift_pair("20201305", "12", SHIFT)[0] == ""


def test_moments_move_and_lose_their_zone() -> None:
    assert shift_moment("20200305145625.95+0330", SHIFT) == "20190130165625.95"
    assert shift_moment("20200305", SHIFT) == "20190130"
    assert [shift_moment(text, SHIFT) for text in ("2020", "202003", "soon")] == ["", "", ""]


def test_shifts_are_long_and_back() -> None:
    shifts = [NAMES.shift(str(number)) for number in range(200)]
    assert all(-3650 < shift.days <= -365 and 3600 <= shift.seconds < 82_800 for shift in shifts)
    assert len(set(shifts)) == 200


def test_key_files(tmp_path: Path) -> None:
    made = load_or_make_key(tmp_path / "key")
    assert load_or_make_key(tmp_path / "key") == made
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    (tmp_path / "short").write_text("abc")
    with pytest.raises(ExportError, match="64 hexadecimal digits"):
        load_or_make_key(tmp_path / "short")
    with pytest.raises(ExportError, match="cannot be made"):
        load_or_make_key(tmp_path / "no" / "key")


def test_words_that_name_nobody() -> None:
    assert harmless("Thorax 2.0 B31f (Adult)")
    assert not harmless("Thorax Smith")
    assert harmless_part("ThorRoutine_Ma^Dr. Wu, 1.0mm") == "Thor Routine Ma 1.0mm"
    assert harmless_part("ThorRoutine Ma", {"ma"}) == "Thor Routine"


def test_removed_values_are_found_as_words() -> None:
    sought = Sought()
    sought.add("Jürgen^Ann".encode("latin-1"), name=True)
    sought.add(b"CHEST")
    sought.add(b"1234")
    assert sought.found_in(b"scan of ANN")
    assert sought.found_in("for JÜRGEN".lower().encode())
    assert not sought.found_in(b"annual CHEST 1234")


def test_codes_keep_their_public_meaning() -> None:
    assert len(public_codes()) > 10_000
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Jane's"
    assert clean_code(item)
    assert "thora" in item.CodeMeaning.lower()
    assert not clean_code(item)
    item.CodeValue = "4711"
    assert clean_code(item)
    assert (item.CodeValue, item.CodeMeaning) == (UNKNOWN_CODE, "REMOVED")
    assert not clean_code(item)


def test_comments_in_jpeg_streams() -> None:
    def stream(marker: int, value: bytes) -> bytes:
        head = struct.pack(">BBH", 0xFF, marker, len(value) + 2) + value
        return b"\xff\xd8" + head + b"\xff\xda\0\2Jane Doe in pixels"

    own = stream(0xFE, b"LEADTOOLS v19.0\0")
    assert blank_comments(own) is own
    foreign = stream(0xFE, b"Jane Doe")
    assert blank_comments(foreign) == foreign.replace(b"Jane Doe\xff", b" " * 8 + b"\xff")
    assert b"Exif" not in blank_comments(stream(0xE1, b"Exif\0\0Jane"))
    j2k = b"\xff\x4f\xff\x51\0\4\0\0\xff\x64\0\x0c\0\1Jane Doe\xff\x93Jane"
    assert blank_comments(j2k) == j2k.replace(b"Jane Doe", b" " * 8)
    assert blank_comments(b"raw") == b"raw"


@pytest.fixture(scope="module")
def chest() -> Any:
    return build_chest(Chest(shape=(3, 256, 256), spacing_mm=(100.0, 1.4, 1.4))).hu()


@pytest.mark.parametrize("size", [10, 14, 20, 28])
@pytest.mark.parametrize("at", [(2, 4), (225, 60)])
def test_text_beside_the_body_is_seen(chest: Any, size: int, at: tuple[int, int]) -> None:
    assert burned_in.text_rows(chest[1]) == 0
    assert burned_in.text_rows(with_text(chest[1], "DOE JANE 1960", at, size)) >= 1


def test_things_that_are_no_text() -> None:
    hu = np.full((256, 256), -1000, np.int16)
    hu[100:160, 60:200] = 40
    hu[200:204, 20:240] = 300  # table
    hu[20:24, 30:34] = hu[40:60, 50:52] = 500  # single things
    rng = np.random.default_rng(0)
    hu[rng.integers(0, 90, 60), rng.integers(0, 256, 60)] = 100  # noise
    assert burned_in.text_rows(hu) == 0


Edit = Callable[[Dataset], object]
HELD: dict[str, tuple[Edit, str]] = {
    "declared": (lambda d: setattr(d, "BurnedInAnnotation", "YES"), burned_in.DECLARED),
    "localizer": (
        lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        burned_in.LOCALIZER,
    ),
    "capture": (lambda d: setattr(d, "ConversionType", "WSD"), burned_in.CAPTURE),
    "ultrasound": (lambda d: setattr(d, "Modality", "US"), burned_in.OTHER_MODALITY),
    "seen": (
        lambda d: d.__setattr__("PixelData", _lettered(d)),
        burned_in.SEEN,
    ),
}


def _lettered(dataset: Dataset) -> bytes:
    pixels = dataset.pixel_array.astype(np.int32)
    pixels[:18] = 24  # room above the body, of another size than elsewhere
    drawn: Any = with_text(pixels - 1024, "JANE DOE", (0, 2), 12)
    stored: bytes = (drawn.astype(np.int32) + 1024).astype("<u2").tobytes()
    return stored


@pytest.mark.parametrize("name", HELD)
def test_images_that_may_show_names(name: str, tmp_path: Path) -> None:
    edit, reason = HELD[name]
    slices = make_slices(
        np.pad(block((2, 64, 64)), ((0, 0), (20, 0), (0, 0)), constant_values=-1000)
    )
    edit(slices[0])
    source = save(slices, tmp_path / "source")
    held = deidentify(Job(source, tmp_path / "held"))
    assert (held.written, held.held) == (1, {reason: 1})
    flagged = deidentify(Job(source, tmp_path / "flagged", flag_only=True))
    assert (flagged.written, flagged.flagged) == (2, {reason: 1})


CLASSES = {
    "1.3.12.2.1107.5.9.1": "private kind of object, whose content nobody can know",
    "1.2.840.10008.5.1.4.1.1.104.1": "document inside a DICOM file",
    "1.2.840.10008.5.1.4.1.1.66": "raw data, whose content nobody can know",
}


@pytest.mark.parametrize("sop_class", CLASSES)
def test_objects_nobody_can_know_are_held_back(sop_class: str, tmp_path: Path) -> None:
    slices = make_slices(block((1, 64, 64)))
    slices[0].SOPClassUID = sop_class
    source = save(slices, tmp_path / "source")
    summary = deidentify(Job(source, tmp_path / "out"))
    assert summary.held == {CLASSES[sop_class]: 1}
    assert list((tmp_path / "out").iterdir()) == []


def _private(dataset: Dataset) -> None:
    dataset.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "x")


def _nested_name(dataset: Dataset) -> None:
    item = Dataset()
    item.OperatorsName = "Somebody"
    dataset.ReferencedImageSequence = Items([item])


FAULTS: dict[str, tuple[Edit, str]] = {
    "private": (_private, "attribute that may not be there"),
    "listed": (lambda d: setattr(d, "StudyDescription", "x"), "attribute not removed"),
    "name": (lambda d: setattr(d, "PatientName", "Somebody"), "attribute not emptied"),
    "nested": (_nested_name, r"attribute not emptied: \(0008,1140\)>\(0008,1070\)"),
    "uid": (lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3"), "identifier that was not given"),
    "value": (lambda d: setattr(d, "Manufacturer", "of Jane"), "removed value"),
    "uid in text": (
        lambda d: setattr(d, "Manufacturer", "1.2.3.4.5.6.7.8"),
        "identifier in a text",
    ),
    "date in text": (lambda d: setattr(d, "Manufacturer", "on 20200305"), "date in a text"),
    "date": (lambda d: setattr(d, "AcquisitionDate", "20200305"), "not emptied|not changed"),
    "stamp": (lambda d: setattr(d, "PatientIdentityRemoved", "NO"), "PatientIdentityRemoved"),
    "pixels": (lambda d: setattr(d, "Rows", 64), "pixel data changed"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("keep", [frozenset(), frozenset({Keep.DATES})], ids=["basic", "dates"])
def test_the_verifier_finds(name: str, keep: frozenset[Keep], tmp_path: Path) -> None:
    (dataset,) = make_slices(block((1, 64, 64)), AcquisitionDate="20200305", PatientName="Doe^Jane")
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 8192) + dataset.PixelData
    del dataset.PixelData
    book = rule_book(keep, strict=False)
    subject = Subject("GG-TEST", SHIFT, Sought())
    gather(dataset, book, subject.sought)
    dates = dict(temporal_values(dataset))
    cleaner = Cleaner(NAMES, subject, keep, strict=False)
    cleaner.clean(dataset)
    stamp(dataset, subject, keep, cleaner.audit)
    expected = Expected(NAMES, subject, book, dates, pixels)
    path = tmp_path / "copy"

    def found(data: bytes) -> tuple[str, ...]:
        path.write_bytes(data)
        return violations(path, expected)

    sound = file_bytes(dataset, "1.2.840.10008.1.2.1", pixels)
    assert found(sound) == ()
    assert found(b"x" + sound[1:]) == ("preamble not zero",)
    edit, problem = FAULTS[name]
    edit(dataset)
    spoilt = bytes(len(pixels)) if name == "pixels" else pixels
    faults = found(file_bytes(dataset, "1.2.840.10008.1.2.1", spoilt))
    assert any(__import__("re").search(problem, fault) for fault in faults), faults
    assert not any(word in fault for fault in faults for word in ("Jane", "Somebody", "2020"))


def test_a_cut_file_and_a_header_alone_are_held_back(tmp_path: Path) -> None:
    slices = make_slices(block((2, 64, 64)))
    buffer = BytesIO()
    slices[0].save_as(buffer, enforce_file_format=True)
    source = tmp_path / "source"
    source.mkdir()
    (source / "cut").write_bytes(buffer.getvalue()[:-100])
    del slices[1].PixelData
    slices[1].save_as(source / "header", enforce_file_format=True)
    summary = deidentify(Job(source, tmp_path / "out"))
    assert summary.written == 0
    assert summary.held == {"pixel data cut off": 1, "image without pixel data": 1}


def test_text_where_numbers_belong_is_emptied(tmp_path: Path) -> None:
    (dataset,) = make_slices(block((1, 64, 64)))
    dataset.add(element(0x00180060, "LO", "of Miller"))
    dataset.add(element(0x00181100, "DS", "123456789012"))
    dataset.add(element(0x00180050, "LO", "5.0"))
    source = save([dataset], tmp_path / "source")
    deidentify(Job(source, tmp_path / "out"))
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert not after.KVP
    assert not after.ReconstructionDiameter
    assert after.SliceThickness == "5.0"


def test_the_command_offers_every_option() -> None:
    assert {option.value for option in Kept} == {option.value for option in Keep}


BROKEN = [case for case in cases() if case.group in ("dicom-header", "dicom-bytes")][::9]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_broken_files_cost_themselves_only(case: Case, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    case.make(source)
    for path in sorted(source.iterdir())[3:]:
        path.unlink()
    summary = deidentify(Job(source, tmp_path / "out", frozenset(Keep)))
    assert summary.written + summary.held.total() + summary.left_out.total() == summary.found
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))
    assert not any(secret.encode() in content for secret in SECRETS)
