"""Per-COVID-19: both layouts, what is refused, figures by hand, the command without torch."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from groundglass.cli import app
from groundglass.core.scan import Intensity
from groundglass.datasets import per_covid_19 as data_set
from groundglass.datasets.per_covid_19_fake import write_challenge_fake, write_fake, write_sheet
from groundglass.datasets.slices import Slice
from groundglass.errors import ReadError
from groundglass.evaluation.percent_figures import (
    MAIN,
    PercentScore,
    fold_figures,
    percent_figures,
    severity_of,
    subject_means,
)
from groundglass.evaluation.percent_page import bland_altman, scatter
from groundglass.models.card import Fit, Preparation, Scale
from groundglass.models.catalogue import FOLDER_VARIABLE
from groundglass.systems.per_covid_19.published import BEST, CHALLENGE, TABLE, published_for
from groundglass.systems.pictures import Lazy, input_of, planes_of, slice_input, targets_of
from tests.networks import write_regressor

FOLDS = {
    1: (853, 36, 21.21, 139),
    2: (809, 37, 20.36, 128),
    3: (832, 37, 21.62, 152),
    4: (760, 37, 16.95, 108),
    5: (732, 36, 24.15, 86),
}
"""Slices, subjects, mean percentage and slices at 0 of every fold."""


@pytest.fixture
def original(tmp_path: Path) -> Path:
    root = tmp_path / "original"
    root.mkdir()
    write_fake(root, np.random.default_rng(0), 12, folds=3, subjects=2)
    return root


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    root = tmp_path / "challenge"
    root.mkdir()
    write_challenge_fake(root, np.random.default_rng(0))
    return root


def rewrite(root: Path, **changes: Any) -> None:
    """Write the sheet again with the cells of its second row changed."""
    rated = data_set.read_per_covid_19(root)
    rows: list[list[object]] = [[r.name, r.percent, r.fold, r.subject] for r in rated]
    for place, name in enumerate(("name", "percent", "fold", "subject")):
        if name in changes:
            rows[1][place] = changes[name]
    write_sheet(root / data_set.SHEET, rows)


def test_the_original_layout_is_read(original: Path) -> None:
    found = data_set.rated_slices(original)
    assert (found.dataset, len(found.items)) == ("per-covid-19", 12)
    assert {item.fold for item in found.items} == {1, 2, 3}
    assert len({item.group for item in found.items}) == 6
    one = found.items[3].read()
    assert one.colours is not None
    assert one.colours.shape == (224, 224, 3)
    assert one.values.shape == (224, 224)
    assert found.items[6].target == pytest.approx(12.5)
    assert data_set.rated_parts(original) == ("all", "fold-1", "fold-2", "fold-3")
    assert {i.fold for i in data_set.rated_part(original, "fold-2").items} == {2}
    with pytest.raises(ValueError, match="parts here are all, fold-1"):
        data_set.rated_part(original, "fold-9")


def test_one_fold_of_a_whole_sheet_can_stand_alone(original: Path) -> None:
    rated = data_set.read_per_covid_19(original)
    for one in rated:
        if one.fold != 3:
            one.file.unlink()
    assert {one.fold for one in data_set.read_per_covid_19(original)} == {3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"percent": 101}, "has the percentage 101; 0 to 100 are possible"),
        ({"percent": -1}, "0 to 100"),
        ({"percent": float("nan")}, "row 2|0 to 100"),
        ({"percent": "many"}, "row 2 of 'Database_new.xlsx' needs"),
        ({"percent": None}, "row 2"),
        ({"name": "gone.png"}, "'gone.png', missing in 'Images'"),
        ({"name": "0.png"}, "has two rows"),
        ({"subject": "S0"}, "is in the folds 1 and 2"),
    ],
)
def test_what_is_not_sound_is_refused(
    original: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite(original, **changes)
    with pytest.raises(ReadError, match=message):
        data_set.rated_slices(original)


def test_the_layout_of_the_challenge_is_read(challenge: Path) -> None:
    found = data_set.rated_slices(challenge)
    assert found.dataset == "per-covid-19-challenge"
    assert [item.split for item in found.items] == ["train"] * 4 + ["test"] * 4
    assert len({item.group for item in found.items}) == 4
    assert "same patients" in found.notes[0]
    assert data_set.rated_parts(challenge) == ("val", "train")
    assert len(data_set.rated_part(challenge, "val").items) == 4
    table = challenge / "Val.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([rows[0], *(re.sub(",.*", ",,0", r) for r in rows[1:])]) + "\n")
    assert data_set.rated_parts(challenge) == ("train",)
    table.write_text("Slice_Name,Percent\n", encoding="utf-8")
    with pytest.raises(ReadError, match="needs the columns Slice_Name"):
        data_set.rated_slices(challenge)


def test_folds_of_the_real_sheet_are_those_published(data: Path) -> None:
    rated = data_set.read_per_covid_19(data / "per-covid-19")
    for fold in sorted({one.fold for one in rated if one.fold is not None}):
        own = [one for one in rated if one.fold == fold]
        percents = [one.percent for one in own]
        found = (
            len(own),
            len({one.subject for one in own}),
            round(float(np.mean(percents)), 2),
            percents.count(0),
        )
        assert found == FOLDS[fold]


def score(group: str, found: float, reference: float, fold: int | None = None) -> PercentScore:
    return PercentScore(f"{group}{found}", group, fold, reference, found)


HAND = [score("A", 10, 12, 1), score("A", 20, 16, 1), score("B", 50, 40, 2)]


def test_figures_of_a_case_done_by_hand() -> None:
    found = {name: one.value for name, one in percent_figures(HAND, rounds=50).items()}
    assert found["slice_mae"] == pytest.approx(16 / 3)
    assert found["slice_rmse"] == pytest.approx(40**0.5)
    assert found["subject_mae"] == pytest.approx(5.5)
    assert found["subject_rmse"] == pytest.approx(50.5**0.5)
    assert found["subject_pc"] == pytest.approx(1)
    assert found["slice_bias"] == pytest.approx(4)
    assert found["mae_moderate"] == pytest.approx(3)
    assert found["mae_extent"] == pytest.approx(10)
    assert found["mae_normal"] is None
    folds = fold_figures(HAND)
    assert folds["fold 1"]["slice_mae"] == pytest.approx(3)
    assert folds["mean of folds"]["slice_mae"] == pytest.approx(6.5)
    assert folds["mean of folds"]["slice_pc"] is None
    assert fold_figures(HAND[:2]) == {}


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 100), st.floats(0, 100)), min_size=2))
def test_figures_agree_with_numpy_and_hold_their_intervals(
    rows: list[tuple[int, float, float]],
) -> None:
    scores = [score(f"g{g}", found, read) for g, found, read in rows]
    figures = percent_figures(scores, rounds=40)
    for level, own in (("slice", scores), ("subject", subject_means(scores))):
        found = np.array([one.found for one in own])
        read = np.array([one.reference for one in own])
        gap = found - read
        assert figures[f"{level}_mae"].value == pytest.approx(np.abs(gap).mean(), abs=1e-9)
        assert figures[f"{level}_rmse"].value == pytest.approx((gap**2).mean() ** 0.5, abs=1e-6)
        pc = figures[f"{level}_pc"].value
        if len(own) > 1 and np.ptp(found) > 1 and np.ptp(read) > 1:
            assert pc == pytest.approx(np.corrcoef(found, read)[0, 1], abs=1e-6)
        elif len(own) == 1 or np.ptp(found) == 0 or np.ptp(read) == 0:
            assert pc is None
    for one in figures.values():
        if one.low is not None and one.high is not None:
            assert one.low <= one.high
    single = len({one.group for one in scores}) == 1
    assert (figures["slice_mae"].low is None) == single


def test_a_constant_has_no_correlation_and_none_no_figures() -> None:
    flat = [score("A", 5, 1), score("B", 5, 9)]
    assert percent_figures(flat, rounds=10)["slice_pc"].value is None
    with pytest.raises(ValueError, match="at least one slice"):
        percent_figures([])


def test_bins_of_severity() -> None:
    percents = (0, 1, 9.5, 10, 25, 25.5, 50, 51, 75, 76, 100)
    names = [severity_of(one) for one in percents]
    assert names == [
        "normal",
        *("minimal",) * 2,
        *("moderate",) * 2,
        *("extent",) * 2,
        *("severe",) * 2,
        *("critical",) * 2,
    ]


def test_plots_put_subjects_where_they_belong() -> None:
    subjects = subject_means([score("A", 0, 100), score("B", 100, 0), score("C", 50, 50)])
    corners = [(dot.x, dot.y) for dot in scatter(subjects).dots]
    assert corners == [(360, 360), (0, 0), (180, 180)]
    plot = bland_altman(subjects)
    assert [dot.x for dot in plot.dots] == [180, 180, 180]
    assert plot.dots[0].y > plot.dots[2].y == 180 > plot.dots[1].y
    assert len(plot.lines) == 3
    assert bland_altman(subjects[:1]).lines[0][1] == "bias -100.0"


def test_published_figures_are_those_of_the_specification() -> None:
    source, table = published_for("per-covid-19")
    assert "abstract" in source
    assert table is TABLE
    assert table[BEST]["slice_mae"] == 5.10
    assert set(table[BEST]) == set(MAIN)
    _, teams = published_for("per-covid-19-challenge")
    assert teams["TAC"]["slice_pc"] == 0.9460
    wanted = (7.6861, 8.5638, 8.8286, 9.9167, 8.9140, 9.5644)
    for row, stated in zip(CHALLENGE, wanted, strict=True):
        assert row.final_rmse == pytest.approx(stated, abs=6e-5)
        swapped = 0.7 * row.val[2] + 0.3 * row.test[2]
        assert row.printed_rmse == pytest.approx(swapped, abs=6e-5)
        final = 0.3 * row.val[0] + 0.7 * row.test[0]
        assert row.final_mae == pytest.approx(final, abs=6e-5)


def test_slices_become_inputs_as_the_card_says() -> None:
    wide = np.zeros((40, 80), np.uint8)
    wide[:, 40:] = 255
    one = Slice(wide, Intensity.DISPLAY, None, colours=np.repeat(wide[..., None], 3, 2))
    plain = Preparation(Scale.BYTES, None, (32, 32), 3)
    stretched = slice_input(one, plain)
    assert stretched.shape == (3, 32, 32)
    assert (stretched.min(), stretched.max()) == (0, 1)
    assert stretched[0, :, 18:].min() == 1
    cut = slice_input(one, Preparation(Scale.BYTES, None, (32, 32), 1, fit=Fit.CROP))
    assert cut[0, :, :15].max() == 0
    assert cut[0, :, 17:].min() == 1
    padded = slice_input(one, Preparation(Scale.BYTES, None, (32, 32), 1, fit=Fit.PAD))
    assert padded[0, :8].max() == padded[0, 24:].max() == 0
    assert padded[0, 8:24, 18:].min() == 1
    normal = Preparation(Scale.BYTES, None, (32, 32), 3, mean=(0.5,) * 3, deviation=(0.25,) * 3)
    assert sorted({float(v) for v in slice_input(one, normal).ravel()})[::2][0] == -2
    hu = Slice(np.array([[-1350, -600], [150, 900]]), Intensity.HU, None)
    window = Preparation(Scale.BYTES, (-1350.0, 150.0), (2, 2))
    wanted = np.array([[0, 128 / 255], [1, 1]])
    np.testing.assert_allclose(slice_input(hu, window)[0], wanted, rtol=1e-6)
    tones = input_of(hu.values[None], Intensity.HU, Preparation(Scale.TONE, size=(2, 2)))
    assert tones[0, 1, 1] == pytest.approx(1.275)
    with pytest.raises(ValueError, match="as many means"):
        Preparation(channels=3, mean=(0.5,))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        planes_of(one, 2)


def test_slices_are_read_when_needed_and_kept_while_there_is_room(original: Path) -> None:
    items = data_set.rated_slices(original).items
    size = 224 * 224
    lazy = Lazy(items, lambda one: planes_of(one, 1), room=size)
    assert len(lazy) == 12
    first = lazy[0]
    assert lazy[0] is first
    assert lazy[1] is not lazy[1]
    assert targets_of(items).tolist() == pytest.approx([item.target for item in items])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_model_is_measured_from_the_command_line(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"training_data": ("per-covid-19",), "folds_seen": (1,), "default": True}
    write_regressor(tmp_path / "user", **seen)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "user"))
    wanted = ("evaluate", "per-covid-19", "--data", original, "--no-train")
    done = run(*wanted, "--split", "all", "--model", "bright", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["system", "model", "split", "n", "metrics", "published"]
    assert (found["model"], found["split"], found["n"]) == ("bright", "all", 12)
    rated = data_set.read_per_covid_19(original)
    means = [one.image().astype(float).mean() / 2.55 for one in rated]
    error = np.abs(np.array(means) - [one.percent for one in rated]).mean()
    assert found["metrics"]["slice_mae"]["value"] == pytest.approx(error, abs=0.5)
    assert found["metrics"]["slice_mae"]["low"] < error < found["metrics"]["slice_mae"]["high"]
    assert found["published"][BEST]["subject_pc"] == 0.9603
    done = run(*wanted, "--model", "bright", "-o", tmp_path / "out")
    said = " ".join(done.stdout.split())
    assert "trained on fold 1 of these" in said
    assert "mean of folds" in said
    with (tmp_path / "out" / "slices.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == 12
    near = [abs(float(r["rule mask"]) - float(r["reference"])) for r in rows]
    assert np.median(near) < 10
    page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("<circle") == 12
    assert "Bland-Altman" in page
    assert not re.search(r"src=\"http|<script", page)
    figures = (tmp_path / "out" / "figures.csv").read_text(encoding="utf-8")
    assert "median of other folds,slice_mae" in figures
    assert (tmp_path / "out" / "folds.csv").read_text(encoding="utf-8").count("\n") == 5
    done = run(*wanted, "--split", "fold-2", "--model", "bright", "--json")
    assert json.loads(done.stdout)["n"] == 4
    rewrite(original, percent=400)
    done = run(*wanted, "--model", "bright")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "0 to 100 are possible" in done.stderr
