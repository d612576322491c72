"""Drawing batches of slices with masks from sources, and judging networks on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from groundglass.systems.recipes import Source


def draw(sources: Sequence[Source], count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return slices drawn with replacement, each source by its share.

    Parameters
    ----------
    sources : sequence of Source
        Of one size and one number of masks.
    count : int
        Slices wanted.
    generator : Generator
        Source of all chance.

    Returns
    -------
    stacks : Tensor
        (count, 1 + masks, rows, columns) float32, scales undone.
    weights : Tensor
        (count, masks) weight of every mask in the loss.
    """
    shares = torch.tensor([source.share for source in sources])
    chosen = torch.multinomial(shares, count, replacement=True, generator=generator)
    stacks, weights = [], []
    for index in chosen.tolist():
        source = sources[index]
        row = int(torch.randint(len(source.stacks), (1,), generator=generator))
        scale = torch.tensor(source.scale).view(-1, 1, 1)
        stacks.append(torch.from_numpy(source.stacks[row]).float() / scale)
        weights.append(torch.tensor(source.weights))
    return torch.stack(stacks), torch.stack(weights)


@torch.no_grad()
def validation_dice(
    network: nn.Module, sources: Sequence[Source], device: torch.device | str = "cpu"
) -> float | None:
    """Return the mean Dice at one half over slices of sources; ``None`` without slices."""
    training = network.training
    network.eval()
    found: list[float] = []
    for source in sources:
        scale = torch.tensor(source.scale, device=device).view(-1, 1, 1)
        for row in range(len(source.stacks)):
            values = torch.from_numpy(source.stacks[row]).to(device).float() / scale
            mask = network(values[None, :1])[0, 0] > 0
            truth = values[1] > 0.5
            total = int(mask.sum() + truth.sum())
            found.append(2 * int((mask & truth).sum()) / total if total else 1.0)
    network.train(training)
    return float(np.mean(found)) if found else None
