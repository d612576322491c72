"""A tiny network in the place of a backbone of timm; needs torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from groundglass.systems.backbones import Backbone


class Small(nn.Module):  # type: ignore[misc]
    """A tiny network with a head, in the place of a backbone."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 4)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, outputs)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = functional.relu(self.norm(self.body(pictures)))
        answer: torch.Tensor = self.fc(maps.mean((2, 3)))
        return answer


class SmallBackbone(Backbone):
    """Makes tiny networks."""

    def network(self, outputs: int, dropout: float = 0.0, channels: int = 3) -> nn.Module:
        assert (dropout, channels) == (0.0 if outputs == 1 else 0.3, 3)
        return Small(outputs)


TINY = SmallBackbone("tiny", "none", "fc", 32)
"""Stands for ResNeXt-50 in tests."""
