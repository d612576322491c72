"""Infection network: a small residual U-Net with two outputs, any infection and consolidation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the infection network."""

    widths: tuple[int, ...] = (24, 40, 72, 112, 176)
    """Channels of the encoder stages, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size."""
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    """Residual blocks of every stage after the stem."""
    decoder_widths: tuple[int, ...] = (96, 64, 40, 24)
    """Channels of the decoder steps, at 1/16, 1/8, 1/4 and 1/2 of the input size."""
    head_widths: tuple[int, int] = (64, 32)
    """Channels of the two hidden layers of the head."""
    dropout: float = 0.1
    """Share of maps dropped in training before each decoder step and inside the head."""


class _ConvBlock(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; a stride of 2 averages the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _ConvBlock(inputs, outputs, stride)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if stride == 2 else []
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's output, half as large at stride 2."""
        inner = self.norm(self.second(self.first(maps)))
        return functional.relu(inner + self.shortcut(maps))


class InfectionNetwork(nn.Module):
    """Residual U-Net that reads one tone map and writes logits of infection and consolidation.

    The tone map holds 0 for the darkest tones and 0.85 for soft tissue, see
    ``data.align_picture`` and ``data.align_hu``. Its square root is put beside it, which
    stretches the tones of ground glass. The head looks at every pixel through maps of all
    scales: of the decoder, of the first encoder stages, and hand-made ones, the mean and the
    standard deviation of the tone in squares of 2 to 32 pixels.

    Parameters
    ----------
    config : NetworkConfig, optional
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        widths, decoder = config.widths, config.decoder_widths
        self.stem = _ConvBlock(2, widths[0], stride=2)
        self.encoder = nn.ModuleList()
        for inputs, outputs, count in zip(widths, widths[1:], config.blocks, strict=False):
            stage = [_Residual(inputs, outputs, stride=2)]
            stage += [_Residual(outputs, outputs) for _ in range(count - 1)]
            self.encoder.append(nn.Sequential(*stage))
        self.decoder = nn.ModuleList()
        below = widths[-1]
        for beside, outputs in zip(widths[-2::-1], decoder, strict=True):
            self.decoder.append(_ConvBlock(below + beside, outputs))
            below = outputs
        self.dropout = nn.Dropout2d(config.dropout)
        self.coarse_head = nn.Conv2d(decoder[-2], 2, 1)
        self.head = PixelHead(pyramid_widths(config), config)
        nn.init.constant_(self.coarse_head.bias, -2.0)

    def pyramid(self, tones: Tensor) -> list[Tensor]:
        """Return the maps that the head sees, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        stretched = torch.cat([tones - 0.4, tones.clamp(min=0).add(1e-4).sqrt() - 0.5], 1)
        sides = [self.stem(stretched)]
        for stage in self.encoder:
            sides.append(stage(sides[-1]))
        early = sides[:2]
        maps, steps = sides.pop(), []
        for step in self.decoder:
            maps = step(torch.cat([self.dropout(_doubled(maps)), sides.pop()], 1))
            steps.append(maps)
        hand = _hand_made(tones)
        return [
            torch.cat([early[0], steps[3], hand[0]], 1),
            torch.cat([early[1], steps[2], hand[1]], 1),
            torch.cat([steps[1], hand[2]], 1),
            torch.cat([steps[0], hand[3]], 1),
            hand[4],
        ]

    def forward(self, tones: Tensor) -> Tensor:
        """Return logits of shape (pictures, 2, rows, columns): any infection, consolidation.

        Parameters
        ----------
        tones : Tensor
            (pictures, 1, rows, columns) tone maps; rows and columns are multiples of 32.
        """
        return _doubled(self.head(self.pyramid(tones)))

    def forward_deep(self, tones: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and, for deep supervision, logits at a quarter of the size."""
        pyramid = self.pyramid(tones)
        early = self.encoder[0][-1].norm.num_features
        decoded = pyramid[1][:, early:-HAND_MADE]
        return _doubled(self.head(pyramid)), self.coarse_head(decoded)


class PixelHead(nn.Module):
    """A perceptron applied to every pixel's maps of all scales.

    Its first layer is computed scale by scale and added up, coarse to fine, which is the same
    as enlarging all maps first, but cheaper.

    Parameters
    ----------
    inputs : tuple of int
        Maps at every scale, finest first.
    config : NetworkConfig
    """

    def __init__(self, inputs: tuple[int, ...], config: NetworkConfig) -> None:
        super().__init__()
        first, second = config.head_widths
        self.scales = nn.ModuleList(
            nn.Conv2d(count, first, 1, bias=index == 0) for index, count in enumerate(inputs)
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.hidden = nn.Conv2d(first, second, 1)
        self.last = nn.Conv2d(second, 2, 1)
        nn.init.constant_(self.last.bias, -2.0)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Return logits at the finest scale."""
        total = self.scales[-1](pyramid[-1])
        for layer, maps in zip(self.scales[-2::-1], pyramid[-2::-1], strict=True):
            total = _doubled(total) + layer(maps)
        inner = self.dropout(functional.relu(total))
        return self.last(functional.relu(self.hidden(inner)))


HAND_MADE = 2
"""Hand-made maps of one scale."""


def pyramid_widths(config: NetworkConfig) -> tuple[int, ...]:
    """Return how many maps the head sees at every scale, finest first."""
    early, late = config.widths, config.decoder_widths
    return (
        early[0] + late[3] + HAND_MADE,
        early[1] + late[2] + HAND_MADE,
        late[1] + HAND_MADE,
        late[0] + HAND_MADE,
        HAND_MADE,
    )


def _hand_made(tones: Tensor) -> list[Tensor]:
    """Return mean and standard deviation of the tone in squares of 2, 4, 8, 16 and 32 pixels."""
    mean, square, maps = tones, tones * tones, []
    for _ in range(5):
        mean, square = functional.avg_pool2d(mean, 2), functional.avg_pool2d(square, 2)
        spread = (square - mean * mean).clamp(min=0).add(1e-5).sqrt()
        maps.append(torch.cat([mean * 3 - 1, spread * 5], 1))
    return maps


class WithSigmoid(nn.Module):
    """The network as it is exported: probabilities instead of logits.

    Call ``eval()`` on this outermost module before it is exported: an exporter that puts back
    the training state of a wrapper alters batch normalisation of what lies inside.
    """

    def __init__(self, network: InfectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tones: Tensor) -> Tensor:
        """Return probabilities of any infection and of consolidation, float32 in [0, 1]."""
        return torch.sigmoid(self.network(tones))


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
