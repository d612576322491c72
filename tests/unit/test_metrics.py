"""Metrics against scikit-learn and counting by hand; the empty cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from groundglass.metrics import (
    AVERAGES,
    THRESHOLDS,
    Overlap,
    averages,
    bootstrap_interval,
    infnet_scores,
    overlap,
    roc_auc,
)

MASKS = arrays(bool, (4, 5))
FULL, EMPTY = np.ones((4, 5), dtype=bool), np.zeros((4, 5), dtype=bool)


@given(MASKS, MASKS)
def test_measures_equal_scikit_learn(prediction: np.ndarray, reference: np.ndarray) -> None:
    found = overlap(prediction, reference)
    mask, truth = prediction.ravel(), reference.ravel()
    if truth.any() or mask.any():
        assert found.dice == pytest.approx(sk.f1_score(truth, mask, zero_division=0))
        assert found.jaccard == pytest.approx(sk.jaccard_score(truth, mask, zero_division=0))
    if truth.any():
        assert found.sensitivity == pytest.approx(sk.recall_score(truth, mask))
    if mask.any():
        assert found.precision == pytest.approx(sk.precision_score(truth, mask))
    if not truth.all():
        assert found.specificity == pytest.approx(sk.recall_score(~truth, ~mask, zero_division=0))
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, mask))
    assert found.mae == pytest.approx(np.abs(truth.astype(int) - mask).mean())
    if found.mcc is not None:
        assert found.mcc == pytest.approx(sk.matthews_corrcoef(truth, mask))


@given(MASKS, MASKS)
def test_dice_is_symmetric_and_bounded(one: np.ndarray, other: np.ndarray) -> None:
    assert overlap(one, other).dice == overlap(other, one).dice
    assert 0 <= overlap(one, other).dice <= 1
    assert overlap(one, one).dice == 1


def test_empty_cases() -> None:
    both = overlap(EMPTY, EMPTY)
    assert (both.dice, both.jaccard) == (1.0, 1.0)
    assert both.sensitivity is None
    assert both.precision is None
    assert both.mcc is None
    assert overlap(FULL, EMPTY).dice == 0
    assert overlap(EMPTY, FULL).dice == 0
    assert overlap(FULL, FULL).specificity is None
    assert overlap(np.zeros(0), np.zeros(0)).mae is None


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        overlap(np.zeros((2, 3)), np.zeros((3, 2)))


def test_the_five_averages_by_hand() -> None:
    slices = [
        Overlap(2, 0, 2, 6),  # half found: Dice 2/3
        Overlap(0, 0, 4, 6),  # missed: no prediction
        Overlap(0, 1, 0, 9),  # false alarm on a clear slice
        Overlap(0, 0, 0, 10),  # both empty
    ]
    found = averages(slices, ["a", "a", "b", "b"])
    assert tuple(found) == AVERAGES
    assert found["legacy"].count == 2
    assert found["legacy"].dice == pytest.approx((2 / 3 + 0) / 2)
    assert found["legacy"].sensitivity == pytest.approx(0.25)
    assert found["slice_mean"].dice == pytest.approx((2 / 3 + 0 + 0 + 1) / 4)
    assert found["infected_only"].count == 2
    assert found["infected_only"].dice == pytest.approx(1 / 3)
    assert found["infected_only"].sensitivity == pytest.approx(0.25)
    assert found["per_patient"].count == 2
    assert found["per_patient"].dice == pytest.approx((4 / 10 + 0) / 2)
    assert found["pooled"].count == 4
    assert found["pooled"].dice == pytest.approx(4 / 11)


def test_averages_of_nothing_are_none() -> None:
    found = averages([], [])
    assert all(average.dice is None and average.count == 0 for average in found.values())
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        averages([Overlap(1, 0, 0, 0)], [])


def brute_infnet(values: np.ndarray, truth: np.ndarray) -> list[float]:
    """Dice at every threshold, as the toolbox loops."""
    scaled = (values - values.min()) / (values.max() - values.min())
    found = []
    for threshold in THRESHOLDS:
        mask = scaled >= threshold
        both = (mask & truth).sum()
        found.append(2 * both / (mask.sum() + truth.sum()) if both else 0.0)
    return found


def test_infnet_equals_its_loop() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((6, 7)) for _ in range(3)]
    truths = [rng.random((6, 7)) > 0.6 for _ in range(3)]
    found = infnet_scores(maps, truths)
    curves = np.mean([brute_infnet(m, t) for m, t in zip(maps, truths, strict=True)], axis=0)
    assert found.dice_mean == pytest.approx(curves.mean())
    assert found.dice_max == pytest.approx(curves.max())
    scaled = [(m - m.min()) / (m.max() - m.min()) for m in maps]
    cut = [s >= min(2 * s.mean(), 1) for s in scaled]
    dice = [overlap(c, t).dice for c, t in zip(cut, truths, strict=True)]
    assert found.dice_adaptive == pytest.approx(np.mean(dice))
    errors = [np.abs(s - t).mean() for s, t in zip(scaled, truths, strict=True)]
    assert found.mae == pytest.approx(np.mean(errors))


def test_infnet_of_a_binary_mask_is_almost_its_dice() -> None:
    truth = np.zeros((8, 8), dtype=bool)
    truth[2:5, 2:5] = True
    mask = np.roll(truth, 1, axis=0)
    found = infnet_scores([mask.astype(float)], [truth])
    assert found.dice_max == pytest.approx(overlap(mask, truth).dice)
    assert found.dice_mean == pytest.approx(overlap(mask, truth).dice, abs=0.01)


def test_infnet_without_hits_or_maps() -> None:
    truth = np.ones((3, 3), dtype=bool)
    nothing = infnet_scores([np.zeros((3, 3))], [truth])
    assert nothing.sensitivity_mean == pytest.approx(1 / 256)
    with pytest.raises(ValueError, match="at least one map"):
        infnet_scores([], [])
    with pytest.raises(ValueError, match="one shape"):
        infnet_scores([np.zeros((2, 3))], [truth])


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_auc_equals_scikit_learn_with_ties(rows: list[tuple[bool, int]]) -> None:
    labels, scores = zip(*rows, strict=True)
    assert roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))


def test_auc_of_one_class_is_none_and_bad_scores_are_refused() -> None:
    assert roc_auc([0, 0], [1.0, 2.0]) is None
    with pytest.raises(ValueError, match="finite"):
        roc_auc([0, 1], [1.0, np.nan])
    with pytest.raises(ValueError, match="as many"):
        roc_auc([0, 1, 1], [1.0, 2.0])


def test_bootstrap_holds_the_mean_and_draws_whole_groups() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(10, 2, 200)
    found = bootstrap_interval(
        lambda index: float(values[index].mean()), range(200), np.random.default_rng(0), 500
    )
    assert found is not None
    low, high = found
    assert low < values.mean() < high
    assert high - low == pytest.approx(4 * 2 / np.sqrt(200), rel=0.3)
    sizes: set[int] = set()

    def note(index: np.ndarray) -> float:
        sizes.add(len(index))
        return 0.0

    bootstrap_interval(note, ["a", "a", "b"], np.random.default_rng(0), 50)
    assert sizes == {2, 3, 4}


def test_bootstrap_without_groups_or_values_is_none() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap_interval(lambda _: 1.0, ["a", "a"], rng) is None
    assert bootstrap_interval(lambda _: None, ["a", "b"], rng, 10) is None
