"""Passes that vote: a network's answers on the validation slices after each, counted in groups."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from groundglass.systems.recipes import Recipe, Source, VotingRecipe

SUFFIX = ".votes.csv"


class Ballot:
    """The answers of the passes of one stage.

    Parameters
    ----------
    recipe : Recipe
        How it is trained; only the passes of a `VotingRecipe` vote.
    sources : sequence of Source
        What is looked at on the way; may be empty.
    """

    def __init__(self, recipe: Recipe, sources: Sequence[Source]) -> None:
        self.recipe, self.sources = recipe, sources
        self.answers: list[NDArray[np.float32]] = []

    def look(self, network: nn.Module, device: Any) -> float | None:
        """Return the recipe's figure of a network, whose answers are kept where passes vote."""
        recipe, sources = self.recipe, self.sources
        if not (isinstance(recipe, VotingRecipe) and sources):
            return recipe.judge(network, sources, device)
        self.answers.append(recipe.answered(network, sources, device))
        return recipe.judged(self.answers[-1], sources)

    def write(self, folder: Path, name: str) -> None:
        """Write the figures of every vote as ``<name>.votes.csv``, if there was one."""
        if not (isinstance(self.recipe, VotingRecipe) and self.answers):
            return
        targets = self.sources[0].targets
        assert targets is not None
        rows = self.recipe.votes(self.answers, targets)
        if rows:
            with (folder / f"{name}{SUFFIX}").open("w", newline="", encoding="utf-8") as text:
                table = csv.DictWriter(text, list(rows[0]))
                table.writeheader()
                table.writerows(rows)


def last_vote(folder: Path) -> dict[str, str]:
    """Return the last vote written in a folder, the one that is reported; empty without one."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with path.open(newline="", encoding="utf-8") as text:
            found = list(csv.DictReader(text))[-1]
    return found
