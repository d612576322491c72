"""Scans: read-only, canonical, and never taken for what they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan, tidy_values
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import UncalibratedError


def small(dtype: str = "int16") -> NDArray[Any]:
    return np.linspace(-1000, 400, 24).reshape(2, 3, 4).astype(dtype)


def test_voxels_cannot_be_changed() -> None:
    scan = Scan.from_array(small(), (2.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="read-only"):
        scan.voxels[0, 0, 0] = 0


def test_the_callers_array_stays_writeable() -> None:
    values = small()
    Scan.from_array(values, (2.0, 1.0, 1.0))
    values[0, 0, 0] = 7
    assert values[0, 0, 0] == 7


def test_an_array_gets_the_grid_it_is_given() -> None:
    scan = Scan.from_array(small(), (2.0, 0.5, 0.25))
    assert scan.shape == (2, 3, 4)
    assert scan.geometry.spacing_mm == (2.0, 0.5, 0.25)
    assert scan.geometry.spacing_known
    assert scan.provenance.source_format == "array"


def test_without_spacing_no_volume_is_told() -> None:
    scan = Scan.from_array(small())
    assert not scan.geometry.spacing_known
    assert scan.geometry.slice_volumes_mm3 is None


def test_two_dimensions_are_one_slice() -> None:
    assert Scan.from_array(small()[0], (2.0, 1.0, 1.0)).shape == (1, 3, 4)


def test_an_affine_turns_the_scan_to_canonical() -> None:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    scan = Scan.from_array(small(), affine=affine)
    np.testing.assert_array_equal(scan.voxels, small()[::-1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(5), "2 or 3 dimensions"),
        (np.zeros((2, 2, 2, 2)), "2 or 3 dimensions"),
        (np.zeros((0, 4, 4)), "voxels in each"),
        (np.full((2, 3, 4), np.nan), "no finite number"),
        (np.zeros((2, 3, 4), dtype=complex), "real numbers"),
        (np.array([["a", "b"]]), "real numbers"),
    ],
)
def test_arrays_that_are_no_scan_are_refused(values: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scan.from_array(values, (1.0, 1.0, 1.0))


def test_spacing_and_affine_together_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        Scan.from_array(small(), (1.0, 1.0, 1.0), affine=np.eye(4))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, np.nan)])
def test_impossible_spacing_is_refused(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"finite|spacing|position"):
        Scan.from_array(small(), spacing)


def test_unknown_intensity_names_are_refused() -> None:
    with pytest.raises(ValueError, match="grey"):
        Scan.from_array(small(), intensity="grey")  # type: ignore[arg-type]


def test_voxels_that_do_not_fit_the_grid_are_refused() -> None:
    grid = Geometry.from_spacing((2, 3, 5), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="do not fit"):
        Scan(small(), grid, Intensity.HU)


@pytest.mark.parametrize("intensity", [Intensity.UNKNOWN, Intensity.DISPLAY])
def test_other_values_are_never_taken_for_hu(intensity: Intensity) -> None:
    scan = Scan.from_array(small(), intensity=intensity)
    with pytest.raises(UncalibratedError, match=f"of kind '{intensity}'"):
        scan.hu()


def test_hu_is_int16_rounded_and_held_within_its_range() -> None:
    values = np.array([[-999.6, 60.4], [1e6, -1e6]])
    hu = Scan.from_array(values).hu()
    assert hu.dtype == np.int16
    assert hu[0].tolist() == [[-1000, 60], [32767, -32768]]


def test_hu_of_int16_is_the_array_itself() -> None:
    scan = Scan.from_array(small())
    assert scan.hu() is scan.voxels


def test_derive_knows_its_past_and_leaves_the_original() -> None:
    scan = Scan.from_array(small(), (2.0, 1.0, 1.0))
    moved = scan.derive(scan.voxels + 24, "offset", Intensity.UNKNOWN, hu=24)
    assert moved.intensity is Intensity.UNKNOWN
    assert [step.name for step in moved.provenance.steps] == ["offset"]
    assert dict(moved.provenance.steps[0].parameters) == {"hu": 24}
    assert moved.geometry.same_grid(scan.geometry)
    assert scan.provenance.steps == ()
    assert scan.derive(scan.voxels, "nothing").intensity is Intensity.HU


def test_told_adds_verdicts_in_order() -> None:
    first, second = (Verdict(name, Status.NOTE, "a", "b", "c") for name in ("one", "two"))
    scan = Scan.from_array(small()).told(first).told(second)
    assert [verdict.check for verdict in scan.verdicts] == ["one", "two"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int32", "int64", "float64"])
def test_whole_numbers_become_int16(dtype: str) -> None:
    values = np.array([[0, 1], [1, 0]]) if dtype == "bool" else np.array([[0, 1], [1, 120]])
    tidy = tidy_values(values.astype(dtype))
    assert tidy.dtype == np.int16
    np.testing.assert_array_equal(tidy, values)


def test_floats_of_a_narrow_range_keep_their_fractions() -> None:
    tidy = tidy_values(np.array([[0.0, 0.25], [0.5, 1.0]]))
    assert tidy.dtype == np.float32
    assert tidy.tolist() == [[0.0, 0.25], [0.5, 1.0]]


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float64"])
def test_values_past_int16_stay_as_they_are(dtype: str) -> None:
    tidy = tidy_values(np.array([[0, 40000]]).astype(dtype))
    assert tidy.dtype == np.float32
    assert tidy.max() == 40000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_number_become_the_minimum(bad: float) -> None:
    tidy = tidy_values(np.array([[-1000.0, 300.0, bad]]))
    assert tidy.tolist() == [[-1000, 300, -1000]]
