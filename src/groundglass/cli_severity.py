"""Identification and severity on the command line: its published tasks, its classifier."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.table import Table

from groundglass.cli_models import plainly
from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.core.progress import OnProgress
from groundglass.core.serial import from_json, to_json
from groundglass.datasets.patients import CLASSES
from groundglass.datasets.spgc import read_spgc_train
from groundglass.errors import ModelError
from groundglass.evaluation.infection_tasks import (
    TaskOptions,
    infection_48,
    infection_638,
    infection_mosmed,
)
from groundglass.evaluation.patient_figures import calibration_table, class_table, confusion
from groundglass.evaluation.patient_tasks import classes_task, grades_task, scores_task
from groundglass.evaluation.severity_masks import Method, open_network
from groundglass.evaluation.severity_published import patients_table
from groundglass.evaluation.tables import Cell, NumberTable, TaskResult, told, write_result
from groundglass.models.card import Task
from groundglass.models.catalogue import load_catalogue
from groundglass.models.runtime import Model
from groundglass.systems.identification_severity.statement import SYSTEM, WAYS
from groundglass.systems.identification_severity.training_config import CONFIGS, PatientConfig
from groundglass.systems.registry import system_named

if TYPE_CHECKING:
    from groundglass.training.patient_run import PatientRun

INFECTION = {
    "infection-48": infection_48,
    "infection-638": infection_638,
    "infection-mosmed": infection_mosmed,
}
CLASSIFICATION = ("spgc", "ldct")
TASKS = (*INFECTION, *CLASSIFICATION, "mosmed", "ctss")
"""Published tasks."""
LIBRARIES = ("torch", "timm", "safetensors", "onnxscript")
STOPPED = 130
MOST_COLUMNS = 6
"""A table with more is turned on its side to be printed."""


@dataclass(frozen=True)
class TaskRequest:
    """What to measure."""

    system: str
    """Name of the system, which must be this one."""
    task: str | None
    """One of ``TASKS``."""
    data: Path
    """Folder of the data set."""
    model: str | None
    """``published``, ``ours``, ``network``, or the name or file of a model."""
    out: Path | None
    """Folder for tables and page."""
    threads: int = 1
    """Threads of a network."""
    seed: int = 0
    """Seed of the bootstrap."""
    quiet: bool = False
    """Say nothing but errors."""


@plainly
def run_task(request: TaskRequest, *, as_json: bool) -> int:
    """Measure a task, show or print, return the exit code."""
    if request.system != SYSTEM:
        _require_known(request.system)
        msg = f"--task is for {SYSTEM}; {request.system} has none"
        raise typer.BadParameter(msg)
    if request.task not in TASKS:
        named = "none" if request.task is None else f"'{request.task}'"
        msg = f"tasks of {SYSTEM} are {', '.join(TASKS)} (--task); found {named}"
        raise typer.BadParameter(msg)
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            found = _measured(request, on_progress)
    except KeyboardInterrupt:
        complain("Stopped.")
        return STOPPED
    files = () if request.out is None else write_result(found, request.out)
    if as_json:
        sys.stdout.write(found.to_json())
    else:
        show_result(found, files)
    return 0


def _require_known(name: str) -> None:
    try:
        system_named(name, "evaluate")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _measured(request: TaskRequest, on_progress: OnProgress) -> TaskResult:
    task = str(request.task)
    if task in CLASSIFICATION:
        model = Model(load_catalogue().find(_classifier(request.model)), request.threads)
        low_dose = task == "ldct"
        return classes_task(request.data, model, low_dose=low_dose, on_progress=on_progress)
    method = Method.OURS if request.model is None else Method.NETWORK
    if request.model in set(Method):
        method = Method(request.model)
    if task in INFECTION:
        options = TaskOptions(method, seed=request.seed)
        if method is Method.NETWORK:
            named = "default" if request.model in {None, Method.NETWORK} else str(request.model)
            options = replace(options, network=open_network(named, request.threads))
        return INFECTION[task](request.data, options, on_progress)
    if method is Method.NETWORK and request.model not in {None, Method.NETWORK}:
        msg = f"the task {task} takes --model published, ours or network, not a file"
        raise typer.BadParameter(msg)
    work = grades_task if task == "mosmed" else scores_task
    return work(request.data, method, seed=request.seed, on_progress=on_progress)


def _classifier(name: str | None) -> str:
    """Return the classifier named, else the first one installed."""
    if name is not None and name not in set(Method):
        return name
    for entry in load_catalogue().entries:
        if entry.card.system == SYSTEM and entry.card.task is Task.CLASSES:
            return entry.card.name
    msg = (
        f"no classifier of patients is at hand: groundglass train {SYSTEM}, then --model FOLDER or "
        "groundglass models add FOLDER"
    )
    raise ModelError(msg)


def show_result(found: TaskResult, files: tuple[Path, ...]) -> None:
    """Print a result's tables, notes and files."""
    console = out_console()
    head = f"{found.task}: {found.model} on {found.dataset}, {found.count} entries"
    console.print(head, markup=False)
    for one in (*found.tables, found.published):
        console.print(_printed(one))
    for note in found.notes:
        console.print(f"Note: {note}.", markup=False)
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def _printed(one: NumberTable) -> Table:
    """Return a table for the terminal, turned on its side where it would be too wide."""
    table = Table(title=one.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    lines = one.lines(MOST_COLUMNS)
    for place, cell in enumerate(lines[0]):
        head = str(cell).replace("_", " ")  # so that it breaks between words
        table.add_column(head, justify="right" if place else "left", overflow="fold")
    for row in lines[1:]:
        table.add_row(*(told(cell) for cell in row))
    return table


@dataclass(frozen=True)
class PatientRequest:
    """What to train."""

    data: Path
    """Folder of SPGC-COVID or COVID-CT-MD."""
    out: Path
    """Folder of the run."""
    preset: str
    """``published`` or ``ours``."""
    init: str = "random"
    """Weights of the backbone to start from."""
    recipe: Path | None = None
    """Settings as JSON."""
    fold: str | None = None
    """Number of a fold, ``all``, or ``None``."""
    resume: bool = False
    """Go on with the run in the folder."""
    seed: int = 0
    """Seed of all chance."""
    quiet: bool = False
    """Say nothing but errors."""
    unused: Mapping[str, object] = field(default_factory=dict)
    """Options of other systems, by name; one that was given is refused."""


@plainly
def run_patient_training(request: PatientRequest) -> int:
    """Train the classifier of patients, show how those held out are called, return the code."""
    given = [name for name, value in request.unused.items() if value not in {None, False}]
    if given:
        option = given[0].replace("_", "-")
        msg = f"--{option} is not for {SYSTEM}"
        raise typer.BadParameter(msg)
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"training needs {', '.join(missing)}: pip install 'groundglass[train]'"
        raise ModelError(msg)
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            found, places = _trained(request, on_progress)
    except KeyboardInterrupt:
        complain("Stopped; the same command with --resume goes on, features made are kept.")
        return STOPPED
    files = write_result(found, request.out / "held_out")
    if not request.quiet:
        show_result(found, (*files, *places))
        out_console().print("Add it with: groundglass models add FOLDER", markup=False)
    return 0


def _trained(request: PatientRequest, on_progress: OnProgress) -> tuple[TaskResult, list[Path]]:
    from groundglass.training.patient_run import (  # noqa: PLC0415 - loads torch
        FOLDS,
        PatientRunOptions,
        train_patients,
    )

    folds = None if request.fold is None else _folds(request.fold, FOLDS)
    options = PatientRunOptions(request.preset, request.init, request.seed, folds, request.resume)
    patients = read_spgc_train(request.data)
    run = train_patients(patients, _config(request), request.out, options, on_progress)
    places = [entry.path.parent for entry in run.entries.values()]
    return _held_out(run, f"{SYSTEM}-{request.preset}", options.data_name), places


def _held_out(run: PatientRun, model: str, dataset: str) -> TaskResult:
    """Return how the patients held out in training are called."""
    truth = [one.label for one in run.held]
    called: dict[str, list[str]] = {
        way: [one.decisions[way].label for one in run.held] for way in WAYS
    }
    shares: dict[str, list[Mapping[str, float]]] = {
        way: [one.decisions[way].shares for one in run.held] for way in WAYS
    }
    tables = [class_table(truth, called, CLASSES), calibration_table(truth, shares, CLASSES)]
    tables += [confusion(truth, called[way], CLASSES, f"Confusion, by {way}") for way in WAYS]
    items: list[dict[str, Cell]] = [
        {
            "patient": one.patient,
            "reference": one.label,
            "fold": one.fold,
            **{way: one.decisions[way].label for way in WAYS},
        }
        for one in run.held
    ]
    published = patients_table(("validation",))
    count, found = len(items), tuple(tables)
    task, notes = "held out in training", _notes(run)
    return TaskResult(SYSTEM, task, model, dataset, count, found, published, tuple(items), notes)


def _notes(run: PatientRun) -> tuple[str, ...]:
    spent = run.spent
    told = (
        f"features of {spent.made} patients were made, {spent.slices} slices, "
        f"{spent.preparing_seconds:.0f} s of the processor preparing and "
        f"{spent.network_seconds:.0f} s in the network; "
        f"{spent.kept} were there already"
    )
    if not run.chosen_on_held:
        return (told,)
    return (
        told,
        "epoch and temperature were chosen on these very patients; --fold all measures others",
    )


def _config(request: PatientRequest) -> PatientConfig:
    """Return the settings of the preset, changed where the recipe names them."""
    config = CONFIGS[request.preset]
    if request.recipe is None:
        return config
    try:
        text = request.recipe.read_text(encoding="utf-8")
        from_json(PatientConfig, text)
        changed = _changed(json.loads(to_json(config)), json.loads(text))
        return from_json(PatientConfig, json.dumps(changed))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _changed(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed."""
    inner = {
        name: _changed(settings[name], change)
        for name, change in changes.items()
        if isinstance(change, dict)
    }
    return {**settings, **changes, **inner}


def _folds(text: str, count: int) -> tuple[int, ...]:
    if text == "all":
        return tuple(range(count))
    if not text.isdigit() or int(text) >= count:
        msg = f"--fold is a number from 0 to {count - 1}, or all; found '{text}'"
        raise typer.BadParameter(msg)
    return (int(text),)
