"""Agreement of scores: against independent implementations, published examples, its laws."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from groundglass.cli import app
from groundglass.errors import ReadError
from groundglass.evaluation.agreement import (
    MEANING,
    STATISTICS,
    agreement,
    concordance,
    icc21,
    weighted_kappa,
)
from groundglass.evaluation.agreement_report import CONSTANT, draw_bland_altman, report_agreement
from groundglass.evaluation.score_tables import cohort_of, paired, read_scores

SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]
"""Six targets by four judges, table 2 of Shrout and Fleiss, 1979."""
points = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=3, max_size=30)


def ratings(count: int = 40, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 22, count).astype(float)
    return truth, np.clip(np.rint(0.8 * truth + generator.normal(0, 2, count)), 0, 25)


def test_correlations_are_those_of_scipy() -> None:
    truth, score = ratings()
    found = agreement(truth.tolist(), score.tolist(), rounds=0).figures
    assert found["pearson"].value == pytest.approx(stats.pearsonr(truth, score).statistic)
    assert found["spearman"].value == pytest.approx(stats.spearmanr(truth, score).statistic)
    gap = score - truth
    assert found["bias"].value == pytest.approx(gap.mean())
    assert found["rmse"].value == pytest.approx(np.sqrt((gap**2).mean()))
    assert found["limit_high"].value == pytest.approx(gap.mean() + 1.96 * gap.std(ddof=1))


@given(points)
def test_kappas_are_those_of_a_confusion_table(pairs: list[tuple[int, int]]) -> None:
    truth, score = (np.array(side, float) for side in zip(*pairs, strict=True))
    table = np.zeros((26, 26))
    for one, other in pairs:
        table[one, other] += 1
    table /= table.sum()
    rows, columns = np.mgrid[:26, :26]
    chance = np.outer(table.sum(1), table.sum(0))
    for power in (1, 2):
        weight = (np.abs(rows - columns) / 25.0) ** power
        expected = (weight * chance).sum()
        found = weighted_kappa(truth, score, power)
        if expected == 0:
            assert found is None
        else:
            assert found == pytest.approx(1 - (weight * table).sum() / expected, abs=1e-9)


def test_kappas_are_those_of_sklearn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, score = ratings()
    every = list(range(26))
    for name, power in (("linear", 1), ("quadratic", 2)):
        wanted = metrics.cohen_kappa_score(truth, score, weights=name, labels=every)
        assert weighted_kappa(truth, score, power) == pytest.approx(wanted)


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    assert icc21(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)
    assert icc21([[1.0, 2.0]]) is None
    assert icc21([[3, 3], [3, 3]]) is None


def test_concordance_by_its_other_formula() -> None:
    truth, score = ratings()
    rho = np.corrcoef(truth, score)[0, 1]
    scale = truth.std() / score.std()
    shift = (truth.mean() - score.mean()) / np.sqrt(truth.std() * score.std())
    accuracy = 2 / (scale + 1 / scale + shift**2)
    assert concordance(truth, score) == pytest.approx(rho * accuracy)


@given(points)
def test_equal_ratings_agree_wholly_and_a_shift_is_the_bias(pairs: list[tuple[int, int]]) -> None:
    truth = [float(one) for one, _ in pairs]
    same = agreement(truth, truth, rounds=0).figures
    assert (same["mae"].value, same["within_1"].value) == (0, 1)
    if len(set(truth)) > 1:
        for name in ("pearson", "concordance", "icc21", "kappa_linear", "kappa_quadratic"):
            assert same[name].value == pytest.approx(1)
    moved = agreement(truth, [one + 3 for one in truth], rounds=0)
    assert moved.figures["bias"].value == pytest.approx(3)
    assert moved.patients_within == {1: 0, 2: 0}


def test_what_cannot_be_told_is_none_and_halves_have_no_kappa() -> None:
    constant = agreement([1, 2, 3], [2, 2, 2], rounds=0).figures
    assert constant["pearson"].value is None
    assert constant["spearman"].value is None
    halves = agreement([1, 2, 3], [1.5, 2, 3], rounds=0).figures
    assert halves["kappa_linear"].value is None
    assert set(halves) == set(MEANING) == set(STATISTICS)
    assert agreement([4], [5], rounds=10).figures["limit_low"].value is None


def test_intervals_hold_the_value_and_narrow_with_more_patients() -> None:
    widths = {20: 0.0, 160: 0.0}
    for count, seed in product(widths, range(8)):
        truth, score = ratings(count, seed)
        one = agreement(truth.tolist(), score.tolist(), rounds=100).figures["pearson"]
        assert one.value is not None
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.value < one.high
        widths[count] += one.high - one.low
    assert widths[160] < 0.7 * widths[20]


def test_ratings_of_other_lengths_or_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match="same patients"):
        agreement([1], [1, 2])
    with pytest.raises(ValueError, match="finite"):
        agreement([1, 2], [1, float("inf")])


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_tables_are_paired_by_patient(tmp_path: Path) -> None:
    truth = read_scores(put(tmp_path / "a.csv", "P001,3\nP002,9\nP003,12"))
    other = read_scores(put(tmp_path / "b.csv", "id;mean;max\nP003;11;20\nP001;2;15\nX;1;1\n"))
    assert other.names == ("mean", "max")
    found = paired(truth, other)
    assert found.ids == ("P001", "P003")
    assert found.reference == (3, 12)
    assert found.scores == {"mean": (2, 11), "max": (15, 20)}
    assert [note.split(" are ")[0] for note in found.notes] == ["1 patients", "1 patients"]


def test_rows_without_patients_are_paired_by_order_which_a_repeat_confirms(tmp_path: Path) -> None:
    truth = read_scores(put(tmp_path / "a.csv", "IITM_001,3\nT1-004,9"))
    found = paired(truth, read_scores(put(tmp_path / "b.csv", "3,4,10\n9,8,20\n")))
    assert found.ids == ("IITM_001", "T1-004")
    assert found.scores == {"column 2": (4, 8), "column 3": (10, 20)}
    assert "confirms the order" in found.notes[1]
    turned = paired(truth, read_scores(put(tmp_path / "t.csv", "9,8,20\n3,4,10\n")))
    assert "another order" in turned.notes[1]
    assert len(turned.scores) == 3
    plain = paired(truth, read_scores(put(tmp_path / "c.csv", "4\n8\n")))
    assert plain.scores == {"column 1": (4, 8)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no row"),
        ("a,1\na,2\n", "twice"),
        ("a,1\nb,x\n", "'x' in column 2 of row 2"),
        ("a,1\nb\n", "as many cells"),
        ("a\nb\n", "names alone"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ReadError, match=complaint):
        read_scores(put(tmp_path / "a.csv", text))


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    one = read_scores(put(tmp_path / "a.csv", "a,1\nb,2\n"))
    with pytest.raises(ReadError, match="as many rows"):
        paired(one, read_scores(put(tmp_path / "b.csv", "1\n2\n3\n")))
    with pytest.raises(ReadError, match="no patient"):
        paired(one, read_scores(put(tmp_path / "c.csv", "c,1\nd,2\n")))
    with pytest.raises(ReadError, match="one column"):
        paired(read_scores(put(tmp_path / "d.csv", "a,1,2\nb,2,2\n")), one)
    with pytest.raises(ReadError, match="cannot be read"):
        read_scores(tmp_path / "none.csv")


def test_cohorts_are_told_by_names() -> None:
    assert [cohort_of(name) for name in ("IITM_003", "P014", "T1-008", "17")] == [
        "IITM",
        "P",
        "T1",
        "all",
    ]


def test_drawing_holds_every_patient_inside_its_frame() -> None:
    truth, score = ratings()
    found = agreement(truth.tolist(), score.tolist(), rounds=0)
    drawing = draw_bland_altman(truth.tolist(), score.tolist(), found)
    assert sum(dot.count for dot in drawing.dots) == 40
    assert all(drawing.left < dot.x < drawing.right for dot in drawing.dots)
    heights = {text.split(" ")[0]: y for y, text in drawing.lines}
    assert heights["upper"] < heights["bias"] < heights["lower"]


def test_report_has_cohorts_and_a_constant_beside(tmp_path: Path) -> None:
    names = [*(f"IITM_{n:03}" for n in range(4)), *(f"P{n:03}" for n in range(4)), "T1-001"]
    text = "\n".join(f"{name},{row + 1}" for row, name in enumerate(names))
    truth = read_scores(put(tmp_path / "a.csv", text))
    other = read_scores(put(tmp_path / "b.csv", text.replace(",9", ",4")))
    rows = report_agreement(paired(truth, other), rounds=0, cohorts=True).rows
    assert {name: one.count for name, one in rows.items()} == {
        "column 2": 9,
        "column 2: IITM": 4,
        "column 2: P": 4,
        CONSTANT: 9,
    }
    assert rows[CONSTANT].figures["mae"].value == pytest.approx(20 / 9)


def test_command_prints_and_writes(tmp_path: Path) -> None:
    truth, score = ratings(12)
    reference = put(tmp_path / "gt.csv", "\n".join(f"P{n:03},{t:.0f}" for n, t in enumerate(truth)))
    table = "\n".join(f"{t:.0f},{s:.0f},{s + 3:.0f}" for t, s in zip(truth, score, strict=True))
    results = put(tmp_path / "results.csv", table)
    out = tmp_path / "out"
    arguments = ["agreement", str(reference), str(results), "-o", str(out), "--rounds", "50"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["n"] == 12
    assert list(found["scores"]) == ["column 2", "column 3", CONSTANT]
    gap = (
        found["scores"]["column 3"]["bias"]["value"] - found["scores"]["column 2"]["bias"]["value"]
    )
    assert gap == pytest.approx(3)
    assert json.loads((out / "agreement.json").read_text(encoding="utf-8")) == found
    with (out / "pairs.csv").open(encoding="utf-8", newline="") as text:
        assert len(list(csv.reader(text))) == 13
    page = (out / "agreement.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    shown = CliRunner().invoke(app, arguments)
    assert "kappa_quadratic" in shown.stdout
    put(results, table.replace("\n", ",1\n") + ",1")  # four rows with the constant
    many = CliRunner().invoke(app, arguments).stdout
    assert "kappa_quadratic" not in many
    assert "95 % limits" in many
    assert "…" not in many
    assert " ".join(many.split()).count("column 4 12") == 1
    wrong = CliRunner().invoke(app, ["agreement", str(reference), str(tmp_path / "no.csv")])
    assert wrong.exit_code == 1


def with_moments(
    count: int, means: tuple[float, float], spreads: tuple[float, float], pearson: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return two columns of exactly these means, population spreads and correlation."""
    drawn = np.random.default_rng(0).normal(size=(count, 2))
    whole = np.column_stack([np.ones(count), drawn])
    one, other = np.sqrt(count) * np.linalg.qr(whole)[0].T[1:]
    turned = pearson * one + np.sqrt(1 - pearson**2) * other
    return means[0] + spreads[0] * one, means[1] + spreads[1] * turned


def test_published_figures_that_rest_on_moments_alone_fit_together(tmp_path: Path) -> None:
    """The two columns of scores are not published, their figures are, to two or three digits.

    Pearson 0.823, bias -1.04, root mean square 2.67 and concordance 0.756 of 50 patients leave one
    pair of spreads, so that limits and ICC follow, which are published too.
    """
    bias, rmse, pearson, ccc = -1.04, 2.67, 0.823, 0.756
    apart = rmse**2 - bias**2  # spreads squared less twice the covariance
    covered = ccc * (apart + bias**2) / (1 - ccc)  # twice the covariance
    total, twice = apart + covered, covered / pearson
    wide, narrow = np.sqrt(total + twice), np.sqrt(total - twice)
    spreads = ((wide + narrow) / 2, (wide - narrow) / 2)
    truth, score = with_moments(50, (8.6, 8.6 + bias), spreads, pearson)
    names = [f"P{n:03}" for n in range(50)]
    gt = put(tmp_path / "gt.csv", "\n".join(f"{n},{t}" for n, t in zip(names, truth, strict=True)))
    pairs = zip(truth, score, strict=True)
    results = put(tmp_path / "results.csv", "\n".join(f"{t},{s}" for t, s in pairs))
    arguments = ["agreement", str(gt), str(results), "--rounds", "0", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["scores"]["column 2"]
    for name, value, digits in (
        ("pearson", 0.823, 3),
        ("bias", -1.04, 2),
        ("rmse", 2.67, 2),
        ("concordance", 0.756, 3),
        ("icc21", 0.760, 3),
        ("limit_low", -5.9, 1),
        ("limit_high", 3.8, 1),
    ):
        # The figures it starts from are rounded themselves.
        assert found[name]["value"] == pytest.approx(value, abs=1.1 * 10.0**-digits), name


@pytest.mark.parametrize(
    ("bias", "rmse", "limits"), [(12.72, 13.24, (5.5, 20.0)), (-1.06, 2.60, (-5.8, 3.7))]
)
def test_published_limits_follow_from_bias_and_root_mean_square(
    bias: float, rmse: float, limits: tuple[float, float]
) -> None:
    gap = np.sqrt(rmse**2 - bias**2)
    truth, shifted = with_moments(50, (8.6, bias), (4.0, gap), 0.0)
    found = agreement(truth.tolist(), (truth + shifted).tolist(), rounds=0).figures
    assert found["rmse"].value == pytest.approx(rmse)
    for name, wanted in zip(("limit_low", "limit_high"), limits, strict=True):
        assert found[name].value == pytest.approx(wanted, abs=0.1)
