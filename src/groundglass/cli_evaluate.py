"""Evaluation as the command line does it: measure or cross-validate, then show or print."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich import box
from rich.table import Table

from groundglass.cli_bench import (
    STOPPED,
    Hardware,
    TrainRequest,
    bench_system,
    require_extra,
    train,
)
from groundglass.cli_models import plainly
from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.core.progress import OnProgress
from groundglass.evaluation.kinds import evaluate_folds, evaluate_model, write_any
from groundglass.evaluation.percent_figures import MEANING as PERCENT_MEANING
from groundglass.evaluation.result import Evaluation
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model
from groundglass.systems.registry import read_part


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
def run_evaluation(request: EvaluateRequest, *, as_json: bool) -> int:
    """Measure, show or print, return the exit code."""
    training = request.training
    bench_system(training.system, "evaluate")
    trains = not request.no_train and request.model is None
    if trains and training.out is None:
        msg = "cross-validation needs a folder (-o OUT); or name a --model, or say --no-train"
        raise typer.BadParameter(msg)
    if trains:
        require_extra()
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
    entry = find_model(request.model or DEFAULT, training.system)
    try:
        slices, split = read_part(bench_system(training.system), training.data, request.split)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    model = Model(entry, request.threads)
    found = evaluate_model(model, slices, split, on_progress=on_progress)
    if training.out is None:
        return found, ()
    model_of = dict.fromkeys((item.name for item in slices.items), model)
    return found, write_any(found, training.out, slices.items, model_of)


def _cross_validate(
    request: EvaluateRequest, on_progress: OnProgress
) -> tuple[Evaluation, tuple[Path, ...]]:
    training = request.training
    if training.published_fold is not None:
        msg = (
            "published folds overlap; train one with groundglass train --fold published-K, then "
            "evaluate with --split testK --model MODEL"
        )
        raise typer.BadParameter(msg)
    slices = training.slices()
    training = replace(training, fold=training.fold or "all")
    run = train(training, request.hardware, slices, on_progress)
    assert run.split is not None
    assert training.out is not None
    entries = {int(name.removeprefix("fold-")): entry for name, entry in run.entries.items()}
    folds = {fold: run.split.held_out(fold) for fold in entries}
    leak = next((e.card.leak for e in entries.values() if e.card.leak), None)
    found = evaluate_folds(slices, run.items, folds, entries, leak=leak, on_progress=on_progress)
    models = {fold: Model(entry) for fold, entry in entries.items()}
    model_of = {name: models[fold] for fold, names in folds.items() for name in names}
    return found, write_any(found, training.out / "evaluation", run.items, model_of)


def _show(found: Evaluation, files: tuple[Path, ...]) -> None:
    console = out_console()
    console.print(
        f"{found.model} on {found.dataset}, {found.split}: {len(found.scores)} slices",
        markup=False,
    )
    console.print(_figures_table(found))
    if found.folds:
        console.print(_folds_table(found))
    console.print(_published_table(found))
    for note in found.notes:
        console.print(f"Note: {note}.", markup=False)
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def _figures_table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("Metric", "Value", "95 %", *found.baselines):
        plain = head in {"Metric", "95 %"}
        table.add_column(head, no_wrap=plain, justify="left" if plain else "right", min_width=6)
    for metric, one in found.metrics.items():
        low, high = _number(one.low, metric), _number(one.high, metric)
        span = f"{low} to {high}" if low else ""
        beside = [_number(rows[metric].value, metric) for rows in found.baselines.values()]
        table.add_row(metric, _number(one.value, metric), span, *beside)
    return table


def _folds_table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Part", no_wrap=True)
    for metric in next(iter(found.folds.values())):
        table.add_column(metric.replace("_", " "), justify="right")
    for part, row in found.folds.items():
        table.add_row(part, *(_number(value, metric) for metric, value in row.items()))
    return table


def _published_table(found: Evaluation) -> Table:
    metrics = sorted({name for row in found.published.values() for name in row})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Published", min_width=8, max_width=34)
    for metric in metrics:
        table.add_column(metric.replace("_", " "), justify="right", min_width=6)
    for method, row in found.published.items():
        table.add_row(method, *(_number(row.get(metric), metric) for metric in metrics))
    own = {metric: found.metrics[metric].value for metric in metrics if metric in found.metrics}
    table.add_row("here", *(_number(own.get(metric), metric) for metric in metrics))
    return table


def _number(value: float | None, metric: str = "") -> str:
    if value is None:
        return ""
    coarse = metric == "hd95" or (metric.startswith("percent_") and metric != "percent_pc")
    points = metric in PERCENT_MEANING and not metric.endswith("_pc")
    digits = 1 if coarse else 2 if points else 3
    return f"{value:.{digits}f}"
