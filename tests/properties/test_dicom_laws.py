"""Whatever headers say, a series becomes a scan with finite geometry or a plain refusal."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from groundglass.errors import GroundglassError
from groundglass.readers.read import read_scan
from tests.series import SECRETS, block, compress, make_enhanced, make_slices, save

KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SliceLocation",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "ImageType",
    "Modality",
    "RescaleSlope",
    "RescaleIntercept",
    "Rows",
    "BitsStored",
    "BitsAllocated",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "ReconstructionDiameter",
    "GantryDetectorTilt",
    "SpacingBetweenSlices",
    "ConvolutionKernel",
    "ContentTime",
    "PixelPaddingValue",
    "PixelData",
)
NUMBERS = {"Rows", "BitsStored", "BitsAllocated", "HighBit", "PixelRepresentation"} | {
    "SamplesPerPixel",
    "PixelPaddingValue",
}
ABSENT = object()
WORDS = ["", "abc", "0", "-1", "1e30", "1E-30", "nan", "inf", "7", ["1", "2", "3"], ["0"] * 6]
faults = st.tuples(
    st.sampled_from(KEYWORDS),
    st.one_of(st.just(ABSENT), st.sampled_from(WORDS)),
    st.sets(st.integers(0, 5), min_size=1),
)


def spoil(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element to a value that may make no sense, or take it away."""
    if value is ABSENT or keyword == "PixelData":
        if keyword in dataset:
            delattr(dataset, keyword)
    elif keyword in NUMBERS:
        plain = value if isinstance(value, str) and value.isdecimal() else 65535
        dataset[keyword] = DataElement(Tag(keyword), "US", int(plain))
    else:
        words = value if isinstance(value, str) else "\\".join(value)
        dataset[keyword] = DataElement(Tag(keyword), "LO", words)


def save_untyped(datasets: list[Dataset], folder: Path) -> None:
    """Write without value types, so that a reader takes every element for what it should be."""
    for dataset in datasets:
        if "PixelData" in dataset:
            compress(dataset, ImplicitVRLittleEndian)
    save(datasets, folder)


def require_scan_or_refusal(folder: Path) -> None:
    """Read a folder; a scan must have finite geometry, a refusal must tell nothing personal."""
    try:
        scan = read_scan(folder)
    except GroundglassError as error:
        words = str(error) + "".join(v.sentence for v in error.verdicts)
    else:
        words = "".join(verdict.sentence for verdict in scan.verdicts)
        assert scan.voxels.dtype.kind in "iuf"
        assert np.isfinite(scan.voxels).all()
        assert np.isfinite(scan.geometry.affine).all()
        volumes = scan.geometry.slice_volumes_mm3
        assert volumes is None or (np.isfinite(volumes).all() and (volumes > 0).all())
    assert not any(secret in words for secret in SECRETS)


@settings(max_examples=60)
@given(st.lists(faults, max_size=5))
def test_any_tags_may_be_missing_or_absurd(spoiled: list[tuple[str, Any, set[int]]]) -> None:
    slices = make_slices(block((6, 16, 16)), series="1.2.3.4")
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value, places in spoiled:
            for place in places:
                spoil(slices[place], keyword, value)
        save_untyped(slices, Path(folder))
        require_scan_or_refusal(Path(folder))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(KEYWORDS), st.sampled_from(WORDS)), max_size=4))
def test_any_tags_of_an_enhanced_file_may_be_absurd(spoiled: list[tuple[str, Any]]) -> None:
    dataset = make_enhanced(block((5, 16, 16)))
    places = [dataset, dataset.SharedFunctionalGroupsSequence[0]]
    places += [d for group in dataset.PerFrameFunctionalGroupsSequence for d in group[0x00209113]]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, (keyword, value) in enumerate(spoiled):
            spoil(places[index % len(places)], keyword, value)
        save_untyped([dataset], Path(folder))
        require_scan_or_refusal(Path(folder))
