"""Networks from timm under a new head, with ImageNet weights where they can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import timm as library
from safetensors.torch import load_file
from torch import Tensor, nn

from groundglass.errors import SealedError, WeightsError
from groundglass.models.catalogue import user_folder
from groundglass.sealed import require_network

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Means and deviations that ImageNet weights are used to."""
LOCAL = "imagenet"
"""Folder inside that of added models where weights fetched by hand lie."""


@dataclass(frozen=True)
class Backbone:
    """A network of timm."""

    timm: str
    """Its name there."""
    tag: str
    """Which of its ImageNet weights, e.g. ``tv_in1k`` for those of torchvision."""
    head: str
    """Name of its last layer."""
    side_px: int
    """Height and width of its input."""

    @property
    def file(self) -> str:
        """Name of the file of its ImageNet weights when fetched by hand."""
        return f"{self.timm}.{self.tag}.safetensors"

    def network(self, outputs: int, dropout: float = 0.0, channels: int = 3) -> nn.Module:
        """Return a new network with one linear head, random throughout."""
        made: nn.Module = library.create_model(
            self.timm, num_classes=outputs, drop_rate=dropout, in_chans=channels
        )
        return made

    def adapted(self, network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module | None:
        """Return a new network with weights of the same one under another head.

        Parameters
        ----------
        network : nn.Module
            New; its head stays as it is, all else is replaced in place.
        weights : mapping
            Of a network of any head; ``None`` is returned if they belong to another network.
        """
        body = {name: value for name, value in weights.items() if not self._of_head(name)}
        wanted = {n: v for n, v in network.state_dict().items() if not self._of_head(n)}
        aux = {name for name in body if name.startswith("AuxLogits.")}
        body = {name: value for name, value in body.items() if name not in aux}
        if body.keys() != wanted.keys():
            return None
        if any(body[name].shape != value.shape for name, value in wanted.items()):
            return None
        network.load_state_dict({**network.state_dict(), **body})
        return network

    def _of_head(self, name: str) -> bool:
        return name.startswith(f"{self.head}.")

    def pretrained(self, network: nn.Module) -> nn.Module:
        """Return a new network with ImageNet weights under its own head.

        Parameters
        ----------
        network : nn.Module
            New; its head stays as it is.

        Raises
        ------
        WeightsError
            If the weights are neither in the folder of added models nor can be fetched.
        """
        place = user_folder() / LOCAL / self.file
        weights = load_file(place) if place.is_file() else self._fetched()
        found = self.adapted(network, weights)
        if found is None:
            msg = f"'{place.name}' does not hold the ImageNet weights of {self.timm}"
            raise WeightsError(msg)
        return found

    def _fetched(self) -> Mapping[str, Tensor]:
        """Return ImageNet weights by timm's own loader; where it may use the network."""
        where = (
            f"put model.safetensors of timm/{self.timm}.{self.tag} (huggingface.co) as {self.file} "
            f"into the folder '{LOCAL}' of the folder of added models, or say --init FILE"
        )
        try:
            require_network("fetching ImageNet weights")
        except SealedError as error:
            msg = f"{error}, or {where}"
            raise SealedError(msg) from error
        try:
            made = library.create_model(f"{self.timm}.{self.tag}", pretrained=True)
        except Exception as error:  # timm, hub and network raise errors without a common base
            msg = f"the ImageNet weights of {self.timm} cannot be fetched here; {where}"
            raise WeightsError(msg) from error
        found: Mapping[str, Tensor] = made.state_dict()
        return found
