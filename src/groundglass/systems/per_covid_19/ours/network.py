"""A small regressor of the infected percentage: local infection, weighted by local lung."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class PercentNetworkConfig:
    """Sizes of the regressor."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 192)
    """Channels of the stages, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size."""
    blocks: tuple[int, ...] = (1, 1, 2, 1)
    """Residual blocks of every stage after the stem."""
    fused: int = 96
    """Channels of the fused maps at 1/8 of the input size."""
    dropout: float = 0.1
    """Share of fused maps dropped in training."""


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; a stride of 2 averages the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.norm.weight)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if stride == 2 else []
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's output, half as large at stride 2."""
        return functional.relu(self.norm(self.second(self.first(maps))) + self.shortcut(maps))


class Encoder(nn.Module):
    """Residual encoder that reads one tone map and returns the maps of every stage."""

    def __init__(self, config: PercentNetworkConfig) -> None:
        super().__init__()
        self.stem = _conv(2, config.widths[0], 2)
        self.stages = nn.ModuleList()
        pairs = zip(config.widths, config.widths[1:], config.blocks, strict=False)
        for inputs, outputs, count in pairs:
            blocks = [_Residual(inputs, outputs, 2)]
            blocks += [_Residual(outputs, outputs) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, tones: Tensor) -> list[Tensor]:
        """Return maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        stretched = torch.cat([tones - 0.4, tones.clamp(min=0).add(1e-4).sqrt() - 0.5], 1)
        maps = [self.stem(stretched)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


class PercentNetwork(nn.Module):
    """Regressor whose answer is the share of locally infected lung, mildly corrected as a whole.

    A map of lung weights and a map of local infection are read off fused maps at 1/8 of the
    size. The weighted mean of the infection, as a logit, is scaled and shifted by what the whole
    picture says.

    Parameters
    ----------
    config : PercentNetworkConfig, optional
    """

    def __init__(self, config: PercentNetworkConfig | None = None) -> None:
        super().__init__()
        config = config or PercentNetworkConfig()
        self.encoder = Encoder(config)
        self.sides = nn.ModuleList(
            nn.Conv2d(width, config.fused, 1, bias=False) for width in config.widths[2:]
        )
        self.fuse = nn.Sequential(
            nn.BatchNorm2d(config.fused),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.fused, config.fused, 3, 1, 1, bias=False),
            nn.BatchNorm2d(config.fused),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.local = nn.Conv2d(config.fused, 2, 1)
        self.whole = nn.Linear(config.fused, 2)
        nn.init.zeros_(self.whole.weight)
        nn.init.zeros_(self.whole.bias)
        nn.init.constant_(self.local.bias, -1.0)

    def maps(self, tones: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return fused maps, lung weights and local infection at 1/8 of the size."""
        _, _, *used = self.encoder(tones)
        total = self.sides[-1](used[-1])
        for side, maps in zip(list(self.sides)[-2::-1], used[-2::-1], strict=True):
            total = functional.interpolate(total, scale_factor=2.0, mode="bilinear") + side(maps)
        fused = self.dropout(self.fuse(total))
        weight, infected = self.local(fused).split(1, 1)
        return fused, functional.softplus(weight), torch.sigmoid(infected)

    def forward(self, tones: Tensor) -> Tensor:
        """Return the infected percentage, shape (pictures, 1), in 0 to 100.

        Parameters
        ----------
        tones : Tensor
            (pictures, 1, rows, columns) tones in [0, 1.275]; sides are multiples of 32.
        """
        fused, weight, infected = self.maps(tones)
        share = (weight * infected).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)
        scale, shift = self.whole(fused.mean((2, 3))).split(1, 1)
        logit = torch.logit(share.clamp(1e-4, 1 - 1e-4))
        return 100 * torch.sigmoid((1 + scale) * logit + shift)
