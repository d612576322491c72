"""Masks of other programs: which convention they follow, and what is refused."""

import numpy as np
import pytest

from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError, NoLungsError, UnsupportedFormatError
from groundglass.lungs.external import Convention, masks_from_labels, masks_from_parts, recognise
from tests.chests import Plan, draw

PLAN = Plan()
HU, TRUTH = draw(PLAN)
SCAN = Scan.from_array(HU, PLAN.spacing_mm)
UPPER = np.arange(PLAN.shape[0])[:, None, None] < PLAN.shape[0] // 2


def lobes_of(first: int) -> np.ndarray:
    """Draw five lobes from a first label on: left upper, left lower, right three."""
    third = np.arange(PLAN.shape[0])[:, None, None] // (PLAN.shape[0] // 3 + 1)
    lobes = np.zeros(PLAN.shape, np.int32)
    left, right = TRUTH == 2, TRUTH == 1
    lobes[left & UPPER], lobes[left & ~UPPER] = first, first + 1
    for number in range(3):
        lobes[right & (third == number)] = first + 2 + number
    return lobes


@pytest.mark.parametrize(
    ("values", "convention"),
    [
        ({0, 1}, "single"),
        ({255}, "single"),
        ({0, 1, 2}, "sides"),
        ({0, 2}, "sides"),
        ({0, 1, 2, 3, 4, 5}, "lungmask-lobes"),
        ({1, 2, 3, 5}, "lungmask-lobes"),
        ({3, 4, 5}, "lungmask-lobes"),
        ({10, 11, 12, 13, 14}, "totalsegmentator"),
        (set(range(118)), "totalsegmentator"),
        ({13, 14, 15, 16, 17}, "totalsegmentator-v1"),
    ],
)
def test_conventions_are_recognised_by_their_labels(values: set[int], convention: str) -> None:
    assert recognise(np.array(sorted(values))) is Convention(convention)


@pytest.mark.parametrize("values", [{1, 2, 3}, {1, 2, 3, 4}, {1, 3}, {6, 7}, {12}])
def test_ambiguous_labels_are_refused_with_the_names_to_give(values: set[int]) -> None:
    with pytest.raises(UnsupportedFormatError, match="name it as one of: single, sides, lungmask"):
        recognise(np.array(sorted(values)))


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(NoLungsError, match="no label but 0"):
        recognise(np.zeros((2, 2)))


def test_sides_are_taken_as_they_are() -> None:
    found = masks_from_labels(TRUTH.astype(np.int64), SCAN)
    assert np.array_equal(found.lungs.labels, TRUTH)
    assert found.lobes is None
    assert found.lungs.method == "external: sides"
    assert found.lungs.verdicts == ()


def test_swapped_sides_are_swapped_back_and_told() -> None:
    swapped = np.array([0, 2, 1], np.uint8)[TRUTH]
    found = masks_from_labels(swapped, SCAN)
    assert np.array_equal(found.lungs.labels, TRUTH)
    assert "they were swapped" in found.lungs.verdicts[0].done


@pytest.mark.parametrize("intensity", [Intensity.HU, Intensity.UNKNOWN])
def test_a_single_label_is_split(intensity: Intensity) -> None:
    scan = Scan.from_array(HU, PLAN.spacing_mm, intensity=intensity)
    found = masks_from_labels((TRUTH > 0) * 7, scan)
    assert np.array_equal(found.lungs.labels, TRUTH)


@pytest.mark.parametrize(
    ("first", "convention"),
    [(1, "lungmask-lobes"), (10, "totalsegmentator"), (13, "totalsegmentator-v1")],
)
def test_lobes_give_lungs_and_lobes(first: int, convention: str) -> None:
    found = masks_from_labels(lobes_of(first), SCAN)
    assert found.lungs.method == f"external: {convention}"
    assert np.array_equal(found.lungs.labels, TRUTH)
    assert found.lobes is not None
    assert np.array_equal(found.lobes.labels, lobes_of(1))


def test_all_labels_of_the_older_version_are_not_taken_for_the_newer() -> None:
    labels = lobes_of(13)
    labels[:, 40:44, 46:50] = 10
    labels[:, 40:44, 50:54] = 12
    with pytest.raises(UnsupportedFormatError, match="no lung; name the label convention"):
        masks_from_labels(labels, SCAN)
    found = masks_from_labels(labels, SCAN, "totalsegmentator-v1")
    assert np.array_equal(found.lungs.labels, TRUTH)


def test_named_parts_are_joined_and_others_passed_over() -> None:
    lobes = lobes_of(1)
    names = ("upper_lobe_left", "lower_lobe_left", "upper_lobe_right", "middle_lobe_right")
    parts = {f"lung_{name}": lobes == number for number, name in enumerate(names, 1)}
    parts["lung_lower_lobe_right"] = lobes == 5
    parts["heart"] = np.ones(PLAN.shape, np.bool_)
    found = masks_from_parts(parts, SCAN)
    assert np.array_equal(found.lungs.labels, TRUTH)
    assert found.lobes is not None
    assert np.array_equal(found.lobes.labels, lobes)


def test_lobes_that_lie_on_the_other_side_are_kept_and_told() -> None:
    parts = {"lung_upper_lobe_left": TRUTH == 1, "lung_upper_lobe_right": TRUTH == 2}
    found = masks_from_parts(parts, SCAN)
    assert np.array_equal(found.lungs.labels == 2, TRUTH == 1)
    assert "kept as named" in found.lungs.verdicts[0].done


def test_parts_without_a_lung_are_refused() -> None:
    with pytest.raises(NoLungsError, match="lung_upper_lobe_left"):
        masks_from_parts({"heart": TRUTH > 0}, SCAN)
    with pytest.raises(NoLungsError, match="no lung is marked"):
        masks_from_labels(TRUTH, SCAN, "totalsegmentator")


def test_another_grid_is_refused() -> None:
    with pytest.raises(GridMismatchError, match="resample it to the scan"):
        masks_from_labels(TRUTH[1:], SCAN)
    with pytest.raises(GridMismatchError, match="resample it to the scan"):
        masks_from_parts({"lung": TRUTH[:, 1:] > 0}, SCAN)


def test_an_unknown_convention_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="must be one of single, sides"):
        masks_from_labels(TRUTH, SCAN, "radiologist")
