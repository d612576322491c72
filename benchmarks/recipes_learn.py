"""Short honest runs of the published recipes: does the loss fall, is a constant beaten, how fast.

No reproduction: a few slices, a few passes, from random weights. For Per-COVID-19 each of the three
backbones is trained on slices of folds 2 to 4 and measured on slices of fold 1, beside the best
constants of the training slices; for COVID_CT the DenseNet of the seed on pictures of ``train``,
measured on ``val``, beside always naming the class most common in training.

    python benchmarks/recipes_learn.py per-covid-19 --data DIR [--train 120 --held 60 --passes 3]
    python benchmarks/recipes_learn.py covid-ct --data DIR [--train 425 --held 118 --passes 10]
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.datasets.covid_ct_slices import all_parts
from groundglass.datasets.per_covid_19 import rated_slices
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.evaluation.card_figures import with_figures
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model
from groundglass.systems.pictures import answers, targets_of
from groundglass.training.fit import FitOptions
from groundglass.training.presets import recipe_for
from groundglass.training.run import FULL, RunOptions, train_run
from groundglass.training.votes import last_vote

HELD_FOLD = 1
MODELS = {"per-covid-19": ("resnext50", "densenet161", "inception3"), "covid-ct": (None,)}


def evenly(items: Sequence[SliceItem], count: int) -> list[SliceItem]:
    """Return so many items, evenly spread over the list."""
    return [items[place] for place in np.linspace(0, len(items) - 1, count).astype(int)]


def parts_of(system: str, data: Path, train: int, held: int) -> tuple[SliceSet, list[SliceItem]]:
    """Return what is trained on together with what is held out, and the latter alone."""
    if system == "covid-ct":
        slices = all_parts(data)
        own = [item for item in slices.items if item.split == "train"]
        out = evenly([item for item in slices.items if item.split == "val"], held)
    else:
        slices = rated_slices(data)
        own = [item for item in slices.items if item.fold != HELD_FOLD]
        out = evenly([item for item in slices.items if item.fold == HELD_FOLD], held)
    return replace(slices, items=(*evenly(own, train), *out)), out


def error_of(system: str, said: Any, wanted: Any) -> float:
    """Return the mean absolute error of percentages, or the share of classes that are wrong."""
    return round(float(np.abs(said - wanted).mean()), 4 if system == "covid-ct" else 2)


def constants(system: str, known: Any, wanted: Any) -> dict[str, float]:
    """Return the errors of the best constants of the training slices."""
    said = {"median": float(np.median(known)), "mean": float(known.mean())}
    if system == "covid-ct":
        said = {"most common class": float(known.mean() > 0.5)}
    return {name: error_of(system, value, wanted) for name, value in said.items()}


def figures_of(
    system: str, entry: Entry, slices: SliceSet, held: Sequence[SliceItem]
) -> dict[str, tuple[float | None, ...]]:
    """Return figures of a classifier with their 95 % intervals, which draw sources."""
    if system != "covid-ct":
        return {}
    scores = with_figures(entry, slices, held).card.scores
    return {one.metric: (one.value, one.low, one.high) for one in scores}


def learnt(given: argparse.Namespace, model: str | None, folder: Path) -> dict[str, Any]:
    """Train one network shortly and return what it learnt."""
    slices, held = parts_of(given.system, given.data, given.train, given.held)
    choices = {"epochs": given.passes, **({} if model is None else {"model": model})}
    recipe = recipe_for(given.system, "published", None, choices)
    folds = None if given.system == "covid-ct" else (HELD_FOLD,)
    start, began = time.perf_counter(), time.process_time()
    options = RunOptions(
        folds=folds, allow_leak=True, fit=FitOptions(precision=given.precision, workers=1)
    )
    run = train_run(recipe, slices, folder, options)
    seconds = time.perf_counter() - start, time.process_time() - began
    name = FULL if folds is None else f"fold-{HELD_FOLD}"
    opened = Model(run.entries[name])
    said = np.array([answers(opened, [item.read()])[0, -1] for item in held])
    said = np.rint(said) if given.system == "covid-ct" else said
    wanted, out = targets_of(held), {item.name for item in held}
    known = targets_of([item for item in slices.items if item.name not in out])
    with (folder / name / "main.curve.csv").open(encoding="utf-8") as text:
        losses = [round(float(row["loss"]), 4) for row in csv.DictReader(text)]
    return {
        "network": opened.card.architecture,
        "precision": given.precision or recipe.precision,
        "parameters": opened.card.parameters,
        "trained_on": len(known),
        "held_out": len(held),
        "loss_by_pass": losses,
        "error": error_of(given.system, said, wanted),
        "error_of_constants": constants(given.system, known, wanted),
        "last_vote": last_vote(folder / name) or None,
        "figures_of_the_last_pass": figures_of(given.system, run.entries[name], slices, held),
        "wall_s_per_pass": round(seconds[0] / given.passes, 1),
        "processor_s_per_pass": round(seconds[1] / given.passes, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print as JSON, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=tuple(MODELS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--held", type=int, default=60)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--precision", help="e.g. bf16-mixed; that of the recipe where not given")
    parser.add_argument("--model", help="one of the networks alone")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    models = (given.model,) if given.model else MODELS[given.system]
    found: dict[str, Any] = {
        "error_is": "share wrong" if given.system == "covid-ct" else "mean absolute error, points",
        "time_is": "of training and export, divided by the passes",
        "runs": {},
    }
    for model in models:
        with tempfile.TemporaryDirectory() as place:
            found["runs"][model or "published"] = learnt(given, model, Path(place) / "run")
    sys.stdout.write(write_report(found, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
