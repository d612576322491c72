"""Training the classifier of patients: features once, a shallow network on the processor, files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from groundglass.core.progress import OnProgress, silent
from groundglass.datasets.patients import CLASSES, PatientScan
from groundglass.errors import ExportError, ModelError
from groundglass.models.card import (
    ModelCard,
    Preparation,
    Scale,
    Task,
    card_path,
    sha256_of,
    write_card,
)
from groundglass.models.catalogue import Entry, Origin
from groundglass.systems.identification_severity.network import (
    AttentionPool,
    Features,
    Head,
    PatientNetwork,
    new_backbone,
)
from groundglass.systems.identification_severity.statement import (
    SYSTEM,
    WAYS,
    DecisionConfig,
    SliceAnswers,
    decide_by,
)
from groundglass.systems.identification_severity.training_config import BACKBONE, PatientConfig
from groundglass.systems.identification_severity.vote import (
    Decision,
    pooled,
    smoothed_votes,
)
from groundglass.training.curves import write_curves
from groundglass.training.export import LARGEST_DIFFERENCE, largest_difference, versions, write_onnx
from groundglass.training.fit import save_weights
from groundglass.training.patient_features import FeatureStore, PatientFeatures, Spent
from groundglass.training.patient_heads import (
    fit_temperature,
    slice_answers,
    train_attention,
    train_head,
)

FULL = "full"
FOLDS = 5
RECORD = "run.json"
LIMITS = (
    "a statement about groups of patients it was trained on; other pneumonias, scanners and "
    "healthy people with old scars were not among them",
    "the share of ill patients in training was not that of any clinic",
)


@dataclass(frozen=True)
class PatientRunOptions:
    """What to train."""

    preset: str
    """``published`` or ``ours``."""
    init: str = "random"
    """``random``, ``imagenet`` or a safetensors file with weights of the backbone."""
    seed: int = 0
    """Seed of all chance."""
    folds: tuple[int, ...] | None = None
    """Folds to hold out, each with a network of its own; ``None`` to train on all patients."""
    resume: bool = False
    """Go on with the run in the folder."""
    data_name: str = "SPGC-COVID"
    """Name of the data set, for the card."""
    licence: str = "research, citation"
    """Licence of the weights."""


@dataclass(frozen=True)
class HeldOut:
    """A patient held out, with every way of deciding."""

    patient: str
    """Name."""
    label: str
    """Class."""
    fold: str
    """Which network was asked."""
    decisions: dict[str, Decision]
    """By ``vote``, ``mean`` and ``attention``."""


@dataclass(frozen=True, eq=False)
class PatientRun:
    """What a run made."""

    entries: dict[str, Entry]
    """Models by ``full`` or ``fold-0`` and so on."""
    held: list[HeldOut]
    """Patients held out."""
    spent: Spent
    """What features cost."""
    chosen_on_held: bool
    """Whether epoch and temperature were chosen on the very patients held out."""


def train_patients(
    patients: Sequence[PatientScan],
    config: PatientConfig,
    out: Path,
    options: PatientRunOptions,
    on_progress: OnProgress = silent,
) -> PatientRun:
    """Train the classifier of patients and write everything that is needed to repeat it.

    Features are made once and kept in ``features``, named by a hash of all they depend on.

    Parameters
    ----------
    patients : sequence of PatientScan
        With class; slice labels where there are any.
    config : PatientConfig
        How.
    out : Path
        Folder of the run; must be empty unless ``resume``.
    options : PatientRunOptions
        What.
    on_progress : callable, optional

    Raises
    ------
    ExportError
        If the folder holds another run, or something else.
    ModelError
        If the initial weights are not to be had; the folder is left as it was.
    ReadError
        If a class has no slice to train on.
    """
    network = Features(new_backbone(options.init, options.seed)).eval()
    _claim(out, _record(patients, config, options), resume=options.resume)
    store = FeatureStore(out / "features", network, config)
    seen, spent = store.load(patients, on_progress)
    run = PatientRun({}, [], spent, options.folds is None)
    folds = stratified(seen, FOLDS, options.seed)
    parts: list[tuple[str, list[int]]] = [(FULL, [])]
    if options.folds is not None:
        parts = [(f"fold-{fold}", folds[fold]) for fold in options.folds]
    for name, outside in parts:
        rest = [one for place, one in enumerate(seen) if place not in set(outside)]
        fitted = _fit(rest, config, options.seed, out / name, on_progress)
        held = [seen[place] for place in outside] or fitted.validation
        run.held.extend(_decided(held, fitted, name))
        run.entries[name] = _export(network, fitted, config, out / name, name, options)
    _write_held(run, out / "held_out.json")
    return run


def stratified(patients: Sequence[PatientFeatures], count: int, seed: int) -> list[list[int]]:
    """Return so many parts of patients' places, each class spread over all parts."""
    generator = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in range(count)]
    place = 0
    for label in range(len(CLASSES)):
        members = [row for row, one in enumerate(patients) if one.label == label]
        for row in generator.permutation(members):
            parts[place % count].append(int(row))
            place += 1
    return [sorted(part) for part in parts]


@dataclass(frozen=True, eq=False)
class _Fitted:
    head: Head
    pool: AttentionPool
    decision: DecisionConfig
    validation: list[PatientFeatures]


def _fit(
    patients: list[PatientFeatures],
    config: PatientConfig,
    seed: int,
    folder: Path,
    on_progress: OnProgress,
) -> _Fitted:
    parts = stratified(patients, max(round(1 / config.validation_share), 2), seed)
    held = set(parts[0])
    train = [one for place, one in enumerate(patients) if place not in held]
    validation = [patients[place] for place in sorted(held)]
    head, points = train_head(train, validation, config.head, seed, on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    write_curves(points, folder, "head")
    pool = train_attention(train, validation, head, config.attention_epochs, seed)
    answers = [slice_answers(head, pool, one) for one in validation]
    decision = calibrated(answers, [one.label for one in validation], config)
    return _Fitted(head, pool, decision, validation)


def calibrated(
    answers: Sequence[SliceAnswers], labels: Sequence[int], config: PatientConfig
) -> DecisionConfig:
    """Return how patients are decided, with the temperature of each way that fits these best.

    Parameters
    ----------
    answers : sequence of SliceAnswers
        Of patients that were not trained on.
    labels : sequence of int
        Their classes.
    config : PatientConfig
        Which way is exported, and what the network is shown.
    """
    votes = [smoothed_votes(one.probabilities.argmax(axis=1)) for one in answers]
    attended = [
        pooled(one.attention, one.attended)
        for one in answers
        if one.attention is not None and one.attended is not None
    ]
    return DecisionConfig(
        config.decision,
        fit_temperature([one.probabilities for one in answers], labels),
        fit_temperature(votes, labels),
        fit_temperature(attended, labels),
        config.pictures,
    )


def _decided(held: Sequence[PatientFeatures], fitted: _Fitted, fold: str) -> list[HeldOut]:
    found = []
    for one in held:
        answers = slice_answers(fitted.head, fitted.pool, one)
        decisions: dict[str, Decision] = {
            way: decide_by(way, answers, fitted.decision) for way in WAYS
        }
        found.append(HeldOut(one.patient, CLASSES[one.label], fold, decisions))
    return found


def _export(  # noqa: PLR0913, PLR0917 - the parts of a model
    features: Features,
    fitted: _Fitted,
    config: PatientConfig,
    folder: Path,
    name: str,
    options: PatientRunOptions,
) -> Entry:
    network = PatientNetwork(features, fitted.head, fitted.pool).eval()
    path = folder / "model.onnx"
    generator = np.random.default_rng(0)
    check = generator.random((2, 1, *config.size), dtype=np.float32)
    with torch.inference_mode():
        wanted = tuple(one.numpy() for one in network(torch.tensor(check)))
    write_onnx(network, path, config.size)
    parameters = sum(one.numel() for one in network.parameters())
    card = _card(fitted, config, options, f"{SYSTEM}-{options.preset}-{name}", path, parameters)
    entry = Entry(card, path, Origin.FILE)
    difference = largest_difference(entry, [check], [wanted])
    if not difference < LARGEST_DIFFERENCE:
        path.unlink()
        msg = f"the export answers otherwise than the network, by up to {difference:.2g}"
        raise ModelError(msg)
    save_weights(fitted.head, folder / "head.safetensors")
    save_weights(fitted.pool, folder / "attention.safetensors")
    write_card(card, card_path(path))
    return entry


def _card(  # noqa: PLR0913, PLR0917 - the parts of a card
    fitted: _Fitted,
    config: PatientConfig,
    options: PatientRunOptions,
    name: str,
    path: Path,
    parameters: int,
) -> ModelCard:
    settings = TypeAdapter(PatientConfig).dump_python(config, mode="json")
    start = options.init if options.init in {"random", "imagenet"} else Path(options.init).name
    return ModelCard(
        name=name,
        task=Task.CLASSES,
        system=SYSTEM,
        preset=options.preset,
        summary="Says whether a chest CT is of COVID-19, other pneumonia or normal.",
        architecture=f"{BACKBONE}, frozen, a shallow network, and attention over slices",
        architecture_config={**settings, "patient": fitted.decision.as_mapping()},
        parameters=parameters,
        sha256=sha256_of(path.read_bytes()),
        licence=options.licence,
        training_data=(options.data_name, f"initial weights of the backbone: {start}"),
        labels=CLASSES,
        thresholds={},
        preparation=Preparation(Scale.SLICE_MINMAX, size=config.size),
        limits=LIMITS,
        versions=versions(),
    )


def _record(
    patients: Sequence[PatientScan], config: PatientConfig, options: PatientRunOptions
) -> dict[str, Any]:
    start = options.init
    if start not in {"random", "imagenet"} and Path(start).is_file():
        start = sha256_of(Path(start).read_bytes())
    return {
        "system": SYSTEM,
        "preset": options.preset,
        "config": TypeAdapter(PatientConfig).dump_python(config, mode="json"),
        "patients": [[one.patient, one.label] for one in patients],
        "init": start,
        "seed": options.seed,
        "folds": options.folds,
    }


def _claim(out: Path, record: dict[str, Any], *, resume: bool) -> None:
    place, wanted = out / RECORD, json.loads(json.dumps(record))
    if place.is_file():
        if not resume:
            msg = "the folder holds a run already; say --resume to go on with it, or name another"
            raise ExportError(msg)
        found = json.loads(place.read_text(encoding="utf-8"))
        changed = sorted(key for key in wanted if found.get(key) != wanted[key])
        if changed:
            msg = f"the run in the folder differs in {', '.join(changed)}; it cannot go on so"
            raise ExportError(msg)
        return
    if out.is_dir() and any(out.iterdir()):
        msg = "the folder for the run is not empty and holds no run; name another"
        raise ExportError(msg)
    out.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (out / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n", encoding="utf-8")


def _write_held(run: PatientRun, path: Path) -> None:
    record = {"spent": asdict(run.spent), "held_out": [asdict(one) for one in run.held]}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
