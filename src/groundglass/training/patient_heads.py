"""Training on kept features: the shallow network by slices, attention by patients, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.errors import ReadError
from groundglass.systems.identification_severity.network import AttentionPool, Head
from groundglass.systems.identification_severity.statement import SliceAnswers
from groundglass.systems.identification_severity.training_config import HeadConfig
from groundglass.systems.identification_severity.vote import CAP, softened
from groundglass.training.curves import Point
from groundglass.training.patient_features import PatientFeatures

TEMPERATURES = np.geomspace(0.25, 8, 61)
"""Temperatures tried."""
ATTENTION_RATE = 1e-3
ATTENTION_DECAY = 1e-2


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of several patients."""

    features: NDArray[np.float32]
    """(slices, 2048)."""
    labels: NDArray[np.intp]
    """(slices,)."""

    @classmethod
    def of(cls, patients: Sequence[PatientFeatures]) -> Slices:
        """Return the slices of patients that are trained on."""
        parts = [one.features[one.rows] for one in patients]
        labels = [np.full(len(part), one.label) for part, one in zip(parts, patients, strict=True)]
        return cls(np.concatenate(parts), np.concatenate(labels).astype(np.intp))


def train_head(
    train: Sequence[PatientFeatures],
    validation: Sequence[PatientFeatures],
    config: HeadConfig,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> tuple[Head, list[Point]]:
    """Return the shallow network of the epoch with the lowest validation loss, and the curve.

    Parameters
    ----------
    train, validation : sequence of PatientFeatures
        No patient in both.
    config : HeadConfig
        How.
    seed : int
        Seed of weights, draws and order.
    on_progress : callable, optional

    Raises
    ------
    ReadError
        If a class has no slice to train on, or validation has none.
    """
    slices, held = Slices.of(train), Slices.of(validation)
    missing = sorted(set(range(3)) - set(slices.labels.tolist()))
    if missing or not len(held.labels):
        msg = "training needs slices of normal, CAP and COVID-19, and patients held out"
        raise ReadError(msg)
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(config)
        head.settle(slices.features)
        betas = (config.beta1, 0.999)
        optimiser = torch.optim.AdamW(
            head.parameters(), config.learning_rate, betas, weight_decay=config.weight_decay
        )
        best, lowest, points, step = deepcopy(head.state_dict()), np.inf, [], 0
        total = config.rounds * config.epochs
        for number in range(total):
            on_progress(Progress("training", number, total))
            if number % config.epochs == 0:
                drawn = _drawn(slices.labels, config, generator)
            loss, steps = _epoch(head, slices, generator.permutation(drawn), config, optimiser)
            step += steps
            current = slice_loss(head, held)
            points.append(Point("head", step, loss, config.learning_rate, None))
            if current < lowest:
                best, lowest = deepcopy(head.state_dict()), current
    head.load_state_dict(best)
    return head.eval(), points


def _drawn(
    labels: NDArray[np.intp], config: HeadConfig, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Return the slices of a round: so many of each class with replacement, of CAP maybe all."""
    parts = []
    for label in range(3):
        members = np.flatnonzero(labels == label)
        whole = label == CAP and config.all_cap
        parts.append(members if whole else generator.choice(members, config.draws))
    return np.concatenate(parts)


def _epoch(
    head: Head,
    slices: Slices,
    order: NDArray[np.intp],
    config: HeadConfig,
    optimiser: torch.optim.Optimizer,
) -> tuple[float, int]:
    head.train()
    losses = []
    for features, labels in _batches(slices, order, config.batch):
        loss = functional.cross_entropy(
            head(features), labels, label_smoothing=config.label_smoothing
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses)), len(losses)


def _batches(slices: Slices, order: NDArray[np.intp], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield torch.tensor(slices.features[rows]), torch.tensor(slices.labels[rows])


@torch.inference_mode()
def slice_loss(head: Head, slices: Slices) -> float:
    """Return the mean cross entropy over slices."""
    head.eval()
    logits = head(torch.tensor(slices.features))
    return float(functional.cross_entropy(logits, torch.tensor(slices.labels)))


@torch.inference_mode()
def slice_probabilities(head: Head, patient: PatientFeatures) -> NDArray[np.float32]:
    """Return (slices, 3) probabilities of a patient's slices."""
    head.eval()
    return torch.softmax(head(torch.tensor(patient.features)), dim=1).numpy()


def train_attention(
    train: Sequence[PatientFeatures],
    validation: Sequence[PatientFeatures],
    head: Head,
    epochs: int,
    seed: int = 0,
) -> AttentionPool:
    """Return attention pooling over patients' slices, of the epoch with the lowest loss.

    Parameters
    ----------
    train, validation : sequence of PatientFeatures
        No patient in both.
    head : Head
        Gives the scale of features.
    epochs : int
        Epochs, a patient a step.
    seed : int
        Seed of weights and order.
    """
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pool = AttentionPool()
        optimiser = torch.optim.AdamW(
            pool.parameters(), ATTENTION_RATE, weight_decay=ATTENTION_DECAY
        )
        able = [one for one in train if len(one.features)]
        counts = np.bincount([one.label for one in able], minlength=3)
        weight = torch.tensor(len(able) / (3 * np.maximum(counts, 1)), dtype=torch.float32)
        best, lowest = deepcopy(pool.state_dict()), np.inf
        for _ in range(epochs):
            pool.train()
            for place in generator.permutation(len(able)):
                loss = _patient_loss(pool, head, able[place]) * weight[able[place].label]
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            current = _attention_loss(pool, head, validation)
            if current < lowest:
                best, lowest = deepcopy(pool.state_dict()), current
    pool.load_state_dict(best)
    return pool.eval()


def _patient_loss(pool: nn.Module, head: Head, one: PatientFeatures) -> Tensor:
    logits = pool(head.scaled(torch.tensor(one.features)))
    return functional.cross_entropy(logits[None], torch.tensor([one.label]))


@torch.inference_mode()
def _attention_loss(pool: nn.Module, head: Head, patients: Sequence[PatientFeatures]) -> float:
    pool.eval()
    losses = [float(_patient_loss(pool, head, one)) for one in patients if len(one.features)]
    return float(np.mean(losses)) if losses else np.inf


@torch.inference_mode()
def slice_answers(head: Head, pool: AttentionPool, one: PatientFeatures) -> SliceAnswers:
    """Return what the installed classifier will say of a patient's slices, attention included."""
    head.eval()
    pool.eval()
    scaled = head.scaled(torch.tensor(one.features))
    score, logits = pool.parts(scaled)
    index = np.arange(len(one.features))
    probabilities = slice_probabilities(head, one)
    return SliceAnswers(index, probabilities, score[:, 0].numpy(), logits.numpy())


def fit_temperature(answers: Sequence[NDArray[np.floating]], labels: Sequence[int]) -> float:
    """Return the temperature at which the means over slices fit the labels of patients best.

    Parameters
    ----------
    answers : sequence of ndarray
        (slices, 3) probabilities of each patient; those without slices are left out.
    labels : sequence of int
        Class of each.
    """
    known = [(one, label) for one, label in zip(answers, labels, strict=True) if len(one)]
    if not known:
        return 1.0

    def loss(temperature: float) -> float:
        shares = [softened(one, temperature).mean(axis=0)[label] for one, label in known]
        return float(-np.log(np.maximum(shares, 1e-12)).mean())

    return float(min(TEMPERATURES, key=loss))
