"""Networks of the classifier of patients: features, the shallow network on them, attention."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from groundglass.errors import ModelError, WeightsError
from groundglass.systems.identification_severity.statement import OUTPUTS
from groundglass.systems.identification_severity.training_config import (
    BACKBONE,
    FEATURES,
    HeadConfig,
)

CLASS_COUNT = 3
ATTENTION_UNITS = 128


def new_backbone(init: str, seed: int = 0) -> nn.Module:
    """Return the network of features in evaluation mode.

    Parameters
    ----------
    init : str
        ``random``, ``imagenet`` (fetched by timm from its usual place), or a safetensors file of
        timm's names.
    seed : int
        Seed of random weights.

    Raises
    ------
    ModelError
        If weights of ImageNet cannot be fetched.
    WeightsError
        If the file is missing or belongs to another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            backbone = timm.create_model(BACKBONE, pretrained=init == "imagenet", num_classes=0)
        except Exception as error:  # each of the libraries that fetch has errors of its own
            msg = (
                f"weights of ImageNet for {BACKBONE} cannot be fetched here; give them as a "
                "safetensors file (--init FILE) or start from --init random"
            )
            raise ModelError(msg) from error
    if init not in {"random", "imagenet"}:
        _load(backbone, Path(init))
    return backbone.eval()


def _load(backbone: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        msg = f"initial weights need a safetensors file, '{path.name}' cannot be read as one"
        raise WeightsError(msg) from error
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    try:
        backbone.load_state_dict(kept)
    except RuntimeError as error:
        msg = f"the weights in '{path.name}' belong to another network than {BACKBONE}"
        raise WeightsError(msg) from error


def digest_of(network: nn.Module) -> str:
    """Return a hash of all weights."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return found.hexdigest()


class Features(nn.Module):
    """From pictures of 0 to 1, (pictures, 1, rows, columns), to (pictures, 2048) numbers."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        for name in ("mean", "std"):
            values = torch.tensor(backbone.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features; grey is repeated and scaled as in the backbone's training."""
        return self.backbone((pictures.expand(-1, 3, -1, -1) - self.mean) / self.std)


class Head(nn.Module):
    """The shallow network: features of a slice to logits of normal, CAP, COVID-19."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        sizes = (FEATURES, *config.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
            if config.dropout:
                layers.append(nn.Dropout(config.dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], CLASS_COUNT))

    def settle(self, features: NDArray[np.float32]) -> None:
        """Take mean and spread of training features, by which all are scaled."""
        spread = features.std(axis=0)
        self.mean.copy_(torch.tensor(features.mean(axis=0)))
        # A feature that never varies says nothing and is held at 0.
        self.scale.copy_(torch.tensor(np.where(spread > 1e-12, 1 / np.maximum(spread, 1e-12), 0)))

    def scaled(self, features: Tensor) -> Tensor:
        """Return features of mean 0 and spread 1."""
        return (features - self.mean) * self.scale

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        return self.layers(self.scaled(features))


class AttentionPool(nn.Module):
    """Gated attention over a patient's slices, (slices, 2048) to logits of the patient.

    References
    ----------
    .. [1] Ilse, Tomczak, Welling. "Attention-based deep multiple instance learning." ICML 2018.
       arXiv 1802.04712
    """

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.value = nn.Linear(FEATURES, ATTENTION_UNITS)
        self.gate = nn.Linear(FEATURES, ATTENTION_UNITS)
        self.weight = nn.Linear(ATTENTION_UNITS, 1)
        self.classes = nn.Linear(FEATURES, CLASS_COUNT)

    def parts(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return how much each slice counts, (slices, 1) before the softmax, and its logits."""
        seen = self.drop(slices)
        score = self.weight(torch.tanh(self.value(seen)) * torch.sigmoid(self.gate(seen)))
        return score, self.classes(seen)

    def forward(self, slices: Tensor) -> Tensor:
        """Return logits of the patient, shape (3,)."""
        score, logits = self.parts(slices)
        return (torch.softmax(score, dim=0) * logits).sum(dim=0)


class PatientNetwork(nn.Module):
    """What is exported: pictures to what each says, by the shallow network and for attention.

    Attention needs all slices of a patient at once; its parts need one at a time, and what is left
    is a weighted sum over slices.
    """

    outputs = OUTPUTS

    def __init__(self, features: Features, head: Head, pool: AttentionPool) -> None:
        super().__init__()
        self.features = features
        self.head = head
        self.pool = pool

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (pictures, 3) probabilities, (pictures, 1) attention, (pictures, 3) logits."""
        found = self.features(pictures)
        score, logits = self.pool.parts(self.head.scaled(found))
        return torch.softmax(self.head(found), dim=1), score, logits
