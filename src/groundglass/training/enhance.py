"""The unsupervised enhancement of COVID-Rate: training goes on with the network's surest answers.

Images of the target set, not their labels, enter training, so figures on it are transductive. The
disjoint variant adapts on one half of the target's sources and scores the other. Slices without
lesion always have certainty 0 and are never chosen, which pushes the network towards finding
lesions; confident negatives counter that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch import nn

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.certainty import Pseudo, PseudoConfig, choose_pseudo
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs
from groundglass.systems.covid_rate.method import infection_map
from groundglass.systems.covid_rate.recipe import PSEUDO
from groundglass.systems.recipes import Recipe, TrainingData
from groundglass.training.export import Origins, export_model
from groundglass.training.fit import FitOptions, train_network

CAVEATS = (
    "transductive: images of the slices scored, not their labels, entered training",
    "slices without lesion are never chosen unless as confident negatives, which pushes the "
    "network towards finding lesions",
)


@runtime_checkable
class TunableRecipe(Recipe, Protocol):
    """A recipe that can go on from a trained network."""

    def tuning(self, epochs: int, learning_rate: float) -> Recipe:
        """Return the recipe of a short training that starts from a trained network."""


@dataclass(frozen=True)
class EnhanceConfig:
    """Settings of the enhancement; none of them is published."""

    pseudo: PseudoConfig = field(default_factory=PseudoConfig)
    """Which answers become labels."""
    epochs: int = 20
    """Length of a round."""
    learning_rate: float = 1e-4
    """Learning rate of a round."""
    rounds: int = 1
    """How often answers are drawn anew."""
    seed: int = 0
    """Seed of the rounds."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network."""

    network: nn.Module
    """The network."""
    entry: Entry
    """The same, exported."""
    labelled: Sequence[SliceItem]
    """What it was trained on."""


@dataclass(frozen=True, eq=False)
class Enhanced:
    """The enhanced model and how it came to be."""

    entry: Entry
    """The model."""
    pseudo: tuple[Pseudo, ...]
    """What was chosen in each round."""


def choose_from(
    model: Model, target: Sequence[SliceItem], config: PseudoConfig
) -> tuple[Pseudo, list[SliceItem]]:
    """Return what a model is sure of on unlabelled slices, and the slices with its masks.

    References of the target are not looked at.
    """
    slices = [replace(item.read(), lesion=None, kinds_known=False) for item in target]
    lungs = [_lungs(one) for one in slices]
    maps = [
        infection_map(model, one.values, one.intensity, lung.astype(np.uint8))[0]
        for one, lung in zip(slices, lungs, strict=True)
    ]
    found = choose_pseudo(maps, lungs, config)
    items = []
    for index in sorted((*found.chosen, *found.negatives)):
        lesion = found.masks[index].astype(np.uint8)
        read = partial(replace, slices[index], lesion=lesion)
        item = target[index]
        items.append(SliceItem(f"sure/{item.name}", item.group, item.split, PSEUDO, read))
    return found, items


def _lungs(one: Slice) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    if one.lungs is not None:
        return one.lungs > 0
    if one.intensity.name == "HU":
        return fallback_lungs(one.values)
    return np.ones(one.values.shape, bool)


def enhance(  # noqa: PLR0913 - what an enhancement is made of
    recipe: TunableRecipe,
    start: Trained,
    target: Sequence[SliceItem],
    folder: Path,
    *,
    config: EnhanceConfig | None = None,
    fit: FitOptions | None = None,
    on_progress: OnProgress = silent,
) -> Enhanced:
    """Go on training with the surest answers on a target set.

    Parameters
    ----------
    recipe : TunableRecipe
        What the network was trained by.
    start : Trained
        The network to go on from; changed in place.
    target : sequence of SliceItem
        Slices whose images, not labels, are used.
    folder : Path
        Where to; the choice of each round is written there.
    config : EnhanceConfig, optional
    fit : FitOptions, optional
    on_progress : callable, optional
    """
    config = config or EnhanceConfig()
    tuning = recipe.tuning(config.epochs, config.learning_rate)
    network, entry = start.network, start.entry
    chosen: list[Pseudo] = []
    for number in range(config.rounds):
        place = folder / f"round-{number + 1}"
        found, sure = choose_from(Model(entry), target, config.pseudo)
        chosen.append(found)
        place.mkdir(parents=True, exist_ok=True)
        _write_choice(found, target, place / "chosen.json")
        data = TrainingData([*start.labelled, *sure], seed=config.seed + number)
        network = train_network(
            tuning, data, place, start=network, options=fit, on_progress=on_progress
        )
        origins = Origins(
            name=f"{recipe.system}-{recipe.preset}-enhanced",
            licence=entry.card.licence,
            training_data=(*entry.card.training_data, "its own surest answers on the target set"),
            leak=entry.card.leak,
            split_sha256=entry.card.split_sha256,
        )
        entry = export_model(tuning, network, origins, place)
    return Enhanced(entry, tuple(chosen))


def _write_choice(found: Pseudo, target: Sequence[SliceItem], path: Path) -> None:
    counts, edges = np.histogram(found.certainty, bins=20, range=(0, 1))
    record = {
        "chosen": [target[index].name for index in found.chosen],
        "negatives": [target[index].name for index in found.negatives],
        "median_certainty": found.median,
        "certainty": {
            item.name: value for item, value in zip(target, found.certainty, strict=True)
        },
        "histogram": {"counts": counts.tolist(), "edges": edges.round(3).tolist()},
        "caveats": CAVEATS,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def halves(items: Sequence[SliceItem]) -> tuple[list[SliceItem], list[SliceItem]]:
    """Return the target in two halves that share no source: to adapt on one and score the other."""
    groups = list(dict.fromkeys(item.group for item in items))
    first = set(groups[: (len(groups) + 1) // 2])
    return (
        [item for item in items if item.group in first],
        [item for item in items if item.group not in first],
    )
