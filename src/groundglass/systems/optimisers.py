"""An optimiser for small networks that learn from few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration that brings all singular values near 1."""
ITERATIONS = 5
LEAST_OUTPUTS = 9
"""Kernels of fewer outputs are not orthogonalised: they are heads, not hidden layers."""


class Muon(AdamW):
    """Orthogonalised momentum for the kernels of convolutions, AdamW for all else.

    The update of a kernel, seen as a matrix of outputs against the rest, is its Nesterov momentum
    with all singular values brought near 1, so that rare directions are learnt as fast as common
    ones (Jordan et al. 2024, *Muon: an optimizer for hidden layers in neural networks*). It is as
    long as a step of AdamW is (Liu et al. 2025, arXiv 2502.16982), so one learning rate and one
    weight decay serve both. ``torch.optim.Muon`` does the same, but takes matrices alone.

    Parameters
    ----------
    network : nn.Module
    learning_rate : float
        Of AdamW; that of kernels is ``kernel_rate``.
    weight_decay : float
        Decoupled, of all parameters.
    kernel_rate : float, optional
        Learning rate of kernels; ``learning_rate`` if not given.
    momentum : float, default 0.95
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        weight_decay: float,
        kernel_rate: float | None = None,
        momentum: float = 0.95,
    ) -> None:
        rate = learning_rate if kernel_rate is None else kernel_rate
        others: dict[str, Any] = {"params": []}
        kernels: dict[str, Any] = {"params": [], "lr": rate, "momentum": momentum}
        for one in network.parameters():
            hidden = one.ndim == 4 and len(one) >= LEAST_OUTPUTS
            (kernels if hidden else others)["params"].append(one)
        super().__init__([others, kernels], lr=learning_rate, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; gradients of kernels are gone after it.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        _, kernels = self.param_groups
        for kernel in kernels["params"]:
            self._move(kernel, kernels)
        super().step()
        return loss

    def _move(self, kernel: Tensor, group: dict[str, Any]) -> None:
        """Move one kernel and drop its gradient, so that AdamW leaves it alone."""
        slope, kernel.grad = kernel.grad, None
        if slope is None:
            return
        state = self.state[kernel]
        if not state:
            state["step"], state["momentum_buffer"] = torch.tensor(0.0), torch.zeros_like(slope)
        state["step"] += 1
        average = state["momentum_buffer"].lerp_(slope, 1 - group["momentum"])
        update = orthogonalised(slope.lerp(average, group["momentum"]).flatten(1))
        length = 0.2 * max(update.shape) ** 0.5
        kernel.mul_(1 - group["lr"] * group["weight_decay"])
        kernel.add_(update.reshape(kernel.shape), alpha=-group["lr"] * length)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors and singular values near 1 (0.5 to 1.5).

    Parameters
    ----------
    matrix : Tensor
        (rows, columns); zeros stay zeros.

    Returns
    -------
    Tensor
        Of the same shape and type; computed in bfloat16.
    """
    a, b, c = QUINTIC
    found = matrix.to(torch.bfloat16)
    tall = matrix.shape[0] > matrix.shape[1]
    found = found.T if tall else found
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = found @ found.T
        change = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        found = torch.addmm(found, change, found, beta=a)
    return (found.T if tall else found).to(matrix.dtype)
