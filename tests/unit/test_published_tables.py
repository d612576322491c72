"""The published tables as data."""

from __future__ import annotations

from groundglass.systems.identification_severity.published import (
    CTSS_AGREEMENT,
    INFNET_48,
    PATIENTS,
    SLICES_48,
    SLICES_636,
    VOLUMES_638,
)


def test_index_lists_have_their_lengths() -> None:
    assert len(SLICES_48) == len(set(SLICES_48)) == 48
    counts = [last - first + 1 for first, last in SLICES_636]
    assert counts == [40, 29, 324, 29, 47, 25, 34, 45, 63]
    assert sum(counts) == 636


def test_numbers_are_in_their_ranges() -> None:
    for row in (*INFNET_48, *VOLUMES_638):
        assert 0 < row.dice < 1
        assert 0 < row.sensitivity < 1
        assert 0 < row.specificity < 1
    assert [row.dice for row in INFNET_48] == [0.439, 0.581, 0.682, 0.739]
    assert all(row.dice_max is not None and row.dice_max > row.dice for row in INFNET_48)
    assert max(row.accuracy for row in PATIENTS) == 0.9615
    assert CTSS_AGREEMENT[0].pearson == 0.823
