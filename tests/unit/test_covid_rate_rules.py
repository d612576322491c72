"""Certainty, pseudo-labels, fallback lungs and published figures of COVID-Rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from groundglass.systems.covid_rate.certainty import (
    PseudoConfig,
    certainty_index,
    choose_pseudo,
)
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs
from groundglass.systems.covid_rate.published import TABLE, published_for

UNIT = st.floats(0, 1, width=32)


def test_the_certainty_of_the_worked_example() -> None:
    assert certainty_index(np.array([0.1, 0.3, 0.31, 0.9, 0.5])) == pytest.approx(0.57)
    assert certainty_index(np.array([0.1, 0.3])) == 0
    assert certainty_index(np.array([0.99] + [0.0] * 99)) == pytest.approx(0.99)


@given(hnp.arrays(np.float64, (4, 5), elements=UNIT))
def test_certainty_lies_above_the_cut_or_is_nothing(values: np.ndarray) -> None:
    index = certainty_index(values)
    assert index == 0 or 0.3 < index <= 1


def blob(probability: float, pixels: int) -> np.ndarray:
    values = np.zeros((20, 20))
    values.flat[:pixels] = probability
    return values


def test_certain_large_but_not_absurd_slices_are_chosen() -> None:
    lungs = [np.ones((20, 20), bool)] * 5
    maps = [blob(0.9, 100), blob(0.9, 20), blob(0.9, 300), blob(0.4, 100), blob(0.35, 100)]
    found = choose_pseudo(maps, lungs)
    assert found.chosen == (0,)
    assert found.median == pytest.approx(0.9)
    assert found.negatives == ()
    assert found.masks[0].sum() == 100


def test_pseudo_masks_stay_in_the_lung() -> None:
    lung = np.zeros((20, 20), bool)
    lung[:10] = True
    mask = choose_pseudo([np.full((20, 20), 0.9)], [lung]).masks[0]
    assert mask[:10].all()
    assert not mask[10:].any()


def test_confident_negatives_are_few_and_certain() -> None:
    lungs = [np.ones((20, 20), bool)] * 12
    maps = [blob(0.9, 100)] * 8 + [blob(0.01, 5), blob(0.04, 5), blob(0.02, 5), blob(0.06, 5)]
    config = PseudoConfig(confident_negatives=True)
    found = choose_pseudo(maps, lungs, config)
    assert len(found.chosen) == 8
    assert found.negatives == (8, 10)
    empty = [np.zeros((20, 20), bool)] * 12
    assert choose_pseudo(maps, empty, config).negatives == ()


def test_nothing_to_choose_from() -> None:
    found = choose_pseudo([], [])
    assert (found.chosen, found.median) == ((), 0.0)


def test_fallback_lungs_are_inside_the_body() -> None:
    rows, columns = np.mgrid[:128, :128]
    hu = np.full((128, 128), -1000)
    hu[((rows - 64) / 55) ** 2 + ((columns - 64) / 60) ** 2 < 1] = 40
    left = ((rows - 64) / 35) ** 2 + ((columns - 38) / 18) ** 2 < 1
    right = ((rows - 64) / 35) ** 2 + ((columns - 90) / 18) ** 2 < 1
    hu[left | right] = -850
    hu[60:66, 36:40] = 30
    found = fallback_lungs(hu)
    assert found[62, 38]
    assert found[left | right].mean() > 0.99
    assert not found[:5].any()
    assert found.sum() < 1.1 * (left | right).sum()
    assert not fallback_lungs(np.full((64, 64), 40)).any()
    assert not fallback_lungs(np.full((64, 64), -1000)).any()


def test_published_figures_are_shares() -> None:
    for _, table in (published_for("covid-ct-rate"), published_for("covid-semiseg")):
        assert all(0 < value < 1 for row in table.values() for value in row.values())
    assert TABLE["Enhanced COVID-Rate"]["dice"] > TABLE["COVID-Rate"]["dice"]
    assert "Inf-Net" in published_for("covid-semiseg")[1]
