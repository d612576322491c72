"""COVID-Rate with and without synthetic pairs, with and without enhancement, on real slices.

A short honest run of the published network and loss on the data at hand, not the paper's data: of
the 50 doctors' slices of COVID-SemiSeg one fold (whole sources) is held out. Pairs are lesions of
the COVID-19 series of COVID-CT-MD, marked by our training-free rule, laid into the normal series.
All arms take the same number of steps from the same weights. The enhancement sees the held-out
images, not their labels, so its rows are transductive.

    python benchmarks/covid_rate_ablation.py --data DIR [--side 128 --steps 150 --tuning 8]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from groundglass.checks.intensity import calibrate
from groundglass.datasets.covid_ct_md import CtMdPatient, read_covid_ct_md
from groundglass.datasets.slices import SliceItem
from groundglass.evaluation.compare import compare
from groundglass.evaluation.evaluate import predictor, thresholds_of
from groundglass.evaluation.scores import SliceScore, score_all
from groundglass.evaluation.severity_masks import Method, volume_masks
from groundglass.evaluation.summary import summarise
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model
from groundglass.readers.read import read_scan
from groundglass.systems.covid_rate.folders import PairItem, name_of, read_pairs, synthesize_folder
from groundglass.systems.identification_severity.presets import VOLUME
from groundglass.systems.registry import system_named
from groundglass.training.enhance import EnhanceConfig, Trained, TunableRecipe, enhance
from groundglass.training.fit import FitOptions
from groundglass.training.presets import recipe_for
from groundglass.training.run import RunOptions, train_run
from groundglass.training.start import initial_network

BATCH = 8
FIGURES = ("dice", "dice_pooled", "sensitivity", "specificity", "dice_mean256")


def series(data: Path, diagnosis: str) -> CtMdPatient:
    """Return the first series of a diagnosis."""
    patients = read_covid_ct_md(data / "covid-ct-md")
    return next(patient for patient in patients if patient.diagnosis == diagnosis)


def write_donors(patient: CtMdPatient, folder: Path) -> None:
    """Write the slices of a series with the rule's marks, laid out as COVID-CT-Rate."""
    scan = calibrate(read_scan(patient.folder))
    lungs, marked = volume_masks(scan, Method.OURS, None, VOLUME)
    for name in ("Images", "Masks", "Lungs"):
        (folder / name).mkdir(parents=True)
    for number, (hu, lung, ill) in enumerate(zip(scan.hu(), lungs, marked, strict=True)):
        if (ill & (lung > 0)).any():
            np.save(folder / "Images" / f"{name_of(number)}.npy", np.rint(hu).astype(np.int16))
            for name, mask in (("Masks", ill & (lung > 0)), ("Lungs", lung > 0)):
                picture = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
                picture.save(folder / name / f"{name_of(number)}.png")


def made_pairs(data: Path, folder: Path) -> tuple[PairItem, ...]:
    """Return synthetic slices made of the series at hand."""
    write_donors(series(data, "COVID-19"), folder / "donors")
    healthy = series(data, "NORMAL").folder
    synthesize_folder(folder / "donors", healthy, folder / "pairs")
    return read_pairs(folder / "pairs")


def scored(entry: Entry, held: Sequence[SliceItem]) -> list[SliceScore]:
    """Return the scores of a model on the held-out slices."""
    model = Model(entry)
    return score_all(held, predictor(model), thresholds_of(model.card))


def arms(
    given: argparse.Namespace, pairs: tuple[PairItem, ...], folder: Path
) -> tuple[dict[str, list[SliceScore]], dict[str, float]]:
    """Train without or with pairs, then enhance; return scores and seconds of both arms."""
    slices = system_named("covid-rate").read_all(given.data / "covid-semiseg")
    fit = FitOptions(precision=given.precision)
    start = time.perf_counter()
    doctors = sum(item.annotator == "doctor" for item in slices.items)
    known = doctors - doctors // given.folds + len(pairs)
    settings = {"side_px": given.side, "epochs": max(round(given.steps * BATCH / known), 1)}
    recipe = recipe_for("covid-rate", "published", json.dumps(settings), {})
    options = RunOptions((given.fold,), given.folds, given.seed, pairs=pairs, fit=fit)
    run = train_run(recipe, slices, folder, options)
    assert run.split is not None
    assert isinstance(recipe, TunableRecipe)
    entry, names = run.entries[f"fold-{given.fold}"], set(run.split.held_out(given.fold))
    held = [item for item in run.items if item.name in names]
    groups = {item.group for item in held}
    known_items = [
        item
        for item in (*run.items, *(pair.item for pair in pairs))
        if item.annotator in recipe.annotators and item.group not in groups
    ]
    before, between = scored(entry, held), time.perf_counter()
    network = initial_network(recipe, str(entry.path.with_suffix(".safetensors")))
    assert network is not None
    config = EnhanceConfig(epochs=given.tuning, seed=given.seed)
    trained = Trained(network, entry, known_items)
    after = enhance(recipe, trained, held, folder / "enhanced", config=config, fit=fit)
    seconds = {"training_s": between - start, "enhancement_s": time.perf_counter() - between}
    return {"plain": before, "enhanced": scored(after.entry, held)}, seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both arms, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--side", type=int, default=128, help="pixels; published: 512")
    parser.add_argument("--steps", type=int, default=150, help="optimiser steps of every arm")
    parser.add_argument("--tuning", type=int, default=4, help="passes of the enhancement")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", help="e.g. bf16-mixed")
    parser.add_argument("--out", type=Path, help="also write the result here")
    given = parser.parse_args(arguments)
    found: dict[str, list[SliceScore]] = {}
    times: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pairs = made_pairs(given.data, folder)
        for name, used in (("no pairs", ()), ("pairs", pairs)):
            scores, times[name] = arms(given, used, folder / f"run with {name}")
            found |= {f"{name}, {kind}": one for kind, one in scores.items()}
    base = found["no pairs, plain"]
    rows: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        figures = summarise(one)
        rows[name] = {figure: asdict(figures[figure]) for figure in FIGURES}
        rows[name]["dice_gain"] = asdict(compare(one, base)) if one is not base else None
    report = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "settings": {
            key: str(value) for key, value in vars(given).items() if key not in {"data", "out"}
        },
        "pairs": len(pairs),
        "held_out": len(base),
        "seconds": times,
        "rows": rows,
    }
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
