"""The published vote, its rules and its ties; plain averages beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.datasets.patients import CLASSES
from groundglass.systems.identification_severity.vote import (
    UNDETERMINED,
    Votes,
    count_votes,
    decide_by_mean,
    decide_by_vote,
    pooled,
    smoothed_votes,
    softened,
)

slices = st.lists(st.integers(0, 2), min_size=1, max_size=90)


@pytest.mark.parametrize(
    ("classes", "label", "votes"),
    [
        ([0] * 9, "NORMAL", (6.0, 0, 0)),
        ([1, 1, 1, 0, 0, 0, 2, 2, 2], "COVID-19", (3.0, 2.1, 2.1)),
        ([0, 0, 0, 2, 2, 0, 0, 0, 0], "NORMAL", (4.0, 0, 2.0)),
        ([0, 2], "COVID-19", (0.5, 0, 0.7)),
        ([1, 1, 1, 1, 1, 1, 0, 0, 0], "CAP", (1.5, 5.1, 0)),
        ([1, 1, 0, 0, 0, 1, 1, 1, 0], "CAP", (3.0, 3.8, 0)),
        ([1, 1, 1, 0, 0, 0, 0, 0, 2], "NORMAL", (4.0, 2.1, 0.7)),
        ([1], "CAP", (0, 0.7, 0)),
    ],
)
def test_votes_of_the_published_rule(
    classes: list[int], label: str, votes: tuple[float, float, float]
) -> None:
    found = count_votes(classes)
    assert (found.normal, found.cap, found.covid) == pytest.approx(votes)
    assert decide_by_vote(classes).label == label


def test_rule_of_three_quarters_at_its_edge() -> None:
    # Nine slices: outer thirds 0.7 or 0.5 each, the middle third 1 each.
    below = [1, 1, 0, 0, 0, 0, 0, 0, 0]  # CAP 1.4, normal 5.0
    assert decide_by_vote(below).label == "NORMAL"
    above = [1, 1, 1, 0, 0, 0, 0, 1, 1]  # CAP 3.5 against normal 3.5: not more, so rule 3
    assert count_votes(above) == Votes(3.5, 3.5, 0.0)
    assert decide_by_vote(above).label == "CAP"
    edge = [1, 1, 1, 0, 0, 0, 1, 0, 0]  # CAP 2.8, normal 4.0: 2.8 < 3.0
    assert decide_by_vote(edge).label == "NORMAL"
    tie = [2, 2, 2, 1, 0, 1, 0, 0, 0]  # COVID-19 2.1, CAP 2.0, normal 2.5: 4.1 >= 1.875
    assert decide_by_vote(tie).label == "COVID-19"


def test_nothing_votes_is_undetermined_not_ill() -> None:
    assert decide_by_vote([]).label == UNDETERMINED
    assert decide_by_mean(np.zeros((0, 3))).label == UNDETERMINED
    assert decide_by_vote([]).shares == {}


@given(slices)
def test_infection_never_loses_by_one_more_ill_slice_and_normal_needs_few(
    classes: list[int],
) -> None:
    found, votes = decide_by_vote(classes), count_votes(classes)
    assert sum(found.shares.values()) == pytest.approx(1)
    if found.label == "NORMAL":
        assert votes.covid + votes.cap < 0.75 * votes.normal
    else:
        assert votes.covid + votes.cap >= 0.75 * votes.normal
    turned = decide_by_vote(classes[::-1])
    assert turned.label == found.label or len(classes) % 3


@given(slices, st.floats(0.25, 8))
def test_calibration_of_votes_moves_shares_and_never_the_label(
    classes: list[int], temperature: float
) -> None:
    plain, told = decide_by_vote(classes), decide_by_vote(classes, temperature=temperature)
    assert told.label == plain.label
    assert sum(told.shares.values()) == pytest.approx(1)
    assert min(told.shares.values()) > 0
    order = sorted(CLASSES, key=plain.shares.__getitem__)
    found = [told.shares[name] for name in order]
    assert found == sorted(found)
    two = decide_by_vote(classes, two_classes=True, temperature=temperature)
    assert two.shares["CAP"] == 0


@given(slices)
def test_two_classes_have_no_pneumonia(classes: list[int]) -> None:
    three, two = decide_by_vote(classes), decide_by_vote(classes, two_classes=True)
    assert two.label in {"NORMAL", "COVID-19"}
    assert (two.label == "NORMAL") == (three.label == "NORMAL")
    assert two.shares["CAP"] == 0
    assert sum(two.shares.values()) == pytest.approx(1)


def test_order_matters_as_the_middle_third_counts_more() -> None:
    # The same three ill slices decide in the middle and do not at the ends.
    assert decide_by_vote([0, 0, 0, 2, 2, 2, 0, 0, 0]).label == "COVID-19"
    assert decide_by_vote([2, 0, 0, 0, 0, 0, 0, 0, 2]).label == "NORMAL"


def test_attention_is_the_weighted_sum_of_logits() -> None:
    scores, logits = np.array([5.0, 5.0, -400.0]), np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 9.0]])
    wanted = np.exp([0.5, 0.5, 0.0])
    np.testing.assert_allclose(pooled(scores, logits), (wanted / wanted.sum())[None])
    np.testing.assert_allclose(pooled(scores + 1e3, logits), pooled(scores, logits))
    assert pooled(scores[:0], logits[:0]).shape == (0, 3)
    assert smoothed_votes([]).shape == (0, 3)
    np.testing.assert_allclose(smoothed_votes([2]), [[0.5 / 2.2, 0.5 / 2.2, 1.2 / 2.2]])


def test_mean_of_probabilities_and_its_temperature() -> None:
    answers = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    found = decide_by_mean(answers)
    assert found.label == "COVID-19"
    assert list(found.shares.values()) == pytest.approx([0.35, 0.25, 0.4])
    assert tuple(found.shares) == CLASSES
    mild = decide_by_mean(answers, 1e6)
    assert list(mild.shares.values()) == pytest.approx([1 / 3] * 3, abs=1e-5)
    np.testing.assert_allclose(softened(answers, 1.0), answers)
    assert softened(answers, 0.5)[0, 2] == pytest.approx(0.49 / 0.54)
    assert decide_by_mean(answers, two_classes=True).shares["COVID-19"] == pytest.approx(0.65)
