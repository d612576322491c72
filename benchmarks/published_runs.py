"""Short runs of the published backbones of Per-COVID-19: what they learn, and how fast.

    python benchmarks/published_runs.py --data DIR [--model resnext50 ...] [--slices 400]
                                        [--passes 3] [--held 160] [-o FILE]

Each network is trained from random weights by the published recipe on some slices of folds 2 to 4,
evenly taken, and judged on slices of fold 1. Says the mean loss of every pass, the mean absolute
error beside that of answering the mean of the training slices, and how long a pass over all slices
of the folds would take here. Such a run shows that a recipe learns, not how good it gets.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundglass.datasets.per_covid_19 import rated_slices
from groundglass.datasets.slices import SliceItem
from groundglass.systems.per_covid_19.network import BACKBONES
from groundglass.systems.per_covid_19.recipe import PublishedConfig, PublishedRecipe
from groundglass.systems.picture_batches import predicted
from groundglass.systems.recipes import TrainingData
from groundglass.training.fit import FitOptions, train_network

HELD_OUT = 1


def evenly(items: Sequence[SliceItem], count: int) -> list[SliceItem]:
    """Return so many items at equal steps."""
    places = np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))
    return [items[place] for place in places]


def run(model: str, train: list[SliceItem], held: list[SliceItem], passes: int) -> dict[str, Any]:
    """Return what one short training showed."""
    recipe = PublishedRecipe(replace(PublishedConfig(), model=model, epochs=passes))
    data = TrainingData(train)
    options = FitOptions(accelerator="cpu")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        network = train_network(recipe, data, Path(folder), options=options).eval()
        seconds = time.monotonic() - began
        with (Path(folder) / "main.curve.csv").open(encoding="utf-8", newline="") as file:
            losses = [round(float(row["loss"]), 3) for row in csv.DictReader(file)]
    (source,) = recipe.sources(0, TrainingData(held), network)
    began = time.monotonic()
    answers = predicted(network, source, recipe.facts.preparation, "cpu")[:, 0]
    answering = time.monotonic() - began
    known = np.array([one.target for one in train], dtype=float)
    wanted = np.array([one.target for one in held], dtype=float)
    return {
        "model": model,
        "parameters": sum(one.numel() for one in network.parameters()),
        "loss_of_passes": losses,
        "mae": round(float(np.abs(answers - wanted).mean()), 3),
        "mae_of_the_mean": round(float(np.abs(known.mean() - wanted).mean()), 3),
        "mae_of_the_median": round(float(np.abs(np.median(known) - wanted).mean()), 3),
        "correlation": round(float(np.corrcoef(answers, wanted)[0, 1]), 3),
        "seconds": round(seconds, 1),
        "seconds_a_slice": round(seconds / (passes * len(train)), 4),
        "seconds_a_slice_answered": round(answering / len(held), 4),
    }


def main() -> None:
    """Run the models and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of Per-COVID-19")
    parser.add_argument("--model", nargs="+", default=list(BACKBONES), choices=list(BACKBONES))
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--held", type=int, default=160)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    items = rated_slices(asked.data).items
    rest = [one for one in items if one.fold != HELD_OUT]
    held = evenly([one for one in items if one.fold == HELD_OUT], asked.held)
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "slices": asked.slices,
        "passes": asked.passes,
        "held_out": f"{len(held)} slices of fold {HELD_OUT}",
        "slices_of_a_full_pass": len(rest),
        "runs": [],
    }
    for model in asked.model:
        found = run(model, evenly(rest, asked.slices), held, asked.passes)
        found["seconds_of_a_full_pass"] = round(found["seconds_a_slice"] * len(rest))
        print(json.dumps(found), flush=True)
        report["runs"].append(found)
        if asked.output is not None:
            asked.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
