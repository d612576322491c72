"""After training: probabilities that fit, what is unlike the training pictures, and the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from groundglass.datasets.slices import SliceItem
from groundglass.models.catalogue import Entry
from groundglass.systems.recipes import CalibratedRecipe, FamiliarRecipe, Recipe
from groundglass.training.export import CHECK_SLICES, Origins, export_model


def finish_model(  # noqa: PLR0913, PLR0917 - a network, what made it, where to
    recipe: Recipe,
    network: nn.Module,
    trained_on: Sequence[SliceItem],
    watched: Sequence[SliceItem],
    origins: Origins,
    folder: Path,
) -> Entry:
    """Calibrate a trained network, learn what is familiar to it, and export it with its card.

    Parameters
    ----------
    recipe : Recipe
        What it was trained by.
    network : nn.Module
        The trained network, in evaluation mode.
    trained_on : sequence of SliceItem
        Its training slices; what is familiar is learnt from them.
    watched : sequence of SliceItem
        Slices it was not trained on; its probabilities are made to fit them where the recipe does
        that.
    origins : Origins
        Where it comes from.
    folder : Path
        Where to.
    """
    if isinstance(recipe, CalibratedRecipe) and watched:
        recipe = recipe.calibrated(network, watched)
    if isinstance(recipe, FamiliarRecipe):
        origins = replace(origins, familiarity=recipe.familiarity(trained_on))
    real = [recipe.prepared(item.read()) for item in trained_on[:CHECK_SLICES]]
    return export_model(recipe, network, origins, folder, real)
