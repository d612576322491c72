"""A training run: split, leak guard, one network or one for each fold, and all to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ExportError
from groundglass.models.card import card_path, read_card, sha256_of
from groundglass.models.catalogue import Entry, Origin
from groundglass.systems.covid_rate.folders import SYNTHETIC, PairItem
from groundglass.systems.recipes import (
    ClassesRecipe,
    Recipe,
    Source,
    TrainingData,
)
from groundglass.training.export import Origins, versions
from groundglass.training.finish import finish_model
from groundglass.training.fit import FitOptions, leads, train_network
from groundglass.training.leak import (
    COPY_FROM,
    SAME_FROM,
    Prints,
    guard,
    joined_sources,
    prints_of,
)
from groundglass.training.splits import (
    FoldSplit,
    given_folds,
    given_numbers,
    held_out_part,
    make_folds,
    training_part,
    watched_part,
    write_split,
)
from groundglass.training.start import initial_network, told_start

RECORD = "run.json"
FULL = "full"


@dataclass(frozen=True)
class RunOptions:
    """What to train."""

    folds: tuple[int, ...] | None = None
    """Folds to hold out, each with a network of its own, as the data set numbers them, else from 0;
    ``None`` to train on everything."""
    fold_count: int = 5
    """Folds of the split where the data set has none of its own."""
    seed: int = 0
    """Seed of the run."""
    init: str = "random"
    """``random``, ``imagenet`` or a safetensors file."""
    allow_leak: bool = False
    """Train even if the same picture lies on two sides of the split."""
    resume: bool = False
    """Go on with the run in the folder."""
    root: Path | None = None
    """Folder of data, for sources without masks."""
    pairs: tuple[PairItem, ...] = ()
    """Synthetic slices; each is left out where the source of its lesions is held out."""
    fit: FitOptions = field(default_factory=FitOptions)
    """On what to train."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run made."""

    folder: Path
    """Where it lies."""
    split: FoldSplit | None
    """The folds, where the run has some."""
    items: tuple[SliceItem, ...]
    """All slices, related ones under one source."""
    entries: dict[str, Entry]
    """Models by ``full`` or ``fold-0`` and so on."""
    leak: str | None
    """What ``allow_leak`` let through."""
    watched: dict[str, tuple[SliceItem, ...]] = field(default_factory=dict)
    """What was looked at on the way and not trained on, by name of the model."""


def train_run(
    recipe: Recipe,
    slices: SliceSet,
    out: Path,
    options: RunOptions | None = None,
    on_progress: OnProgress = silent,
) -> Run:
    """Train by a recipe and write everything that is needed to repeat it.

    Slices drawn by doctors in the part ``train`` make the folds, unless the data set has its own.
    Some of what is trained on is set apart to be looked at on the way if the recipe asks for that,
    or the data set's part ``val``; never any of a held-out fold unless the recipe says so as its
    leak. Other slices are trained on unless they are related to a held-out one. Slices of the part
    ``test`` are never trained on; they are only there for the leak guard.

    Parameters
    ----------
    recipe : Recipe
        How.
    slices : SliceSet
        On what.
    out : Path
        Folder of the run; must be empty unless ``resume``.
    options : RunOptions, optional
    on_progress : callable, optional

    Raises
    ------
    ExportError
        If the folder holds another run, or something else.
    LeakError
        If the same picture lies on two sides of the split.
    ModelError
        If the weights to start from do not fit.
    ValueError
        If a fold is not there, or there are fewer sources than folds.
    """
    options = options or RunOptions()
    if slices.classes and isinstance(recipe, ClassesRecipe):
        recipe = recipe.with_classes(slices.classes)
    prints = prints_of(slices.items)
    items = slices.items if slices.groups_known else joined_sources(slices.items, prints)
    least = COPY_FROM if slices.groups_known else SAME_FROM
    made = _made(recipe, items, options.pairs)
    split = _split(slices, items, options)
    if leads():
        _claim(out, _record(recipe, slices, prints, options), resume=options.resume)
    if split is not None and leads():
        write_split(split, out / "split.json")
    run = Run(out, split, items, {}, None)
    for name, chosen, held in _parts([*items, *made], recipe.annotators, split, options):
        parts = _watched(recipe, items, chosen, held, options.seed)
        leak = guard(prints, parts.sides(held), allowed=options.allow_leak, least=least)
        origins = Origins(
            name=f"{recipe.system}-{recipe.preset}-{name}",
            licence=slices.licence,
            training_data=_seen(recipe, slices, options),
            leak="; ".join(text for text in (leak, recipe.leak) if text) or None,
            split_sha256=None if split is None else split.sha256,
            folds_seen=given_numbers((*parts.chosen, *parts.watched)),
        )
        entry = _train_one(recipe, parts, out / name, origins, options, on_progress)
        if entry is not None:
            run.entries[name] = entry
            run.watched[name] = tuple(parts.watched)
    return run


@dataclass(frozen=True, eq=False)
class _Parts:
    """What one network is trained on, and what is looked at on the way."""

    chosen: Sequence[SliceItem]
    watched: Sequence[SliceItem]

    def sides(self, held: Sequence[SliceItem]) -> dict[str, list[str]]:
        """Return the names of the pictures on each side of the split."""
        out = {item.name for item in held}
        return {
            "train": [item.name for item in self.chosen if item.annotator != SYNTHETIC],
            "val": [i.name for i in self.watched if i.split == "val" and i.name not in out],
            "held out": [item.name for item in held],
        }


def _watched(
    recipe: Recipe,
    items: Sequence[SliceItem],
    chosen: Sequence[SliceItem],
    held: Sequence[SliceItem],
    seed: int,
) -> _Parts:
    """Return the parts of one network: the data set's own part val is watched where it has one."""
    if recipe.leak is not None:
        if not held:
            msg = f"the published leak ({recipe.leak}) needs a held-out fold; add --fold"
            raise ValueError(msg)
        return _Parts(chosen, held)
    own = [item for item in items if item.split == "val" and item.annotator in recipe.annotators]
    if own:
        return _Parts(chosen, own)
    return _Parts(*watched_part(chosen, recipe.watched_share, seed))


def _made(recipe: Recipe, items: Sequence[SliceItem], pairs: Sequence[PairItem]) -> list[SliceItem]:
    """Return synthetic slices under the source of their lesions."""
    if pairs and SYNTHETIC not in recipe.annotators:
        msg = f"the preset {recipe.preset} makes synthetic slices itself and takes no pairs"
        raise ValueError(msg)
    groups = {item.name: item.group for item in items}
    return [pair.item.within(groups.get(pair.donor, pair.donor)) for pair in pairs]


def _split(slices: SliceSet, items: Sequence[SliceItem], options: RunOptions) -> FoldSplit | None:
    if options.folds is None:
        return None
    doctors = [item for item in items if item.split == "train" and item.annotator == "doctor"]
    if given_numbers(doctors):
        split = given_folds(slices.dataset, doctors)
    else:
        split = make_folds(slices.dataset, doctors, options.fold_count)
    for fold in options.folds:
        split.held_out(fold)
    return split


def fold_numbers(slices: SliceSet, count: int = RunOptions.fold_count) -> tuple[int, ...]:
    """Return the numbers of the folds a data set can be split into, its own or made ones."""
    return given_numbers(slices.items) or tuple(range(count))


def _parts(
    items: Sequence[SliceItem],
    annotators: Sequence[str],
    split: FoldSplit | None,
    options: RunOptions,
) -> list[tuple[str, list[SliceItem], list[SliceItem]]]:
    """Return name, slices to train on, and slices held out, for each network."""
    untouched = {"test", "val"}
    able = [i for i in items if i.split not in untouched and i.annotator in annotators]
    if split is None or options.folds is None:
        return [(FULL, able, [item for item in items if item.split == "test"])]
    found = []
    for fold in options.folds:
        held = held_out_part(split, fold, able)
        found.append((f"fold-{fold}", training_part(split, fold, able), held))
    return found


def _seen(recipe: Recipe, slices: SliceSet, options: RunOptions) -> tuple[str, ...]:
    start = () if options.init == "random" else (told_start(options.init),)
    others = recipe.other_data(TrainingData((), options.root))
    return (slices.dataset, *others, *start)


def _train_one(  # noqa: PLR0913, PLR0917 - the parts of a training
    recipe: Recipe,
    parts: _Parts,
    folder: Path,
    origins: Origins,
    options: RunOptions,
    on_progress: OnProgress,
) -> Entry | None:
    """Train and export one network; processes that do not lead return nothing."""
    path = folder / "model.onnx"
    if path.is_file() and card_path(path).is_file():
        return Entry(read_card(card_path(path)), path, Origin.FILE)
    data = TrainingData(parts.chosen, options.root, options.seed)
    start = initial_network(recipe, options.init, options.seed)
    network = train_network(
        recipe,
        data,
        folder,
        start=start,
        validation=_validation(recipe, parts.watched, options),
        options=options.fit,
        on_progress=on_progress,
    )
    if not leads():
        return None
    return finish_model(recipe, network, parts.chosen, parts.watched, origins, folder)


def _validation(
    recipe: Recipe, watched: Sequence[SliceItem], options: RunOptions
) -> Sequence[Source]:
    """Return the sources to look at on the way."""
    if not watched:
        return ()
    return recipe.sources(0, TrainingData(watched, None, options.seed), nn.Identity())


def _record(
    recipe: Recipe, slices: SliceSet, prints: Prints, options: RunOptions
) -> dict[str, Any]:
    """Return what a run is: the same record, the same run."""
    start = options.init
    if start not in {"random", "imagenet"}:
        path = Path(start)
        start = sha256_of(path.read_bytes()) if path.is_file() else path.name
    return {
        "system": recipe.system,
        "preset": recipe.preset,
        "recipe": TypeAdapter(type(recipe.config)).dump_python(recipe.config, mode="json"),
        "dataset": slices.dataset,
        "slices": len(slices.items),
        "slices_sha256": sha256_of("".join(prints.digests).encode()),
        "pairs": [[pair.item.name, pair.donor] for pair in options.pairs],
        "seed": options.seed,
        "fold_count": options.fold_count,
        "init": start,
        "checkpoint_steps": options.fit.checkpoint_steps,
        "fit": asdict(options.fit),
    }


def _claim(out: Path, record: dict[str, Any], *, resume: bool) -> None:
    """Write the record, or make sure that the folder holds the same run."""
    place = out / RECORD
    text = json.dumps(record, indent=2) + "\n"
    if place.is_file():
        if not resume:
            msg = "the folder holds a run already; say --resume to go on with it, or name another"
            raise ExportError(msg)
        found = json.loads(place.read_text(encoding="utf-8"))
        changed = sorted(key for key in set(record) - {"fit"} if found.get(key) != record[key])
        if changed:
            msg = f"the run in the folder differs in {', '.join(changed)}; it cannot go on so"
            raise ExportError(msg)
        return
    if out.is_dir() and any(out.iterdir()):
        msg = "the folder for the run is not empty and holds no run; name another"
        raise ExportError(msg)
    out.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    (out / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n", encoding="utf-8")
