"""Put the network of a training run in the place of a shipped one.

Weights, architecture, preparation, recipe and versions come from the run; licence, training data
and limits from the card of the shipped model, as they are words and not results; figures from an
evaluation by folds of the same recipe (``groundglass evaluate SYSTEM --fold all -o OUT``), else
those that the run itself put onto its card.

    python scripts/ship_model.py RUN/full infection-semiseg --figures OUT/evaluation/evaluation.json
    python scripts/ship_model.py RUN/full covid-ct-small
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundglass.models.card import Measured, ModelCard, card_path, read_card, write_card

SHIPPED = Path(__file__).parent.parent / "src" / "groundglass" / "models" / "shipped"
FIGURES = ("dice", "dice_mean256", "dice_consolidation", "sensitivity", "specificity")
DIGITS = 4


def figures_of(evaluation: Path, told: str) -> tuple[Measured, ...]:
    """Return the figures of an evaluation for a card."""
    found: dict[str, Any] = json.loads(evaluation.read_text(encoding="utf-8"))
    rows = []
    for name in FIGURES:
        one = found["metrics"][name]
        value, low, high = (round(one[key], DIGITS) for key in ("value", "low", "high"))
        rows.append(Measured(name, value, low, high, found["n"], told))
    return tuple(rows)


def shipped_card(given: argparse.Namespace, new: ModelCard, old: ModelCard) -> ModelCard:
    """Return the card of the new weights in the words of the old one."""
    config = dict(new.architecture_config)
    for path in given.before:
        config.setdefault("before", []).append(json.loads(path.read_text(encoding="utf-8")))
    if given.note:
        config["note"] = given.note
    return replace(
        new,
        name=old.name,
        summary=given.summary or old.summary,
        licence=old.licence,
        training_data=tuple(given.seen) or old.training_data,
        limits=tuple(given.limit) or old.limits,
        default=old.default,
        scores=figures_of(given.figures, given.told) if given.figures else new.scores,
        architecture_config=config,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace model and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the network, e.g. RUN/full")
    parser.add_argument("name", help="the shipped model it replaces")
    parser.add_argument("--figures", type=Path, help="evaluation.json by folds")
    parser.add_argument("--told", default="five folds by source", help="how they were measured")
    parser.add_argument("--before", type=Path, nargs="*", default=[], help="run.json of its start")
    parser.add_argument("--note", default="", help="what the recipe does not tell")
    parser.add_argument("--summary", default="", help="another summary")
    parser.add_argument("--seen", action="append", default=[], help="other training data")
    parser.add_argument("--limit", action="append", default=[], help="other limits")
    given = parser.parse_args(arguments)
    source, target = given.run / "model.onnx", SHIPPED / f"{given.name}.onnx"
    old = read_card(card_path(target))
    card = shipped_card(given, read_card(card_path(source)), old)
    shutil.copyfile(source, target)
    write_card(card, card_path(target))
    for score in card.scores:
        before = next((one.value for one in old.scores if one.metric == score.metric), None)
        sys.stdout.write(f"{score.metric:20} {score.value:.4f}   before: {before}\n")
    sys.stdout.write(f"replaced {target.name}, {target.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
