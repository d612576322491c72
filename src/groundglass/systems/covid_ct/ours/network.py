"""A small classifier of pictures: the encoder of the infection network and one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groundglass.systems.covid_rate.ours.network import InfectionNetwork, NetworkConfig


class SmallClassifier(nn.Module):
    """Logits from the means of the encoder's maps at 1/16 and 1/32 of the input's size.

    Parameters
    ----------
    config : NetworkConfig, optional
        Sizes of the infection network.
    dropout : float
        Share of the means dropped in training.
    """

    def __init__(self, config: NetworkConfig | None = None, dropout: float = 0.3) -> None:
        super().__init__()
        config = config or NetworkConfig()
        whole = InfectionNetwork(config)
        self.stem, self.encoder = whole.stem, whole.encoder
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(config.widths[-2:]), 2)

    @property
    def last_maps(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at: the deepest maps."""
        return self.encoder[-1]

    def maps(self, tones: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps at 1/16 and at 1/32.

        Parameters
        ----------
        tones : Tensor
            (pictures, 1, rows, columns) tone maps; rows and columns are multiples of 32.
        """
        levels = [self.stem(torch.cat([tones - 0.4, tones.clamp(min=0).add(1e-4).sqrt() - 0.5], 1))]
        for stage in self.encoder:
            levels.append(stage(levels[-1]))
        return levels[-2], levels[-1]

    def forward(self, tones: Tensor) -> Tensor:
        """Return logits, (pictures, 2): other, COVID-19."""
        means = torch.cat([level.mean((2, 3)) for level in self.maps(tones)], 1)
        return self.classifier(self.dropout(means))
