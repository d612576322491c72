"""Values that are HU pass, known mistakes are undone and said, all others are only grey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.checks.intensity import calibrate
from groundglass.checks.peaks import find_peaks, take_sample
from groundglass.core.scan import Intensity, Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError
from groundglass.readers.read import read_scan
from tests.phantoms import phantom

HU, UNKNOWN, DISPLAY = Intensity.HU, Intensity.UNKNOWN, Intensity.DISPLAY
Array = NDArray[Any]


def chest() -> NDArray[np.int16]:
    """Return a small chest with noise, (64, 96, 96)."""
    return phantom().scan.hu()


CHEST = chest()


def scan_of(values: Any, intensity: Intensity = UNKNOWN) -> Scan:
    return Scan.from_array(values, (5.0, 3.75, 3.75), intensity=intensity)


def said(scan: Scan, check: str = "intensity") -> Verdict:
    found = [verdict for verdict in scan.verdicts if verdict.check == check]
    assert found, [verdict.check for verdict in scan.verdicts]
    return found[-1]


# Values that are HU

CROPS: dict[str, Callable[[Array], Array]] = {
    "whole": lambda hu: hu,
    "one slice": lambda hu: hu[30:31],
    "few slices": lambda hu: hu[28:32],
    "lungs without outside": lambda hu: hu[20:45, 30:66, 15:80],
    "one lung alone": lambda hu: hu[20:45, 32:64, 18:40],
    "coarse": lambda hu: hu[::3, ::2, ::2],
    "metal": lambda hu: np.where(hu > 150, 3071, hu),
    "contrast": lambda hu: np.where((hu > 30) & (hu < 60), hu + 30, hu),
    "low dose": lambda hu: hu + np.random.default_rng(1).normal(0, 60, hu.shape).astype(np.int16),
    "without noise": lambda hu: np.round(hu / 200).astype(np.int16) * 200,
    "clipped at -1024": lambda hu: np.maximum(hu, -1024),
    "air at -1024": lambda hu: np.where(hu < -970, -1024, hu),
}


@pytest.mark.parametrize("name", CROPS)
@pytest.mark.parametrize("intensity", [HU, UNKNOWN])
def test_hu_are_left_as_they_are(name: str, intensity: Intensity) -> None:
    values = CROPS[name](CHEST).astype(np.int16)
    scan = calibrate(scan_of(values, intensity))
    assert scan.intensity is HU
    assert np.array_equal(scan.hu(), values)
    assert said(scan).status is Status.OK, said(scan).found
    assert "soft tissue at" in said(scan).found


@pytest.mark.parametrize("lung_hu", [-950, -870, -700])
def test_flat_boxes_without_noise_are_hu(lung_hu: int) -> None:
    values = np.full((12, 40, 40), -1000, np.int16)
    values[:, 4:-4, 4:-4] = 40
    values[:, 10:30, 8:18] = values[:, 10:30, 22:32] = lung_hu
    assert said(calibrate(scan_of(values, HU))).status is Status.OK


def test_water_in_air_is_hu() -> None:
    values = np.full((6, 40, 40), -1000, np.int16)
    values[:, 10:30, 10:30] = 0
    assert said(calibrate(scan_of(values))).status is Status.OK


# Mistakes that are undone

MISTAKES: dict[str, Callable[[Array], Array]] = {
    "1024 added": lambda hu: hu + 1024,
    "1000 added": lambda hu: hu + 1000,
    "1024 taken away": lambda hu: hu - 1024,
    "32768 added": lambda hu: hu.astype(np.int32) + 32768,
    "signs exchanged": lambda hu: -hu,
    "inverted within 0 to 4095": lambda hu: 3071 - hu,
    "stored as unsigned": lambda hu: (hu.astype(np.int32) % 65536).astype(np.uint16),
    "slope of the wrong sign": lambda hu: -hu - 2048,
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("intensity", [HU, UNKNOWN])
def test_known_mistakes_are_undone_and_said(name: str, intensity: Intensity) -> None:
    scan = calibrate(scan_of(MISTAKES[name](CHEST), intensity))
    assert scan.intensity is HU
    assert scan.voxels.dtype == np.int16
    assert np.array_equal(scan.hu(), CHEST)
    assert said(scan).status is Status.WARNING
    assert name in said(scan).found
    assert "ml" in said(scan).effect
    assert scan.provenance.steps[-1].name == "calibrate"


@given(st.integers(0, 40), st.sampled_from([0, 1024]), st.integers(3, 25))
def test_slices_of_the_chest_are_told_apart_from_those_plus_1024(
    first: int, offset: int, count: int
) -> None:
    values = CHEST[first : first + count]
    scan = calibrate(scan_of(values + offset))
    assert scan.intensity is HU
    assert np.array_equal(scan.hu(), values)


def test_the_claim_is_named() -> None:
    claimed = said(calibrate(scan_of(CHEST + 1024, HU)))
    assert "claim to be" in claimed.found
    assert "are not said to be" in said(calibrate(scan_of(CHEST + 1024))).found


# Values that are only grey

GREYS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "soft window": (lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255).astype(np.uint8), "255"),
    "lung window": (lambda hu: np.clip((hu + 1350) / 1500 * 255, 0, 255).astype(np.uint8), "255"),
    "12 bit": (lambda hu: np.clip((hu + 1000) * 2.9, 0, 4095).astype(np.uint16), "12-bit"),
    "zero to one": (lambda hu: (hu + 1024) / 4000, "0 and 1"),
    "normalised": (lambda hu: (hu - hu.mean()) / hu.std(), "normalising"),
    "half slope": (lambda hu: hu * 0.5, "lie between"),
    "slope of 0.85": (lambda hu: hu * 0.85, "lie between"),
    "slope of 1.2": (lambda hu: hu * 1.2, "lie between"),
    "double slope": (lambda hu: hu * 2.0, "lie between"),
    "huge": (lambda hu: hu * 1e20, "lie between"),
}


@pytest.mark.parametrize("name", GREYS)
@pytest.mark.parametrize("intensity", [HU, UNKNOWN])
def test_other_values_are_only_grey(name: str, intensity: Intensity) -> None:
    change, words = GREYS[name]
    scan = calibrate(scan_of(change(CHEST.astype(np.float64)), intensity))
    assert scan.intensity is DISPLAY
    assert scan.voxels.min() >= 0
    assert 200 <= scan.voxels.max() <= 255
    assert said(scan).status is Status.WARNING
    assert words in said(scan).found
    assert "Percentages" in said(scan).effect


def test_grey_keeps_the_order_of_values() -> None:
    scan = calibrate(scan_of((CHEST + 1024) / 4000))
    lung, body = CHEST < -700, (CHEST > 0) & (CHEST < 100)
    assert scan.voxels[lung].mean() < scan.voxels[body].mean() - 50


def test_inverted_grey_is_turned() -> None:
    grey = np.clip((CHEST + 1000) / 1400 * 255, 0, 255)
    plain = calibrate(scan_of(grey.astype(np.uint8)))
    turned = calibrate(scan_of((255 - grey).astype(np.uint8)))
    assert "inverted" in said(turned).done
    assert "inverted" not in said(plain).done
    assert np.abs(turned.voxels - plain.voxels).max() <= 1


def test_display_values_are_left_alone() -> None:
    grey = np.clip((CHEST + 1000) / 1400 * 255, 0, 255).astype(np.int16)
    scan = calibrate(scan_of(grey, DISPLAY))
    assert scan.intensity is DISPLAY
    assert np.array_equal(scan.voxels, grey)
    assert scan.verdicts == ()


# Claims that cannot be checked


def test_a_claim_without_peaks_is_used_and_doubted() -> None:
    values = np.random.default_rng(0).normal(40, 80, (8, 40, 40)).astype(np.int16)
    scan = calibrate(scan_of(values, HU))
    assert scan.intensity is HU
    assert said(scan).status is Status.WARNING
    assert "air or lung" in said(scan).found
    assert calibrate(scan_of(values, UNKNOWN)).intensity is DISPLAY


@pytest.mark.parametrize("low", [0, -1020])
def test_a_claim_that_cannot_be_true_is_not_used(low: int) -> None:
    values = low + np.random.default_rng(0).integers(0, 255, (8, 40, 40))
    assert calibrate(scan_of(values, HU)).intensity is DISPLAY


# What is no scan


@pytest.mark.parametrize("intensity", list(Intensity))
@pytest.mark.parametrize("value", [0, -1000, 3071])
def test_constant_scans_are_refused(intensity: Intensity, value: int) -> None:
    with pytest.raises(NotAnalyzableError, match="same value") as error:
        calibrate(scan_of(np.full((4, 20, 20), value), intensity))
    assert error.value.verdicts[0].status is Status.REFUSED
    assert error.value.verdicts[0].check == "intensity"


@pytest.mark.parametrize("intensity", [HU, UNKNOWN])
@pytest.mark.parametrize("offset", [0, -1024])
def test_masks_are_refused(intensity: Intensity, offset: int) -> None:
    mask = (CHEST < -600) * 2 + (CHEST > 0) + offset
    with pytest.raises(NotAnalyzableError, match="as in a mask"):
        calibrate(scan_of(mask, intensity))


def test_black_and_white_pictures_are_refused() -> None:
    with pytest.raises(NotAnalyzableError, match="as in a mask"):
        calibrate(scan_of((CHEST < -600) * 255, DISPLAY))


# Padding and odd slices


@pytest.mark.parametrize("filling", [-2000, -2048, -3024, -32768])
def test_padding_becomes_air_and_is_said(filling: int) -> None:
    values = CHEST.copy()
    values[:, :20, :20] = filling
    scan = calibrate(scan_of(values, HU))
    assert scan.hu()[:, :20, :20].max() == -1000
    assert np.array_equal(scan.hu()[:, 20:], values[:, 20:])
    assert said(scan, "padding").status is Status.NOTE
    assert "4.3 %" in said(scan, "padding").found
    assert said(scan).status is Status.OK


def test_padding_and_an_offset_together() -> None:
    values = CHEST + 1024
    values[:, :20, :20] = -2000
    scan = calibrate(scan_of(values))
    assert "1024 added" in said(scan).found
    assert scan.hu()[0, 0, 0] == -1000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda part: part * 0, "are blank"),
        (lambda part: part + 1024, "have values unlike"),
        (lambda part: (part + 1024) % 256 - 1024, "have values unlike"),
        (lambda part: part * 0 - 1000 + np.arange(96) // 8, "have values unlike"),
    ],
)
def test_blank_and_odd_slices_are_said(change: Callable[[Array], Array], words: str) -> None:
    values = CHEST.copy()
    values[30:32] = change(values[30:32])
    found = said(calibrate(scan_of(values, HU)), "pixel_integrity").found
    assert f"2 of 64 slices {words}" in found


def test_slices_of_air_at_the_ends_are_not_odd() -> None:
    values = CHEST.copy()
    values[:3] = values[-3:] = np.random.default_rng(0).normal(-1000, 10, (3, 96, 96))
    checks = {verdict.check for verdict in calibrate(scan_of(values, HU)).verdicts}
    assert "pixel_integrity" not in checks


def test_what_a_reader_said_of_unknown_values_is_overtaken() -> None:
    early = Verdict("intensity", Status.WARNING, "No rescale", "Read as stored", "No HU")
    scan = calibrate(scan_of(CHEST + 1024).told(early))
    assert [v.effect == "No HU" for v in scan.verdicts if v.check == "intensity"] == [False, False]


# What the user states


def test_a_stated_offset_is_added_once_and_said() -> None:
    scan = calibrate(scan_of(CHEST + 1024), hu_offset=-1024)
    assert np.array_equal(scan.hu(), CHEST)
    assert said(scan).status is Status.NOTE
    wrong = calibrate(scan_of(CHEST + 1024), hu_offset=500)
    assert said(wrong).status is Status.WARNING
    assert np.array_equal(wrong.hu(), CHEST + 1524)
    past = scan_of(CHEST, HU)
    past = replace(past, provenance=past.provenance.after("hu_offset", added=-1024, stated=True))
    assert np.array_equal(calibrate(past, hu_offset=-1024).hu(), CHEST)


def test_hu_from_a_stated_window_are_trusted_and_marked() -> None:
    window = np.clip(CHEST, -160, 240)
    scan = scan_of(window, HU)
    scan = replace(scan, provenance=scan.provenance.after("window_hu", low=-160, high=240))
    result = calibrate(scan)
    assert result.intensity is HU
    assert np.array_equal(result.hu(), window)
    assert "estimated" in said(result).found


# The parts


def test_the_sample_covers_scan_and_border() -> None:
    sample = take_sample(CHEST)
    assert sample.inside.size > 50_000
    assert np.abs(sample.border + 1000).max() < 100
    assert take_sample(CHEST[:1, :1, :1]).inside.size == 1


def test_nothing_is_seen_in_too_few_values() -> None:
    peaks = find_peaks(take_sample(CHEST[:1, :3, :3]))
    assert not peaks.confirmed
    assert peaks.air_hu is None


# Real scans


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["COVID-19 subjects/P001", "Cap subjects/cap001", "Normal subjects/normal001"]
)
def test_real_scans_and_what_is_made_of_them(name: str, data: Path) -> None:
    scan = read_scan(data / "covid-ct-md" / name)
    result = calibrate(scan)
    assert said(result).status is Status.OK
    assert {v.check for v in result.verdicts}.isdisjoint({"pixel_integrity", "padding"})
    hu = scan.hu()[::3, ::2, ::2]
    for kind, change in MISTAKES.items():
        result = calibrate(scan_of(change(hu)))
        assert np.array_equal(result.hu(), hu), kind
    for kind, (grey, _) in GREYS.items():
        assert calibrate(scan_of(grey(hu.astype(np.float64)))).intensity is DISPLAY, kind
