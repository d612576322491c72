"""Lung network: a tiny residual U-Net with one output, lung."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundglass.imaging.tone import SOFT_TISSUE

SOFT_WINDOW = 8.0
"""Stretch of the tones round soft tissue: 0.125 to either side, about 150 HU, becomes 1."""


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the lung network."""

    slices: int = 5
    """Tone maps of the input: the slice, and its neighbours above and below, near and far."""
    widths: tuple[int, ...] = (16, 24, 40, 64, 96)
    """Channels of the encoder stages, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size."""
    decoder_widths: tuple[int, ...] = (64, 40, 24, 16)
    """Channels of the decoder steps, at 1/16, 1/8, 1/4 and 1/2 of the input size."""
    dropout: float = 0.05
    """Share of maps dropped in training before each decoder step."""


class _ConvBlock(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions at half the size beside an averaged shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _ConvBlock(inputs, outputs, 2)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's output, half as large."""
        inner = self.norm(self.second(self.first(maps)))
        return functional.relu(inner + self.shortcut(maps))


class LungNetwork(nn.Module):
    """Residual U-Net that reads a slice with its neighbours and writes logits of lung.

    Tones are those of ``imaging.tone``: 0 for the darkest, 0.85 for soft tissue. The tones round
    soft tissue are put beside them stretched, since consolidation, effusion and the wall of the
    chest differ by a few HU only.

    Parameters
    ----------
    config : NetworkConfig, optional
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        widths, decoder = config.widths, config.decoder_widths
        self.stem = _ConvBlock(config.slices + 1, widths[0], stride=2)
        self.encoder = nn.ModuleList(
            _Residual(inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.decoder = nn.ModuleList()
        below = widths[-1]
        for beside, outputs in zip(widths[-2::-1], decoder, strict=True):
            self.decoder.append(_ConvBlock(below + beside, outputs))
            below = outputs
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(decoder[-1], 1, 1)
        nn.init.constant_(self.head.bias, -1.0)

    def forward(self, tones: Tensor) -> Tensor:
        """Return logits of shape (slices, 1, rows, columns).

        Parameters
        ----------
        tones : Tensor
            (slices, maps, rows, columns): from above to below, the slice itself in the middle;
            rows and columns are multiples of 32.
        """
        middle = tones[:, tones.shape[1] // 2, None]
        soft = ((middle - SOFT_TISSUE) * SOFT_WINDOW).clamp(-1, 1)
        sides = [self.stem(torch.cat([tones - 0.4, soft], 1))]
        for stage in self.encoder:
            sides.append(stage(sides[-1]))
        maps = sides.pop()
        for step in self.decoder:
            maps = step(torch.cat([self.dropout(_doubled(maps)), sides.pop()], 1))
        return _doubled(self.head(maps))


class WithSigmoid(nn.Module):
    """The network as it is exported: probabilities instead of logits."""

    def __init__(self, network: LungNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tones: Tensor) -> Tensor:
        """Return the probability of lung, float32 in [0, 1]."""
        return torch.sigmoid(self.network(tones))


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
