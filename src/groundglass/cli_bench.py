"""Training, evaluation and synthetic pairs as the command line does them."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.table import Table

from groundglass.cli_models import plainly
from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.core.progress import OnProgress
from groundglass.datasets.finding import open_slices, parts_in
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ModelError, ReadError
from groundglass.evaluation.cross_validate import evaluate_folds, fold_marker
from groundglass.evaluation.enhancement import gain_of, write_gains
from groundglass.evaluation.evaluate import (
    PUBLISHED,
    evaluate_model,
    marker,
    predictor,
    thresholds_of,
)
from groundglass.evaluation.result import Evaluation, write_evaluation
from groundglass.evaluation.scores import score_all
from groundglass.models.catalogue import DEFAULT, Entry, load_catalogue
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.folders import read_pairs, synthesize_folder
from groundglass.systems.covid_rate.synthesis import Mode, SynthesisConfig

if TYPE_CHECKING:
    from groundglass.systems.recipes import Recipe
    from groundglass.training.fit import FitOptions
    from groundglass.training.run import Run

TRAIN_LIBRARIES = ("torch", "lightning", "safetensors", "onnxscript")
STOPPED = 130


@dataclass(frozen=True)
class TrainRequest:
    """What to train."""

    system: str
    """Name of the system."""
    data: Path
    """Folder of the data set."""
    out: Path | None
    """Folder of the run."""
    preset: str
    """Recipe of the system."""
    fold: str | None
    """Number of a fold, ``all``, or ``None`` to hold nothing out."""
    init: str
    """Weights to start from."""
    recipe: Path | None
    """Settings of the recipe."""
    resume: bool
    """Go on with the run in the folder."""
    allow_leak: bool
    """Train although a picture lies on two sides."""
    seed: int
    """Seed of all chance."""
    quiet: bool
    """Say nothing but errors."""
    pairs: Path | None = None
    """Folder of synthetic pairs."""


@dataclass(frozen=True)
class Hardware:
    """What to train on."""

    device: str = "auto"
    """``cpu``, ``gpu`` or ``auto``."""
    devices: int = 1
    """How many of them."""
    machines: int = 1
    """How many machines."""
    strategy: str = "auto"
    """How the work is shared."""


@dataclass(frozen=True)
class EvaluateRequest:
    """What to measure."""

    training: TrainRequest
    """The data, and what to train if something is trained."""
    hardware: Hardware
    """What to train on."""
    model: str | None
    """Model to measure."""
    no_train: bool
    """Never train."""
    split: str | None
    """Part of the data set."""
    threads: int
    """Threads of the network."""


@plainly
def run_training(request: TrainRequest, hardware: Hardware, *, enhanced: bool) -> int:
    """Train, say where it lies, return the exit code."""
    _require_extra()
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            run = _train(request, hardware, _all_parts(request.data), on_progress)
            places = [entry.path.parent for entry in run.entries.values()]
            if enhanced:
                places.append(_enhance(request, hardware, run, on_progress))
    except KeyboardInterrupt:
        complain("Stopped; the same command with --resume goes on from the last checkpoint.")
        return STOPPED
    if not request.quiet:
        console = out_console()
        for place in places:
            console.print(f"Trained: {place}", soft_wrap=True, markup=False)
        console.print("Add it with: groundglass models add FOLDER", markup=False)
    return 0


def _require_extra() -> None:
    missing = [name for name in TRAIN_LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"training needs {', '.join(missing)}: pip install 'groundglass[train]'"
        raise ModelError(msg)


def _all_parts(data: Path) -> SliceSet:
    parts = parts_in(data)
    if "train" not in parts:
        return open_slices(data, ["train"])
    return open_slices(data, parts)


def _train(
    request: TrainRequest, hardware: Hardware, slices: SliceSet, on_progress: OnProgress
) -> Run:
    from groundglass.training.run import RunOptions, train_run  # noqa: PLC0415 - loads torch

    assert request.out is not None
    options = RunOptions(
        folds=_folds(request.fold, RunOptions().fold_count),
        seed=request.seed,
        init=request.init,
        allow_leak=request.allow_leak,
        resume=request.resume,
        root=request.data,
        pairs=() if request.pairs is None else read_pairs(request.pairs),
        fit=_fit(hardware),
    )
    try:
        run = train_run(_recipe(request), slices, request.out, options, on_progress)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not run.entries:  # one of several devices that only trains
        raise typer.Exit
    return run


def _fit(hardware: Hardware) -> FitOptions:
    from groundglass.training.fit import FitOptions  # noqa: PLC0415 - loads torch

    return FitOptions(hardware.device, hardware.devices, hardware.machines, hardware.strategy)


def _folds(text: str | None, count: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    if text == "all":
        return tuple(range(count))
    if not text.isdigit() or int(text) >= count:
        msg = f"--fold is a number from 0 to {count - 1}, or all; found '{text}'"
        raise typer.BadParameter(msg)
    return (int(text),)


def _recipe(request: TrainRequest) -> Recipe:
    from groundglass.training.presets import recipe_for  # noqa: PLC0415 - loads torch

    try:
        settings = request.recipe.read_text(encoding="utf-8") if request.recipe else None
        return recipe_for(request.system, request.preset, settings)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error


def _enhance(request: TrainRequest, hardware: Hardware, run: Run, on_progress: OnProgress) -> Path:
    """Enhance on the part test, whole and by halves; write what that gained."""
    from groundglass.training.enhance import CAVEATS, halves  # noqa: PLC0415 - loads torch
    from groundglass.training.run import FULL  # noqa: PLC0415

    target = [item for item in run.items if item.split == "test"]
    if FULL not in run.entries or not target:
        msg = "--enhance needs the part test of the data set, and training without --fold"
        raise ReadError(msg)
    folder = run.folder / "enhanced"
    one, other = halves(target)
    rounds = {"transductive": (target, target), "disjoint": (one, other)}
    gains = {}
    for name, (adapted, scored) in rounds.items():
        if not adapted or not scored:
            continue
        after, chosen = _enhanced(request, hardware, run, adapted, folder / name, on_progress)
        before, later = (
            score_all(scored, predictor(model), thresholds_of(model.card), on_progress)
            for model in (Model(run.entries[FULL]), Model(after))
        )
        gains[name] = gain_of(before, later, chosen, disjoint=adapted is not scored)
    write_gains(gains, CAVEATS, folder / "gain.json")
    return folder


def _enhanced(  # noqa: PLR0913, PLR0917 - the parts of an enhancement
    request: TrainRequest,
    hardware: Hardware,
    run: Run,
    target: Sequence[SliceItem],
    folder: Path,
    on_progress: OnProgress,
) -> tuple[Entry, set[str]]:
    """Return the enhanced model and the names of the slices whose answers it learnt."""
    from groundglass.training.enhance import Trained, TunableRecipe, enhance  # noqa: PLC0415
    from groundglass.training.run import FULL, initial_network  # noqa: PLC0415

    recipe, entry = _recipe(request), run.entries[FULL]
    if not isinstance(recipe, TunableRecipe):
        msg = f"{request.system} ({request.preset}) has no enhancement"
        raise ModelError(msg)
    network = initial_network(recipe, str(entry.path.with_suffix(".safetensors")))
    assert network is not None
    start = Trained(network, entry, [item for item in run.items if item.split == "train"])
    found = enhance(recipe, start, target, folder, fit=_fit(hardware), on_progress=on_progress)
    places = {place for one in found.pseudo for place in (*one.chosen, *one.negatives)}
    return found.entry, {target[place].name for place in places}


@plainly
def run_evaluation(request: EvaluateRequest, *, as_json: bool) -> int:
    """Measure, show or print, return the exit code."""
    training = request.training
    if training.system not in PUBLISHED:
        msg = f"systems to evaluate are {', '.join(sorted(PUBLISHED))}; found '{training.system}'"
        raise typer.BadParameter(msg)
    trains = not request.no_train and request.model is None
    if trains and training.out is None:
        msg = "cross-validation needs a folder (-o OUT); or name a --model, or say --no-train"
        raise typer.BadParameter(msg)
    if trains:
        _require_extra()
    try:
        with hushed() as talk, progress_bar(talk, quiet=training.quiet) as on_progress:
            work = _cross_validate if trains else _measure
            found, files = work(request, on_progress)
    except KeyboardInterrupt:
        complain("Stopped.")
        return STOPPED
    if as_json:
        sys.stdout.write(found.to_json())
    else:
        _show(found, files)
    return 0


def _measure(
    request: EvaluateRequest, on_progress: OnProgress
) -> tuple[Evaluation, tuple[Path, ...]]:
    training = request.training
    entry = load_catalogue().find(request.model or DEFAULT, training.system)
    parts = parts_in(training.data)
    split = request.split or ("test" if "test" in parts else "train")
    try:
        slices = open_slices(training.data, [split])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    model = Model(entry, request.threads)
    found = evaluate_model(model, slices, split, on_progress=on_progress)
    if training.out is None:
        return found, ()
    return found, write_evaluation(found, training.out, slices.items, marker(model))


def _cross_validate(
    request: EvaluateRequest, on_progress: OnProgress
) -> tuple[Evaluation, tuple[Path, ...]]:
    training = request.training
    slices = _all_parts(training.data)
    training = replace(training, fold=training.fold or "all")
    run = _train(training, request.hardware, slices, on_progress)
    assert run.split is not None
    assert training.out is not None
    entries = {int(name.removeprefix("fold-")): entry for name, entry in run.entries.items()}
    folds = {fold: run.split.folds[fold] for fold in entries}
    leak = next((e.card.leak for e in entries.values() if e.card.leak), None)
    found = evaluate_folds(slices, run.items, folds, entries, leak=leak, on_progress=on_progress)
    marked = fold_marker(folds, entries)
    return found, write_evaluation(found, training.out / "evaluation", run.items, marked)


def _show(found: Evaluation, files: tuple[Path, ...]) -> None:
    console = out_console()
    console.print(
        f"{found.model} on {found.dataset}, {found.split}: {len(found.scores)} slices",
        markup=False,
    )
    console.print(_figures_table(found))
    console.print(_published_table(found))
    for note in found.notes:
        console.print(f"Note: {note}.", markup=False)
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def _figures_table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("Metric", "Value", "95 %", *found.baselines):
        plain = head in {"Metric", "95 %"}
        table.add_column(head, no_wrap=plain, justify="left" if plain else "right")
    for metric, one in found.metrics.items():
        low, high = _number(one.low, metric), _number(one.high, metric)
        span = f"{low} to {high}" if low else ""
        beside = [_number(rows[metric].value, metric) for rows in found.baselines.values()]
        table.add_row(metric, _number(one.value, metric), span, *beside)
    return table


def _published_table(found: Evaluation) -> Table:
    metrics = sorted({name for row in found.published.values() for name in row})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Published", no_wrap=True)
    for metric in metrics:
        table.add_column(metric.replace("_", " "), justify="right")
    for method, row in found.published.items():
        table.add_row(method, *(_number(row.get(metric)) for metric in metrics))
    own = {metric: found.metrics[metric].value for metric in metrics if metric in found.metrics}
    table.add_row("here", *(_number(own.get(metric)) for metric in metrics))
    return table


def _number(value: float | None, metric: str = "") -> str:
    if value is None:
        return ""
    coarse = metric == "hd95" or (metric.startswith("percent_") and metric != "percent_pc")
    return f"{value:.1f}" if coarse else f"{value:.3f}"


@plainly
def run_synthesis(  # noqa: PLR0913 - from where, to where, how
    infected: Path, healthy: Path, out: Path, *, mode: str, seed: int, quiet: bool
) -> int:
    """Make synthetic pairs, say how many were kept, return the exit code."""
    config = SynthesisConfig(mode=Mode(mode))
    with hushed() as talk, progress_bar(talk, quiet=quiet) as on_progress:
        records = synthesize_folder(infected, healthy, out, config, seed, on_progress)
    kept = sum(record.kept for record in records)
    if not quiet:
        refused = json.dumps(len(records) - kept)
        out_console().print(f"{kept} pairs in {out}, {refused} refused; see records.csv.")
    return 0 if kept else 1
