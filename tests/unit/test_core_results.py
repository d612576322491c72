"""Masks: on the scan's grid, read-only, labels as they were given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import Estimate, InfectionMask, LobeMask, LungMask
from groundglass.errors import GridMismatchError

GRID = Geometry.from_spacing((3, 4, 5), (2.0, 1.0, 1.0))


def labels(dtype: str = "uint8", value: int = 1) -> NDArray[Any]:
    return np.full(GRID.shape, value, dtype=dtype)


def test_masks_cannot_be_changed_and_the_callers_array_can() -> None:
    given = labels()
    mask = LungMask(given, GRID, "test")
    with pytest.raises(ValueError, match="read-only"):
        mask.labels[0, 0, 0] = 2
    given[0, 0, 0] = 2


@pytest.mark.parametrize("dtype", ["bool", "int16", "int64", "float32"])
def test_labels_of_any_kind_become_uint8(dtype: str) -> None:
    mask = LungMask(labels(dtype), GRID, "test")
    assert mask.labels.dtype == np.uint8
    assert (mask.labels == 1).all()


@pytest.mark.parametrize(("dtype", "value"), [("int16", 257), ("int16", -1), ("int64", 1 << 32)])
def test_labels_that_would_wrap_round_are_refused(dtype: str, value: int) -> None:
    with pytest.raises(ValueError, match="lung mask holds labels outside 0 to 255"):
        LungMask(labels(dtype, value), GRID, "test")


def test_labels_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        LobeMask(np.full(GRID.shape, 0.5), GRID, "test")


def test_masks_of_another_shape_are_refused() -> None:
    wrong = np.zeros((3, 5, 4), dtype=np.uint8)
    with pytest.raises(GridMismatchError, match="lung mask is of shape"):
        LungMask(wrong, GRID, "test")
    with pytest.raises(GridMismatchError, match="lobe mask"):
        LobeMask(wrong, GRID, "test")
    with pytest.raises(GridMismatchError, match="infection mask"):
        InfectionMask(wrong, labels(), GRID, "test")
    with pytest.raises(GridMismatchError, match="infection extent"):
        InfectionMask(labels(), wrong, GRID, "test")


def test_an_unknown_estimate_has_a_reason_and_no_number() -> None:
    estimate = Estimate.unknown("no spacing")
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert estimate.reason == "no spacing"
