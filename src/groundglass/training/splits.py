"""Splits by patient or source, the same for everyone who trains on the same data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from groundglass.core.serial import from_json
from groundglass.datasets.slices import SliceItem
from groundglass.errors import ReadError


@dataclass(frozen=True)
class FoldSplit:
    """Which items are held out in which fold."""

    dataset: str
    """Name of the data set."""
    order: str
    """``blocks``: neighbours in the data set stay together; ``shuffled``: groups by chance;
    ``given``: the data set's own folds."""
    seed: int
    """Seed of ``shuffled``."""
    folds: tuple[tuple[str, ...], ...]
    """Names of the items held out in each fold."""
    groups: dict[str, str]
    """Group of every item that is in a fold."""
    given: tuple[int, ...] = ()
    """Numbers of the folds where the data set gives them; from 0 where empty."""

    @property
    def sha256(self) -> str:
        """Hash of what is held out where."""
        text = json.dumps([sorted(fold) for fold in self.folds])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of each fold."""
        return self.given or tuple(range(len(self.folds)))

    def held_out(self, number: int) -> tuple[str, ...]:
        """Return the names of the items held out in the fold of a number.

        Raises
        ------
        ValueError
            If there is no such fold.
        """
        if number not in self.numbers:
            msg = f"folds are {spoken(self.numbers)}, found {number}"
            raise ValueError(msg)
        return self.folds[self.numbers.index(number)]


def spoken(numbers: Sequence[int]) -> str:
    """Return numbers of folds in words."""
    first, last = min(numbers), max(numbers)
    if tuple(numbers) == tuple(range(first, last + 1)) and len(numbers) > 1:
        return f"{first} to {last}"
    return ", ".join(str(number) for number in numbers)


def given_numbers(items: Sequence[SliceItem]) -> tuple[int, ...]:
    """Return the numbers of a data set's own folds, in order; empty if it has none."""
    return tuple(sorted({item.fold for item in items if item.fold is not None}))


def given_folds(dataset: str, items: Sequence[SliceItem]) -> FoldSplit:
    """Return a data set's own folds.

    Parameters
    ----------
    dataset : str
        Name of the data set, for the record.
    items : sequence of SliceItem
        Those of the folds; others are left out.

    Raises
    ------
    ReadError
        If there are fewer than two folds, or a group is in two of them.
    """
    inside = [item for item in items if item.fold is not None]
    numbers = given_numbers(inside)
    if len(numbers) < 2:
        msg = f"{dataset} needs at least two folds to hold one out, found {len(numbers)}"
        raise ReadError(msg)
    fold_of: dict[str, int | None] = {}
    for item in inside:
        if fold_of.setdefault(item.group, item.fold) != item.fold:
            msg = (
                f"{dataset} holds one patient or source in the folds {fold_of[item.group]} and "
                f"{item.fold} ('{item.name}'); keep it in one"
            )
            raise ReadError(msg)
    return FoldSplit(
        dataset,
        "given",
        0,
        tuple(tuple(item.name for item in inside if item.fold == one) for one in numbers),
        {item.name: item.group for item in inside},
        numbers,
    )


def make_folds(
    dataset: str,
    items: Sequence[SliceItem],
    count: int = 5,
    *,
    order: str = "blocks",
    seed: int = 0,
) -> FoldSplit:
    """Return folds in which no group is on both sides.

    Parameters
    ----------
    dataset : str
        Name of the data set, for the record.
    items : sequence of SliceItem
        What to split.
    count : int
        Number of folds, at least 2.
    order : str
        ``blocks`` fills the folds in the order of the data set, so that neighbours, which may come
        from one scan, stay together; ``shuffled`` fills them by chance.
    seed : int
        Seed of ``shuffled``.

    Raises
    ------
    ValueError
        If there are fewer groups than folds, or the order is unknown.
    """
    members: dict[str, list[str]] = {}
    for item in items:
        members.setdefault(item.group, []).append(item.name)
    groups = list(members)
    if count < 2 or len(groups) < count:
        msg = f"{count} folds need as many patients or sources, at least 2; found {len(groups)}"
        raise ValueError(msg)
    if order not in {"blocks", "shuffled"}:
        msg = f"folds are made from blocks or shuffled, found '{order}'"
        raise ValueError(msg)
    if order == "shuffled":
        turned = np.random.default_rng(seed).permutation(len(groups))
        groups = [groups[int(index)] for index in turned]
    folds: list[list[str]] = [[] for _ in range(count)]
    fold, done = 0, 0
    for place, group in enumerate(groups):
        waiting = len(groups) - place
        full = done >= len(items) * (fold + 1) / count - 0.5 and fold < count - 1
        if folds[fold] and (full or waiting <= count - 1 - fold):
            fold += 1
        folds[fold] += members[group]
        done += len(members[group])
    return FoldSplit(
        dataset,
        order,
        seed,
        tuple(tuple(fold) for fold in folds),
        {item.name: item.group for item in items},
    )


def training_part(split: FoldSplit, fold: int, items: Sequence[SliceItem]) -> list[SliceItem]:
    """Return the items that may be trained on in a fold.

    An item is left out if it is held out or shares its group with one that is, also if it is not
    part of the split itself.
    """
    held = set(split.held_out(fold))
    groups = {split.groups[name] for name in held}
    return [item for item in items if item.name not in held and item.group not in groups]


def held_out_part(split: FoldSplit, fold: int, items: Sequence[SliceItem]) -> list[SliceItem]:
    """Return the items that are held out in a fold."""
    held = set(split.held_out(fold))
    return [item for item in items if item.name in held]


def watched_part(
    items: Sequence[SliceItem], share: float, seed: int = 0
) -> tuple[list[SliceItem], list[SliceItem]]:
    """Return items to train on and items to look at on the way, no group on both sides.

    Parameters
    ----------
    items : sequence of SliceItem
        What may be trained on.
    share : float
        Share of the groups to look at, in [0, 1); at least one group where it is above 0 and
        there are two.
    seed : int
        Seed of the choice.
    """
    groups = list(dict.fromkeys(item.group for item in items))
    if share <= 0 or len(groups) < 2:
        return list(items), []
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    turned = np.random.default_rng(seed).permutation(len(groups))
    chosen = {groups[int(index)] for index in turned[:count]}
    return (
        [item for item in items if item.group not in chosen],
        [item for item in items if item.group in chosen],
    )


def write_split(split: FoldSplit, path: Path) -> None:
    """Write a split with its hash."""
    record = {**asdict(split), "sha256": split.sha256}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_split(path: Path) -> FoldSplit:
    """Return the split in a file.

    Raises
    ------
    ValueError
        If the file is not a split, or was changed since it was written.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    wanted = record.pop("sha256", None)
    split = from_json(FoldSplit, json.dumps(record))
    if split.sha256 != wanted:
        msg = f"the split in {path.name} is not the one it was written with; train anew"
        raise ValueError(msg)
    return split
