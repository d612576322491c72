"""Grad-CAM of any classifier: which places of the last maps raise the logit of a label.

References
----------
.. [1] Selvaraju et al. "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
   Localization." ICCV 2017. arXiv 1610.02391
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def grad_cam(
    network: nn.Module, pictures: Tensor, label: int, layer: nn.Module | None = None
) -> Tensor:
    """Return where a logit comes from.

    Each map of a layer is weighted by the mean of the logit's gradient over its places; what the
    weighted sum holds above 0 is the answer. No softmax is applied, so that other labels have no
    say.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; answers logits, (pictures, labels).
    pictures : Tensor
        (pictures, channels, rows, columns).
    label : int
        Number of the label.
    layer : nn.Module, optional
        Whose output is looked at; the network's own ``last_maps`` where not given.

    Returns
    -------
    Tensor
        (pictures, rows, columns) of the layer, at least 0, not scaled.

    Raises
    ------
    ValueError
        If the network is in training mode or the layer takes no part in the answer.
    """
    if network.training:
        msg = "Grad-CAM needs the network in evaluation mode"
        raise ValueError(msg)
    chosen: nn.Module = network.last_maps if layer is None else layer
    seen: list[Tensor] = []
    hook = chosen.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        with torch.enable_grad():
            logits = network(pictures.requires_grad_())
    finally:
        hook.remove()
    if not seen:
        msg = "the layer takes no part in the network's answer"
        raise ValueError(msg)
    (gradient,) = torch.autograd.grad(logits[:, label].sum(), seen[-1])
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * seen[-1]).sum(1).clamp(min=0).detach()
