"""The network of COVID-Rate, to the layer.

References
----------
.. [1] Enshaei et al. "COVID-Rate: an automated framework for segmentation of COVID-19 lesions from
   chest CT images." Scientific Reports 12, 2022. doi 10.1038/s41598-022-06854-9
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}
"""The defaults of Keras, whose momentum of 0.99 weighs the old value."""
TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut at two, by which Keras widens its He-normal."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; the defaults are the published ones, with 14,390,049 numbers."""

    widths: tuple[int, ...] = (32, 32, 64, 128, 256)
    """Channels of the stem and of each encoder stage; each stage halves the size."""
    decoder_widths: tuple[int, ...] = (512, 256, 128, 64)
    """Channels of the decoder stages, deepest first."""
    squeeze: int = 16
    """By how much squeeze-and-excite narrows."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Dilations of the 3 x 3 convolutions of the context block."""
    context_penalty: float = 0.01
    """Weight of the squared kernels of the context block in the loss."""


class SameConv(nn.Conv2d):
    """Convolution padded with zeros as TensorFlow's "same": at stride 2 only below and right."""

    def __init__(  # noqa: PLR0913 - what a convolution is
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        glorot: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, dilation=dilation)
        reach = dilation * (kernel - 1)
        total = max(reach + 1 - stride, 0)
        self.ends = (total // 2, total - total // 2)
        initialise(self, glorot=glorot)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the convolved maps; sides are divided by the stride and must be its multiple."""
        return super().forward(functional.pad(maps, self.ends * 2))


def initialise(layer: nn.Conv2d | nn.Linear, *, glorot: bool) -> None:
    """Fill a layer's weights by Glorot-uniform or by truncated He-normal, its biases by 0."""
    if glorot:
        nn.init.xavier_uniform_(layer.weight)
    else:
        inputs = layer.weight[0].numel()
        std = math.sqrt(2 / inputs) / TRUNCATED_STD
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def normalised(convolution: SameConv) -> nn.Sequential:
    """Return a convolution followed by batch normalisation and ReLU."""
    return nn.Sequential(
        convolution, nn.BatchNorm2d(convolution.out_channels, **BATCH_NORM), nn.ReLU()
    )


class SqueezeExcite(nn.Module):
    """Channel gains from global averages, added to the input: gains lie in 1..2."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, channels // ratio, bias=False)
        self.widen = nn.Linear(channels // ratio, channels, bias=False)
        initialise(self.narrow, glorot=False)
        initialise(self.widen, glorot=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps, each channel times one plus its gain."""
        gain = torch.sigmoid(self.widen(torch.relu(self.narrow(maps.mean((2, 3))))))
        return maps * gain[:, :, None, None] + maps


class Down(nn.Module):
    """Halves the size; the shortcut is a 1 x 1 convolution with batch normalisation."""

    def __init__(self, inputs: int, outputs: int, ratio: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            normalised(SameConv(inputs, outputs, 3, stride=2)),
            normalised(SameConv(outputs, outputs, 3, dilation=2)),
            SqueezeExcite(outputs, ratio),
        )
        self.shortcut = nn.Sequential(
            SameConv(inputs, outputs, 1, stride=2, glorot=True),
            nn.BatchNorm2d(outputs, **BATCH_NORM),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the sum of both ways, without activation."""
        return self.main(maps) + self.shortcut(maps)


class Residual(nn.Module):
    """Two convolutions, the second dilated, beside the identity."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            normalised(SameConv(channels, channels, 3)),
            normalised(SameConv(channels, channels, 3, dilation=2)),
            SqueezeExcite(channels, ratio),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the input plus what the block adds."""
        return maps + self.main(maps)


class ContextPerceptionBoosting(nn.Module):
    """Five parallel convolutions of growing reach, summed."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.ways = nn.ModuleList([SameConv(channels, channels, 1)])
        self.ways.extend(SameConv(channels, channels, 3, dilation=d) for d in dilations)
        self.after = nn.Sequential(nn.BatchNorm2d(channels, **BATCH_NORM), nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """Return the summed answers, normalised and cut at 0."""
        return self.after(torch.stack([way(maps) for way in self.ways]).sum(0))

    def squared_kernels(self) -> Tensor:
        """Return the sum of squares of all kernels."""
        return torch.stack([way.weight.square().sum() for way in self.ways]).sum()


class Up(nn.Module):
    """Doubles the size and joins the encoder's maps of that size."""

    def __init__(self, inputs: int, beside: int, outputs: int, ratio: int) -> None:
        super().__init__()
        self.below = normalised(SameConv(inputs, outputs, 3))
        self.beside = nn.Sequential(SameConv(beside, outputs, 1), nn.ReLU())
        self.joined = normalised(SameConv(2 * outputs, outputs, 3, dilation=2))
        self.squeeze = SqueezeExcite(outputs, ratio)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Return the joined maps, of the skip's size."""
        larger = self.below(functional.interpolate(maps, scale_factor=2.0, mode="nearest"))
        return self.squeeze(self.joined(torch.cat([larger, self.beside(skip)], 1)))


class CovidRateNetwork(nn.Module):
    """Residual, dilated U-Net with squeeze-and-excite and a context block at its neck.

    Parameters
    ----------
    config : NetworkConfig, optional
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        widths = config.widths
        self.stem = normalised(SameConv(1, widths[0], 7))
        self.encoder = nn.ModuleList(
            nn.Sequential(Down(inputs, outputs, config.squeeze), Residual(outputs, config.squeeze))
            for inputs, outputs in pairwise(widths)
        )
        self.neck = ContextPerceptionBoosting(widths[-1], config.dilations)
        below = (widths[-1], *config.decoder_widths)
        self.decoder = nn.ModuleList(
            Up(inputs, beside, outputs, config.squeeze)
            for inputs, beside, outputs in zip(
                below, reversed(widths[:-1]), config.decoder_widths, strict=False
            )
        )
        self.head = SameConv(config.decoder_widths[-1], 1, 1, glorot=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of lesion.

        Parameters
        ----------
        images : Tensor
            (slices, 1, rows, columns), sides multiples of 16.

        Returns
        -------
        Tensor
            Of the same shape.
        """
        sides = [self.stem(images)]
        for stage in self.encoder:
            sides.append(stage(sides[-1]))
        maps = self.neck(sides.pop())
        for stage in self.decoder:
            maps = stage(maps, sides.pop())
        return self.head(maps)

    def penalty(self) -> Tensor:
        """Return what the context block adds to the loss."""
        return self.config.context_penalty * self.neck.squared_kernels()


def count_numbers(network: nn.Module) -> tuple[int, int]:
    """Return how many numbers a network holds, as Keras counts, and how many of them it trains.

    Running means and variances of batch normalisation count among the first.
    """
    trained = sum(values.numel() for values in network.parameters())
    kept = sum(values.numel() for values in network.buffers() if values.dim())
    return trained + kept, trained
