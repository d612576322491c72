"""Settings of the classifier of patients, as published and as we advise. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from groundglass.systems.identification_severity.pictures import ClassificationConfig
from groundglass.systems.identification_severity.statement import VOTE, Way

BACKBONE = "tf_efficientnet_b5"
"""Name of the network of features in timm."""
FEATURES = 2048
"""Numbers the network makes of a picture."""


@dataclass(frozen=True)
class HeadConfig:
    """The shallow network on features and how it is trained."""

    hidden: tuple[int, ...] = (2048, 1024)
    """Sizes of its hidden layers."""
    learning_rate: float = 2e-4
    """Of Adam."""
    beta1: float = 0.5
    """First decay of Adam."""
    batch: int = 10
    """Slices of a step."""
    rounds: int = 5
    """Rounds, each with slices drawn anew."""
    epochs: int = 5
    """Epochs of a round; the epoch of the lowest validation loss is kept."""
    draws: int = 2500
    """Slices of COVID-19 and of normal drawn for a round, with replacement."""
    all_cap: bool = True
    """Whether all slices of pneumonia are in a round; else as many are drawn as of the others."""
    dropout: float = 0.0
    """Share of hidden units left out in training."""
    weight_decay: float = 0.0
    """Decoupled decay of weights."""
    label_smoothing: float = 0.0
    """Share of each label spread over all classes."""


@dataclass(frozen=True)
class PatientConfig:
    """Everything about training the classifier of patients."""

    size: tuple[int, int] = (512, 512)
    """Rows and columns of the network's input."""
    pictures: ClassificationConfig = field(default_factory=ClassificationConfig)
    """What it is shown."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """The shallow network."""
    validation_share: float = 0.1
    """Patients of each class held out to choose the epoch."""
    decision: Way = VOTE
    """Decision of the exported model: ``vote``, ``mean`` or ``attention``."""
    attention_epochs: int = 60
    """Epochs of the attention pooling."""


PUBLISHED = PatientConfig()
"""As published, its backbone frozen."""
OURS = PatientConfig(
    head=HeadConfig(
        hidden=(256,),
        learning_rate=1e-3,
        beta1=0.9,
        batch=64,
        rounds=5,
        epochs=4,
        all_cap=False,
        dropout=0.3,
        weight_decay=1e-2,
        label_smoothing=0.05,
    ),
    validation_share=0.2,
    decision=VOTE,
)
"""Balanced draws and a smaller head that is held back. It votes too: where few slices are ill the
mean of all slices says normal."""
CONFIGS = {"published": PUBLISHED, "ours": OURS}
"""By preset."""
