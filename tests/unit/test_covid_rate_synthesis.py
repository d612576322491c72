"""Synthetic pairs: the published rule to the pixel, the laws of both modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.errors import LeakError
from groundglass.systems.covid_rate.synthesis import (
    Donor,
    Mode,
    Pair,
    Recipient,
    SynthesisConfig,
    min_max,
    synthesize,
    takes_lesions,
)

FAITHFUL = SynthesisConfig(mode=Mode.FAITHFUL)
SIDE = 64


def ellipse(row: float, column: float, rows: float, columns: float, side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    inside: np.ndarray = ((y - row) / rows) ** 2 + ((x - column) / columns) ** 2 < 1
    return inside


def slice_of(seed: int, lungs: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 20, lungs.shape)
    return (np.where(lungs > 0, -850, 40) + noise).astype(np.int16)


def two_lungs(shift: float = 0) -> np.ndarray:
    lungs = np.zeros((SIDE, SIDE), np.uint8)
    lungs[ellipse(32 + shift, 18, 22, 11)] = 1
    lungs[ellipse(32 + shift, 46, 20, 12)] = 2
    return lungs


def donor(seed: int = 0, empty: bool = False) -> Donor:
    lungs = two_lungs()
    lesion = np.zeros(lungs.shape, bool) if empty else ellipse(36, 20, 8, 6) & (lungs == 1)
    hu = slice_of(seed, lungs)
    hu[lesion] = -400
    return Donor(f"ill{seed}", hu, lesion, lungs)


def recipient(seed: int = 9, shift: float = 2) -> Recipient:
    lungs = two_lungs(shift)
    return Recipient(f"healthy{seed}", slice_of(seed, lungs), lungs)


def made(config: SynthesisConfig, donors: Sequence[Donor], seed: int = 0) -> list[Pair]:
    return list(synthesize(donors, [recipient(9), recipient(10, -2)], config, seed))


@pytest.mark.parametrize(("pixels", "accepted"), [(8000, True), (7864, False), (7865, True)])
def test_a_healthy_slice_needs_more_than_three_percent_of_lung(pixels: int, accepted: bool) -> None:
    lungs = np.zeros((512, 512), np.uint8)
    lungs.flat[:pixels] = 1
    assert takes_lesions(Recipient("r", lungs.astype(np.int16), lungs), FAITHFUL) is accepted


@pytest.mark.parametrize(("overlap", "kept"), [(80, False), (81, True)])
def test_a_pair_needs_more_than_one_percent_of_lesion(overlap: int, kept: bool) -> None:
    lungs = np.zeros((512, 512), np.uint8)
    lungs.flat[:8000] = 1
    lesion = np.zeros((512, 512), bool)
    lesion.flat[8000 - overlap : 8100] = True
    hu = np.arange(512 * 512, dtype=np.float32).reshape(512, 512)
    ill = Donor("d", hu, lesion, np.ones((512, 512), np.uint8))
    (pair,) = synthesize([ill], [Recipient("r", hu, lungs)], FAITHFUL)
    assert pair.record.kept is kept
    assert bool(pair.record.reason) is not kept
    assert pair.record.rate_after == overlap / 8000
    assert pair.record.rate_before == (overlap + 100) / 8000


def test_faithful_pairs_are_pasted_at_the_same_pixels() -> None:
    (pair,) = made(FAITHFUL, [donor()])
    ill, healthy = (
        donor(),
        next(r for r in (recipient(9), recipient(10, -2)) if r.name == pair.record.recipient),
    )
    lung = healthy.lungs > 0
    wanted = min_max(ill.hu) * (ill.lungs > 0) * ill.lesion
    wanted = (min_max(healthy.hu) * lung * ~ill.lesion + wanted) * lung
    np.testing.assert_allclose(pair.image, min_max(wanted), atol=1e-6)
    assert pair.image.min() == 0
    assert pair.image.max() == 1
    np.testing.assert_array_equal(pair.mask, ill.lesion & lung)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_mask_lies_in_the_healthy_lung_and_nothing_else_changes(mode: Mode) -> None:
    config = SynthesisConfig(mode=mode)
    for pair in made(config, [donor(i) for i in range(4)]):
        healthy = next(
            r for r in (recipient(9), recipient(10, -2)) if r.name == pair.record.recipient
        )
        assert not (pair.mask & (healthy.lungs == 0)).any()
        outside = ~pair.mask
        if mode is Mode.IMPROVED:
            np.testing.assert_array_equal(pair.image[outside], healthy.hu[outside])
            assert pair.image[pair.mask].mean() > healthy.hu[pair.mask].mean() + 100
        else:
            before = min_max(healthy.hu) * (healthy.lungs > 0)
            fit = np.polyfit(before[outside], pair.image[outside], 1)
            np.testing.assert_allclose(
                np.polyval(fit, before[outside]), pair.image[outside], atol=1e-5
            )


@pytest.mark.parametrize("mode", list(Mode))
def test_a_donor_without_lesion_is_always_refused(mode: Mode) -> None:
    (pair,) = made(SynthesisConfig(mode=mode), [donor(empty=True)])
    assert not pair.record.kept
    assert not pair.mask.any()


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.sampled_from(Mode))
def test_the_same_seed_gives_the_same_bytes(seed: int, mode: Mode) -> None:
    config = SynthesisConfig(mode=mode)
    first, second = (made(config, [donor(1), donor(2)], seed) for _ in range(2))
    assert [p.image.tobytes() for p in first] == [p.image.tobytes() for p in second]
    assert [p.record for p in first] == [p.record for p in second]


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_refused_pairs_are_small_or_cut(seed: int) -> None:
    for mode in Mode:
        for pair in made(SynthesisConfig(mode=mode), [donor(3)], seed):
            rate = pair.record.rate_after
            cut = rate < 0.7 * pair.record.rate_before
            assert pair.record.kept == (rate > 0.01 and not (mode is Mode.IMPROVED and cut))


def test_a_mirrored_lesion_changes_sides() -> None:
    config = SynthesisConfig(mirror_share=1.0, rotation_degrees=0.0, scale=(1.0, 1.0))
    (pair,) = made(config, [donor()])
    assert pair.mask[:, 32:].any()
    assert not pair.mask[:, :32].any()


def test_lesions_follow_the_density_of_the_new_lung() -> None:
    healthy = recipient()
    lighter = Recipient("light", healthy.hu + np.int16(60), healthy.lungs)
    config = SynthesisConfig(mirror_share=0.0)
    (one,) = synthesize([donor()], [healthy], config)
    (other,) = synthesize([donor()], [lighter], config)
    change = (other.image - one.image)[one.mask]
    np.testing.assert_allclose(change, 60, atol=0.01)


def test_lungs_without_sides_are_laid_as_one() -> None:
    plain = recipient()
    merged = Recipient("merged", plain.hu, (plain.lungs > 0).astype(np.uint8))
    (pair,) = synthesize([donor()], [merged], SynthesisConfig(mirror_share=0.0))
    assert pair.mask.any()


def test_donors_and_recipients_of_two_parts_are_refused() -> None:
    ill = donor()
    test = Donor("t", ill.hu, ill.lesion, ill.lungs, split="test")
    with pytest.raises(LeakError, match="one part of a split"):
        list(synthesize([test], [recipient()]))


def test_no_healthy_slice_and_other_shapes_are_refused() -> None:
    ill = donor()
    empty = Recipient("e", ill.hu, np.zeros_like(ill.lungs))
    with pytest.raises(ValueError, match="no healthy slice"):
        list(synthesize([ill], [empty]))
    other = Recipient("o", ill.hu[:60], ill.lungs[:60])
    with pytest.raises(ValueError, match="one shape"):
        list(synthesize([ill], [other], FAITHFUL))


def test_a_constant_slice_becomes_zeros() -> None:
    assert not min_max(np.full((3, 3), 7.0)).any()
