"""The networks of COVID_CT: DenseNet-121 from random weights, DenseNet-169 with a head of two.

References
----------
.. [1] Huang et al. "Densely Connected Convolutional Networks." CVPR 2017. arXiv 1608.06993
.. [2] Zhao et al. "COVID-CT-Dataset: A CT Scan Dataset about COVID-19." 2020. arXiv 2003.13865
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import timm
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Normalisation of the three channels in the published scripts."""
SELF_TRANS_MEAN, SELF_TRANS_SD = (0.45271412,) * 3, (0.33165374,) * 3
"""The same in the scripts of Self-Trans."""


@dataclass(frozen=True)
class NetworkConfig:
    """Which network."""

    name: Literal["densenet121", "densenet169"] = "densenet121"
    """``densenet121`` is that of the system, ``densenet169`` that of the data set's authors."""


class DenseNetClassifier(nn.Module):
    """DenseNet that answers two logits: other, COVID-19.

    The published scripts have the classes the other way round.

    Parameters
    ----------
    config : NetworkConfig, optional
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        body = timm.create_model(config.name, pretrained=False, num_classes=2)
        self.body = body.features
        self.classifier = body.classifier

    @property
    def last_maps(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at: the last maps after ReLU."""
        return self.body

    def maps(self, pictures: Tensor) -> Tensor:
        """Return the last feature maps, after batch normalisation and ReLU.

        Parameters
        ----------
        pictures : Tensor
            (pictures, 3, rows, columns), normalised.
        """
        return self.body(pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits, (pictures, 2)."""
        return self.classifier(self.maps(pictures).mean((2, 3)))
