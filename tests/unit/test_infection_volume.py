"""Infection of volumes: what is found, what is passed over, and the laws of the interval."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError, UncalibratedError
from groundglass.imaging.resample import working_grid
from groundglass.infection.hilum import root_vessels
from groundglass.infection.volume import (
    VolumeInfectionConfig,
    even_runs,
    find_infection,
    segment_infection,
)
from tests.chests import TISSUE, Plan, draw
from tests.phantoms import FINE as PHANTOM
from tests.phantoms import phantom

PLAN = Plan(shape=(60, 140, 180), spacing_mm=(3.0, 1.6, 1.6), radii_mm=(80.0, 70.0, 50.0))
GROUND_GLASS_HU = -500


def found_in(hu: np.ndarray, lungs: np.ndarray, plan: Plan = PLAN) -> tuple[np.ndarray, np.ndarray]:
    return segment_infection(hu, lungs, plan.spacing_mm)


def test_a_healthy_chest_has_none() -> None:
    hu, lungs = draw(replace(PLAN, noise_hu=30.0))
    labels, extent = found_in(hu, lungs)
    assert not labels.any()
    assert not extent.any()


def test_a_lung_s_soft_edge_is_no_ground_glass() -> None:
    hu, lungs = draw(PLAN)
    for axis in (1, 2):
        hu = ((hu.astype(np.int32) + np.roll(hu, 1, axis)) // 2).astype(np.int16)
    labels, _ = found_in(hu, lungs)
    assert not labels.any()


@pytest.mark.parametrize(("density", "kind"), [(GROUND_GLASS_HU, 1), (TISSUE, 2)])
@pytest.mark.parametrize("radius_mm", [10.0, 20.0])
def test_lesions_keep_kind_and_volume(density: int, kind: int, radius_mm: float) -> None:
    hu, lungs = draw(PLAN)
    lesion = PLAN.ball((0.0, 40.0, -80.0), radius_mm) & (lungs > 0)
    hu[lesion] = density
    labels, _ = found_in(hu, lungs)
    overlap = 2 * ((labels > 0) & lesion).sum() / ((labels > 0).sum() + lesion.sum())
    assert overlap > 0.85
    assert (labels[labels > 0] == kind).mean() > 0.8
    assert labels[lesion & (labels > 0)].tolist().count(kind) > 0.9 * lesion.sum() * 0.8


def test_vessels_are_passed_over() -> None:
    hu, lungs = draw(PLAN)
    for offset in (-20.0, 0.0, 20.0):
        hu[PLAN.tube((offset, -80.0), 2.2, (-60.0, 60.0)) & (lungs > 0)] = TISSUE
    labels, _ = found_in(hu, lungs)
    assert not labels.any()


def test_specks_are_dropped() -> None:
    hu, lungs = draw(PLAN)
    hu[PLAN.ball((0.0, 0.0, 80.0), 2.0)] = GROUND_GLASS_HU
    labels, _ = found_in(hu, lungs)
    assert not labels.any()


def test_the_interval_widens_with_the_spread() -> None:
    hu, lungs = draw(PLAN)
    _, y, _ = PLAN.axes()
    ramp = PLAN.ball((0.0, 0.0, -78.0), 40.0) & (lungs > 0)
    hu[ramp] = np.broadcast_to(-850 + 5 * np.abs(y), hu.shape).astype(np.int16)[ramp]
    sizes = []
    for spread in (0.0, 30.0, 60.0):
        config = VolumeInfectionConfig(spread_hu=spread)
        labels, extent = segment_infection(hu, lungs, PLAN.spacing_mm, config)
        sizes.append((int((extent >= 1).sum()), int((labels > 0).sum()), int((extent == 3).sum())))
    assert sizes[0][0] == sizes[0][1] == sizes[0][2] > 0
    assert sizes[2][0] > sizes[1][0] > sizes[1][1] == sizes[2][1]
    assert sizes[2][2] < sizes[1][2] < sizes[1][1]


def test_the_phantom_s_lesions_are_measured() -> None:
    made = phantom(PHANTOM)
    scan = made.scan
    lungs = LungMask(made.lungs, scan.geometry, "truth")
    found = find_infection(scan, lungs)
    ml = float(np.prod(scan.geometry.spacing_mm)) / 1000
    assert found.method == "training-free"
    assert (found.labels > 0).sum() * ml == pytest.approx(made.truth["infected_ml"], rel=0.2)
    hit = (found.labels > 0)[made.infection > 0].mean()
    assert hit > 0.9


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    density=st.integers(-800, 100),
    radius=st.floats(4.0, 30.0),
    step=st.sampled_from([1.0, 2.5, 6.0]),
)
def test_masks_are_nested_and_inside_the_lungs(
    seed: int, density: int, radius: float, step: float
) -> None:
    plan = Plan((20, 60, 72), (step, 4.0, 4.0), noise_hu=60.0, radii_mm=(80.0, 70.0, 50.0))
    hu, lungs = draw(plan, seed)
    hu[plan.ball((0.0, 0.0, -78.0), radius)] = density
    labels, extent = found_in(hu, lungs, plan)
    assert labels.dtype == extent.dtype == np.uint8
    assert np.array_equal(labels > 0, extent >= 2)
    assert not extent[lungs == 0].any()
    assert set(np.unique(labels)) <= {0, 1, 2}
    assert set(np.unique(extent)) <= {0, 1, 2, 3}


def test_no_lungs_no_infection() -> None:
    hu, lungs = draw(PLAN)
    labels, extent = found_in(hu, np.zeros_like(lungs))
    assert labels.shape == hu.shape
    assert not labels.any()
    assert not extent.any()


def test_shapes_must_agree() -> None:
    hu, lungs = draw(PLAN)
    with pytest.raises(ValueError, match="do not fit"):
        found_in(hu, lungs[1:])


def test_another_grid_and_unknown_values_are_refused() -> None:
    hu, labels = draw(PLAN)
    scan = Scan.from_array(hu, PLAN.spacing_mm)
    elsewhere = Scan.from_array(hu, (3.0, 1.6, 1.7)).geometry
    with pytest.raises(GridMismatchError, match="resample it to the scan"):
        find_infection(scan, LungMask(labels, elsewhere, "test"))
    unknown = Scan.from_array(hu, PLAN.spacing_mm, intensity=Intensity.UNKNOWN)
    with pytest.raises(UncalibratedError, match="Hounsfield"):
        find_infection(unknown, LungMask(labels, unknown.geometry, "test"))


def test_root_vessels_are_told_by_their_place() -> None:
    _, lungs = draw(PLAN)
    grid = working_grid(PLAN.shape, PLAN.spacing_mm, 1.4)
    root = PLAN.ball((0.0, 0.0, -30.0), 7.0) & (lungs > 0)
    lateral = PLAN.ball((0.0, 0.0, -110.0), 7.0)
    basal = PLAN.ball((60.0, 0.0, -60.0), 7.0) & (lungs > 0)
    large = PLAN.ball((0.0, 0.0, 50.0), 20.0)
    found = root_vessels(root | lateral | basal | large, lungs, grid)
    assert np.array_equal(found, root)
    assert not root_vessels(root, np.where(lungs == 1, lungs, 0), grid).any()


def test_a_root_vessel_is_no_consolidation() -> None:
    hu, lungs = draw(PLAN)
    hu[PLAN.ball((0.0, 0.0, -31.0), 7.5) & (lungs > 0)] = TISSUE
    labels, extent = found_in(hu, lungs)
    assert not (labels == 2).any()
    assert not (extent[labels == 0] > 1).any()


@pytest.mark.parametrize(
    ("steps", "runs"),
    [
        ([2, 2, 12, 2, 2], [(0, 3, 2), (3, 6, 2)]),
        ([2, 2, 2, 6, 6, 6], [(0, 4, 2), (4, 7, 6)]),
        ([6, 6, 6, 2, 2], [(0, 3, 6), (3, 6, 2)]),
        ([2, 12, 12, 2], [(0, 2, 2), (2, 3, 12), (3, 5, 2)]),
        ([2, 2.5, 2, 2.6], [(0, 5, 2)]),
        ([], [(0, 1, 3)]),
    ],
)
def test_runs_break_where_the_step_does(
    steps: list[float], runs: list[tuple[int, int, float]]
) -> None:
    found = even_runs(np.array(steps, dtype=float), (3.0, 1.0, 1.0))
    assert [(r.slices.start, r.slices.stop, r.spacing_mm[0]) for r in found] == runs


def test_steps_given_one_by_one_change_nothing_where_they_are_even() -> None:
    hu, lungs = draw(PLAN)
    hu[PLAN.ball((0.0, 40.0, -80.0), 12.0)] = GROUND_GLASS_HU
    steps = np.full(hu.shape[0] - 1, PLAN.spacing_mm[0])
    each = segment_infection(hu, lungs, PLAN.spacing_mm, None, steps)
    for once, singly in zip(found_in(hu, lungs), each, strict=True):
        np.testing.assert_array_equal(once, singly)


def test_uneven_steps_are_taken_as_they_are() -> None:
    """Slices of 1 mm and then of 5 mm show a lesion the size it has, in both parts."""
    plan = replace(PLAN, shape=(180, 140, 180), spacing_mm=(1.0, 1.6, 1.6))
    hu, lungs = draw(plan)
    lesions = plan.ball((-40.0, 40.0, -80.0), 14.0) | plan.ball((40.0, 40.0, -80.0), 14.0)
    hu[lesions] = GROUND_GLASS_HU
    kept = np.r_[0:90, 90:180:5]
    steps = np.diff(kept).astype(float)
    labels, _ = segment_infection(hu[kept], lungs[kept], plan.spacing_mm, None, steps)
    for part in (kept < 90, kept >= 90):
        found, true = labels[part] > 0, lesions[kept][part]
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85


def test_the_dense_core_of_a_lesion_is_consolidation() -> None:
    """A core too small for the ball of consolidation counts if ground glass lies around it."""
    hu, lungs = draw(PLAN)
    core = PLAN.ball((0.0, 40.0, -80.0), 4.0)
    alone = hu.copy()
    alone[core] = TISSUE
    hu[PLAN.ball((0.0, 40.0, -80.0), 14.0)] = GROUND_GLASS_HU
    hu[core] = TISSUE
    assert (found_in(hu, lungs)[0][core] == 2).mean() > 0.8
    assert not found_in(alone, lungs)[0].any()
