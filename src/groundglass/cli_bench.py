"""Training, evaluation and synthetic pairs as the command line does them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from groundglass.cli_models import plainly
from groundglass.console import complain, hushed, out_console, progress_bar
from groundglass.core.progress import OnProgress
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ModelError, ReadError
from groundglass.evaluation.card_figures import put_figures
from groundglass.evaluation.enhancement import gain_of, write_gains
from groundglass.evaluation.evaluate import predictor, thresholds_of
from groundglass.evaluation.scores import score_all
from groundglass.models.catalogue import Entry
from groundglass.models.runtime import Model
from groundglass.systems.covid_rate.folders import read_pairs, synthesize_folder
from groundglass.systems.covid_rate.synthesis import Mode, SynthesisConfig
from groundglass.systems.registry import Measure, System, system_named

if TYPE_CHECKING:
    from groundglass.systems.recipes import Recipe
    from groundglass.training.fit import FitOptions
    from groundglass.training.run import Run

TRAIN_LIBRARIES = ("torch", "lightning", "safetensors", "onnxscript", "timm")
STOPPED = 130
PUBLISHED_FOLD = "published-"
"""What the name of a fold with published, overlapping parts begins with on the command line."""


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
    choices: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the recipe chosen by name, as ``model`` and ``loss``."""

    def slices(self) -> SliceSet:
        """Return all slices of the data set that are trained on or held out."""
        system, number = bench_system(self.system), self.published_fold
        if number is None:
            return system.read_all(self.data)
        if system.published_fold is None or not number.isdigit():
            msg = f"--fold of {self.system} is a number or all; found '{self.fold}'"
            raise typer.BadParameter(msg)
        return system.published_fold(self.data, int(number))

    @property
    def published_fold(self) -> str | None:
        """What stands after ``published-`` in the fold; ``None`` for other folds."""
        told = self.fold or ""
        return told.removeprefix(PUBLISHED_FOLD) if told.startswith(PUBLISHED_FOLD) else None


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
    precision: str | None = None
    """Of the arithmetic; ``None`` for that of the recipe."""
    workers: int = 0
    """Processes that prepare batches beside training."""


@plainly
def run_training(request: TrainRequest, hardware: Hardware, *, enhanced: bool) -> int:
    """Train, say where it lies, return the exit code."""
    bench_system(request.system)  # a wrong name is told without the extra too
    require_extra()
    try:
        with hushed() as talk, progress_bar(talk, quiet=request.quiet) as on_progress:
            run = train(request, hardware, request.slices(), on_progress)
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


def require_extra() -> None:
    """Refuse to train where the libraries for it are not installed."""
    missing = [name for name in TRAIN_LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"training needs {', '.join(missing)}: pip install 'groundglass[train]'"
        raise ModelError(msg)


def bench_system(name: str, purpose: str = "train") -> System:
    """Return a system, refusing an unknown name as wrong use."""
    try:
        return system_named(name, purpose)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def train(
    request: TrainRequest, hardware: Hardware, slices: SliceSet, on_progress: OnProgress
) -> Run:
    """Train what is asked for and return the run."""
    from groundglass.training.run import RunOptions, fold_numbers, train_run  # noqa: PLC0415

    assert request.out is not None
    options = RunOptions(
        folds=None if request.published_fold else _folds(request.fold, fold_numbers(slices)),
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
    if system_named(request.system).measure is Measure.CLASSES:
        put_figures(run, slices, on_progress)
    return run


def _fit(hardware: Hardware) -> FitOptions:
    from groundglass.training.fit import FitOptions  # noqa: PLC0415 - loads torch

    return FitOptions(
        hardware.device,
        hardware.devices,
        hardware.machines,
        hardware.strategy,
        precision=hardware.precision,
        workers=hardware.workers,
    )


def _folds(text: str | None, numbers: tuple[int, ...]) -> tuple[int, ...] | None:
    from groundglass.training.splits import spoken  # noqa: PLC0415

    if text is None:
        return None
    if text == "all":
        return numbers
    if not text.isdigit() or int(text) not in numbers:
        msg = f"--fold is a number, {spoken(numbers)}, or all; found '{text}'"
        raise typer.BadParameter(msg)
    return (int(text),)


def _recipe(request: TrainRequest) -> Recipe:
    from groundglass.training.presets import recipe_for  # noqa: PLC0415 - loads torch

    try:
        settings = request.recipe.read_text(encoding="utf-8") if request.recipe else None
        return recipe_for(request.system, request.preset, settings, request.choices)
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
    from groundglass.training.run import FULL  # noqa: PLC0415
    from groundglass.training.start import initial_network  # noqa: PLC0415

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
