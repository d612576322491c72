from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.core.results import (
    CONSOLIDATION,
    GROUND_GLASS,
    Burden,
    Estimate,
    InfectionMask,
    LungMask,
    PercentEstimate,
)
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.errors import ModelError, WeightsError
from groundglass.infection.pictures import masks_of_pictures, segment_pictures
from groundglass.infection.volume import find_infection
from groundglass.models.card import Preparation, Task
from groundglass.models.catalogue import FOLDER_VARIABLE
from groundglass.scoring.burden import measure_burden
from groundglass.scoring.cross_check import cross_check, differ, estimate_from_mask
from groundglass.systems.area_selection import select_by_area
from groundglass.systems.covid_ctset.selection import select_slices
from groundglass.systems.covid_rate.infection import (
    InfectionNetworkConfig,
    find_in_pictures_by_network,
    find_infection_by_network,
    open_infection_model,
)
from groundglass.systems.covid_rate.slicing import blend_weights, blended, chosen_slices
from groundglass.systems.infection import InfectionSettings, find_in_pictures, find_in_volume
from tests.cases import volume_case
from tests.networks import write_model

TINY = InfectionNetworkConfig(model="tiny", threads=1)
SPACING = (2.0, 1.0, 1.5)


@pytest.fixture(autouse=True, scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A network that answers 0.5 at a tone of 0.5 (-388 HU), steeply; input not square."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, weight=40.0, bias=-20.0, preparation=Preparation(size=(48, 56)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        yield


def chest(spacing: tuple[float, float, float] = SPACING) -> tuple[Scan, LungMask]:
    """Two lungs in soft tissue; a hazy lesion with a dense core in one, a blood vessel."""
    hu = np.full((30, 72, 96), 40, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[2:28, 10:62, 8:44] = 1
    labels[2:28, 10:62, 52:88] = 2
    hu[labels > 0] = -850
    z, y, x = np.mgrid[:30, :72, :96]
    away = np.hypot(np.hypot((z - 14) * 2, y - 34), (x - 26) * 1.5)
    hu[away < 15] = -330
    hu[away < 8] = 0
    scan = Scan.from_array(hu, spacing)
    return scan, LungMask(labels, scan.geometry, "by hand")


def network_mask(scan: Scan, lungs: LungMask, rule: InfectionMask) -> InfectionMask:
    return find_infection_by_network(scan, lungs, rule, open_infection_model(TINY), TINY)


@given(st.lists(st.floats(0.3, 12), min_size=0, max_size=40), st.floats(0, 9), st.booleans())
def test_chosen_slices_leave_no_step_wider_than_needed(
    steps: list[float], step: float, falling: bool
) -> None:
    positions = np.concatenate([[3.0], 3.0 + np.cumsum(steps)]) * (-1 if falling else 1)
    chosen = chosen_slices(positions, step)
    assert (chosen[0], chosen[-1]) == (0, len(steps))
    assert (np.diff(chosen) >= 1).all()
    wide = np.abs(np.diff(positions[chosen])) > step * 1.01
    assert (np.diff(chosen)[wide] == 1).all()


def test_even_slices_are_chosen_at_the_step() -> None:
    assert chosen_slices(np.arange(0.0, 18.0, 2.0), 4.0).tolist() == [0, 2, 4, 6, 8]
    assert chosen_slices(np.arange(0.0, -20.0, -5.0), 4.0).tolist() == [0, 1, 2, 3]
    assert chosen_slices(np.arange(0.0, 6.0, 2.0), 0.0).tolist() == [0, 1, 2]


def test_blending_keeps_a_constant_and_falls_back_on_the_nearest_slice() -> None:
    positions = np.array([0.0, 2.0, 4.0, 90.0])
    weights = blend_weights(positions, np.array([0, 2]), 4.0)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert weights[1] == pytest.approx([0.5, 0.5])
    assert weights[3] == pytest.approx([0, 1], abs=1e-6)
    maps = np.full((2, 3, 3), 0.7, np.float32)
    assert blended(weights[0], maps) == pytest.approx(np.full((3, 3), 0.7))
    nearest = blend_weights(positions, np.array([0, 2]), 0.0)
    assert nearest[[0, 2, 3]].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_a_lesion_is_found_where_it_is_and_its_core_is_consolidation() -> None:
    scan, lungs = chest()
    nothing = np.zeros(scan.shape, np.uint8)
    seen = nothing.copy()
    seen[14, 34, 26] = 1
    rule = InfectionMask(nothing, seen, scan.geometry, "by hand")
    found = network_mask(scan, lungs, rule)
    truth = (scan.voxels > -400) & (lungs.labels > 0)
    marked = found.labels > 0
    overlap = 2 * np.count_nonzero(marked & truth) / (marked.sum() + truth.sum())
    assert overlap > 0.85
    assert not (marked & (lungs.labels == 0)).any()
    assert (marked == (found.extent >= 2)).all()
    assert found.labels[14, 34, 26] == CONSOLIDATION
    assert found.labels[14, 34 + 12, 26] == GROUND_GLASS
    assert "tiny" in found.method


def test_objects_the_rule_sees_nothing_in_are_dropped_and_its_surest_part_is_added() -> None:
    scan, lungs = chest()
    labels, extent = np.zeros((2, *scan.shape), np.uint8)
    extent[10:13, 20:30, 60:70], labels[10:13, 20:30, 60:70] = 3, CONSOLIDATION
    extent[10:13, 20:30, 71:75] = 2
    extent[0] = 3  # outside the lungs
    found = network_mask(scan, lungs, InfectionMask(labels, extent, scan.geometry, "by hand"))
    assert (found.labels[10:13, 20:30, 60:70] == CONSOLIDATION).all()
    assert np.count_nonzero(found.labels) == 3 * 10 * 10
    assert np.count_nonzero(found.extent) == 3 * 10 * 10


def test_small_objects_are_dropped() -> None:
    scan, lungs = chest()
    rule = find_infection(scan, lungs)
    kept = network_mask(scan, lungs, rule)
    model = open_infection_model(TINY)
    config = replace(TINY, smallest_mm3=1e6)
    dropped = find_infection_by_network(scan, lungs, rule, model, config)
    assert (kept.extent > 0).sum() > (dropped.extent > 0).sum()
    assert ((dropped.extent > 0) == (rule.extent >= 3)).all()


@pytest.mark.parametrize("spacing", [(0.7, 1.0, 1.5), (10.0, 1.0, 1.5)])
def test_the_percentage_does_not_depend_on_how_slices_are_chosen(
    spacing: tuple[float, float, float],
) -> None:
    scan, lungs = chest(spacing)
    rule = find_infection(scan, lungs)
    model = open_infection_model(TINY)
    every = find_infection_by_network(
        scan, lungs, rule, model, replace(TINY, step_mm=0, blend_mm=0)
    )
    some = find_infection_by_network(scan, lungs, rule, model, TINY)
    assert np.count_nonzero(some.labels) == pytest.approx(np.count_nonzero(every.labels), rel=0.1)


def test_lungs_that_are_empty_give_an_empty_mask() -> None:
    scan, lungs = chest()
    none = LungMask(np.zeros_like(lungs.labels), scan.geometry, "by hand")
    rule = find_infection(scan, none)
    assert not network_mask(scan, none, rule).extent.any()


def picture() -> Scan:
    y, x = np.mgrid[:160, :220]
    grey = np.full((160, 220), 210.0)
    for middle in (65, 155):
        grey[((y - 80) / 62) ** 2 + ((x - middle) / 38) ** 2 < 1] = 40
    grey[np.hypot(y - 70, x - 65) < 18] = 160
    grey += np.random.default_rng(0).normal(0, 3, grey.shape)
    values = np.clip(np.rint(grey), 0, 255).astype(np.uint8)[None]
    return Scan.from_array(values, intensity=Intensity.DISPLAY)


def test_pictures_are_marked_within_the_lungs_upright_or_inverted() -> None:
    scan = picture()
    found = find_in_pictures(scan, None, InfectionSettings(network=TINY))
    inside = found.lungs.labels > 0
    assert found.method == "network"
    assert found.infection.labels[0, 70, 65] > 0
    assert not (found.infection.extent[~inside] > 0).any()
    assert found.others[0].method == "training-free"
    turned = Scan.from_array(255 - scan.voxels, intensity=Intensity.DISPLAY)
    other = find_in_pictures(turned, None, InfectionSettings(network=TINY))
    same = np.count_nonzero((other.infection.labels > 0) == (found.infection.labels > 0))
    assert same / inside.size > 0.99


def test_values_above_a_byte_are_brought_into_its_range() -> None:
    scan = picture()
    wide = Scan.from_array(scan.voxels.astype(np.uint16) * 200, intensity=Intensity.DISPLAY)
    masks = []
    for one in (scan, wide):
        pictures = segment_pictures(one)
        lungs, rule = masks_of_pictures(one, pictures)
        model = open_infection_model(TINY)
        masks.append(find_in_pictures_by_network(one, pictures, lungs, rule, model, TINY).labels)
    assert np.count_nonzero(masks[0] != masks[1]) < 0.01 * masks[0].size
    assert masks[0].any()


def test_the_published_rule_needs_hu_so_pictures_get_the_training_free_one() -> None:
    settings = InfectionSettings(method="published", network=TINY)
    found = find_in_pictures(picture(), None, settings)
    assert found.method == "training-free"
    assert [one.method for one in found.others] == ["network"]


@pytest.mark.parametrize(
    ("method", "others"),
    [
        ("network", ["training-free"]),
        ("training-free", ["network"]),
        ("published", ["training-free", "network"]),
    ],
)
def test_every_method_is_told_beside_the_others(method: str, others: list[str]) -> None:
    scan, lungs = chest()
    settings = InfectionSettings(method=method, network=TINY)  # type: ignore[arg-type]
    found = find_in_volume(scan, lungs, settings)
    assert [one.method for one in found.others] == others
    assert found.model["model"] == "tiny"
    assert found.model["licence"] == "Apache-2.0"
    assert len(found.model["sha256"]) == 64
    alone = find_in_volume(scan, lungs, replace(settings, cross_check=False))
    assert alone.others == ()
    assert (alone.infection.labels == found.infection.labels).all()


def test_a_network_that_cannot_be_used_stops_its_own_method_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path).write_bytes(b"broken")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    scan, lungs = chest()
    with pytest.raises(ModelError, match="tiny"):
        find_in_volume(scan, lungs, InfectionSettings(network=TINY))
    found = find_in_volume(scan, lungs, InfectionSettings(method="training-free", network=TINY))
    (told,) = found.others
    assert told.percent.value is None
    assert "tiny" in str(told.percent.reason)
    assert found.model == {}


def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path, task=Task.LUNGS)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match="marks infection"):
        open_infection_model(TINY)


def test_the_estimate_of_a_mask_is_what_is_measured_in_it() -> None:
    scan, lungs = chest()
    rule = find_infection(scan, lungs)
    burden = measure_burden(scan, lungs, rule, None, select_by_area(lungs), select_slices(scan))
    told = estimate_from_mask(lungs, rule, None, "training-free", "a note")
    total = burden.regions["total"].percent
    assert (told.percent.value, told.percent.low, told.percent.high) == pytest.approx(
        (total.value, total.low, total.high)
    )
    assert told.slices_percent == tuple(one.infected_percent for one in burden.slices)


def other(percent: float | None) -> PercentEstimate:
    value = Estimate.unknown("broken") if percent is None else Estimate(percent)
    return PercentEstimate("network", "small", value, "a note")


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=3))
def test_the_interval_holds_every_estimate(percents: list[float | None]) -> None:
    burden = volume_case().burden
    widened, _ = cross_check(burden, "rule", [other(percent) for percent in percents])
    old, new = burden.regions["total"], widened.regions["total"]
    told = [percent for percent in percents if percent is not None]
    assert new.percent.low == min([old.percent.low, *told])  # type: ignore[type-var]
    assert new.percent.high == max([old.percent.high, *told])  # type: ignore[type-var]
    assert (new.percent.value, new.infected_ml.value) == (
        old.percent.value,
        old.infected_ml.value,
    )
    assert widened.regions["left"] == burden.regions["left"]


def test_millilitres_are_widened_as_percentages_are() -> None:
    burden = volume_case().burden
    total = cross_check(burden, "rule", [other(10.0)])[0].regions["total"]
    assert total.lung_ml.value is not None
    assert total.infected_ml.high == pytest.approx(0.1 * total.lung_ml.value)


@pytest.mark.parametrize(
    ("one", "two", "far"),
    [
        (0.0, 2.0, False),
        (0.0, 2.1, True),
        (20.0, 30.0, False),
        (20.0, 30.1, True),
        (5.0, 5.0, False),
    ],
)
def test_methods_differ_beyond_two_points_and_a_third(one: float, two: float, far: bool) -> None:
    assert differ(one, two) == differ(two, one) == far
    burden = volume_case().burden
    total = replace(burden.regions["total"], percent=Estimate(one, one, one))
    changed = Burden({**burden.regions, "total": total}, burden.slices)
    (verdict,) = cross_check(changed, "training-free", [other(two)])[1]
    assert verdict.check == "infection_cross_check"
    assert verdict.status is (Status.WARNING if far else Status.OK)


def test_nothing_to_compare_gives_no_verdict() -> None:
    burden = volume_case().burden
    assert cross_check(burden, "rule", []) == (burden, ())
    assert cross_check(burden, "rule", [other(None)]) == (burden, ())
