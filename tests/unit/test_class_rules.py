"""Votes, patient rules, calibration and the published tables of the two classifiers."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.systems.calibration import fit_temperature
from groundglass.systems.covid_ct import published as covid_ct
from groundglass.systems.covid_ct.vote import probabilities, ten_vote
from groundglass.systems.covid_ctset import published as ctset
from groundglass.systems.covid_ctset.patient import Decision, PatientVote


@pytest.mark.parametrize(("ones", "class_"), [(0, 0), (5, 0), (6, 1), (10, 1)])
def test_an_even_vote_of_ten_is_class_0(ones: int, class_: int) -> None:
    predictions = np.repeat([1, 0], [ones, 10 - ones])[:, None]
    (vote,) = ten_vote(predictions, predictions * 0.8)
    assert vote.classes.tolist() == [class_]
    assert vote.scores == pytest.approx(0.08 * ones)


def test_only_complete_groups_vote_and_the_last_is_reported() -> None:
    scores = np.linspace(0, 1, 25)[:, None] * np.ones(3)
    votes = ten_vote((scores > 0.5).astype(int), scores)
    assert [vote.first for vote in votes] == [0, 10]
    assert votes[1].classes.tolist() == [1, 1, 1]
    assert ten_vote(np.zeros((9, 1), int), np.zeros((9, 1))) == []
    with pytest.raises(ValueError, match="as many scores"):
        ten_vote(np.zeros((9, 1), int), np.zeros((9, 2)))


def test_scores_are_probabilities_however_large_the_logits() -> None:
    found = probabilities(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]])


@pytest.mark.parametrize(
    ("kept", "covid", "by_any", "by_share"),
    [
        (20, 0, Decision.NOT_INFECTED, Decision.NOT_INFECTED),
        (20, 1, Decision.INFECTED, Decision.NOT_INFECTED),
        (20, 2, Decision.INFECTED, Decision.INFECTED),
        (0, 0, Decision.UNDETERMINED, Decision.UNDETERMINED),
        (30, 3, Decision.INFECTED, Decision.INFECTED),
    ],
)
def test_patient_rule(kept: int, covid: int, by_any: Decision, by_share: Decision) -> None:
    vote = PatientVote(kept, covid)
    assert (vote.by_any, vote.by_share) == (by_any, by_share)


def test_more_covid_than_kept_slices_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        PatientVote(2, 3)


def test_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 2))
    chance = probabilities(logits)[:, 1]
    labels = (generator.random(20_000) < chance).astype(int)
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, abs=0.15)
    assert fit_temperature(logits / 2, labels) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="two labels"):
        fit_temperature(logits, np.ones(20_000, int))


def test_published_counts_of_covid_ct_give_its_published_figures() -> None:
    for row in covid_ct.ROWS:
        if row.counts is None:
            continue
        right_other, missed, false, right = row.counts
        assert row.accuracy == pytest.approx((right_other + right) / sum(row.counts), abs=1e-4)
        f1 = 2 * right_other / (2 * right_other + missed + false)
        assert row.f1_noncovid == pytest.approx(f1, abs=1e-3)
    assert [round(covid_ct.f1_covid_of(row.counts), 3) for row in covid_ct.ROWS if row.counts] == [
        0.678,
        0.778,
        0.798,
        0.838,
    ]
    source, table = covid_ct.published_for("covid-ct")
    assert "203" in source
    assert table[covid_ct.ROWS[0].method]["sensitivity"] == pytest.approx(0.602)
    assert covid_ct.published_for("another")[1] == {}


def test_published_tables_of_covid_ctset_agree_with_each_other() -> None:
    for mean in ctset.MEANS.values():
        assert mean.covid_right + mean.normal_right == pytest.approx(mean.correct, abs=0.05)
        assert mean.covid_missed + mean.normal_wrong == pytest.approx(mean.wrong, abs=0.05)
        assert mean.accuracy == pytest.approx(mean.correct / (mean.correct + mean.wrong), abs=1e-3)
    folds = zip(
        ctset.TEST_SLICES, ctset.MISSED_AND_WRONG, ctset.FOLDS["ResNet50V2-FPN"], strict=True
    )
    for (covid, normal), (missed, wrong), row in folds:
        right = covid - missed
        assert row["sensitivity"] == pytest.approx(right / covid, abs=1e-3)
        assert row["precision"] == pytest.approx(right / (right + wrong), abs=1e-3)
        assert row["accuracy"] == pytest.approx(1 - (missed + wrong) / (covid + normal), abs=1e-3)
    pooled = np.sum(ctset.PATIENTS["ResNet50V2-FPN"], axis=0)
    assert pooled.tolist() == [88, 7, 1081, 47]
    assert {sum(row) for row in ctset.PATIENTS_BY_ANY.values()} == {255}
