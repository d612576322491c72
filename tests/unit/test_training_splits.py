"""Splits keep groups together; the leak guard finds copies however they were turned."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from groundglass.core.scan import Intensity
from groundglass.datasets.covid_ct_rate import fake_slice
from groundglass.datasets.finding import open_slices
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import LeakError
from groundglass.training.leak import find_twins, guard, joined_sources, prints_of
from groundglass.training.splits import (
    held_out_part,
    make_folds,
    read_split,
    training_part,
    write_split,
)


def nothing() -> Slice:
    raise AssertionError


def item(name: str, group: str) -> SliceItem:
    return SliceItem(name, group, "train", "doctor", nothing)


def picture(name: str, values: np.ndarray, group: str | None = None) -> SliceItem:
    read = partial(Slice, values, Intensity.DISPLAY, None)
    return SliceItem(name, group or name, "train", "doctor", read)


def texture(seed: int, side: int = 96) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.normal(120, 60, (7, 7)).astype(np.float32))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return np.array(np.clip(smooth, 0, 255), np.uint8)


def compressed(values: np.ndarray, quality: int = 60) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


@given(
    st.lists(st.integers(0, 9), min_size=6, max_size=40),
    st.integers(2, 5),
    st.sampled_from(["blocks", "shuffled"]),
    st.integers(0, 5),
)
def test_no_group_is_on_two_sides(groups: list[int], count: int, order: str, seed: int) -> None:
    items = [item(f"s{i}", f"g{group}") for i, group in enumerate(groups)]
    if len(set(groups)) < count:
        with pytest.raises(ValueError, match="folds need as many"):
            make_folds("fake", items, count)
        return
    split = make_folds("fake", items, count, order=order, seed=seed)
    assert sorted(name for fold in split.folds for name in fold) == sorted(i.name for i in items)
    assert all(split.folds)
    for fold in range(count):
        held = {i.group for i in held_out_part(split, fold, items)}
        assert held.isdisjoint(i.group for i in training_part(split, fold, items))


def test_blocks_keep_neighbours_together() -> None:
    split = make_folds("fake", [item(f"s{i}", f"g{i}") for i in range(10)], 5)
    assert split.folds[0] == ("s0", "s1")
    assert split.folds[4] == ("s8", "s9")


def test_strangers_of_a_held_out_group_are_not_trained_on() -> None:
    items = [item(f"s{i}", f"g{i}") for i in range(4)]
    split = make_folds("fake", items, 2)
    more = [*items, item("other", "g0"), item("free", "h")]
    assert [i.name for i in training_part(split, 0, more)] == ["s2", "s3", "free"]


def test_a_split_is_written_with_its_hash(tmp_path: Path) -> None:
    split = make_folds("fake", [item(f"s{i}", f"g{i}") for i in range(6)], 3, order="shuffled")
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split
    text = (tmp_path / "split.json").read_text(encoding="utf-8")
    (tmp_path / "split.json").write_text(text.replace(split.sha256, "0" * 64), encoding="utf-8")
    with pytest.raises(ValueError, match="not the one it was written with"):
        read_split(tmp_path / "split.json")


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="blocks or shuffled"):
        make_folds("fake", [item(f"s{i}", f"g{i}") for i in range(6)], 3, order="sorted")


@pytest.mark.parametrize("change", ["same", "turned", "mirrored", "compressed", "scaled", "all"])
def test_copies_are_found_however_they_were_changed(change: str) -> None:
    original = texture(1)
    copy = {
        "same": original,
        "turned": np.rot90(original),
        "mirrored": original[:, ::-1],
        "compressed": compressed(original),
        "scaled": np.asarray(Image.fromarray(original).resize((140, 120))),
        "all": compressed(np.rot90(original[::-1], 3)),
    }[change]
    prints = prints_of([picture("a", original), picture("b", texture(2)), picture("c", copy)])
    (twins,) = find_twins(prints, prints)
    assert {twins.first, twins.second} == {"a", "c"}
    assert (twins.likeness == 1) == (change in {"same", "turned", "mirrored"})
    with pytest.raises(LeakError, match=r"a \(train\) and c \(test\)"):
        guard(prints, {"train": ["a", "b"], "test": ["c"]})
    told = guard(prints, {"train": ["a", "b"], "test": ["c"]}, allowed=True)
    assert told is not None
    assert "1 pairs" in told
    assert guard(prints, {"train": ["a", "c"], "test": ["b"]}) is None
    assert guard(prints, {"train": ["a", "c"], "test": []}) is None


def test_different_slices_of_hu_are_not_twins() -> None:
    generator = np.random.default_rng(0)
    items = []
    for index in range(3):
        hu = np.roll(fake_slice(generator)[0], 9 * index, axis=0)
        hu[30 * index : 30 * index + 30, 40:90] = 40
        read = partial(Slice, hu, Intensity.HU, None)
        items.append(SliceItem(f"s{index}", f"s{index}", "train", "doctor", read))
    prints = prints_of(items)
    assert find_twins(prints, prints) == []


def test_related_pictures_become_one_source() -> None:
    one = texture(3)
    items = [picture("a", one), picture("b", texture(4)), picture("c", one[::-1])]
    items.append(picture("d", compressed(one, 40)))
    assert [i.group for i in joined_sources(items, prints_of(items))] == ["a", "b", "a", "a"]


def test_the_known_copies_in_covid_semiseg_are_found(data: Path) -> None:
    found = open_slices(data / "covid-semiseg", ["train"])
    twins = find_twins(prints_of(found.items), prints_of(found.items))
    pairs = {tuple(sorted((t.first, t.second))) for t in twins}
    assert {("train/10", "train/43"), ("train/46", "train/5"), ("train/17", "train/4")} <= pairs
