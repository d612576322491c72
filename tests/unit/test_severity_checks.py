"""Where the published mask and ours part, on slices whose truth is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from groundglass.core.results import LungMask
from groundglass.core.scan import Scan
from groundglass.datasets import covid_ct_md_fake, covid_semiseg
from groundglass.infection.volume import find_infection
from groundglass.metrics import overlap
from groundglass.systems.identification_severity.infection import published_infection
from groundglass.systems.identification_severity.pictures import window_of
from groundglass.systems.identification_severity.presets import ABLATION, CLINIC, CTSS, SEGMENTATION
from groundglass.systems.identification_severity.severity import published_percent
from tests.unit.test_benchmarks_accuracy import run
from tests.unit.test_published_infection import chest


def both(radius_px: int, step_mm: float = 1.5) -> tuple[float | None, float | None]:
    """Return the share of a solid disk that the published rule and ours find, 0.7 mm pixels."""
    hu, lungs, ill, _ = chest(lesions=((256, 150, radius_px, -100, 25),))
    published = published_infection(hu, lungs, SEGMENTATION).mask[0]
    stack, labels = np.repeat(hu[None], 12, axis=0), np.repeat(lungs[None], 12, axis=0)
    scan = Scan.from_array(stack, (step_mm, 0.7, 0.7))
    found = find_infection(scan, LungMask(labels, scan.geometry, "drawn")).labels > 0
    return overlap(published, ill).sensitivity, overlap(found[6], ill).sensitivity


def test_a_solid_disk_of_10_pixels_is_erased_as_published_and_recovered_by_ours() -> None:
    published, ours = both(10)
    assert published == 0
    assert ours is not None
    assert ours > 0.8


@pytest.mark.parametrize(("radius_px", "recall"), [(15, 0.63), (20, 0.72), (30, 0.81)])
def test_larger_disks_are_found_in_part_as_published(radius_px: int, recall: float) -> None:
    published, ours = both(radius_px)
    assert published == pytest.approx(recall, abs=0.03)
    assert ours is not None
    assert ours > 0.9


def test_a_disk_of_6_pixels_is_lost_by_both_and_one_of_10_in_thick_slices_by_ours() -> None:
    assert both(6) == (0, 0)
    assert both(10, step_mm=5.0) == (0, 0)


def test_windows_of_short_and_long_series_by_variant() -> None:
    lungs = np.ones((90, 10, 10), np.uint8)
    assert ABLATION.slices.chosen(lungs).nonzero()[0].tolist() == [*range(5, 86)]
    assert CLINIC.slices.chosen(lungs).all()
    # 1-based 7 to n - 5.
    assert CTSS.slices.chosen(lungs).nonzero()[0].tolist() == [*range(6, 85)]
    short = np.ones((12, 10, 10), np.uint8)
    assert CTSS.slices.chosen(short).nonzero()[0].tolist() == [6]
    assert ABLATION.slices.chosen(short).all()
    assert (window_of(12), len(window_of(90))) == (range(12), 81)


def test_published_percent_is_a_mean_over_slices_with_a_mask() -> None:
    hu, lungs, _, _ = chest()
    well, _, _, _ = chest(lesions=())
    mask = published_infection(hu, lungs, SEGMENTATION).mask
    wanted = 100 * mask.sum() / (lungs > 0).sum()
    inside = np.stack([lungs, lungs, lungs])
    found = published_percent(np.stack([hu, well, well]), inside)
    assert found == pytest.approx(wanted)
    assert published_percent(np.stack([well, well, well]), inside) is None


def test_table_of_masks_holds_both_parts(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, write in (("covid-semiseg", covid_semiseg), ("covid-ct-md", covid_ct_md_fake)):
        (tmp_path / name).mkdir()
        write.write_fake(tmp_path / name, np.random.default_rng(0))
    out = tmp_path / "out.json"
    given = ("--data", str(tmp_path), "--method", "ours", "--rounds", "20", "--json", str(out))
    run(root, "infection_table.py", monkeypatch, *given)
    found = json.loads(out.read_text(encoding="utf-8"))["methods"]["ours"]
    assert [row["auc"] for row in found["series"]] == [1, 1, None]
    assert found["pictures"]["dice"]["slice_mean"] > 0.8
    assert "lung area" in capsys.readouterr().out
