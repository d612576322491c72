"""The card of a model: everything that must travel with its weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from groundglass.core.serial import from_json, to_json
from groundglass.errors import WeightsError
from groundglass.models.familiar import Familiarity

CARD_SUFFIX = ".card.json"
"""A card lies beside its weights: ``name.onnx`` and ``name.card.json``."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Task(StrEnum):
    """What a model does."""

    INFECTION = "infection"
    LUNGS = "lungs"
    PERCENT = "percent"
    """One number a slice, 0 to 100: the infected share of the lung."""
    CLASSES = "classes"
    """One probability a class, adding up to 1."""


class Scale(StrEnum):
    """How values become what a network reads."""

    TONE = "tone"
    """0 for the darkest tones, 0.85 for soft tissue; HU and pictures alike."""
    HU_WINDOW = "hu_window"
    """A window of Hounsfield units to 0..1."""
    SLICE_MINMAX = "slice_minmax"
    """Every slice from its minimum to its maximum, to 0..1."""
    BYTES = "bytes"
    """Display values 0..255 to 0..1 as they are; HU through ``window_hu`` to the same."""
    STORED = "stored"
    """HU + 1024, unscaled, as scanners store them; display values cannot be brought to it."""


class Fit(StrEnum):
    """How a slice is brought to the size of the input."""

    STRETCH = "stretch"
    """Both sides to the size, whatever the slice's proportions."""
    CROP = "crop"
    """The shorter side to the size, the middle of the longer one kept."""
    PAD = "pad"
    """The longer side to the size, the shorter one filled with 0 on both ends."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """From a slice to the network's input, and back from its output."""

    scale: Scale = Scale.TONE
    """How values are scaled."""
    window_hu: tuple[float, float] | None = None
    """Ends of the window for ``hu_window``."""
    size: tuple[int, int] = (256, 256)
    """Rows and columns of the network's input."""
    channels: int = 1
    """Channels of the network's input."""
    zero_outside_lungs: bool = False
    """Whether everything outside the lung mask is set to 0 before the network."""
    views: tuple[str, ...] = ("as_is",)
    """Views whose answers are averaged: ``as_is``, ``rows``, ``columns``, ``both`` (flips)."""
    fit: Fit = Fit.STRETCH
    """How a slice is brought to ``size``."""
    mean: tuple[float, ...] = ()
    """Taken off each channel after scaling; empty for nothing."""
    deviation: tuple[float, ...] = ()
    """What each channel is divided by after that; empty for nothing."""

    def __post_init__(self) -> None:
        """Refuse what cannot be prepared.

        Raises
        ------
        ValueError
            If a size is not positive, a window is missing or empty, a view is unknown, or there
            is not one mean and deviation a channel.
        """
        if min(self.size) < 1:
            msg = f"an input needs at least one row and column, found {self.size}"
            raise ValueError(msg)
        if self.scale is Scale.HU_WINDOW and self.window_hu is None:
            msg = "the scale hu_window needs window_hu"
            raise ValueError(msg)
        if self.window_hu is not None and self.window_hu[0] >= self.window_hu[1]:
            msg = f"a window needs its low end first, found {self.window_hu}"
            raise ValueError(msg)
        unknown = set(self.views) - {"as_is", "rows", "columns", "both"}
        if unknown or not self.views:
            msg = f"views are as_is, rows, columns, both; found {sorted(unknown) or 'none'}"
            raise ValueError(msg)
        if {len(self.mean), len(self.deviation)} - {0, self.channels}:
            msg = f"{self.channels} channels need as many means and deviations, or none"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured figure."""

    metric: str
    """Name of the metric, as ``groundglass evaluate`` writes it."""
    value: float
    """The figure."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    """Upper end of the 95 % interval."""
    count: int
    """Slices or patients it was measured on."""
    data: str
    """On what, and how it was kept apart from training."""


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it has seen, what it may be used for, how good it is."""

    name: str
    """Lower case letters, digits, dots, dashes and underscores."""
    task: Task
    """What it does."""
    system: str
    """The system it belongs to, e.g. ``covid-rate``."""
    preset: str
    """The recipe that made it: ``published`` or ``ours``, or a word about its origin."""
    summary: str
    """One sentence for the list of models."""
    architecture: str
    """Name of the network."""
    architecture_config: Mapping[str, Any]
    """Every number needed to build the network again."""
    parameters: int
    """Number of weights."""
    sha256: str
    """Hash of the ONNX file."""
    licence: str
    """Licence of the weights, which is not that of the code."""
    training_data: tuple[str, ...]
    """Data sets seen in training, pretraining included."""
    labels: tuple[str, ...]
    """Meaning of each output channel."""
    thresholds: Mapping[str, float]
    """By label: the probability from which a pixel or picture counts."""
    preparation: Preparation = field(default_factory=Preparation)
    """From slice to input."""
    default: bool = False
    """Whether this is the model taken where none is named."""
    scores: tuple[Measured, ...] = ()
    """What was measured."""
    limits: tuple[str, ...] = ()
    """Where it is known to fail, and what it must not be used for."""
    folds_seen: tuple[int, ...] = ()
    """Folds of the data set's own split that were trained on; empty where it has none."""
    leak: str | None = None
    """What ``--allow-leak`` let through; ``None`` where no leak was found."""
    split_sha256: str | None = None
    """Hash of the split it was trained on."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries that made it."""
    familiarity: Familiarity | None = None
    """What its training pictures are like, so that it can abstain from others; ``None`` where it
    cannot tell."""

    def __post_init__(self) -> None:
        """Refuse a card that does not say enough.

        Raises
        ------
        ValueError
            If name or hash are malformed, or licence, labels, thresholds or training data lack.
        """
        if not NAME.fullmatch(self.name):
            msg = f"a model's name is lower case letters, digits and .-_, found '{self.name}'"
            raise ValueError(msg)
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            msg = f"the card of {self.name} needs the SHA-256 of its file in hexadecimal"
            raise ValueError(msg)
        for what in ("licence", "training_data", "labels"):
            if not getattr(self, what):
                msg = f"the card of {self.name} needs '{what}'"
                raise ValueError(msg)
        strange = set(self.thresholds) - set(self.labels)
        if strange:
            msg = f"the card of {self.name} has thresholds for unknown labels {sorted(strange)}"
            raise ValueError(msg)

    def with_scores(self, scores: tuple[Measured, ...]) -> ModelCard:
        """Return the card with other figures."""
        return replace(self, scores=scores)


def card_path(weights: Path) -> Path:
    """Return where the card of an ONNX file lies."""
    return weights.with_name(weights.name.removesuffix(".onnx") + CARD_SUFFIX)


def read_card(path: Path) -> ModelCard:
    """Return the card in a file.

    Raises
    ------
    WeightsError
        If the file is missing or is not a card.
    """
    try:
        return from_json(ModelCard, path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"a model needs its card {path.name} beside its file: {error.strerror}"
        raise WeightsError(msg) from error
    except ValueError as error:
        msg = f"{path.name} is not a model card: {error}"
        raise WeightsError(msg) from error


def write_card(card: ModelCard, path: Path) -> None:
    """Write a card, whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(to_json(card) + "\n", encoding="utf-8")
    partial.replace(path)


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
