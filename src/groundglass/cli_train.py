"""The bench on the command line: models, and with the extra ``train`` training and evaluation."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    name="models", help="The models at hand: what they are and whether they are sound."
)


class Preset(StrEnum):
    """Recipes of a system."""

    PUBLISHED = "published"
    OURS = "ours"


class Device(StrEnum):
    """What to train on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Precision(StrEnum):
    """Arithmetic of training, in the words of the training library."""

    SINGLE = "32-true"
    BFLOAT = "bf16-mixed"
    HALF = "16-mixed"


class PairMode(StrEnum):
    """How synthetic pairs are made."""

    IMPROVED = "improved"
    FAITHFUL = "faithful"


System = Annotated[str, typer.Argument(metavar="SYSTEM", help="The system, e.g. covid-rate.")]
Data = Annotated[Path, typer.Option(help="Folder of the data set in its original layout.")]
PresetOption = Annotated[Preset, typer.Option(help="As published, or as we advise.")]
Fold = Annotated[
    str | None,
    typer.Option(
        metavar="K|all|published-K",
        help="Hold out fold K, or each in turn; published-K: lists of covid-ctset as published.",
    ),
]
Init = Annotated[str, typer.Option(metavar="random|imagenet|FILE", help="Weights to start from.")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="Settings of the recipe as JSON.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
AllowLeak = Annotated[
    bool,
    typer.Option("--allow-leak", help="Train although a picture lies on two sides of the split."),
]
DeviceOption = Annotated[Device, typer.Option(help="What to train on.")]
Devices = Annotated[int, typer.Option(min=1, help="How many of them.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all chance.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]

RunFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder of the run; runs/SYSTEM-PRESET where not given."),
]
Network = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Network to train, where a system offers some."),
]
LossName = Annotated[
    str | None,
    typer.Option("--loss", metavar="NAME", help="Loss to train with, where a system offers some."),
]
PublishedLeak = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Repeat a leak of the published code, e.g. best-on-test; the card tells.",
    ),
]
Enhance = Annotated[
    bool,
    typer.Option(
        "--enhance", help="Go on with the surest answers on the part test, without its labels."
    ),
]
Pairs = Annotated[
    Path | None, typer.Option(help="Synthetic pairs to train on as well (preset published).")
]
Machines = Annotated[int, typer.Option(min=1, help="How many machines take part.")]
Strategy = Annotated[str, typer.Option(help="How devices share the work, e.g. ddp.")]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="Of the arithmetic; that of the recipe where not given. bf16-mixed halves the "
        "time on GPUs and on processors that have it."
    ),
]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes that prepare batches while the network learns.")
]
ModelName = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE|default", help="Model to measure, without training."),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="Published task of identification-severity: infection-48, infection-638, "
        "infection-mosmed, spgc, mosmed, ldct or ctss; --model is published, ours, network or a "
        "model.",
    ),
]
NoTrain = Annotated[bool, typer.Option("--no-train", help="Measure the model; never train.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set: test, train or pseudo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")]
Tables = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for tables and page; needed to train.")
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the network.")]
Infected = Annotated[
    Path, typer.Option(help="Folder with slices and lesion masks, lung masks if there are.")
]
Healthy = Annotated[Path, typer.Option(help="Folder with healthy slices, or healthy scans.")]
PairFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder for the pairs.")]
Mode = Annotated[
    PairMode, typer.Option(help="Aligned by the lungs, or as the published code does.")
]


PATIENTS = "identification-severity"
"""The system whose tasks and classifier are of patients, not of slices."""


def add_bench(app: typer.Typer) -> None:
    """Put the commands of the bench on the command line."""
    app.command()(train)
    app.command()(evaluate)
    app.command()(synthesize)
    app.add_typer(models_app)


def train(  # noqa: PLR0913, PLR0917 - one parameter for each option
    system: System,
    data: Data,
    out: RunFolder = None,
    preset: PresetOption = Preset.OURS,
    model: Network = None,
    loss: LossName = None,
    fold: Fold = None,
    init: Init = "random",
    recipe: RecipeFile = None,
    resume: Resume = False,
    allow_leak: AllowLeak = False,
    enhance: Enhance = False,
    published_leak: PublishedLeak = None,
    device: DeviceOption = Device.AUTO,
    devices: Devices = 1,
    machines: Machines = 1,
    strategy: Strategy = "auto",
    precision: PrecisionOption = None,
    workers: Workers = 0,
    seed: Seed = 0,
    pairs: Pairs = None,
    quiet: Quiet = False,
) -> None:
    """Train a system and write weights, card and all that is needed to repeat it."""
    from groundglass import cli_bench  # noqa: PLC0415 - keeps --help quick

    asked = {"model": model, "loss": loss, "published_leak": published_leak}
    choices = {name: value for name, value in asked.items() if value is not None}
    place = out or Path("runs") / f"{system}-{preset.value}"
    if system == PATIENTS:
        from groundglass import cli_severity  # noqa: PLC0415

        unused = {**asked, "enhance": enhance, "pairs": pairs, "allow_leak": allow_leak}
        own = (preset.value, init, recipe, fold, resume, seed, quiet, unused)
        code = cli_severity.run_patient_training(cli_severity.PatientRequest(data, place, *own))
        raise typer.Exit(code)
    told = (fold, init, recipe, resume, allow_leak, seed, quiet, pairs, choices)
    request = cli_bench.TrainRequest(system, data, place, preset.value, *told)
    hardware = cli_bench.Hardware(device.value, devices, machines, strategy, precision, workers)
    raise typer.Exit(cli_bench.run_training(request, hardware, enhanced=enhance))


def evaluate(  # noqa: PLR0913, PLR0917 - one parameter for each option
    system: System,
    data: Data,
    model: ModelName = None,
    task: TaskName = None,
    no_train: NoTrain = False,
    split: Split = None,
    as_json: AsJson = False,
    out: Tables = None,
    preset: PresetOption = Preset.OURS,
    fold: Fold = None,
    init: Init = "random",
    recipe: RecipeFile = None,
    resume: Resume = False,
    allow_leak: AllowLeak = False,
    device: DeviceOption = Device.AUTO,
    devices: Devices = 1,
    precision: PrecisionOption = None,
    workers: Workers = 0,
    seed: Seed = 0,
    threads: Threads = 1,
    pairs: Pairs = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model, or cross-validate a recipe, beside published figures."""
    from groundglass import cli_bench, cli_evaluate  # noqa: PLC0415 - keeps --help quick

    quiet = quiet or as_json
    if system == PATIENTS or task is not None:
        from groundglass import cli_severity  # noqa: PLC0415

        asked = cli_severity.TaskRequest(system, task, data, model, out, threads, seed, quiet)
        raise typer.Exit(cli_severity.run_task(asked, as_json=as_json))
    training = cli_bench.TrainRequest(
        system, data, out, preset.value, fold, init, recipe, resume, allow_leak, seed, quiet, pairs
    )
    hardware = cli_bench.Hardware(device.value, devices, precision=precision, workers=workers)
    request = cli_evaluate.EvaluateRequest(training, hardware, model, no_train, split, threads)
    raise typer.Exit(cli_evaluate.run_evaluation(request, as_json=as_json))


def synthesize(  # noqa: PLR0913, PLR0917 - one parameter for each option
    infected: Infected,
    healthy: Healthy,
    out: PairFolder,
    mode: Mode = PairMode.IMPROVED,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Lay lesions into healthy lungs: synthetic slices with masks, each with its record."""
    from groundglass import cli_bench  # noqa: PLC0415 - keeps --help quick

    code = cli_bench.run_synthesis(infected, healthy, out, mode=mode.value, seed=seed, quiet=quiet)
    raise typer.Exit(code)


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """List the models at hand."""
    from groundglass.cli_models import show_list  # noqa: PLC0415 - keeps --help quick

    raise typer.Exit(show_list(as_json=as_json))


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Name of a model, or its ONNX file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show a model's card: licence, training data, scores, limits."""
    from groundglass.cli_models import show_card  # noqa: PLC0415

    raise typer.Exit(show_card(name, as_json=as_json))


@models_app.command("add")
def add_model(
    source: Annotated[Path, typer.Argument(help="ONNX file with its card, or a run's folder.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an added model of that name.")
    ] = False,
) -> None:
    """Copy a model with its card into the user's folder."""
    from groundglass.cli_models import add_from_file  # noqa: PLC0415

    raise typer.Exit(add_from_file(source, force=force))


@models_app.command("verify")
def verify_models(
    name: Annotated[str | None, typer.Argument(help="One model; all where not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Compare hashes, open and run the models."""
    from groundglass.cli_models import show_verified  # noqa: PLC0415

    raise typer.Exit(show_verified(name, as_json=as_json))
