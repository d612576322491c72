"""Figures of classifiers: closed forms, published rows, an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from groundglass.evaluation.class_figures import (
    CLASS_MEANING,
    ClassCounts,
    ClassScore,
    calibration_error,
    count_calls,
    summarise_classes,
)


def test_row_of_the_seed_system_follows_from_its_counts() -> None:
    """88 others right, 39 COVID-19 missed, 17 others called COVID-19, 59 COVID-19 right."""
    found = ClassCounts(tp=59, fp=17, fn=39, tn=88)
    assert found.accuracy == pytest.approx(0.7241, abs=5e-5)
    assert found.f1_noncovid == pytest.approx(0.7586, abs=5e-5)
    assert found.f1_covid == pytest.approx(0.6782, abs=5e-5)
    assert found.sensitivity == pytest.approx(0.602, abs=5e-4)
    assert found.precision == pytest.approx(0.776, abs=5e-4)


def test_fold_1_of_covid_ctset_follows_from_its_counts() -> None:
    found = ClassCounts(tp=436, fn=26, fp=82, tn=7778)
    assert found.accuracy == pytest.approx(0.9870, abs=5e-5)
    assert found.sensitivity == pytest.approx(0.9437, abs=5e-5)
    assert found.specificity == pytest.approx(0.9896, abs=5e-5)
    assert found.precision == pytest.approx(0.8417, abs=5e-5)


def test_figures_agree_with_another_implementation() -> None:
    generator = np.random.default_rng(0)
    covid = generator.random(200) < 0.4
    chance = np.clip(0.35 * covid + generator.random(200) * 0.7, 0, 1).round(2)
    scores = [
        ClassScore(str(n), str(n // 4), bool(c), float(p), bool(p >= 0.5), abstained=n < 20)
        for n, (c, p) in enumerate(zip(covid, chance, strict=True))
    ]
    found = summarise_classes(scores, rounds=50)
    called = chance >= 0.5
    wanted = {
        "accuracy": reference.accuracy_score(covid, called),
        "auc": reference.roc_auc_score(covid, chance),
        "f1_covid": reference.f1_score(covid, called),
        "f1_noncovid": reference.f1_score(~covid, ~called),
        "f1_mean": reference.f1_score(covid, called, average="macro"),
        "sensitivity": reference.recall_score(covid, called),
        "specificity": reference.recall_score(~covid, ~called),
        "precision": reference.precision_score(covid, called),
        "balanced_accuracy": reference.balanced_accuracy_score(covid, called),
        "brier": reference.brier_score_loss(covid, chance),
        "abstained": 0.1,
    }
    for name, value in wanted.items():
        figure = found[name]
        assert figure.value == pytest.approx(value), name
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= value <= figure.high
    assert list(found) == list(CLASS_MEANING)


def test_calibration_error_in_closed_form() -> None:
    covid = np.array([True, False, False, False, True, True])
    chance = np.array([0.25, 0.25, 0.25, 0.25, 1.0, 0.9])
    assert calibration_error(covid, chance) == pytest.approx(0.1 / 6)
    assert calibration_error(covid, np.full(6, 0.5)) == pytest.approx(0)
    assert calibration_error(covid, np.ones(6)) == pytest.approx(0.5)
    assert calibration_error(covid[:0], chance[:0]) is None


def test_what_is_undefined_has_no_value() -> None:
    one_class = [ClassScore(str(n), str(n), False, 0.2, False) for n in range(3)]
    found = summarise_classes(one_class, rounds=10)
    for name in ("auc", "sensitivity", "precision", "f1_covid", "balanced_accuracy"):
        assert found[name].value is None
    assert found["accuracy"].value == found["specificity"].value == 1
    assert count_calls(np.zeros(0, bool), np.zeros(0, bool)).accuracy is None
    with pytest.raises(ValueError, match="at least one picture"):
        summarise_classes([])


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    sizes = [ClassScore(str(n), str(n), n > 2, 100.0 * n, n > 1) for n in range(6)]
    found = summarise_classes(sizes, rounds=10, probabilities=False)
    assert found["auc"].value == 1
    assert {"calibration_error", "brier", "abstained"}.isdisjoint(found)


def test_whole_groups_are_drawn() -> None:
    """Ten copies of a picture in one group tell no more than one."""
    alone = [
        ClassScore(str(n), str(n), n % 2 == 0, 0.3 + 0.1 * (n % 5), n % 3 == 0) for n in range(12)
    ]
    copied = [score for score in alone for _ in range(10)]
    one, ten = summarise_classes(alone, 200), summarise_classes(copied, 200)
    for name in ("accuracy", "sensitivity", "auc"):
        assert one[name].low == pytest.approx(ten[name].low)
        assert one[name].high == pytest.approx(ten[name].high)
