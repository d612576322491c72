"""A patient's class by an installed classifier: pictures, slice by slice, and the decision.

No torch is needed: the network runs by ONNX Runtime.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import LungMask, Prediction
from groundglass.core.scan import Intensity, Scan
from groundglass.core.serial import from_json
from groundglass.datasets.patients import CLASSES
from groundglass.errors import ModelError
from groundglass.imaging.tone import resized
from groundglass.models.card import ModelCard, Task
from groundglass.models.catalogue import Catalogue, Entry, load_catalogue
from groundglass.models.runtime import Model
from groundglass.systems.identification_severity.pictures import (
    ClassificationConfig,
    classification_pictures,
)
from groundglass.systems.identification_severity.vote import (
    UNDETERMINED,
    Decision,
    decide_by_mean,
    decide_by_vote,
    pooled,
)

SYSTEM = "identification-severity"
Way = Literal["vote", "mean", "attention"]
VOTE: Way = "vote"
MEAN: Way = "mean"
ATTENTION: Way = "attention"
WAYS: tuple[Way, ...] = (VOTE, MEAN, ATTENTION)
"""Ways of deciding a patient."""
OUTPUTS = ("probabilities", "attention", "attended")
"""Outputs of a classifier that can decide by attention; others have the first alone."""
BATCH = 4
NO_STATEMENT = "no statement"
"""Label of a prediction where nothing can be said."""


@dataclass(frozen=True)
class DecisionConfig:
    """How a patient is decided, as the card of a classifier tells."""

    decision: Way = VOTE
    """``vote``, the published rule, ``mean`` of the slices' probabilities, or ``attention``."""
    temperature: float = 1.0
    """Calibration of the mean."""
    vote_temperature: float | None = None
    """Calibration of the shares of votes; ``None`` leaves them plain votes."""
    attention_temperature: float = 1.0
    """Calibration of attention."""
    pictures: ClassificationConfig = field(default_factory=ClassificationConfig)
    """What the network is shown."""

    def as_mapping(self) -> dict[str, Any]:
        """Return it as it stands on a card."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class SliceAnswers:
    """What a classifier says of a scan's slices."""

    index: NDArray[np.intp]
    """(pictures,): slice of each, head to feet."""
    probabilities: NDArray[np.float32]
    """(pictures, 3): normal, CAP, COVID-19."""
    attention: NDArray[np.float32] | None = None
    """(pictures,): how much each counts for attention; ``None`` from a model without it."""
    attended: NDArray[np.float32] | None = None
    """(pictures, 3): what each then says, as logits."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """Ways of deciding that these answers allow."""
        return WAYS if self.attention is not None else (VOTE, MEAN)


def decision_config(card: ModelCard) -> DecisionConfig:
    """Return how a card says that patients are decided.

    Raises
    ------
    ModelError
        If the card is not that of such a classifier.
    """
    given = card.architecture_config.get("patient")
    if card.system != SYSTEM or tuple(card.labels) != CLASSES or given is None:
        msg = f"model {card.name} is not a classifier of patients of {SYSTEM}"
        raise ModelError(msg)
    try:
        return from_json(DecisionConfig, json.dumps(given))
    except ValueError as error:
        msg = f"the card of {card.name} tells no way to decide: {error}"
        raise ModelError(msg) from error


def classify_slices(
    model: Model, scan: Scan, lungs: LungMask, config: DecisionConfig
) -> SliceAnswers:
    """Return what a classifier says of each slice that the published rule looks at.

    Parameters
    ----------
    model : Model
        Opened classifier.
    scan : Scan
        In HU.
    lungs : LungMask
        On its grid.
    config : DecisionConfig
        The card's.
    """
    pictures = classification_pictures(scan.hu(), lungs.labels, config.pictures)
    size = model.card.preparation.size
    names = OUTPUTS if set(OUTPUTS) <= set(model.outputs) else model.outputs[:1]
    widths = {ATTENTION: 1}
    answers = [{name: np.zeros((0, widths.get(name, len(CLASSES))), np.float32) for name in names}]
    for start in range(0, len(pictures.values), BATCH):
        batch = [network_input(one, size) for one in pictures.values[start : start + BATCH]]
        answers.append(model.run_all(np.stack(batch)[:, None], names))
    found = [np.concatenate([one[name] for one in answers]) for name in names]
    if len(found) == 1:
        return SliceAnswers(pictures.index, found[0])
    return SliceAnswers(pictures.index, found[0], found[1][:, 0], found[2])


def network_input(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture as the network takes it: 0 to 1, of its size."""
    return resized(picture.astype(np.float32) / 255, size)


def decide_patient(
    answers: SliceAnswers, config: DecisionConfig, *, two_classes: bool = False
) -> Decision:
    """Return the decision of slices in anatomical order by the card's rule.

    Raises
    ------
    ModelError
        If the rule is attention and the network does not tell it.
    """
    if config.decision not in answers.ways:
        msg = "the card decides by attention, which the network does not tell"
        raise ModelError(msg)
    return decide_by(config.decision, answers, config, two_classes=two_classes)


def decide_by(
    way: Way, answers: SliceAnswers, config: DecisionConfig, *, two_classes: bool = False
) -> Decision:
    """Return the decision by one of the ways that the answers allow."""
    if way == MEAN:
        return decide_by_mean(answers.probabilities, config.temperature, two_classes=two_classes)
    if way == ATTENTION:
        assert answers.attention is not None
        assert answers.attended is not None
        found = pooled(answers.attention, answers.attended)
        return decide_by_mean(found, config.attention_temperature, two_classes=two_classes)
    chosen = answers.probabilities.argmax(axis=1) if len(answers.probabilities) else []
    return decide_by_vote(chosen, two_classes=two_classes, temperature=config.vote_temperature)


def state_patient(
    scan: Scan, lungs: LungMask, catalogue: Catalogue | None = None
) -> tuple[Prediction, ...]:
    """Return what the installed classifiers of patients say; empty where none is installed.

    A classifier that cannot be used makes no statement and says why; the measured numbers do not
    depend on it.

    Parameters
    ----------
    scan : Scan
        As analyzed.
    lungs : LungMask
        On its grid.
    catalogue : Catalogue, optional
        Models at hand; those installed where not given.
    """
    try:
        entries = (catalogue or load_catalogue()).entries
    except ModelError as error:
        return (Prediction("installed models", NO_STATEMENT, {}, _sentence(error)),)
    return tuple(
        _stated(scan, lungs, entry)
        for entry in entries
        if entry.card.system == SYSTEM and entry.card.task is Task.CLASSES
    )


def _stated(scan: Scan, lungs: LungMask, entry: Entry) -> Prediction:
    card = entry.card
    if scan.intensity is not Intensity.HU:
        note = "The classifier needs a series in Hounsfield units, these are pictures."
        return Prediction(card.name, NO_STATEMENT, {}, note)
    try:
        config = decision_config(card)
        return _statement(card, config, classify_slices(Model(entry), scan, lungs, config))
    except ModelError as error:
        return Prediction(card.name, NO_STATEMENT, {}, _sentence(error))


def _sentence(said: ModelError | str) -> str:
    text = str(said).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _way(config: DecisionConfig) -> str:
    """Return in words how a patient is decided."""
    if config.decision == MEAN:
        return f"the mean of calibrated probabilities (temperature {config.temperature:.2f})"
    if config.decision == ATTENTION:
        return (
            "attention over slices, its probabilities calibrated (temperature "
            f"{config.attention_temperature:.2f})"
        )
    if config.vote_temperature is None:
        return "the published vote of slices; its shares are votes, not probabilities"
    return (
        "the published vote of slices; its shares are calibrated (temperature "
        f"{config.vote_temperature:.2f}), the label is not changed by that"
    )


def _statement(card: ModelCard, config: DecisionConfig, answers: SliceAnswers) -> Prediction:
    decision = decide_patient(answers, config)
    seen = f"Trained on {'; '.join(card.training_data)}."
    if decision.label == UNDETERMINED:
        note = f"No slice holds dense lung, so nothing votes. {seen}"
        return Prediction(card.name, UNDETERMINED, {}, note)
    way = _way(config)
    limits = " ".join(_sentence(text) for text in card.limits)
    note = f"{len(answers.index)} slices, by {way}. {seen} {limits} Not for diagnosis."
    return Prediction(card.name, decision.label, decision.shares, note)
