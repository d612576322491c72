"""The one training loop: any recipe, on one processor, one or several GPUs, several machines.

Every batch and every random choice of a step is drawn from a generator seeded by seed, stage, step
and device. A run that is stopped therefore goes on to the same weights from its last checkpoint.
"""

from __future__ import annotations

import copy
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.errors import ModelError
from groundglass.systems.recipes import Recipe, Source, Stage, TrainingData
from groundglass.training.curves import Point, write_curves
from groundglass.training.votes import Ballot


@dataclass(frozen=True)
class FitOptions:
    """On what to train, and how often to put a checkpoint down."""

    accelerator: str = "auto"
    """``cpu``, ``gpu`` or ``auto``."""
    devices: int | str = 1
    """How many of them, or ``auto`` for all."""
    machines: int = 1
    """How many machines take part."""
    strategy: str = "auto"
    """How work is shared, in the words of the training library, e.g. ``ddp``."""
    precision: str | None = None
    """Of the arithmetic, in the words of the training library, e.g. ``bf16-mixed``; ``None`` for
    that of the recipe."""
    workers: int = 0
    """Processes that prepare batches."""
    checkpoint_steps: int = 100
    """Steps between checkpoints."""


@dataclass(eq=False)
class Job:
    """One stage of one network."""

    recipe: Recipe
    """How to train."""
    index: int
    """Place of the stage."""
    stage: Stage
    """The stage."""
    sources: Sequence[Source]
    """What to train on."""
    validation: Sequence[Source]
    """What to look at on the way; may be empty."""
    seed: int
    """Seed of the run."""
    options: FitOptions = field(default_factory=FitOptions)
    """On what."""

    @property
    def check_steps(self) -> int:
        """Steps between checkpoints, and between looks at the validation slices."""
        return self.stage.check_steps or self.options.checkpoint_steps

    @property
    def average_decay(self) -> float | None:
        """Decay of the running average of weights; ``None`` to keep the last ones."""
        decay = self.stage.average_decay
        return self.recipe.average_decay if decay is None else decay


_PASS = 2
"""Tells the seed of a pass from those of its steps."""


def leads() -> bool:
    """Return whether this process writes; the others of several devices only train."""
    return int(rank_zero_only.rank or 0) == 0


def seed_of(*numbers: int) -> int:
    """Return one seed that depends on all numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


class _Batches(Dataset[Any]):
    """The batches of one stretch; each is a function of its step alone."""

    def __init__(self, job: Job, start: int, stop: int, device: int, devices: int) -> None:
        self.job, self.start, self.stop = job, start, stop
        self.device, self.devices = device, devices
        self.count = max(job.stage.batch // devices, 1)

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        job, step = self.job, self.start + place
        generator = torch.Generator()
        generator.manual_seed(seed_of(job.seed, job.index, step, self.device))
        sources, count, turn = job.sources, self.count, 0
        if job.stage.shuffled:
            turn = step // job.stage.steps_of_pass(len(_only(job.sources).stacks))
            rows = rows_of_step(job, step, self.devices)[self.device :: self.devices]
            sources, count = [_only(job.sources).only(rows)], len(rows)
        batch = job.recipe.batch(job.index, sources, count, generator)
        places = {"step": step, "steps": job.stage.steps, "pass": turn}
        return {**batch, **{name: torch.tensor(place) for name, place in places.items()}}


def _only(sources: Sequence[Source]) -> Source:
    if len(sources) != 1:
        msg = f"a shuffled stage goes through one source, found {len(sources)}"
        raise ValueError(msg)
    return sources[0]


def rows_of_step(job: Job, step: int, devices: int = 1) -> list[int]:
    """Return the slices of a step of a shuffled stage: each once in a pass, the last step fewer.

    So that every device has one, a last step with fewer slices than devices begins again.
    """
    count = len(_only(job.sources).stacks)
    turn, place = divmod(step, job.stage.steps_of_pass(count))
    generator = torch.Generator()
    generator.manual_seed(seed_of(job.seed, job.index, turn, _PASS))
    order = torch.randperm(count, generator=generator).tolist()
    rows = order[place * job.stage.batch : (place + 1) * job.stage.batch]
    return rows + order[: max(devices - len(rows), 0)]


class Trainee(pl.LightningModule):
    """A network in training: its weights, their average, the schedule and the curve."""

    def __init__(self, job: Job, network: nn.Module, on_progress: OnProgress) -> None:
        super().__init__()
        self.job, self.network, self.on_progress = job, network, on_progress
        average = copy.deepcopy(network) if job.average_decay is not None else None
        self.average = None if average is None else average.requires_grad_(requires_grad=False)
        self.points: list[Point] = []
        self.best: dict[str, Tensor] | None = None
        self.ballot = Ballot(job.recipe, job.validation)
        self.began = time.monotonic()
        self._losses: list[float] = []
        self._factor: Callable[[int], float] = lambda _: 1.0

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken in this stage."""
        return int(self.trainer.global_step)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches up to the next checkpoint."""
        start = self.current_epoch * self.job.check_steps
        stop = min(start + self.job.check_steps, self.job.stage.steps)
        world, rank = self.trainer.world_size, self.trainer.global_rank
        batches = _Batches(self.job, start, stop, rank, world)
        return DataLoader(batches, batch_size=None, num_workers=self.job.options.workers)

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser with its schedule by step."""
        optimiser, self._factor = self.job.recipe.optimiser(self.job.stage, self.network)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._factor)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Seed what chance the network itself uses, dropout for one."""
        step = int(batch["step"])
        torch.manual_seed(seed_of(self.job.seed, self.job.index, step, self.trainer.global_rank, 1))

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch."""
        loss: Tensor = self.job.recipe.loss(self.network, batch)
        self._losses.append(float(loss.detach()))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Move the average of the weights, and tell how far the stage is."""
        if self.average is not None:
            _move(self.average, self.network, self.job.average_decay or 0.0, self.steps_done)
        self.on_progress(Progress(f"training, {self.job.stage.name}", *self._place()))

    def _place(self) -> tuple[int, int]:
        return self.steps_done, self.job.stage.steps

    def on_train_epoch_end(self) -> None:
        """Put a point on the curve; look at the validation slices; stop if they get no better."""
        loss = float(np.mean(self._losses)) if self._losses else math.nan
        self._losses = []
        if not math.isfinite(loss):
            msg = f"the loss is no longer a number at step {self.steps_done}; lower the rate"
            raise ModelError(msg)
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        figure = self.ballot.look(self.result(), self.device)
        self.points.append(Point(self.job.stage.name, self.steps_done, loss, rate, figure))
        self._judge()

    def _judge(self) -> None:
        """Keep the best weights seen and stop if patience is over."""
        patience = self.job.recipe.patience
        sign = 1 if self.job.recipe.yardstick.higher_is_better else -1
        known = [sign * p.validation for p in self.points if p.validation is not None]
        if patience is None or not known:
            return
        if known[-1] >= max(known):
            self.best = {k: v.detach().cpu().clone() for k, v in self.result().state_dict().items()}
        if len(known) - 1 - int(np.argmax(known)) >= patience:
            self.trainer.should_stop = True

    def result(self) -> nn.Module:
        """Return what is kept: the average where there is one."""
        return self.network if self.average is None else self.average

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the curve and the best weights."""
        checkpoint["points"] = [vars(point) for point in self.points]
        checkpoint["best"] = self.best
        checkpoint["answers"] = [torch.from_numpy(one) for one in self.ballot.answers]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the curve and the best weights."""
        self.points = [Point(**point) for point in checkpoint["points"]]
        self.best = checkpoint["best"]
        self.ballot.answers = [one.numpy() for one in checkpoint.get("answers", [])]


@torch.no_grad()
def _move(average: nn.Module, network: nn.Module, decay: float, updates: int) -> None:
    """Move the average towards the network, faster in the beginning."""
    decay = min(decay, (1 + updates) / (10 + updates))
    now = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.dtype.is_floating_point:
            mean.lerp_(now[name], 1 - decay)
        else:
            mean.copy_(now[name])


def fit_stage(
    job: Job, network: nn.Module, folder: Path, on_progress: OnProgress = silent
) -> nn.Module:
    """Train one stage, or go on with it, or take up its result if it is finished.

    Parameters
    ----------
    job : Job
        The stage.
    network : nn.Module
        What to start from; changed in place.
    folder : Path
        Holds checkpoint, weights and curve of the stage.
    on_progress : callable, optional

    Returns
    -------
    nn.Module
        The network with the weights that are kept, in evaluation mode.

    Raises
    ------
    ModelError
        If the device asked for is not there, or the loss is no longer a number.
    """
    finished = folder / f"{job.stage.name}.safetensors"
    if finished.is_file():
        network.load_state_dict(load_file(finished))
        return network.eval()
    trainee = Trainee(job, network, on_progress)
    checkpoint = folder / f"{job.stage.name}.ckpt"
    with _quiet():
        trainer = _trainer(job, folder)
        _run(trainer, trainee, checkpoint if checkpoint.is_file() else None)
    kept = trainee.result()
    if trainee.best is not None:
        if trainer.is_global_zero:
            save_weights(kept, folder / f"{job.stage.name}.last.safetensors")
        kept.load_state_dict(trainee.best)
    if trainer.is_global_zero:
        write_curves(trainee.points, folder, job.stage.name, job.recipe.yardstick.name)
        trainee.ballot.write(folder, job.stage.name)
        save_weights(kept, finished)
        checkpoint.unlink(missing_ok=True)
    network.load_state_dict(kept.state_dict())
    return network.cpu().eval()


def _trainer(job: Job, folder: Path) -> pl.Trainer:
    keep = ModelCheckpoint(
        folder, filename=job.stage.name, save_top_k=1, enable_version_counter=False
    )
    options = job.options
    try:
        return pl.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.machines,
            strategy=options.strategy,
            precision=options.precision or job.recipe.precision,
            max_epochs=math.ceil(job.stage.steps / job.check_steps),
            gradient_clip_val=job.recipe.gradient_clip,
            reload_dataloaders_every_n_epochs=1,
            callbacks=[keep],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        asked = f"{options.devices} x {options.accelerator} on {options.machines} machine(s)"
        msg = f"the devices asked for ({asked}) are not there: {error}"
        raise ModelError(msg) from error


def _run(trainer: pl.Trainer, trainee: Trainee, checkpoint: Path | None) -> None:
    try:
        trainer.fit(trainee, ckpt_path=checkpoint)
    except SystemExit as error:
        raise KeyboardInterrupt from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the training library from talking and warning about what is meant so."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(before)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network as safetensors, whole or not at all."""
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    partial = path.with_name(path.name + ".part")
    save_file(weights, partial)
    partial.replace(path)


def train_network(  # noqa: PLR0913 - what a training is made of
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    *,
    start: nn.Module | None = None,
    validation: Sequence[Source] = (),
    options: FitOptions | None = None,
    on_progress: OnProgress = silent,
) -> nn.Module:
    """Train all stages of a recipe and return the network in evaluation mode.

    Parameters
    ----------
    recipe : Recipe
        How.
    data : TrainingData
        On what.
    folder : Path
        Holds checkpoints, weights and curves; what lies there is gone on from.
    start : nn.Module, optional
        What to start from; a new network where not given.
    validation : sequence of Source
        What to look at on the way.
    options : FitOptions, optional
    on_progress : callable, optional
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(data.seed))
        network = recipe.network() if start is None else start
        for index, stage in enumerate(recipe.stages(len(data.items))):
            sources = recipe.sources(index, data, network)
            job = Job(recipe, index, stage, sources, validation, data.seed, options or FitOptions())
            network = fit_stage(job, network, folder, on_progress)
        recipe.finish(network, data)
    return network
