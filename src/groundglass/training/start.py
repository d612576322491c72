"""What a training starts from: random, ImageNet or given weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from groundglass.errors import ModelError, WeightsError
from groundglass.models.card import CARD_SUFFIX, read_card
from groundglass.systems.recipes import PretrainedRecipe, Recipe
from groundglass.training.fit import seed_of


def initial_network(recipe: Recipe, init: str, seed: int = 0) -> nn.Module | None:
    """Return the network to start from; ``None`` for a new one.

    Parameters
    ----------
    recipe : Recipe
        How it is trained.
    init : str
        ``random``, ``imagenet`` or a safetensors file.
    seed : int
        Seed of what the weights at hand do not fill, as a new head.

    Raises
    ------
    ModelError
        If ImageNet weights are asked for and the network has none.
    WeightsError
        If the file is missing or fits another network.
    """
    if init == "random":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed))
        return _imagenet(recipe) if init == "imagenet" else _from_file(recipe, Path(init))


def _imagenet(recipe: Recipe) -> nn.Module:
    if isinstance(recipe, PretrainedRecipe):
        return recipe.pretrained()
    msg = (
        f"the network of {recipe.system} ({recipe.preset}) is not one of those with ImageNet "
        "weights; use --init random or a safetensors file"
    )
    raise ModelError(msg)


def _from_file(recipe: Recipe, path: Path) -> nn.Module:
    network = recipe.network()
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        msg = f"initial weights need a safetensors file, '{path.name}' cannot be read as one"
        raise WeightsError(msg) from error
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        adapted = recipe.adapted(weights) if isinstance(recipe, PretrainedRecipe) else None
        if adapted is None:
            msg = f"the weights in '{path.name}' belong to another network than {recipe.preset}"
            raise WeightsError(msg) from error
        return adapted
    return network


def told_start(init: str) -> str:
    """Return what the card says of the weights started from: their own card's data where there."""
    if init == "imagenet":
        return "initial weights: ImageNet"
    path = Path(init)
    card = path.with_name(path.name.removesuffix(".safetensors") + CARD_SUFFIX)
    if not card.is_file():
        return f"initial weights: {path.name}"
    found = read_card(card)
    seen = "; ".join(found.training_data)
    return f"initial weights: {found.name} ({found.system}), trained on {seen}"
