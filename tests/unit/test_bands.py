"""Points and bands of the published severity code."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.scoring.bands import (
    BANDS,
    BandSlices,
    RowCounts,
    band_points,
    band_shares,
    count_rows,
    points,
)

ALL = BandSlices(lung_share=0.0, skip_first=0, skip_last=0)


def test_points_of_the_published_limits() -> None:
    shares = [0, 0.0001, 0.05, 0.0501, 0.25, 0.2501, 0.5, 0.5001, 0.75, 0.751, 1]
    assert points(shares).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def counted(lungs: np.ndarray, infected: np.ndarray) -> RowCounts:
    """Return the counts of a mask that is infected or not."""
    return count_rows(lungs, np.where(infected, 3, 0).astype(np.uint8))


def lungs_of(slices: int = 1) -> np.ndarray:
    """Return lungs over rows 10 to 40 (31 rows), right at columns 2 to 9, left at 12 to 19."""
    lungs = np.zeros((slices, 60, 22), dtype=np.uint8)
    lungs[:, 10:41, 2:10] = 1
    lungs[:, 10:41, 12:20] = 2
    return lungs


@pytest.mark.parametrize(
    ("row", "column", "bands"),
    [
        (10, 4, ("right_front",)),
        (20, 4, ("right_front", "right_middle")),  # shared row, counted twice as coded
        (25, 4, ("right_middle",)),
        (30, 4, ("right_middle", "right_back")),
        (40, 4, ("right_back",)),
        (10, 14, ("left_front",)),
        (25, 14, ("left_front", "left_back")),
        (40, 14, ("left_back",)),
    ],
)
def test_each_row_belongs_to_its_band(row: int, column: int, bands: tuple[str, ...]) -> None:
    lungs = lungs_of()
    infected = np.zeros(lungs.shape, dtype=bool)
    infected[0, row, column] = True
    shares, lung = band_shares(counted(lungs, infected))
    assert tuple(np.array(BANDS)[shares[0] > 0]) == bands
    assert lung.tolist() == [31 * 16]


def test_infection_outside_the_lungs_does_not_count() -> None:
    lungs = lungs_of()
    shares, _ = band_shares(counted(lungs, lungs == 0))
    assert not shares.any()
    assert not band_shares(counted(np.zeros_like(lungs), lungs == 0))[0].any()


def test_mean_rounds_halves_up_and_worst_takes_the_highest() -> None:
    lungs = lungs_of(4)
    infected = np.zeros(lungs.shape, dtype=bool)
    infected[:2, :, :10] = True  # right lung wholly ill in two of four slices
    mean = band_points(counted(lungs, infected), slices=ALL)
    worst = band_points(counted(lungs, infected), slices=ALL, worst=True)
    assert mean == {
        "right_front": 3,
        "right_middle": 3,
        "right_back": 3,
        "left_front": 0,
        "left_back": 0,
    }
    assert worst == {
        "right_front": 5,
        "right_middle": 5,
        "right_back": 5,
        "left_front": 0,
        "left_back": 0,
    }


def test_slices_at_the_ends_and_with_little_lung_are_left_out() -> None:
    lungs = lungs_of(14)
    infected = np.zeros(lungs.shape, dtype=bool)
    infected[:6] = infected[9:] = True
    assert band_points(counted(lungs, infected)) == dict.fromkeys(BANDS, 0)
    infected[6:9] = True
    assert band_points(counted(lungs, infected)) == dict.fromkeys(BANDS, 5)
    assert band_points(counted(lungs[:11], infected[:11])) is None
    assert band_points(counted(lungs, infected), slices=BandSlices(lung_share=0.5)) is None
