"""Settings from a file, for the commands that take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from groundglass.pipeline import AnalyzeConfig


def read_settings(path: Path | None) -> AnalyzeConfig:
    """Return the settings in a file, the defaults without one.

    Raises
    ------
    typer.BadParameter
        If the file cannot be read or says something else.
    """
    from groundglass.core.serial import from_json  # noqa: PLC0415 - keeps --help quick
    from groundglass.pipeline import AnalyzeConfig  # noqa: PLC0415

    if path is None:
        return AnalyzeConfig()
    try:
        return from_json(AnalyzeConfig, path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"the configuration cannot be read: {error.strerror}"
        raise typer.BadParameter(msg) from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def require_convention(name: str | None, *, given: bool) -> None:
    """Refuse a meaning of labels without labels, or one that is not known.

    Parameters
    ----------
    name : str or None
        The convention named.
    given : bool
        Whether a mask was given.
    """
    if name is None:
        return
    from groundglass.lungs.external import Convention  # noqa: PLC0415

    if not given:
        msg = "--lungs-convention says what the labels of --lungs mean; give both"
        raise typer.BadParameter(msg)
    if name not in set(Convention):
        msg = f"--lungs-convention is one of {', '.join(Convention)}, found '{name}'"
        raise typer.BadParameter(msg)
