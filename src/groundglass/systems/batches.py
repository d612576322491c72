"""Drawing batches from sources."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

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
