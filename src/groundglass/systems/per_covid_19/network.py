"""The published networks: a backbone and one linear output, neither bounded nor clipped."""

from __future__ import annotations

from torch import nn

from groundglass.systems.backbones import Backbone

BACKBONES: dict[str, Backbone] = {
    "resnext50": Backbone("resnext50_32x4d", "tv_in1k", "fc", 224),
    "densenet161": Backbone("densenet161", "tv_in1k", "classifier", 224),
    "inception3": Backbone("inception_v3", "tv_in1k", "fc", 299),
}
"""By name; Inception-v3 without its auxiliary output, which the loss ignores."""


def regressor(name: str) -> nn.Module:
    """Return a new network that answers (slices, 1)."""
    return BACKBONES[name].network(1)
