"""Lungs of plain chests, and every fault that has been seen to break a segmentation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.lungs.config import LungConfig
from groundglass.lungs.segment import LungLabels, segment_lungs
from tests.chests import AIR, BONE, LUNG, TISSUE, Plan, draw

PLAN = Plan()
FINE = Plan(shape=(60, 150, 150), spacing_mm=(5.0, 2.5, 2.5))


def dice(found: LungLabels, truth: np.ndarray, side: int) -> float:
    a, b = found.labels == side, truth == side
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def assert_whole(found: LungLabels, truth: np.ndarray, least: float = 0.97) -> None:
    assert dice(found, truth, 1) > least
    assert dice(found, truth, 2) > least


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        FINE,
        Plan(shape=(240, 80, 80), spacing_mm=(1.2, 5.0, 5.0)),
        Plan(shape=(430, 72, 72), spacing_mm=(0.6, 5.0, 5.0)),
        Plan(shape=(52, 64, 64), spacing_mm=(5.0, 5.6, 5.6)),
        Plan(shape=(30, 180, 360), spacing_mm=(10.0, 1.3, 1.0)),
        Plan(shape=(24, 500, 640), spacing_mm=(10.0, 0.5, 0.55), right_mm=(0.0, 0.0, -74.0)),
    ],
    ids=["6mm", "fine", "thin", "0.6mm", "64x64", "10mm", "small pixels"],
)
def test_plain_ellipsoids_keep_their_volume(plan: Plan) -> None:
    hu, truth = draw(plan)
    found = segment_lungs(hu, plan.spacing_mm)
    assert found.split_method == "objects"
    for side in (1, 2):
        measured = (found.labels == side).sum() * plan.voxel_ml
        assert measured == pytest.approx(plan.lung_ml, rel=0.02)
    assert_whole(found, truth)
    assert found.z_gaps == ()
    assert found.repaired_ml == 0
    assert found.suspected_ml == 0


def test_noise_changes_little() -> None:
    hu, truth = draw(replace(FINE, noise_hu=60.0))
    assert_whole(segment_lungs(hu, FINE.spacing_mm), truth)


def test_skin_missing_on_one_slice_does_not_cut_off_the_apex() -> None:
    hu, truth = draw(FINE)
    _, y, x = FINE.axes()
    hu[12, (np.abs(y[0]) < 14) & (x[0] < -70)] = AIR
    found = segment_lungs(hu, FINE.spacing_mm)
    assert (found.labels[:12] == 1).sum() > 0.9 * (truth[:12] == 1).sum()
    assert found.z_gaps == ()
    assert dice(found, truth, 1) > 0.95


def test_thin_skin_holds_the_outside_off() -> None:
    plan = replace(FINE, body_mm=(110.0, 134.0))
    hu, truth = draw(plan)
    assert_whole(segment_lungs(hu, plan.spacing_mm), truth, least=0.94)


def test_one_blank_slice_does_not_cut_the_lungs() -> None:
    hu, truth = draw(FINE)
    hu[20] = TISSUE
    found = segment_lungs(hu, FINE.spacing_mm)
    assert (found.labels[:20] > 0).sum() > 0.9 * (truth[:20] > 0).sum()


def test_lungs_touching_in_front_are_parted() -> None:
    hu, truth = draw(FINE)
    z, y, x = FINE.axes()
    bridge = (np.abs(z) < 50) & (y > -40) & (y < -25) & (np.abs(x) < 34)
    hu[bridge] = LUNG
    found = segment_lungs(hu, FINE.spacing_mm)
    assert found.split_method.startswith("erosion")
    for side in (1, 2):
        assert (found.labels == side)[truth == side].mean() > 0.97


def test_lungs_parted_by_a_dense_sheet_part_at_the_aerated_core() -> None:
    hu, truth = draw(FINE)
    z, y, x = FINE.axes()
    hu[(np.abs(z) < 50) & (y > -40) & (y < 20) & (np.abs(x) < 34)] = -600
    found = segment_lungs(hu, FINE.spacing_mm)
    assert found.split_method == "aerated seeds"
    for side in (1, 2):
        assert (found.labels == side)[truth == side].mean() > 0.97


def test_lungs_that_never_part_are_cut_in_the_middle() -> None:
    plan = replace(FINE, right_mm=(0.0, 0.0, -40.0), left_mm=(0.0, 0.0, 40.0))
    hu, _ = draw(plan)
    found = segment_lungs(hu, plan.spacing_mm, LungConfig(split_most_mm=2.0))
    assert found.split_method == "midline"
    share = (found.labels == 1).sum() / (found.labels > 0).sum()
    assert share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("side", [1, 2])
def test_one_lung_alone_keeps_its_side(side: int) -> None:
    hu, truth = draw(FINE)
    hu[truth == 3 - side] = TISSUE
    found = segment_lungs(hu, FINE.spacing_mm)
    assert found.split_method == "one lung"
    assert not (found.labels == 3 - side).any()
    assert dice(found, truth, side) > 0.97


def test_a_scan_without_lungs_is_empty() -> None:
    hu, truth = draw(PLAN)
    hu[truth > 0] = TISSUE
    found = segment_lungs(hu, PLAN.spacing_mm)
    assert found.empty
    assert not found.labels.any()
    assert found.airway_ml == 0


@pytest.mark.parametrize("value", [AIR, TISSUE, LUNG])
def test_a_constant_volume_is_empty(value: int) -> None:
    assert segment_lungs(np.full((6, 40, 40), value, np.int16), (5.0, 5.0, 5.0)).empty


def test_bowel_full_of_gas_is_no_lung() -> None:
    hu, truth = draw(FINE)
    hu[truth > 0] = TISSUE
    hu[FINE.ball((40.0, 0.0, 60.0), (60.0, 40.0, 35.0))] = AIR
    assert segment_lungs(hu, FINE.spacing_mm).empty


def test_bowel_gas_beside_the_lung_stays_out() -> None:
    plan = Plan(shape=(60, 200, 200), spacing_mm=(4.0, 1.8, 1.8), radii_mm=(90.0, 75.0, 52.0))
    hu, truth = draw(plan)
    wall = plan.ball((70.0, -30.0, 60.0), 26.0)
    gas = plan.ball((70.0, -30.0, 60.0), 22.0)
    hu[wall], truth[wall] = TISSUE, 0
    hu[gas] = AIR
    z, y, x = plan.axes()
    leak = (np.abs(z - 47) < 5) & (np.abs(y + 30) < 3) & (np.abs(x - 60) < 3)
    hu[leak] = -700
    found = segment_lungs(hu, plan.spacing_mm)
    assert (found.labels[gas] > 0).mean() < 0.05
    assert_whole(found, truth, least=0.95)


def test_trachea_is_found_and_left_out() -> None:
    plan = Plan(shape=(80, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    wall = plan.tube((10.0, 0.0), 11.0, (-200.0, 10.0))
    lumen = plan.tube((10.0, 0.0), 9.0, (-200.0, 10.0))
    branch = plan.ball((14.0, 10.0, 0.0), (7.0, 7.0, 32.0))
    hu[wall] = TISSUE
    hu[lumen | branch] = AIR
    found = segment_lungs(hu, plan.spacing_mm)
    assert found.airway_ml == pytest.approx((lumen | branch).sum() * plan.voxel_ml, rel=0.25)
    assert (found.labels[lumen] > 0).mean() < 0.02
    assert_whole(found, truth)


def test_table_clothes_and_arms_stay_out() -> None:
    hu, truth = draw(FINE)
    z, y, x = FINE.axes()
    everywhere = np.isfinite(z)
    hu[everywhere & (y > 118) & (y < 124) & (np.abs(x) < 170)] = TISSUE
    hu[everywhere & (y > 150) & (y < 156) & (np.abs(x) < 170)] = TISSUE
    hu[everywhere & (y > 124) & (y < 150) & (np.abs(x) < 170)] = -940
    hu[everywhere & (y < -130) & (y > -140) & (np.abs(x) < 120)] = -700
    for side in (-1, 1):
        hu[everywhere & ((y / 40) ** 2 + ((x - side * 180) / 12) ** 2 <= 1)] = TISSUE
    assert_whole(segment_lungs(hu, FINE.spacing_mm), truth)


def test_a_field_of_view_that_cuts_the_body_keeps_the_lungs() -> None:
    hu, truth = draw(FINE)
    rows, columns = slice(42, 108), slice(15, 135)
    found = segment_lungs(hu[:, rows, columns].copy(), FINE.spacing_mm)
    assert_whole(found, truth[:, rows, columns])


def test_lungs_cut_by_the_frame_are_found() -> None:
    hu, truth = draw(FINE)
    columns = slice(0, 118)
    found = segment_lungs(hu[:, :, columns].copy(), FINE.spacing_mm)
    assert_whole(found, truth[:, :, columns], least=0.94)


@pytest.mark.parametrize(("first", "last"), [(0, 30), (30, 60), (20, 40)])
def test_lungs_cut_by_the_ends_of_the_scan_are_found(first: int, last: int) -> None:
    hu, truth = draw(FINE)
    found = segment_lungs(hu[first:last], FINE.spacing_mm)
    assert_whole(found, truth[first:last])


@pytest.mark.parametrize("slices", [1, 2, 3, 5])
def test_few_slices_are_enough(slices: int) -> None:
    hu, truth = draw(FINE)
    part = slice(30, 30 + slices)
    assert_whole(segment_lungs(hu[part], FINE.spacing_mm), truth[part])


def test_padding_round_the_reconstruction_circle_is_outside() -> None:
    hu, truth = draw(FINE)
    _, y, x = FINE.axes()
    hu[np.broadcast_to(y**2 + x**2 > 180**2, hu.shape)] = -3024
    assert_whole(segment_lungs(hu, FINE.spacing_mm), truth)


def test_vessels_and_inner_lesions_belong_to_the_lung() -> None:
    hu, truth = draw(FINE)
    lesion = FINE.ball((0.0, 10.0, -78.0), 25.0)
    hu[lesion] = TISSUE
    found = segment_lungs(hu, FINE.spacing_mm)
    assert (found.labels[lesion] == 1).all()
    assert_whole(found, truth)


def test_the_dome_of_the_diaphragm_is_not_filled() -> None:
    plan = Plan(shape=(70, 150, 150), spacing_mm=(4.0, 2.5, 2.5))
    hu, truth = draw(plan)
    dome = plan.ball((120.0, 0.0, -78.0), (110.0, 62.0, 44.0))
    hu[dome], truth[dome] = TISSUE, 0
    found = segment_lungs(hu, plan.spacing_mm)
    assert (found.labels[dome] > 0).mean() < 0.03
    assert_whole(found, truth, least=0.96)


@pytest.mark.parametrize(("radius_mm", "least"), [(12.0, 0.6), (22.0, 0.6)])
def test_consolidation_on_the_pleura_is_put_back(radius_mm: float, least: float) -> None:
    plan = Plan(shape=(90, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    lesion = plan.ball((0.0, 0.0, -130.0), radius_mm) & (truth > 0)
    hu[lesion] = TISSUE
    found = segment_lungs(hu, plan.spacing_mm)
    assert (found.labels[lesion] == 1).mean() > least
    assert found.repaired_ml == pytest.approx(lesion.sum() * plan.voxel_ml, rel=0.5)
    without = segment_lungs(hu, plan.spacing_mm, LungConfig(dent_ball_mm=0.0))
    assert (without.labels[lesion] == 1).mean() < least / 2
    assert without.repaired_ml == 0


def test_fat_on_the_pleura_stays_out() -> None:
    plan = Plan(shape=(90, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    lesion = plan.ball((0.0, 0.0, -130.0), 15.0) & (truth > 0)
    hu[lesion] = -95
    found = segment_lungs(hu, plan.spacing_mm)
    assert (found.labels[lesion] == 1).mean() < 0.3
    hu[lesion] = BONE
    found = segment_lungs(hu, plan.spacing_mm)
    assert (found.labels[lesion] == 1).mean() < 0.3


@pytest.mark.parametrize(("height_mm", "radius_mm", "slices"), [(20.0, 50.0, 90), (0.0, 25.0, 48)])
def test_a_dent_without_lung_on_one_side_is_told_of_and_left_out(
    height_mm: float, radius_mm: float, slices: int
) -> None:
    plan = Plan(shape=(90, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    lesion = plan.ball((height_mm, 0.0, -130.0), radius_mm) & (truth > 0)
    hu[lesion] = TISSUE
    found = segment_lungs(hu[:slices], plan.spacing_mm)
    assert found.suspected_ml > 5
    assert found.repaired_ml == 0
    assert (found.labels[lesion[:slices]] > 0).mean() < 0.1


def test_an_airway_that_leaks_into_thin_lung_is_stopped() -> None:
    plan = Plan(shape=(80, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    hu[truth > 0] = -890
    lumen = plan.tube((10.0, 0.0), 9.0, (-200.0, 10.0)) | plan.ball((14.0, 10.0, 0.0), (6, 6, 45))
    hu[lumen] = AIR
    found = segment_lungs(hu, plan.spacing_mm)
    assert found.airway_ml == pytest.approx(lumen.sum() * plan.voxel_ml, rel=0.25)
    assert_whole(found, np.where(lumen, 0, truth), least=0.96)


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4)])
def test_arrays_that_are_no_volume_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three axes"):
        segment_lungs(np.zeros(shape, np.int16), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, float("nan"), 1.0), (1.0, -2.0, 1.0)])
def test_spacing_must_be_positive(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        segment_lungs(np.zeros((2, 4, 4), np.int16), spacing)


@settings(max_examples=4)
@given(
    down=st.floats(-30, 30),
    back=st.floats(-12, 12),
    wide=st.floats(40, 52),
    seed=st.integers(0, 1000),
)
def test_a_mirrored_chest_has_mirrored_lungs(
    down: float, back: float, wide: float, seed: int
) -> None:
    plan = replace(PLAN, right_mm=(down, back, -78.0), radii_mm=(100.0, 70.0, wide), noise_hu=15.0)
    hu, _ = draw(plan, seed)
    found = segment_lungs(hu, plan.spacing_mm).labels
    mirrored = segment_lungs(hu[:, :, ::-1].copy(), plan.spacing_mm).labels[:, :, ::-1]
    swapped = np.array([0, 2, 1], np.uint8)[mirrored]
    assert (found != swapped).mean() < 0.002


def test_the_volume_given_is_not_changed() -> None:
    hu, _ = draw(PLAN)
    before = hu.copy()
    hu.setflags(write=False)
    segment_lungs(hu, PLAN.spacing_mm)
    assert np.array_equal(hu, before)
