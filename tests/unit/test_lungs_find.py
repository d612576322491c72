"""Lungs of a scan, and what is said about them."""

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status
from groundglass.errors import NoLungsError, UncalibratedError
from groundglass.lungs.find import LungConfig, find_lungs
from groundglass.phantom import Chest, build_chest, true_labels
from tests.chests import AIR, TISSUE, Plan, draw

PLAN = Plan()
FINE = Plan(shape=(60, 150, 150), spacing_mm=(5.0, 2.5, 2.5))


def scan_of(hu: np.ndarray, plan: Plan = PLAN) -> Scan:
    return Scan.from_array(hu, plan.spacing_mm)


def checks(scan: Scan, config: LungConfig | None = None) -> dict[str, Status]:
    return {verdict.check: verdict.status for verdict in find_lungs(scan, config).verdicts}


def test_the_mask_lies_on_the_scan_s_grid() -> None:
    hu, truth = draw(PLAN)
    scan = scan_of(hu)
    lungs = find_lungs(scan)
    assert lungs.geometry is scan.geometry
    assert lungs.method == "training-free, completed by lungs-small"
    assert lungs.sides_known
    assert ((lungs.labels > 0) == (truth > 0)).mean() > 0.99
    assert not lungs.labels.flags.writeable


def test_a_healthy_chest_without_windpipe_has_one_note() -> None:
    hu, _ = draw(PLAN)
    assert checks(scan_of(hu)) == {"airway": Status.NOTE}


def test_a_windpipe_takes_the_note_away() -> None:
    plan = Plan(shape=(80, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, _ = draw(plan)
    hu[plan.tube((10.0, 0.0), 9.0, (-200.0, 10.0))] = AIR
    assert checks(scan_of(hu, plan)) == {}


def test_no_lungs_is_an_error_that_says_what_to_check() -> None:
    hu, truth = draw(PLAN)
    hu[truth > 0] = TISSUE
    with pytest.raises(NoLungsError, match="check that the scan shows a chest"):
        find_lungs(scan_of(hu))


def test_values_of_unknown_scale_are_refused() -> None:
    hu, _ = draw(PLAN)
    scan = Scan.from_array(hu, PLAN.spacing_mm, intensity=Intensity.UNKNOWN)
    with pytest.raises(UncalibratedError, match="Hounsfield"):
        find_lungs(scan)


@pytest.mark.parametrize(("side", "name"), [(1, "right"), (2, "left")])
def test_one_lung_is_named(side: int, name: str) -> None:
    hu, truth = draw(FINE)
    hu[truth == 3 - side] = TISSUE
    verdict = find_lungs(scan_of(hu, FINE)).verdicts[0]
    assert verdict.check == "lung_sides"
    assert verdict.status is Status.WARNING
    assert f"air of the {name} lung only" in verdict.found


def test_a_cut_in_the_middle_is_a_warning() -> None:
    plan = Plan(FINE.shape, FINE.spacing_mm, right_mm=(0, 0, -40.0), left_mm=(0, 0, 40.0))
    hu, _ = draw(plan)
    assert checks(scan_of(hu, plan), LungConfig(split_most_mm=2.0))["lung_sides"] is Status.WARNING


def test_blank_slices_are_a_warning() -> None:
    hu, _ = draw(FINE)
    hu[20:25] = TISSUE
    verdicts = {v.check: v for v in find_lungs(scan_of(hu, FINE)).verdicts}
    assert "slices between slices with lung show none" in verdicts["lung_gaps"].found


def test_a_repaired_dent_is_a_note_with_its_volume() -> None:
    plan = Plan(shape=(90, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    hu[plan.ball((0.0, 0.0, -130.0), 18.0) & (truth > 0)] = TISSUE
    verdicts = {v.check: v for v in find_lungs(scan_of(hu, plan)).verdicts}
    assert verdicts["pleural_repair"].status is Status.NOTE
    assert "ml in the rib side" in verdicts["pleural_repair"].found


def test_soft_tissue_left_out_at_the_pleura_is_a_warning() -> None:
    plan = Plan(shape=(90, 200, 200), spacing_mm=(3.0, 1.8, 1.8))
    hu, truth = draw(plan)
    hu[plan.ball((20.0, 0.0, -130.0), 50.0) & (truth > 0)] = TISSUE
    lungs = find_lungs(scan_of(hu, plan), LungConfig(method="training-free"))
    verdicts = {v.check: v for v in lungs.verdicts}
    assert verdicts["pleural_opacity"].status is Status.WARNING
    assert "left out of the lungs" in verdicts["pleural_opacity"].done


def test_uneven_steps_leave_the_lungs_where_they_are() -> None:
    chest = Chest(shape=(270, 128, 128), spacing_mm=(1.0, 2.8, 2.8))
    even, truth = build_chest(chest), true_labels(chest)[0]
    kept = np.r_[0:135, 139:270:5]
    whole = even.geometry
    geometry = Geometry(
        (kept.size, *whole.shape[1:]),
        whole.origins_mm[kept],
        whole.row_step_mm,
        whole.column_step_mm,
    )
    labels = find_lungs(Scan(even.hu()[kept], geometry, Intensity.HU)).labels
    weights = geometry.slice_volumes_mm3
    assert weights is not None
    for side in (1, 2):
        found, true = ((mask == side).sum(axis=(1, 2)) for mask in (labels, truth[kept]))
        assert found @ weights == pytest.approx(true @ weights, rel=0.02)
    assert not labels[-1].any()
