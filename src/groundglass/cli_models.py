"""Models as the command line shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from rich import box
from rich.table import Table

from groundglass.console import complain, out_console
from groundglass.core.serial import to_json
from groundglass.errors import GroundglassError
from groundglass.models.card import ModelCard
from groundglass.models.catalogue import Catalogue, Entry, add_model, find_model, load_catalogue
from groundglass.models.runtime import verify

P = ParamSpec("P")


def plainly(command: Callable[P, int]) -> Callable[P, int]:
    """Turn errors about data into one sentence and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return command(*args, **kwargs)
        except GroundglassError as error:
            complain(f"{str(error).rstrip('.')}.")
            return 1

    return run


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _described(entry: Entry) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(to_json(entry.card))
    return {**card, "origin": entry.origin.value, "file": entry.path.name}


@plainly
def show_list(*, as_json: bool) -> int:
    """Print all models, return the exit code."""
    catalogue = load_catalogue()
    if as_json:
        _print_json([_described(entry) for entry in catalogue.entries])
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("Name", "Task", "System", "From", "Licence of the weights", "What"):
        table.add_column(head, no_wrap=head == "Name")
    for entry in catalogue.entries:
        card = entry.card
        name = f"{card.name} (default)" if card.default else card.name
        table.add_row(name, card.task, card.system, entry.origin, card.licence, card.summary)
    console = out_console()
    if catalogue.entries:
        console.print(table)
    else:
        console.print("No model is at hand; groundglass models add FILE adds one.")
    return 0


@plainly
def show_card(name: str, *, as_json: bool) -> int:
    """Print one card, return the exit code."""
    entry = find_model(name)
    if as_json:
        _print_json(_described(entry))
        return 0
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in _card_lines(entry.card):
        table.add_row(key, value)
    out_console().print(table)
    return 0


def _card_lines(card: ModelCard) -> list[tuple[str, str]]:
    size = " x ".join(str(side) for side in card.preparation.size)
    lines = [
        ("Name", card.name),
        ("What", card.summary),
        ("Task, system", f"{card.task}, {card.system} ({card.preset})"),
        ("Network", f"{card.architecture}, {card.parameters:,} weights"),
        ("Input", f"{size}, {card.preparation.scale}"),
        ("Labels", ", ".join(f"{k} from {card.thresholds.get(k, 0.5):.2f}" for k in card.labels)),
        ("Licence of the weights", card.licence),
        ("Trained on", "; ".join(card.training_data)),
        ("SHA-256", card.sha256),
    ]
    for score in card.scores:
        span = "" if score.low is None else f" ({score.low:.3f} to {score.high:.3f})"
        lines.append((score.metric, f"{score.value:.3f}{span}, n = {score.count}, {score.data}"))
    lines.extend(("Limit", text) for text in card.limits)
    if card.leak:
        lines.append(("Leak let through", card.leak))
    return lines


@plainly
def add_from_file(source: Path, *, force: bool) -> int:
    """Add a model, return the exit code."""
    entry = add_model(source, force=force)
    problem = verify(entry)
    if problem is not None:
        complain(f"The model was added but does not work: {problem}.")
        return 1
    out_console().print(f"Added {entry.card.name}: {entry.card.summary}", markup=False)
    return 0


@plainly
def show_verified(name: str | None, *, as_json: bool) -> int:
    """Verify one model or all, return 1 if one is not sound."""
    catalogue = load_catalogue()
    chosen = catalogue if name is None else Catalogue((catalogue.find(name),))
    found = {entry.card.name: verify(entry) for entry in chosen.entries}
    if as_json:
        _print_json({key: {"sound": not text, "problem": text} for key, text in found.items()})
    else:
        console = out_console()
        for key, text in found.items():
            console.print(f"{key}: {text or 'sound'}", markup=False)
        if not found:
            console.print("No model is at hand.")
    return 1 if any(found.values()) else 0
