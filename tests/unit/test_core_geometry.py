"""Grids: what they say of themselves, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.core.geometry import Geometry


def axial(count: int = 4, step_mm: float = 2.0) -> Geometry:
    return Geometry.from_spacing((count, 6, 5), (step_mm, 0.8, 0.7))


def with_z(*positions: float) -> Geometry:
    geometry = axial(len(positions))
    origins = np.zeros((len(positions), 3))
    origins[:, 2] = positions
    return replace(geometry, origins_mm=origins)


def test_spacing_and_areas() -> None:
    geometry = axial()
    assert geometry.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert geometry.pixel_area_mm2 == pytest.approx(0.56)
    assert geometry.slice_volumes_mm3 == pytest.approx([1.12] * 4)
    assert geometry.is_regular


def test_z_is_that_of_the_slice_middle_and_falls_from_head_to_feet() -> None:
    assert axial().z_mm == pytest.approx([0, -2, -4, -6])
    leaning = replace(axial(), row_step_mm=np.array([0, 0.6, 0.8]))
    assert leaning.z_mm[0] == pytest.approx(0.8 * 5 / 2)


def test_volumes_follow_the_gaps() -> None:
    assert with_z(0, -1, -2, -7, -12).widths_mm == pytest.approx([1, 1, 3, 5, 5])


def test_a_missing_slice_makes_its_neighbours_wider_and_is_not_even() -> None:
    geometry = with_z(0, -2, -6, -8)
    assert geometry.widths_mm == pytest.approx([2, 3, 3, 2])
    assert not geometry.is_even
    assert not geometry.is_regular
    assert geometry.step_mm == pytest.approx(2.0)


def test_a_single_slice_has_its_nominal_width_or_no_volume() -> None:
    assert axial(1).widths_mm == pytest.approx([2.0])
    unknown = replace(axial(1), slice_width_mm=None)
    assert unknown.widths_mm is None
    assert unknown.slice_volumes_mm3 is None
    assert unknown.step_mm == 1.0
    assert unknown.is_even
    assert unknown.drift == 0.0


def test_pictures_have_no_volume() -> None:
    geometry = Geometry.from_spacing((3, 4, 4), (1.0, 1.0, 1.0), spacing_known=False)
    assert geometry.widths_mm is None
    assert geometry.slice_volumes_mm3 is None
    assert geometry.slice_width_mm is None


def test_tilt_is_told_by_drift_and_shrinks_the_step() -> None:
    angle = np.deg2rad(20)
    geometry = replace(axial(10), row_step_mm=0.8 * np.array([0, np.cos(angle), np.sin(angle)]))
    assert geometry.drift == pytest.approx(np.tan(angle))
    assert not geometry.is_regular
    assert geometry.is_even
    assert geometry.step_mm == pytest.approx(2.0 * np.cos(angle))


def test_affine_maps_indices_to_the_places_of_slices() -> None:
    geometry = axial()
    for index, origin in enumerate(geometry.origins_mm):
        assert geometry.affine @ [index, 0, 0, 1] == pytest.approx([*origin, 1])
    assert Geometry.from_affine(geometry.shape, geometry.affine).same_grid(geometry)


def test_the_affine_of_one_slice_steps_along_the_normal() -> None:
    single = axial(1)
    assert np.linalg.det(single.affine[:3, :3]) != 0
    assert np.linalg.norm(single.affine[:3, 0]) == pytest.approx(2.0)


def test_ras_turns_x_and_y_round() -> None:
    geometry = replace(axial(), origins_mm=axial().origins_mm + np.array([10.0, 20, 30]))
    assert geometry.ras_affine[:3, 3] == pytest.approx([-10, -20, 30])
    assert geometry.ras_affine[0, 2] == pytest.approx(-0.7)
    assert geometry.ras_affine[1, 1] == pytest.approx(-0.8)


def test_arrays_are_copied_and_cannot_be_changed() -> None:
    origins = np.array(axial().origins_mm)
    geometry = replace(axial(), origins_mm=origins)
    origins += 5
    assert geometry.origins_mm[0] == pytest.approx([0, 0, 0])
    with pytest.raises(ValueError, match="read-only"):
        geometry.origins_mm[0] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origins_mm": np.zeros((3, 3))}, "origins_mm must be finite numbers of shape"),
        ({"origins_mm": np.full((4, 3), np.nan)}, "origins_mm must be finite"),
        ({"row_step_mm": np.array([0, np.inf, 0])}, "row_step_mm must be finite"),
        ({"column_step_mm": np.zeros(2)}, "column_step_mm must be finite"),
        ({"row_step_mm": np.zeros(3)}, "positive spacing"),
        ({"column_step_mm": np.array([0, 0.8, 0])}, "rows and columns run the same way"),
        ({"origins_mm": np.zeros((4, 3))}, "slices at one position or out of order"),
        (
            {"origins_mm": np.array([[0, 0, 0], [0, 0, -2], [0, 0, -1], [0, 0, -3.0]])},
            "slices at one position or out of order",
        ),
        ({"shape": (0, 6, 5), "origins_mm": np.zeros((0, 3))}, "a grid needs voxels"),
    ],
)
def test_impossible_grids_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(axial(), **change)  # type: ignore[arg-type]


def test_same_grid_of_itself_and_of_a_copy() -> None:
    geometry = axial()
    assert geometry.same_grid(geometry)
    assert geometry.same_grid(replace(geometry, origins_mm=geometry.origins_mm + 1e-5))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (4, 5, 6)},
        {"origins_mm": axial().origins_mm + np.array([0.5, 0, 0])},
        {"origins_mm": axial(4, 2.1).origins_mm},
        {"row_step_mm": np.array([0, 0.81, 0])},
        {"column_step_mm": np.array([-0.7, 0, 0])},
    ],
)
def test_other_grids_are_not_the_same(change: dict[str, object]) -> None:
    other = replace(axial(), **change)  # type: ignore[arg-type]
    assert not axial().same_grid(other)
    assert not other.same_grid(axial())


def test_two_patients_on_one_grid_are_not_the_same_grid() -> None:
    one = replace(axial(), frame_of_reference="1.2.3")
    other = replace(axial(), frame_of_reference="1.2.4")
    assert not one.same_grid(other)
    assert one.same_grid(replace(axial(), frame_of_reference="1.2.3"))
    assert one.same_grid(axial()), "a grid without a frame of reference may lie in any"
