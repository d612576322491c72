"""Approximate lobes: a chest cut by known planes, with fissures and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.core.results import LEFT, LOBES, RIGHT, LobeMask, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.lungs.lobes.config import LobeConfig
from groundglass.lungs.lobes.find import FISSURES, PRIOR, find_lobes
from groundglass.lungs.lobes.prior import LEFT_OBLIQUE, PRIORS, prior_frame
from groundglass.lungs.lobes.surfaces import best_heights, best_sheet, fit_surface
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.scoring.severity import CTSS_LIMITS, grade_points
from tests.lobed import CHEST, LESIONS, dice, lobed, lobes_ml

RULE = AnalyzeConfig(infection_method="training-free", cross_check=False)


@pytest.fixture(scope="module")
def chest() -> tuple[Scan, LungMask, LobeMask]:
    scan, lungs, lobes = lobed()
    return (
        scan,
        LungMask(lungs, scan.geometry, "true"),
        LobeMask(lobes, scan.geometry, "true"),
    )


@pytest.fixture(scope="module")
def found(chest: tuple[Scan, LungMask, LobeMask]) -> LobeMask:
    lobes = find_lobes(chest[0], chest[1])
    assert lobes is not None
    return lobes


def test_fissures_are_followed_to_the_true_planes(
    chest: tuple[Scan, LungMask, LobeMask], found: LobeMask
) -> None:
    scan, lungs, truth = chest
    assert found.method == FISSURES
    overlap = dice(found.labels, truth.labels)
    assert min(overlap.values()) > 0.96, overlap
    assert np.array_equal(found.labels > 0, lungs.labels > 0)
    volumes = scan.geometry.slice_volumes_mm3
    assert volumes is not None
    ml = {
        name: float((found.labels == k).sum(axis=(1, 2)) @ volumes) / 1000
        for k, name in enumerate(LOBES, start=1)
    }
    ml["right_front"] = ml["right_upper"] + ml["right_middle"]
    for name, wanted in lobes_ml().items():
        assert ml[name] == pytest.approx(wanted, rel=0.03), name
    (verdict,) = found.verdicts
    assert verdict.check == "lobes"
    assert verdict.found.count("was seen on") == 3
    assert "approximate" in verdict.effect


def test_without_fissures_the_average_chest_stands_and_is_said(
    chest: tuple[Scan, LungMask, LobeMask],
) -> None:
    scan, lungs, _ = lobed(fissures=False)
    mask = LungMask(lungs, scan.geometry, "true")
    plain = find_lobes(scan, mask)
    assert plain is not None
    assert plain.method == PRIOR
    (verdict,) = plain.verdicts
    assert verdict.status is Status.NOTE
    assert verdict.found.count("not seen") == 3
    assert "average chest" in verdict.done
    overlap = dice(plain.labels, chest[2].labels)
    assert 0.6 < min(overlap.values()) < 0.96  # near, and plainly not the planes


def test_thick_slices_are_not_searched(chest: tuple[Scan, LungMask, LobeMask]) -> None:
    scan, lungs, _ = chest
    thick = find_lobes(scan, lungs, LobeConfig(thickest_step_mm=2.0))
    assert thick is not None
    assert thick.method == PRIOR


def test_one_lung_gives_the_lobes_of_that_lung(chest: tuple[Scan, LungMask, LobeMask]) -> None:
    scan, lungs, _ = chest
    left = np.where(lungs.labels == LEFT, LEFT, 0)
    lobes = find_lobes(scan, LungMask(left, scan.geometry, "true"))
    assert lobes is not None
    assert set(np.unique(lobes.labels)) == {0, 1, 2}


def test_there_are_no_lobes_where_they_cannot_be(chest: tuple[Scan, LungMask, LobeMask]) -> None:
    scan, lungs, _ = chest
    assert find_lobes(scan, lungs, LobeConfig(method="none")) is None
    assert find_lobes(scan, replace(lungs, sides_known=False)) is None
    picture = replace(scan, intensity=Intensity.DISPLAY)
    assert find_lobes(picture, lungs) is None
    few = np.zeros_like(lungs.labels)
    few[50:55] = lungs.labels[50:55]
    assert find_lobes(scan, LungMask(few, scan.geometry, "true")) is None


def test_points_of_a_lobed_phantom_are_those_of_its_closed_form() -> None:
    scan, _, _ = lobed(ill=True)
    result = analyze(scan, RULE)
    truth = lobes_ml()
    assert result.lobes is not None
    assert result.lobes.method == FISSURES
    ctss = result.severity.ctss25
    for name in ("left_upper", "left_lower", "right_lower"):
        percent = 100 * LESIONS[name].volume_ml / truth[name]
        assert result.burden.regions[name].percent.value == pytest.approx(percent, rel=0.15), name
        assert ctss.points[name] == grade_points(percent, CTSS_LIMITS)
    assert ctss.points["right_middle"] == 0
    assert ctss.points["right_upper"] == 1
    assert ctss.value == sum(ctss.points.values()) == 1 + 2 + 1 + 0 + 2
    assert "approximate" in ctss.rule
    assert "as published" in result.severity.ctss25_published.rule
    region = result.burden.regions["left_lower"]
    assert region.percent.value == pytest.approx(100 * region.infected_voxels / region.voxels)
    assert "lobes" in {verdict.check for verdict in result.verdicts}


def test_a_given_lobe_mask_wins(chest: tuple[Scan, LungMask, LobeMask]) -> None:
    scan, lungs, lobes = chest
    result = analyze(scan, RULE, lungs=lungs, lobes=lobes)
    assert result.lobes is lobes
    assert "approximate" not in result.severity.ctss25.rule


def test_the_frame_of_a_prior_runs_down_to_the_front_and_looks_to_the_head() -> None:
    low, high = np.array([0.0, 0.0, 0.0]), np.array([280.0, 170.0, 110.0])
    for prior in PRIORS:
        frame = prior_frame(prior, low, high)
        assert frame.axes @ frame.axes.T == pytest.approx(np.eye(3))
        assert frame.axes[2, 0] < 0
        middle = np.array([[prior.front[0] * 280, prior.front[1] * 170, 55.0]])
        position, height = frame.locate(middle)
        assert height == pytest.approx(0)
        back = np.array([[*(np.array(prior.back) * (280, 170)), 55.0]])
        assert frame.locate(back)[0][0, 1] < position[0, 1]
    points = prior_frame(LEFT_OBLIQUE, low, high)
    spread = np.stack(points.points(np.full((*points.shape, 1), 7.0)), axis=-1).reshape(-1, 3)
    where, height = points.locate(spread.astype(np.float64))
    assert height == pytest.approx(7.0, abs=1e-3)
    assert where[-1] == pytest.approx(np.array(points.shape) - 1, abs=1e-3)


def test_the_best_path_is_the_cheapest_of_all_on_one_line() -> None:
    rng = np.random.default_rng(3)
    cost = rng.random((6, 1, 4)).astype(np.float32)
    bend, kink = 0.2, 0.9
    price = np.array([0, bend, 2.2 * bend, kink])
    best, wanted = np.inf, np.zeros(6, int)
    for number in range(4**6):
        path = np.array([number // 4**i % 4 for i in range(6)])
        total = cost[np.arange(6), 0, path].sum() + price[np.abs(np.diff(path))].sum()
        if total < best:
            best, wanted = total, path
    assert np.array_equal(best_heights(cost, bend, kink)[:, 0], wanted)


def test_a_robust_fit_leaves_a_third_of_outliers_aside() -> None:
    rng = np.random.default_rng(0)
    i, j = np.indices((30, 40))
    truth = 6 + 0.2 * (i - 15) - 0.15 * (j - 20) + 0.01 * (j - 20) ** 2
    heights = truth + rng.normal(0, 0.5, truth.shape)
    wrong = rng.random(truth.shape) < 0.33
    heights[wrong] += rng.uniform(12, 30, int(wrong.sum()))
    fitted = fit_surface(heights, np.ones(truth.shape), 1.5).on_grid()
    assert np.abs(fitted - truth).max() < 1.0
    assert np.abs(heights.mean() - truth.mean()) > 5  # a plain mean would be far off
    assert not fit_surface(heights, np.zeros(truth.shape), 1.5).on_grid().any()


def test_the_best_sheet_is_tilted_and_bowed_as_drawn() -> None:
    gain = np.zeros((24, 36, 61), np.float32)
    i, j = np.indices((24, 36))
    bow = (2 * (j - 17.5) / 35) ** 2 - 1 / 3
    drawn = 4 + 0.6 * (i - 11.5) - 0.3 * (j - 17.5) + 8 * bow
    at = np.rint(drawn).astype(int) + 30
    gain[i, j, at] = 1
    gain[:, :, 10] += 0.4  # a weaker sheet elsewhere
    sheet = best_sheet(gain, (-0.6, -0.3, 0, 0.3, 0.6), (-8, 0, 8), 20)
    assert np.abs(sheet - drawn).max() <= 1


def test_both_lungs_carry_their_own_lobes(
    chest: tuple[Scan, LungMask, LobeMask], found: LobeMask
) -> None:
    lungs = chest[1].labels
    assert set(np.unique(found.labels[lungs == LEFT])) == {1, 2}
    assert set(np.unique(found.labels[lungs == RIGHT])) == {3, 4, 5}
    assert CHEST.shape == found.labels.shape
