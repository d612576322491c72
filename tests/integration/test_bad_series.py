"""Each way in which series go wrong: what was found, what was done, what it does to the numbers.

The first twelve tests are the rows of the acceptance set; the others are what else is met.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import InconsistentSeriesError, NotAnalyzableError, UnsupportedFormatError
from groundglass.readers.options import ReadOptions
from groundglass.readers.read import read_scan
from tests.series import SECRETS, block, make_slices, save

BLOCK_MM2 = 16 * 16 * 0.7 * 0.7


def told(scan: Scan, check: str) -> Verdict:
    """Return the first verdict of a check, which must be there and be three plain sentences."""
    found = [verdict for verdict in scan.verdicts if verdict.check == check]
    assert found, f"no verdict '{check}' among {[v.check for v in scan.verdicts]}"
    assert found[0].found
    assert found[0].done
    assert not any(secret in v.sentence for v in scan.verdicts for secret in SECRETS)
    return found[0]


def warnings_of(scan: Scan) -> set[str]:
    return {v.check for v in scan.verdicts if v.status in (Status.WARNING, Status.REFUSED)}


def block_ml(scan: Scan) -> float:
    """Return the volume of the block of -850 HU."""
    volumes = scan.geometry.slice_volumes_mm3
    assert volumes is not None
    return float(np.count_nonzero(scan.hu() == -850, axis=(1, 2)) @ volumes) / 1000


def refusal(error: Exception) -> Verdict:
    assert isinstance(error, NotAnalyzableError | InconsistentSeriesError)
    return next(v for v in error.verdicts if v.status is Status.REFUSED)


# The twelve rows


def test_sound_series_is_read_without_complaint(tmp_path: Path) -> None:
    hu = block()
    scan = read_scan(save(make_slices(hu), tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert scan.geometry.spacing_mm == pytest.approx((5, 0.7, 0.7))
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)
    assert told(scan, "series_choice").status is Status.OK
    assert [v.check for v in scan.verdicts] == ["series_choice"]
    assert scan.intensity is Intensity.HU


def test_one_slice_missing(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[7]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "slice_gaps")
    assert verdict.status is Status.WARNING
    assert "1 of 20 slice is missing, between z = 70.0 and 60.0 mm" in verdict.found
    assert "5.3 % of the length" in verdict.effect
    assert "5.28 mm" in verdict.effect
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)


def test_five_slices_missing_in_the_middle(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[8:13]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "slice_gaps")
    assert "5 of 20 slices are missing, between z = 65.0 and 35.0 mm" in verdict.found
    assert "26.3 % of the length" in verdict.effect
    assert "6.79 mm instead of 5.00 mm every lesion would have measured 35.7 %" in verdict.effect
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)
    assert scan.geometry.step_mm == pytest.approx(5.0)
    assert "slice_spacing" not in warnings_of(scan)


def test_thin_then_thick_slices(tmp_path: Path) -> None:
    z = [100.0 - i for i in range(10)] + [90.0 - 5 * i for i in range(10)]
    scan = read_scan(save(make_slices(block(), z_mm=z, SliceThickness=None), tmp_path))
    verdict = told(scan, "slice_spacing")
    assert verdict.status is Status.WARNING
    assert "1.00 mm from z = 100.0 to 90.0 mm, then 5.00 mm from z = 90.0 to 45.0 mm" in (
        verdict.found
    )
    assert "2.89 mm" in verdict.effect
    assert "slice_gaps" not in warnings_of(scan)
    extent_mm = 0.5 + 10 + 45 + 2.5
    assert block_ml(scan) == pytest.approx(extent_mm * BLOCK_MM2 / 1000, rel=0.02)
    thin = np.arange(20)[scan.geometry.widths_mm == 1]  # type: ignore[operator,unused-ignore]
    assert len(thin) == 10


def test_gantry_tilt(tmp_path: Path) -> None:
    slices = make_slices(block())
    for number, dataset in enumerate(slices):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 1.2 * number, z]
    scan = read_scan(save(slices, tmp_path))
    verdict = told(scan, "gantry_tilt")
    assert verdict.status is Status.WARNING
    assert "13.5 degrees" in verdict.found
    assert "5.00 mm where the table moved 5.14 mm" in verdict.done
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)


def test_two_phases_on_the_same_places(tmp_path: Path) -> None:
    hu = block()
    first = make_slices(hu, series="1.2.3.4", AcquisitionNumber=3)
    second = make_slices(hu + 5, series="1.2.3.4", AcquisitionNumber=2)
    mixed = [d for pair in zip(first, second, strict=True) for d in pair]
    scan = read_scan(save(mixed, tmp_path))
    verdict = told(scan, "duplicate_positions")
    assert verdict.status is Status.WARNING
    assert "2 sets of slices on the same places (20 and 20 slices)" in verdict.found
    assert "acquisition number" in verdict.found
    assert np.array_equal(scan.voxels, hu + 5), "the earlier acquisition, unmixed"


def test_two_series_in_one_folder(tmp_path: Path) -> None:
    hu = block((30, 64, 64))
    save(make_slices(hu, 5, series="1.2.3.1", SeriesNumber=7), tmp_path / "a")
    save(make_slices(hu[:8], 5, series="1.2.3.2", SeriesNumber=3), tmp_path / "b")
    scan = read_scan(tmp_path)
    verdict = told(scan, "series_choice")
    assert verdict.found == "2 series were found"
    assert "Series 2 was read (30 images over 145 mm" in verdict.done
    assert "not read: 1: 8 images over 35 mm" in verdict.done
    assert scan.shape[0] == 30
    assert read_scan(tmp_path, series="1.2.3.2").shape[0] == 8
    assert read_scan(tmp_path, series="1").shape[0] == 8
    assert "as asked" in told(read_scan(tmp_path, series="2"), "series_choice").done


def test_no_image_type(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImageType
    scan = read_scan(save(slices, tmp_path))
    assert told(scan, "image_type").status is Status.NOTE
    assert "20 of 20 slices" in told(scan, "image_type").found
    assert scan.shape[0] == 20
    assert not warnings_of(scan)


@pytest.mark.parametrize("modality", ["CR", "MR", "PT"])
def test_another_modality_is_refused(tmp_path: Path, modality: str) -> None:
    save(make_slices(block(), Modality=modality), tmp_path)
    with pytest.raises(NotAnalyzableError, match=f"20 of modality {modality}") as caught:
        read_scan(tmp_path)
    verdict = refusal(caught.value)
    assert verdict.check == "modality"
    assert "correct the tag or convert" in verdict.done


def test_no_rescale_tags_is_not_taken_for_hu(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert scan.intensity is Intensity.UNKNOWN
    assert scan.voxels.min() == 24
    assert "no rescale slope and intercept" in told(scan, "intensity").found
    stated = read_scan(tmp_path, options=ReadOptions(hu_offset=-1024))
    assert stated.intensity is Intensity.HU
    assert np.array_equal(stated.voxels, block())


def test_one_slice(tmp_path: Path) -> None:
    scan = read_scan(save(make_slices(block()[:1]), tmp_path))
    verdict = told(scan, "single_slice")
    assert verdict.status is Status.WARNING
    assert "slab of 5 mm" in verdict.effect
    assert block_ml(scan) == pytest.approx(5 * BLOCK_MM2 / 1000)


def test_eight_bit_picture_in_dicom(tmp_path: Path) -> None:
    slices = make_slices(block()[:3])
    for dataset in slices:
        grey = np.linspace(0, 255, 64 * 64).astype(np.uint8)
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelData = 7, grey.tobytes()
        del dataset.RescaleSlope, dataset.RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert scan.intensity is Intensity.DISPLAY
    assert (scan.voxels.min(), scan.voxels.max()) == (0, 255)
    assert "8-bit" in told(scan, "picture").found


# What else is met


def test_one_slice_of_unknown_thickness_has_no_volume(tmp_path: Path) -> None:
    slices = make_slices(block()[:1])
    del slices[0].SliceThickness
    scan = read_scan(save(slices, tmp_path))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml can be told" in told(scan, "single_slice").effect


def test_order_comes_from_positions_not_names_or_numbers(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for number, dataset in enumerate(slices):
        dataset.InstanceNumber = (7 * number) % 20
    save(slices, tmp_path, lambda i: f"{(11 * i) % 20:03d}")
    assert np.array_equal(read_scan(tmp_path).voxels, hu)


def test_missing_positions_fall_back_to_slice_location(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for dataset in slices:
        del dataset.ImagePositionPatient
        dataset.InstanceNumber = 1
    scan = read_scan(save(slices, tmp_path, lambda i: str((7 * i) % 20)))
    assert "SliceLocation" in told(scan, "ordering").done
    assert np.array_equal(scan.voxels, hu)
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000)


def test_positions_all_the_same_are_not_believed(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, ImagePositionPatient=[0, 0, 0])
    scan = read_scan(save(slices, tmp_path))
    assert "all the same" in told(scan, "ordering").found
    assert np.array_equal(scan.voxels, hu)


def test_without_positions_and_locations_numbers_and_thickness_serve(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu)
    for dataset in slices:
        del dataset.ImagePositionPatient, dataset.SliceLocation
    del slices[4]
    scan = read_scan(save(slices, tmp_path))
    assert "InstanceNumber" in told(scan, "ordering").done
    assert "1 of 20 slice is missing" in told(scan, "slice_gaps").found
    assert scan.geometry.step_mm == 5


def test_without_any_distance_no_ml_can_be_told(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImagePositionPatient, dataset.SliceLocation, dataset.SliceThickness
        del dataset.InstanceNumber
    scan = read_scan(save(slices, tmp_path))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml can be told" in told(scan, "ordering").effect
    assert np.array_equal(scan.voxels, block())


def test_some_slices_without_position_are_left_out(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[3].ImagePositionPatient
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices do not say where they lie" in told(scan, "ordering").found
    assert "1 of 20 slice is missing" in told(scan, "slice_gaps").found


def test_missing_orientation_is_assumed_and_said(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.ImageOrientationPatient
    scan = read_scan(save(slices, tmp_path))
    assert "right and left" in told(scan, "orientation").effect
    assert np.array_equal(scan.voxels, block())


def test_missing_pixel_spacing(tmp_path: Path) -> None:
    slices = make_slices(block(), ReconstructionDiameter=44.8)
    for dataset in slices:
        del dataset.PixelSpacing
    scan = read_scan(save(slices, tmp_path / "a"))
    assert "reconstruction diameter: 0.700 mm" in told(scan, "slice_spacing").done
    for dataset in slices:
        del dataset.ReconstructionDiameter
    scan = read_scan(save(slices, tmp_path / "b"))
    assert scan.geometry.slice_volumes_mm3 is None
    assert "No ml" in told(scan, "slice_spacing").effect


def test_stated_spacing_wins(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    scan = read_scan(tmp_path, options=ReadOptions(spacing_mm=(2.0, 1.0, 1.5)))
    assert scan.geometry.spacing_mm == (2.0, 1.0, 1.5)
    assert np.array_equal(scan.voxels, block())
    assert "stated by the user" in told(scan, "slice_spacing").found


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("TemporalPositionIdentifier", (1, 2)),
        ("ConvolutionKernel", ("B31f", "B75h")),
        ("ContentTime", ("101500", "101530")),
        ("InstanceNumber", None),
    ],
)
def test_phases_are_told_apart(tmp_path: Path, tag: str, values: tuple[object, ...] | None) -> None:
    hu = block()
    sets = [make_slices(hu + 7 * i, series="1.2.3.4") for i in range(2)]
    for number, slices in enumerate(sets):
        for index, dataset in enumerate(slices):
            value = values[number] if values else index + 1 + 20 * number
            setattr(dataset, tag, value)
    scan = read_scan(save([*sets[1], *sets[0]], tmp_path))
    assert told(scan, "duplicate_positions").status is Status.WARNING
    assert np.array_equal(scan.voxels, hu)


def test_interleaved_reconstructions_are_not_mixed(tmp_path: Path) -> None:
    hu = block()
    soft = make_slices(hu, series="1.2.3.4")
    between = [97.5 - 5 * i for i in range(20)]
    sharp = make_slices(hu - 3, series="1.2.3.4", z_mm=between, ConvolutionKernel="B80f")
    scan = read_scan(save([*sharp, *soft], tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert "reconstruction kernel" in told(scan, "duplicate_positions").found


def test_neighbouring_acquisitions_stay_one_scan(tmp_path: Path) -> None:
    slices = make_slices(block())
    for number, dataset in enumerate(slices):
        dataset.AcquisitionNumber = 1 + number // 4
    scan = read_scan(save(slices, tmp_path))
    assert scan.shape[0] == 20
    assert [v.check for v in scan.verdicts] == ["series_choice"]


def test_exact_copies_are_used_once(tmp_path: Path) -> None:
    slices = make_slices(block())
    save(slices, tmp_path / "a")
    save(slices[:5], tmp_path / "b")
    scan = read_scan(tmp_path)
    assert told(scan, "duplicate_positions").status is Status.NOTE
    assert "5 images are exact copies" in told(scan, "duplicate_positions").found
    assert np.array_equal(scan.voxels, block())


def test_repeated_slice_is_left_out(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, series="1.2.3.4")
    again = make_slices(hu + 9, series="1.2.3.4")[6]
    again.InstanceNumber = 30
    scan = read_scan(save([again, *slices], tmp_path))
    assert "1 images lie at places" in told(scan, "duplicate_positions").found
    assert np.array_equal(scan.voxels, hu)


def test_localizer_reports_captures_and_junk_are_left_out(tmp_path: Path) -> None:
    series = make_slices(block())
    scout = make_slices(block()[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    report = make_slices(block()[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")[0]
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    capture = make_slices(block()[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.7")[0]
    del capture.ImagePositionPatient
    colour = make_slices(block()[:1], SamplesPerPixel=3)[0]
    save([*series, scout, report, capture, colour], tmp_path / "nested" / "deeper")
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\0\x05\0SQ\0\0" * 9)
    scan = read_scan(tmp_path)
    verdict = told(scan, "files_skipped")
    for words in (
        "1 x localizer",
        "1 x structured or dose report",
        "1 x secondary capture",
        "1 x colour picture",
        "2 x file of another kind",
    ):
        assert words in verdict.found
    assert np.array_equal(scan.voxels, block())


def test_slice_of_another_size_is_left_out_and_its_place_is_a_gap(tmp_path: Path) -> None:
    hu = block()
    slices = make_slices(hu, series="1.2.3.4")
    slices[9] = make_slices(hu[:, ::2, ::2], series="1.2.3.4")[9]
    scan = read_scan(save(slices, tmp_path))
    assert "1 x image of another size" in told(scan, "files_skipped").found
    assert told(scan, "files_skipped").status is Status.WARNING
    assert "1 of 20 slice is missing" in told(scan, "slice_gaps").found


def test_localizer_without_image_type_is_told_by_orientation(tmp_path: Path) -> None:
    slices = make_slices(block(), series="1.2.3.4")
    slices[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    scan = read_scan(save(slices, tmp_path))
    assert "another orientation" in told(scan, "files_skipped").found
    assert scan.shape[0] == 19


def test_cut_off_slice_is_left_out(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    file = tmp_path / "5"
    file.write_bytes(file.read_bytes()[:-3000])
    scan = read_scan(tmp_path)
    verdict = told(scan, "truncated_file")
    assert "1 of 20 slices cannot be decoded (1 x pixel data cut off)" in verdict.found
    assert "1 of 20 slice is missing" in told(scan, "slice_gaps").found
    assert scan.provenance.files == 19
    assert block_ml(scan) == pytest.approx(20 * 5 * BLOCK_MM2 / 1000, rel=0.02)


def test_too_many_cut_off_slices_are_refused(tmp_path: Path) -> None:
    save(make_slices(block()), tmp_path)
    for number in range(5):
        file = tmp_path / str(number)
        file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(InconsistentSeriesError, match="5 of 20 are not") as caught:
        read_scan(tmp_path)
    assert refusal(caught.value).check == "truncated_file"


def _with_extremes(slices: list[Dataset]) -> None:
    for dataset in slices:
        values = dataset.pixel_array
        dataset.add_new(0x00280106, "US", int(values.min()))
        dataset.add_new(0x00280107, "US", int(values.max()))


def test_damaged_pixels_are_found_by_the_stated_extremes(tmp_path: Path) -> None:
    slices = make_slices(block())
    _with_extremes(slices)
    spoiled = bytearray(slices[4].PixelData)
    spoiled[100:102] = b"\xff\x0f"
    slices[4].PixelData = bytes(spoiled)
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices" in told(scan, "pixel_integrity").found
    assert "left out" in told(scan, "pixel_integrity").done
    assert scan.shape[0] == 19


def test_extremes_that_never_fit_are_not_believed(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.add_new(0x00280106, "US", 0)
        dataset.add_new(0x00280107, "US", 4095)
    scan = read_scan(save(slices, tmp_path))
    assert told(scan, "pixel_integrity").status is Status.NOTE
    assert scan.shape[0] == 20


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    hu = (block() // 4) * 4
    slices = make_slices(hu)
    for dataset in slices[::2]:
        values = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = (values // 2).astype("<u2").tobytes()
        dataset.RescaleSlope = 2
    scan = read_scan(save(slices, tmp_path))
    assert np.array_equal(scan.voxels, hu)
    assert "slope 1 to 2" in told(scan, "intensity").found


def test_fractional_slope_is_rounded(tmp_path: Path) -> None:
    slices = make_slices(block(), RescaleSlope=0.5)
    scan = read_scan(save(slices, tmp_path))
    expected = np.rint((block().astype(float) + 1024) * 0.5 - 1024)
    assert np.array_equal(scan.voxels, expected)


def test_some_slices_without_rescale_borrow_it(tmp_path: Path) -> None:
    slices = make_slices(block())
    del slices[2].RescaleSlope, slices[2].RescaleIntercept
    scan = read_scan(save(slices, tmp_path))
    assert "1 of 20 slices state no rescale" in told(scan, "intensity").found
    assert np.array_equal(scan.voxels, block())


def test_padding_becomes_air(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        values = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        values[:64] = -2000
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 16, 15
        dataset.RescaleIntercept = 0
        dataset.PixelData = values.astype("<i2").tobytes()
        dataset.add_new(0x00280120, "SS", -2000)
    scan = read_scan(save(slices, tmp_path))
    assert scan.voxels.min() == -1024
    assert "20 slices" in told(scan, "padding").found


def test_padding_that_is_tissue_is_not_believed(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.add_new(0x00280120, "US", 40 + 1024)
    assert np.array_equal(read_scan(save(slices, tmp_path)).voxels, block())


def test_lying_thickness_spacing_and_tilt_tags(tmp_path: Path) -> None:
    slices = make_slices(
        block(), SliceThickness=1.0, SpacingBetweenSlices=2.5, GantryDetectorTilt=-12.0
    )
    scan = read_scan(save(slices, tmp_path))
    assert "1 mm thick and lie 5.00 mm apart" in told(scan, "slice_thickness").found
    assert "80 % of the lung was not imaged" in told(scan, "slice_thickness").effect
    assert "2.5 mm between slices and the positions 5.00 mm" in told(scan, "slice_spacing").found
    assert "tilt of -12 degrees and the positions show 0.0" in told(scan, "gantry_tilt").found
    assert scan.geometry.step_mm == pytest.approx(5)


def test_missing_modality_is_warned_about(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        del dataset.Modality
    assert told(read_scan(save(slices, tmp_path)), "modality").status is Status.WARNING


def test_other_body_part_is_told(tmp_path: Path) -> None:
    scan = read_scan(save(make_slices(block(), BodyPartExamined="KNEE"), tmp_path))
    assert "KNEE" in told(scan, "body_region").found


@pytest.mark.parametrize("position", ["FFS", "HFP", "FFP", "HFDL"])
def test_other_patient_positions_are_told(tmp_path: Path, position: str) -> None:
    scan = read_scan(save(make_slices(block(), PatientPosition=position), tmp_path))
    assert told(scan, "patient_position").status is Status.NOTE
    assert scan.acquisition.patient_position == position


def test_lossy_burned_in_and_inverted_are_told(tmp_path: Path) -> None:
    slices = make_slices(
        block(),
        LossyImageCompression="01",
        BurnedInAnnotation="YES",
        PhotometricInterpretation="MONOCHROME1",
    )
    scan = read_scan(save(slices, tmp_path))
    words = " ".join(v.sentence for v in scan.verdicts)
    assert "compressed with loss" in words
    assert "text is burned into the pixels" in words
    assert "MONOCHROME1" in words
    assert np.array_equal(scan.voxels, block())


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_identifiers_that_are_text_are_kept_to_ourselves(tmp_path: Path) -> None:
    slices = make_slices(block())
    for dataset in slices:
        dataset.SeriesInstanceUID = dataset.StudyInstanceUID = SECRETS[1]
        dataset.SOPInstanceUID = ""
    other = make_slices(block()[:5], SeriesInstanceUID="Doe^Jane")
    scan = read_scan(save([*slices, *other], tmp_path))
    assert scan.acquisition.series_uid is None
    assert scan.acquisition.study_uid is None
    assert scan.provenance.instance_uids == ()
    with pytest.raises(InconsistentSeriesError, match="UID withheld") as caught:
        read_scan(tmp_path, series="9.9.9")
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert "1: UID withheld, it is not a valid one, 5 images" in str(caught.value)
    told(scan, "series_choice")


def test_unknown_and_ambiguous_series_list_what_there_is(tmp_path: Path) -> None:
    for number in (1, 2):
        uid = f"1.2.826.{number}"
        save(make_slices(block()[:4], series=uid, SeriesNumber=number), tmp_path / uid)
    with pytest.raises(InconsistentSeriesError, match=r"no series has.*1: 1\.2\.826\.1, 4 images"):
        read_scan(tmp_path, series="9")
    with pytest.raises(InconsistentSeriesError, match="several series begin"):
        read_scan(tmp_path, series="1.2.826")


def test_several_patients_in_a_folder_are_a_warning(tmp_path: Path) -> None:
    for name in ("A", "B"):
        save(make_slices(block(), PatientID=name), tmp_path / name)
    assert "2 series of 2 patients" in told(read_scan(tmp_path), "series_choice").found


def test_soft_thin_original_axial_chest_series_wins(tmp_path: Path) -> None:
    hu = block((60, 32, 32))
    save(make_slices(hu, 5, series=generate_uid(), ConvolutionKernel="B70f"), tmp_path / "sharp")
    wanted = generate_uid()
    save(make_slices(hu, 5, series=wanted), tmp_path / "soft")
    save(make_slices(hu, 5, series=generate_uid(), BodyPartExamined="HEAD"), tmp_path / "head")
    derived = ["DERIVED", "SECONDARY", "MIP"]
    save(make_slices(hu, 5, series=generate_uid(), ImageType=derived), tmp_path / "mip")
    coronal = make_slices(hu, 5, series=generate_uid())
    for number, dataset in enumerate(coronal):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [0, 5 * number, 0]
    save(coronal, tmp_path / "coronal")
    scan = read_scan(tmp_path)
    assert scan.acquisition.series_uid == wanted
    assert "5 series were found" in told(scan, "series_choice").found


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    save(make_slices(block()[:10]), tmp_path / "outside")
    inside = save(make_slices(block()), tmp_path / "inside")
    (inside / "escape").symlink_to(tmp_path / "outside" / "3")
    (inside / "folder").symlink_to(tmp_path / "outside")
    (inside / "nowhere").symlink_to(tmp_path / "missing")
    scan = read_scan(inside)
    assert scan.shape[0] == 20
    assert "3 x link out of the folder" in told(scan, "files_skipped").found


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 200, b"\0" * 128 + b"DICM" + b"\xff" * 64]
)
def test_junk_is_refused_plainly(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk").write_bytes(content)
    for path in (tmp_path, tmp_path / "junk"):
        with pytest.raises(UnsupportedFormatError, match=r"a CT is needed.*found 1 x"):
            read_scan(path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="there is no file"):
        read_scan(tmp_path)
