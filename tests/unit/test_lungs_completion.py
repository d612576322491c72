"""Lung as dense as the chest wall: what the network adds, and all that it must not add."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.core.scan import Scan
from groundglass.core.verdict import Status
from groundglass.errors import WeightsError
from groundglass.lungs import find
from groundglass.lungs.config import LungConfig
from groundglass.lungs.model import open_lung_model
from groundglass.lungs.network_view import NetworkView, body_box, neighbour_step
from groundglass.lungs.segment import LungLabels, segment_lungs
from groundglass.models.card import Preparation, Task
from tests.chests import Plan, draw
from tests.networks import write_model

PLAN = Plan(shape=(68, 100, 100), spacing_mm=(4.0, 3.6, 3.6))
MARKED, WATER = 90, 8
"""Densities by which the stand-in network knows the room of a lung; tissue has 40."""


@dataclass
class Knowing:
    """A stand-in that calls aerated lung and everything of a marked density lung."""

    certainty: float = 0.97
    wider_px: int = 0
    name: str = "knowing"
    size: tuple[int, int] = (160, 160)
    slices: int = 3

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        tones = batch[:, 1]
        frame = ndimage.binary_fill_holes(tones.max(axis=0) > 0.5)
        lung = ((tones < 0.5) & frame) | (tones > 0.87) | (np.abs(tones - 0.8238) < 0.004)
        if self.wider_px:
            lung = ndimage.maximum_filter(lung, (1, *(2 * self.wider_px + 1,) * 2))
        return np.where(lung, np.float32(self.certainty), np.float32(0.02))


def with_lesion(lesion: np.ndarray, plan: Plan = PLAN) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return densities, true lungs, and the part of the lesion that lies in them."""
    hu, truth = draw(plan)
    inside = lesion & (truth > 0)
    hu[inside] = MARKED
    return hu, truth, inside


def completed(hu: np.ndarray, network: Knowing | None = None, plan: Plan = PLAN) -> LungLabels:
    return segment_lungs(hu, plan.spacing_mm, network=network or Knowing())


@pytest.mark.parametrize(
    ("centre", "radius_mm"), [((0.0, 0.0, -130.0), 45.0), ((60.0, 50.0, 100.0), 30.0)]
)
def test_a_ball_on_the_pleura_comes_back_on_its_side(
    centre: tuple[float, float, float], radius_mm: float
) -> None:
    hu, truth, lesion = with_lesion(PLAN.ball(centre, radius_mm))
    side = 1 if centre[2] < 0 else 2
    without = segment_lungs(hu, PLAN.spacing_mm, LungConfig(dent_ball_mm=0))
    found = completed(hu)
    assert (found.labels[lesion] == side).mean() > 0.93
    assert (without.labels[lesion] > 0).mean() < (found.labels[lesion] > 0).mean()
    assert not ((without.labels > 0) & (found.labels == 0)).any()
    assert ((found.labels > 0) & (truth == 0)).sum() < 0.02 * (truth > 0).sum()
    assert found.completed_ml > 0


def test_half_a_lung_comes_back() -> None:
    z, _, _ = PLAN.axes()
    hu, _, lesion = with_lesion((z > 20) & PLAN.ball((0, 0, 78), 300.0))
    assert (segment_lungs(hu, PLAN.spacing_mm).labels[lesion] > 0).mean() < 0.15
    found = completed(hu)
    assert (found.labels[lesion & (np.arange(100) > 51)] == 2).mean() > 0.9
    assert found.completed_ml == pytest.approx(lesion.sum() * PLAN.voxel_ml, rel=0.15)


def test_a_lung_without_any_air_comes_back_as_the_other_side() -> None:
    hu, truth, _ = with_lesion(np.zeros(PLAN.shape, bool))
    hu[truth == 2] = MARKED
    assert segment_lungs(hu, PLAN.spacing_mm).split_method == "one lung"
    found = completed(hu)
    assert (found.labels[truth == 2] == 2).mean() > 0.93
    assert (found.labels[truth == 1] == 1).mean() > 0.97


@pytest.mark.parametrize("wider_px", [0, 1])
def test_a_healthy_chest_is_left_as_it_is(wider_px: int) -> None:
    hu, truth = draw(PLAN)
    without = segment_lungs(hu, PLAN.spacing_mm)
    found = completed(hu, Knowing(wider_px=wider_px))
    assert (found.labels != without.labels).sum() < 0.002 * (truth > 0).sum()


def test_what_the_network_doubts_stays_out() -> None:
    hu, _, _ = with_lesion(PLAN.ball((0.0, 0.0, -130.0), 45.0))
    doubt = completed(hu, Knowing(certainty=0.55))
    assert np.array_equal(doubt.labels, segment_lungs(hu, PLAN.spacing_mm).labels)
    assert doubt.completed_ml == 0


def test_effusion_is_left_out_and_told_in_ml() -> None:
    _, y, _ = PLAN.axes()
    hu, truth = draw(PLAN)
    fluid = (truth == 1) & (y > 35)
    hu[fluid] = WATER
    found = completed(hu)
    assert found.fluid_ml == pytest.approx(fluid.sum() * PLAN.voxel_ml, rel=0.25)
    assert (found.labels[fluid] > 0).mean() < 0.25
    hu[fluid] = MARKED
    dense = completed(hu)
    assert dense.fluid_ml == 0
    assert (dense.labels[fluid] == 1).mean() > 0.9


def test_tissue_apart_from_the_lungs_stays_out() -> None:
    hu, truth = draw(PLAN)
    apart = PLAN.ball((0.0, -80.0, 0.0), 20.0)
    assert not truth[apart].any()
    hu[apart] = MARKED
    found = completed(hu)
    assert not found.labels[apart].any()


def test_bone_is_not_added() -> None:
    hu, truth = draw(PLAN)
    rib = PLAN.ball((0.0, 0.0, -130.0), 25.0) & (truth > 0)
    hu[rib] = 600
    found = completed(hu)
    assert (found.labels[rib] > 0).mean() < 0.2


def test_neighbours_lie_five_millimetres_away_or_are_the_slice_itself() -> None:
    assert [neighbour_step(mm) for mm in (0.6, 1.0, 2.0, 5.0, 8.0, 10.5)] == [8, 5, 2, 1, 1, 0]


def test_the_input_holds_the_body_s_box_and_ends_repeat() -> None:
    hu, _ = draw(PLAN)
    hu[0], hu[2] = -1000, 40
    walls = np.full(hu.shape, 0, np.uint8)
    walls[:, 20:80, 10:90] = 4
    walls[5, 0, 0] = 4
    box = body_box(walls)
    assert box == (slice(20, 80), slice(10, 90))
    tones = NetworkView(hu, box, (32, 48), 3)(0, 2)
    assert tones.shape == (3, 32, 48)
    assert tones[0] == pytest.approx(0.0)
    assert np.array_equal(tones[0], tones[1])
    assert tones[2] == pytest.approx(0.85, abs=1e-5)
    hu[8] = 40
    wide = NetworkView(hu, box, (32, 48), 5)(0, 2)
    assert np.array_equal(wide[[1, 2, 3]], tones)
    assert np.array_equal(wide[0], tones[0])
    assert wide[4] == pytest.approx(0.85, abs=1e-5)


def test_a_network_that_reads_an_unknown_number_of_slices_is_refused(tmp_path: Path) -> None:
    preparation = Preparation(size=(32, 32), channels=2)
    path = write_model(tmp_path, task=Task.LUNGS, system="lungs", preparation=preparation)
    with pytest.raises(WeightsError, match=r"reads 2 slices at once; known are 1, 3, 5"):
        open_lung_model(str(path))


def scan_with_lesion() -> Scan:
    hu, _, _ = with_lesion(PLAN.ball((0.0, 0.0, -130.0), 45.0))
    return Scan.from_array(hu, PLAN.spacing_mm)


def test_what_was_added_is_told_in_ml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "open_lung_model", Knowing)
    lungs = find.find_lungs(scan_with_lesion(), LungConfig(method="network"))
    told = {verdict.check: verdict for verdict in lungs.verdicts}
    assert told["lung_network"].status is Status.WARNING
    assert " ml " in told["lung_network"].found
    assert "pleural_opacity" not in told
    assert "knowing" in lungs.method


def test_without_the_network_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "open_lung_model", lambda: pytest.fail("opened"))
    lungs = find.find_lungs(scan_with_lesion(), LungConfig(method="training-free"))
    assert lungs.method == "training-free"
    assert "lung_network" not in {verdict.check for verdict in lungs.verdicts}


def test_a_missing_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "open_lung_model", lambda: None)
    lungs = find.find_lungs(scan_with_lesion(), LungConfig(method="network"))
    assert find.NO_NETWORK in lungs.verdicts
    assert lungs.method == "training-free"
