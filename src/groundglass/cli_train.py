"""The bench on the command line: models, and with the extra ``train`` training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    name="models", help="The models at hand: what they are and whether they are sound."
)


def add_bench(app: typer.Typer) -> None:
    """Put the commands of the bench on the command line."""
    app.add_typer(models_app)


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """List the models at hand."""
    from groundglass.cli_models import show_list  # noqa: PLC0415 - keeps --help quick

    raise typer.Exit(show_list(as_json=as_json))


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Name of a model, or its ONNX file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show a model's card: licence, training data, scores, limits."""
    from groundglass.cli_models import show_card  # noqa: PLC0415

    raise typer.Exit(show_card(name, as_json=as_json))


@models_app.command("add")
def add_model(
    source: Annotated[Path, typer.Argument(help="ONNX file with its card, or a run's folder.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an added model of that name.")
    ] = False,
) -> None:
    """Copy a model with its card into the user's folder."""
    from groundglass.cli_models import add_from_file  # noqa: PLC0415

    raise typer.Exit(add_from_file(source, force=force))


@models_app.command("verify")
def verify_models(
    name: Annotated[str | None, typer.Argument(help="One model; all where not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Compare hashes, open and run the models."""
    from groundglass.cli_models import show_verified  # noqa: PLC0415

    raise typer.Exit(show_verified(name, as_json=as_json))
