"""DICOM series whose headers, pixels or files are broken."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from tests.fuzzing.case import Case, Random, chest_hu, chest_slices, cut, flip_bytes, flipped
from tests.series import compress, make_enhanced, make_slices

Change = Callable[[bytes, Random], bytes]

REMOVED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
    "FrameOfReferenceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SliceLocation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation",
    "RescaleSlope", "RescaleIntercept", "PixelData", "ImageType", "PatientPosition", "PatientID",
)  # fmt: skip
"""Elements left out of all slices, one after the other."""

WRONG: Sequence[tuple[str, str, Any]] = (
    ("Rows", "US", 0), ("Rows", "US", 65535), ("Rows", "US", 63), ("Columns", "US", 0),
    ("Columns", "US", 65535), ("Rows", "LO", "many"), ("BitsAllocated", "US", 0),
    ("BitsAllocated", "US", 1), ("BitsAllocated", "US", 8), ("BitsAllocated", "US", 12),
    ("BitsAllocated", "US", 32), ("BitsAllocated", "US", 64), ("BitsStored", "US", 0),
    ("BitsStored", "US", 8), ("BitsStored", "US", 40), ("HighBit", "US", 3),
    ("PixelRepresentation", "US", 1), ("PixelRepresentation", "US", 7),
    ("SamplesPerPixel", "US", 0), ("SamplesPerPixel", "US", 3), ("SamplesPerPixel", "US", 65535),
    ("PhotometricInterpretation", "CS", "MONOCHROME1"),
    ("PhotometricInterpretation", "CS", "PALETTE COLOR"),
    ("PhotometricInterpretation", "CS", "YBR_FULL"), ("PhotometricInterpretation", "LO", "??"),
    ("RescaleSlope", "DS", "0"), ("RescaleSlope", "DS", "-1"), ("RescaleSlope", "DS", "1e30"),
    ("RescaleSlope", "LO", "nan"), ("RescaleSlope", "LO", "abc"), ("RescaleSlope", "DS", "0.001"),
    ("RescaleIntercept", "LO", "inf"), ("RescaleIntercept", "DS", "1e38"),
    ("RescaleIntercept", "DS", "0"), ("RescaleIntercept", "LO", ""), ("RescaleType", "LO", "OD"),
    ("PixelSpacing", "DS", ["0", "0"]), ("PixelSpacing", "DS", ["-1", "1"]),
    ("PixelSpacing", "LO", ["nan", "nan"]), ("PixelSpacing", "DS", ["1"]),
    ("PixelSpacing", "DS", ["1", "2", "3"]), ("PixelSpacing", "DS", ["1e9", "1e9"]),
    ("PixelSpacing", "LO", ["x", "y"]), ("SliceThickness", "DS", "0"),
    ("SliceThickness", "DS", "-5"), ("SliceThickness", "DS", "1e9"),
    ("ImagePositionPatient", "DS", ["0", "0", "0"]), ("ImagePositionPatient", "DS", ["1", "2"]),
    ("ImagePositionPatient", "LO", ["nan", "0", "0"]),
    ("ImagePositionPatient", "DS", ["1e30", "1e30", "1e30"]),
    ("ImageOrientationPatient", "DS", ["0"] * 6),
    ("ImageOrientationPatient", "DS", ["1", "0", "0", "1", "0", "0"]),
    ("ImageOrientationPatient", "DS", ["5", "0", "0", "0", "5", "0"]),
    ("ImageOrientationPatient", "DS", ["1", "0", "0", "0", "1"]),
    ("ImageOrientationPatient", "LO", ["nan"] * 6), ("NumberOfFrames", "IS", "0"),
    ("NumberOfFrames", "IS", "-1"), ("NumberOfFrames", "IS", "1000000000"),
    ("NumberOfFrames", "LO", "two"), ("SeriesInstanceUID", "LO", ""),
    ("SeriesInstanceUID", "LO", "../../etc"), ("SeriesInstanceUID", "LO", "1." * 400),
    ("SOPClassUID", "UI", "1.2.840.10008.5.1.4.1.1.88.11"), ("SOPInstanceUID", "UI", "1.2.3"),
    ("Modality", "CS", "MR"), ("Modality", "CS", ""), ("Modality", "LO", "ct ???"),
    ("ImageType", "CS", ["DERIVED", "SECONDARY", "LOCALIZER"]), ("ImageType", "CS", ""),
    ("SpecificCharacterSet", "CS", "ISO_IR_NONE"), ("PatientName", "LO", "ä\n%s\\{}" * 50),
    ("InstanceNumber", "LO", "abc"), ("InstanceNumber", "IS", "99999999999"),
    ("PatientPosition", "CS", "XXX"), ("LossyImageCompression", "CS", "01"),
    ("PixelPaddingValue", "US", 0), ("SmallestImagePixelValue", "US", 60000),
    ("LargestImagePixelValue", "US", 1), ("BodyPartExamined", "CS", "FOOT"),
)  # fmt: skip
"""Keyword, value representation and value put into all slices, or into one."""

_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"

SYNTAXES = ("1.2.3", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.70",
            "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5",
            "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.1.99", "")  # fmt: skip
"""Transfer syntaxes claimed for plain pixels."""


def as_bytes(dataset: Dataset) -> bytes:
    """Return a dataset as a file; broken elements are written as they are."""
    stream = BytesIO()
    mode = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        if "PixelData" in dataset:
            dataset["PixelData"].VR = "OB" if dataset["PixelData"].is_undefined_length else "OW"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(stream, enforce_file_format=True)
    finally:
        pydicom.config.settings.writing_validation_mode = mode
    return stream.getvalue()


def write_series(folder: Path, files: Sequence[bytes]) -> Path:
    """Write files and return their folder."""
    for number, data in enumerate(files):
        (folder / f"{number:03d}").write_bytes(data)
    return folder


@lru_cache(maxsize=3)
def series_bytes(kind: str = "plain") -> tuple[bytes, ...]:
    """Return the sound series as files, uncompressed or compressed."""
    slices = chest_slices()
    syntax = {"rle": RLELossless, "lossless": "1.2.840.10008.1.2.4.70", "jpeg2000":
              "1.2.840.10008.1.2.4.90"}.get(kind)  # fmt: skip
    for dataset in slices:
        if syntax:
            compress(dataset, str(syntax))
    return tuple(as_bytes(dataset) for dataset in slices)


def cases() -> Iterator[Case]:
    """Yield series with broken headers, pixels and files."""
    yield from _removed()
    yield from _wrong()
    for syntax in SYNTAXES:
        yield Case("dicom-header", f"claims syntax {syntax or 'none'}", _claiming(syntax))
    yield from _spoilt_bytes()
    yield from _enhanced()
    for name, change in _PIXELS.items():
        yield Case("dicom-pixels", name, _with_pixels(change))


def _removed() -> Iterator[Case]:
    for keyword in REMOVED:
        yield Case("dicom-header", f"no {keyword}", _editing(partial(_drop, keyword=keyword)))
        yield Case(
            "dicom-header",
            f"no {keyword} in one slice",
            _editing(partial(_drop, keyword=keyword), only=7),
        )


def _wrong() -> Iterator[Case]:
    for number, (keyword, kind, value) in enumerate(WRONG):
        text = str(value).replace("\n", " ")[:24]
        only = 5 if number % 2 else None
        where = " in one slice" if number % 2 else ""
        edit = _editing(partial(_put, keyword=keyword, kind=kind, value=value), only)
        yield Case("dicom-header", f"{keyword} is {text}{where}", edit)


def _drop(dataset: Dataset, keyword: str) -> None:
    if keyword in dataset:
        del dataset[keyword]


def _put(dataset: Dataset, keyword: str, kind: str, value: Any) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    dataset[tag] = DataElement(tag, kind, value, validation_mode=pydicom.config.IGNORE)


def _editing(edit: Callable[[Dataset], object], only: int | None = None) -> Any:
    def build(folder: Path, _: Random) -> Path:
        slices = chest_slices()
        for dataset in slices if only is None else [slices[only]]:
            edit(dataset)
        return write_series(folder, [as_bytes(dataset) for dataset in slices])

    return build


def _claiming(syntax: str) -> Any:
    old = b"1.2.840.10008.1.2.1\x00"

    def build(folder: Path, _: Random) -> Path:
        new = syntax.encode().ljust(len(old), b"\x00")[: len(old)]
        return write_series(folder, [data.replace(old, new, 1) for data in series_bytes()])

    return build


def _spoilt_bytes() -> Iterator[Case]:
    changes: dict[str, Change] = {f"cut to {share:.0%}": cut(share) for share in
                                  (0.0, 0.01, 0.05, 0.1, 0.3, 0.7, 0.99)}  # fmt: skip
    changes |= {f"header bytes flipped {n}": _flip_header for n in range(10)}
    changes |= {f"bytes flipped {n}": flipped(8) for n in range(8)}
    changes |= {
        "zeros in the middle": lambda data, _: data[:600] + bytes(500) + data[1100:],
        "rubbish behind": lambda data, random: data + random.bytes(5000),
        "no preamble": lambda data, _: data[132:],
        "preamble only": lambda data, _: data[:132],
        "twice the same": lambda data, _: data + data,
        "lengths all ones": lambda data, _: data.replace(b"UI\x1a\x00", b"UI\xff\xff"),
        "deep undefined length": lambda data, _: (
            data[:400] + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 400
        ),
    }
    for name, change in changes.items():
        yield Case("dicom-bytes", name, _changing("plain", change))
        if "header" in name:
            yield Case("dicom-bytes", f"{name} in one", _changing("plain", change, only=4))
    for kind in ("rle", "lossless", "jpeg2000"):
        for number in range(4):
            flip = flipped(3 + 20 * number, start=1400)
            yield Case("dicom-bytes", f"{kind} flipped {number}", _changing(kind, flip))
        yield Case("dicom-bytes", f"{kind} cut", _changing(kind, cut(0.6), only=3))


def _flip_header(data: bytes, random: Random) -> bytes:
    head = 1100
    return flip_bytes(data[:head], random, 6, start=132) + data[head:]


def _changing(kind: str, change: Change, only: int | None = None) -> Any:
    def build(folder: Path, random: Random) -> Path:
        files = list(series_bytes(kind))
        for index in range(len(files)) if only is None else [only]:
            files[index] = change(files[index], random)
        return write_series(folder, files)

    return build


def _enhanced() -> Iterator[Case]:
    def edited(edit: Callable[[Dataset], object]) -> Any:
        def build(folder: Path, _: Random) -> Path:
            dataset = make_enhanced(chest_hu(), 14.0)
            shared = dataset.SharedFunctionalGroupsSequence[0]
            shared.PixelMeasuresSequence[0].PixelSpacing = [5.6, 5.6]
            edit(dataset)
            return write_series(folder, [as_bytes(dataset)])

        return build

    edits: dict[str, Callable[[Dataset], object]] = {
        "sound": lambda _: None,
        "no shared groups": lambda d: _drop(d, "SharedFunctionalGroupsSequence"),
        "no frame groups": lambda d: _drop(d, "PerFrameFunctionalGroupsSequence"),
        "too few frame groups": lambda d: d.PerFrameFunctionalGroupsSequence.pop(),
        "too many frames": lambda d: setattr(d, "NumberOfFrames", 500),
        "no frames": lambda d: _drop(d, "NumberOfFrames"),
        "pixels cut": lambda d: setattr(d, "PixelData", d.PixelData[:5000]),
        "one position": _one_position,
    }
    for name, edit in edits.items():
        yield Case("dicom-enhanced", name, edited(edit))


def _one_position(dataset: Dataset) -> None:
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]


_PIXELS: dict[str, Callable[[Any, Random], Any]] = {
    "all zero": lambda hu, _: np.zeros_like(hu) - 1024,
    "all white": lambda hu, _: np.full_like(hu, 3071),
    "noise": lambda hu, random: random.integers(-1024, 3000, hu.shape),
    "checkerboard": lambda hu, _: np.indices(hu.shape).sum(axis=0) % 2 * 1000 - 1000,
    "only air": lambda hu, random: random.integers(-1010, -990, hu.shape),
    "only water": lambda hu, random: random.integers(-10, 10, hu.shape),
    "upside down": lambda hu, _: np.clip(-hu.astype(int), -1024, 3000),
    "eight bits": lambda hu, _: np.clip((hu + 1000) / 6, 0, 255).astype(int) - 1024,
    "half the slices blank": lambda hu, _: np.where(np.arange(20)[:, None, None] % 2, hu, -1024),
    "body without lungs": lambda hu, _: np.where(hu < -600, np.where(hu < -950, hu, 40), hu),
    "one lung": lambda hu, _: np.concatenate([hu[..., :32], np.full_like(hu[..., 32:], 40)], 2),
    "lungs cut": lambda hu, _: hu[6:12],
    "metal": lambda hu, _: np.where(hu > 100, 3071, hu),
    "gas balloon": lambda hu, _: np.where((hu < -600) & (hu > -950), -1000, hu),
    "mirrored": lambda hu, _: hu[:, :, ::-1],
    "shuffled slices": lambda hu, random: random.permutation(hu, axis=0),
}


def _with_pixels(change: Callable[[Any, Random], Any]) -> Any:
    def build(folder: Path, random: Random) -> Path:
        hu = np.asarray(change(chest_hu(), random)).astype(np.int16)
        slices = make_slices(hu, 14.0, spacing_mm=(5.6, 5.6))
        return write_series(folder, [as_bytes(dataset) for dataset in slices])

    return build
