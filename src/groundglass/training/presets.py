"""Recipes by system and preset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from groundglass.core.serial import from_json, to_json
from groundglass.systems.recipes import Recipe
from groundglass.systems.registry import recipe_class, system_named


def recipe_for(
    system: str,
    preset: str,
    settings: str | None = None,
    choices: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a system under a preset.

    Parameters
    ----------
    system : str
        Name of the system.
    preset : str
        ``published`` or ``ours``.
    settings : str, optional
        Settings as JSON; those missing take their defaults.
    choices : mapping, optional
        Settings by name over those, as ``model`` and ``loss`` of the command line.

    Raises
    ------
    ValueError
        If there is none, names near the one asked for being offered; or a setting is unknown.
    """
    recipes, chosen = system_named(system).recipes, dict(choices or {})
    if preset not in recipes:
        presets = ", ".join(sorted(name for name in recipes if "/" not in name))
        msg = f"{system} has no preset '{preset}'; its presets are {presets}"
        raise ValueError(msg)
    own = recipes.get(f"{preset}/{chosen.get('model')}")
    kind = recipe_class(own or recipes[preset])
    config = kind().config
    if own is not None and not hasattr(config, "model"):
        del chosen["model"]
    if settings is not None:
        config = from_json(type(config), settings)
    return kind(_chosen(config, chosen, f"{system} ({preset})"))


def _chosen(config: Any, choices: Mapping[str, Any], who: str) -> Any:
    """Return the settings with some changed, each checked as if it stood in a file."""
    offered = {field.name for field in fields(config)}
    strange = sorted(set(choices) - offered)
    if strange:
        msg = f"{who} offers no choice of --{strange[0].replace('_', '-')}"
        raise ValueError(msg)
    if not choices:
        return config
    return from_json(type(config), json.dumps({**json.loads(to_json(config)), **choices}))
