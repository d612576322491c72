"""The percentage of a scan by a regressor: slices, weights, interval, what is said beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundglass.core.geometry import Geometry
from groundglass.core.results import Estimate, LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.datasets.per_covid_19_fake import fake_picture
from groundglass.errors import WeightsError
from groundglass.models.card import Measured
from groundglass.models.catalogue import FOLDER_VARIABLE, load_catalogue
from groundglass.models.runtime import Model
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.systems.per_covid_19.method import (
    PercentConfig,
    estimate_percent,
    judge_percent,
    lungs_cut_out,
    state_percent,
)
from groundglass.writers.summary import result_document
from tests.networks import write_model, write_regressor

SCORES = tuple(
    Measured(name, value, None, None, 147, "folds 1 to 4")
    for name, value in (("subject_loa_low", -12.0), ("subject_loa_high", 8.0))
)


def opened(folder: Path, **changes: Any) -> Model:
    write_regressor(folder, **changes)
    return Model(load_catalogue(folder).find("bright"))


def a_scan(voxels: np.ndarray, intensity: Intensity) -> tuple[Scan, LungMask]:
    """Return slices whose lungs are two squares, in slice i of a side of 4 (i + 1)."""
    origins = np.array([[0.0, 0.0, -2.0 * place] for place in range(len(voxels))])
    rows, columns = voxels.shape[1:]
    geometry = Geometry(
        (len(voxels), rows, columns), origins, np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), 2.0
    )
    labels = np.zeros(voxels.shape, np.uint8)
    for place in range(len(voxels)):
        side = 4 * (place + 1)
        labels[place, 2 : 2 + side, 2 : 2 + side] = 1
    lungs = LungMask(labels, geometry, "test")
    return Scan(voxels, geometry, intensity), lungs


def test_lungs_are_cut_out_with_a_margin() -> None:
    plane = np.arange(400).reshape(20, 20)
    lungs = np.zeros((20, 20), bool)
    lungs[4:14, 6:16] = True
    assert lungs_cut_out(plane, lungs, 0.0).shape == (10, 10)
    assert lungs_cut_out(plane, lungs, 0.1)[0, 0] == plane[3, 5]
    assert lungs_cut_out(plane, lungs, 5.0).shape == (20, 20)


def test_slices_of_pictures_are_weighted_by_their_lung(tmp_path: Path) -> None:
    tones = np.array([51, 102, 204], np.uint8)  # 20, 40 and 80 %
    scan, lungs = a_scan(np.full((3, 20, 20), tones[:, None, None]), Intensity.DISPLAY)
    model = opened(tmp_path / "m", scores=SCORES)
    found = estimate_percent(scan, lungs, model)
    assert found.slices_percent == pytest.approx((20, 40, 80), abs=0.01)
    weighted = (20 * 16 + 40 * 64 + 80 * 144) / 224
    assert found.percent.value == pytest.approx(weighted, abs=0.01)
    assert found.percent.low == pytest.approx(weighted - 8, abs=0.01)
    assert found.percent.high == pytest.approx(weighted + 12, abs=0.01)
    assert "the plain mean is 46.7 %" in found.note
    assert judge_percent(found, 60.0, Intensity.DISPLAY) == ()


def test_volumes_are_windowed_and_not_every_slice_is_read(tmp_path: Path) -> None:
    hu = np.full((4, 20, 20), 500, np.int16)
    scan, lungs = a_scan(hu, Intensity.HU)
    hu[lungs.labels > 0] = -750  # 40 % of the window -1350 to 150
    scan, lungs = a_scan(hu, Intensity.HU)
    config = PercentConfig(margin_share=0.0, most_slices=2, least_area_share=0.0)
    found = estimate_percent(scan, lungs, opened(tmp_path / "m"), config)
    assert found.percent.value == pytest.approx(40, abs=0.2)
    assert (found.percent.low, found.percent.high) == (None, None)
    assert found.slices_percent == ()
    assert found.note.startswith("Mean of 2 of 4 slices")
    whole = PercentConfig(margin_share=0.0, least_area_share=0.0)
    every = estimate_percent(scan, lungs, opened(tmp_path / "n"), whole)
    assert len(every.slices_percent) == 4
    assert "-1350 to 150 HU" in found.note
    (domain,) = judge_percent(found, 35.0, Intensity.HU)
    assert domain.check == "regressor_domain"
    _, apart = judge_percent(found, 5.0, Intensity.HU)
    assert apart.check == "percent_disagreement"
    assert "5.0 % and 40.0 %" in apart.found


def test_what_cannot_be_known_has_a_reason(tmp_path: Path) -> None:
    scan, lungs = a_scan(np.zeros((1, 20, 20)), Intensity.UNKNOWN)
    model = opened(tmp_path / "m")
    found = estimate_percent(scan, lungs, model)
    assert found.percent.value is None
    assert "is not known" in str(found.percent.reason)
    assert judge_percent(found, 10.0, Intensity.UNKNOWN) == ()
    scan, lungs = a_scan(np.zeros((1, 20, 20)), Intensity.DISPLAY)
    empty = LungMask(np.zeros((1, 20, 20), np.uint8), lungs.geometry, "test")
    assert "holds lung" in str(estimate_percent(scan, empty, model).percent.reason)


def test_the_model_named_is_taken_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    write_regressor(tmp_path / "user")
    write_model(tmp_path / "user", name="marks")
    scan, lungs = a_scan(np.full((1, 20, 20), 204, np.uint8), Intensity.DISPLAY)
    estimates, verdicts = state_percent(scan, lungs, Estimate(10.0), PercentConfig("bright"))
    assert (estimates[0].method, estimates[0].model) == ("regression", "bright")
    assert [verdict.check for verdict in verdicts] == ["percent_disagreement"]
    assert state_percent(scan, lungs, Estimate(10.0), PercentConfig(None)) == ((), ())
    with pytest.raises(WeightsError, match="a percentage is needed"):
        state_percent(scan, lungs, Estimate(10.0), PercentConfig("marks"))


def test_an_analysis_of_pictures_gives_both_percentages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    write_regressor(tmp_path / "user", scores=SCORES)
    picture = fake_picture(30.0, np.random.default_rng(0))[..., 0]
    geometry = Geometry(
        (1, 224, 224),
        np.zeros((1, 3)),
        np.array([0.0, 1, 0]),
        np.array([1.0, 0, 0]),
        spacing_known=False,
    )
    scan = Scan(picture[None], geometry, Intensity.DISPLAY)
    config = AnalyzeConfig(infection_method="training-free", percent=PercentConfig("bright"))
    result = analyze(scan, config)
    (rated,) = [one for one in result.estimates if one.method == "regression"]
    masked = result.burden.regions["total"].percent.value
    assert masked == pytest.approx(30, abs=5)
    assert rated.percent.value is not None
    assert masked is not None
    apart = abs(rated.percent.value - masked) > 20
    assert apart == any(one.check == "percent_disagreement" for one in result.verdicts)
    found = json.loads(result_document(result, {}).model_dump_json())
    (part,) = [one for one in found["infection"]["estimates"] if one["model"] == "bright"]
    assert part["percent"] == pytest.approx(rated.percent.value, abs=0.1)
    assert part["interval_percent"][0] < part["percent"] < part["interval_percent"][1]
    assert analyze(scan, replace(config, cross_check=False)).estimates == ()
