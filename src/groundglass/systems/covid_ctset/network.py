"""The networks of COVID-CTset: ResNet50V2 with a concatenating pyramid, alone, and Xception.

Layers, sizes and parameter counts are those of the published Keras networks.

References
----------
.. [1] Rahimzadeh, Attar, Sakhaei. "A fully automated deep learning-based network for detecting
   COVID-19 from a new and large lung CT scan dataset." Biomedical Signal Processing and Control 68,
   2021. doi 10.1016/j.bspc.2021.102588
.. [2] He et al. "Identity Mappings in Deep Residual Networks." ECCV 2016. arXiv 1603.05027
.. [3] Lin et al. "Feature Pyramid Networks for Object Detection." CVPR 2017. arXiv 1612.03144
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))
"""Width, blocks and stride of the last block, stages 2 to 5."""
HEAD_INPUTS = (230_400, 50_176, 65_536, 16_384, 4_096)
"""Values of P3 to P7 for pictures of 512 x 512."""


@dataclass(frozen=True)
class NetworkConfig:
    """Which network."""

    name: Literal["resnet50v2-fpn", "resnet50v2", "xception"] = "resnet50v2-fpn"
    """The system's own, or one of the two it is compared with."""
    linear_heads: bool = False
    """Leave out the ReLU of the five heads, which can all die; not published."""


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1.001e-5, momentum=0.01)


class _Block(nn.Module):
    """Pre-activated residual block; the first of a stage widens, the last may halve."""

    def __init__(self, inputs: int, width: int, stride: int, *, widens: bool) -> None:
        super().__init__()
        self.stride = stride
        self.pre = nn.Sequential(_norm(inputs), nn.ReLU())
        self.shortcut = nn.Conv2d(inputs, 4 * width, 1) if widens else None
        self.path = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            _norm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            _norm(width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's output."""
        ready = self.pre(maps)
        if self.shortcut is not None:
            beside = self.shortcut(ready)
        else:
            beside = maps[:, :, :: self.stride, :: self.stride]
        return beside + self.path(ready)


class ResNet50V2(nn.Module):
    """The backbone: 1 channel in, the three tapped maps out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 64, 7, 2, 3)
        self.pool = nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 2))
        self.stages = nn.ModuleList()
        inputs = 64
        for width, count, stride in STAGES:
            strides = [1] * (count - 1) + [stride]
            blocks = [
                _Block(inputs if place == 0 else 4 * width, width, step, widens=place == 0)
                for place, step in enumerate(strides)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = 4 * width
        self.post = nn.Sequential(_norm(inputs), nn.ReLU())
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return C3, C4 and C5: 512, 1024 and 2048 maps at 1/16, 1/32 and 1/32 of the size.

        C3 and C4 are what the stages 4 and 5 see after their first normalisation and ReLU.
        """
        maps = self.stages[1](self.stages[0](self.pool(self.stem(pictures))))
        third = self.stages[2][0].pre(maps)
        maps = self.stages[2](maps)
        fourth = self.stages[3][0].pre(maps)
        return third, fourth, self.post(self.stages[3](maps))


class PyramidClassifier(nn.Module):
    """ResNet50V2 with a pyramid that concatenates where others add, and five heads.

    Parameters
    ----------
    config : NetworkConfig, optional
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        self.backbone = ResNet50V2()
        self.reduce = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in (512, 1024, 2048))
        self.p5 = nn.Conv2d(256, 256, 3, 1, 1)
        self.p4 = nn.Conv2d(512, 256, 3)
        self.p3 = nn.Conv2d(768, 256, 3)
        self.p6 = nn.Conv2d(2048, 256, 3, 2)
        self.p7 = nn.Conv2d(256, 256, 3, 2)
        last: nn.Module = nn.Identity() if config.linear_heads else nn.ReLU()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(count, 2), last)
            for count in HEAD_INPUTS
        )
        self.classifier = nn.Linear(10, 2)
        self.draw_heads()

    def draw_heads(self) -> None:
        """Give the heads new weights by chance."""
        for layer in self._linear():
            nn.init.normal_(layer.weight, 0.0, 0.001)
            nn.init.zeros_(layer.bias)

    def _linear(self) -> Iterator[nn.Linear]:
        return (layer for layer in self.modules() if isinstance(layer, nn.Linear))

    @property
    def last_maps(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at: C5."""
        return self.backbone.post

    def pyramid(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return P3 to P7, 256 maps each."""
        taps = self.backbone(pictures)
        c3, c4, c5 = (layer(tap) for layer, tap in zip(self.reduce, taps, strict=True))
        m4 = torch.cat([c5, c4], 1)
        m3 = torch.cat([functional.interpolate(m4, size=c3.shape[2:], mode="nearest"), c3], 1)
        p6 = self.p6(functional.pad(taps[2], (0, 1, 0, 1)))
        p7 = self.p7(functional.pad(functional.relu(p6), (0, 1, 0, 1)))
        return self.p3(m3), self.p4(m4), self.p5(c5), p6, p7

    def head_answers(self, pictures: Tensor) -> Tensor:
        """Return the ten values of the five heads, (pictures, 10)."""
        levels = self.pyramid(pictures)
        return torch.cat([head(maps) for head, maps in zip(self.heads, levels, strict=True)], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits, (pictures, 2): other, COVID-19.

        Parameters
        ----------
        pictures : Tensor
            (pictures, 1, 512, 512); as published the stored values, HU + 1024, as they are.
        """
        return self.classifier(self.head_answers(pictures))


class PooledClassifier(nn.Module):
    """ResNet50V2 or Xception with the mean of the last maps, dropout and two logits.

    The tops of these two are not published; this one is ours.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        if config.name == "xception":
            self.body = timm.create_model("legacy_xception", num_classes=0, in_chans=1)
        else:
            self.body = ResNet50V2()
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(2048, 2)

    @property
    def last_maps(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at."""
        return self.body.post if isinstance(self.body, ResNet50V2) else self.body.act4

    def maps(self, pictures: Tensor) -> Tensor:
        """Return the last maps, 2048 of them, after normalisation and ReLU."""
        if isinstance(self.body, ResNet50V2):
            return self.body(pictures)[2]
        return self.body.forward_features(pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits, (pictures, 2): other, COVID-19."""
        return self.classifier(self.dropout(self.maps(pictures).mean((2, 3))))


def build_network(config: NetworkConfig | None = None) -> nn.Module:
    """Return a new network by its settings."""
    config = config or NetworkConfig()
    return (
        PyramidClassifier(config) if config.name == "resnet50v2-fpn" else PooledClassifier(config)
    )


@torch.no_grad()
def answers_are_constant(logits: Tensor, least: float = 1e-6) -> bool:
    """Return whether a network gives the same answer to every picture, as dead heads do.

    Parameters
    ----------
    logits : Tensor
        (pictures, classes), of two different pictures at least.
    least : float
        Range of a logit below which it counts as constant.
    """
    return len(logits) > 1 and bool((logits.amax(0) - logits.amin(0)).max() < least)
