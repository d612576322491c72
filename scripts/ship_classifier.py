"""Make the shipped covid-ct-small of given weights: calibrated, with its limits and its figures.

The same steps as at the end of ``groundglass train covid-ct --preset ours``: temperature on val,
what is familiar from train, the export checked against the network, figures on val put onto the
card. Weights are a state dict of the recipe's network (``model.safetensors`` of a run, or a ``.pt``
file), or one with a single logit of COVID-19 called ``last``, which is halved to both sides.

    python scripts/ship_classifier.py RUN/full/model.safetensors --data DATA/covid-ct
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from groundglass.datasets.covid_ct_slices import all_parts
from groundglass.evaluation.card_figures import with_figures
from groundglass.models.card import ModelCard, card_path, read_card, write_card
from groundglass.models.catalogue import Entry
from groundglass.systems.covid_ct.ours.recipe import SmallRecipe
from groundglass.training.export import Origins
from groundglass.training.finish import finish_model
from groundglass.training.presets import recipe_for

NAME = "covid-ct-small"
SHIPPED = Path(__file__).parent.parent / "src" / "groundglass" / "models" / "shipped"
LICENCE = "research only, non-commercial (training data)"
START = "initial weights: encoder of infection-semiseg (covid-semiseg and what it was trained on)"


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a file under the names of the recipe's network."""
    if path.suffix == ".safetensors":
        found = load_file(path)
    else:
        found = torch.load(path, map_location="cpu", weights_only=True)
    if "last.weight" in found:
        weight, bias = found.pop("last.weight"), found.pop("last.bias")
        found["classifier.weight"] = torch.cat([-weight / 2, weight / 2])
        found["classifier.bias"] = torch.cat([-bias / 2, bias / 2])
    return dict(found)


def shipped(given: argparse.Namespace, folder: Path) -> Entry:
    """Return the model made of the weights, in a folder."""
    settings = given.recipe.read_text(encoding="utf-8") if given.recipe else None
    recipe: Any = recipe_for("covid-ct", "ours", settings)
    assert isinstance(recipe, SmallRecipe)
    network = recipe.network()
    network.load_state_dict(weights_of(given.weights))
    slices = all_parts(given.data)
    train, val = (
        [item for item in slices.items if item.split == part] for part in ("train", "val")
    )
    seen = given.seen or f"covid-ct train ({len(train)} pictures of publications)"
    origins = Origins(NAME, LICENCE, (seen, START))
    entry = finish_model(recipe, network.eval(), train, val, origins, folder)
    entry = with_figures(entry, slices, val)
    settings_told = {
        **entry.card.architecture_config,
        **({"note": given.note} if given.note else {}),
    }
    card = replace(entry.card, default=True, architecture_config=settings_told)
    write_card(card, card_path(entry.path))
    return Entry(card, entry.path, entry.origin)


def figures_of(card: ModelCard) -> Mapping[str, float]:
    """Return the figures of a card by name."""
    return {score.metric: score.value for score in card.scores}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the model, print its figures beside those of the one there, and put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of COVID-CT")
    parser.add_argument("--recipe", type=Path, help="settings of the recipe as JSON")
    parser.add_argument("--note", default="", help="how the weights were trained, for the card")
    parser.add_argument("--seen", help="what was trained on, for the card, if not all of train")
    parser.add_argument("--to", type=Path, default=SHIPPED, help="folder of shipped models")
    parser.add_argument("--dry-run", action="store_true", help="print, and replace nothing")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        made = shipped(given, Path(place))
        target = given.to / f"{NAME}.onnx"
        old = figures_of(read_card(card_path(target))) if card_path(target).is_file() else {}
        for metric, value in figures_of(made.card).items():
            sys.stdout.write(f"{metric:20} {value:.4f}   before: {old.get(metric)}\n")
        sys.stdout.write(f"temperature {made.card.architecture_config['temperature']}\n")
        if not given.dry_run:
            shutil.copyfile(made.path, target)
            shutil.copyfile(card_path(made.path), card_path(target))
            sys.stdout.write(f"replaced {target.name}, {target.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
