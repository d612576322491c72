"""Recipes by system and preset."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from groundglass.core.serial import from_json
from groundglass.systems.covid_rate.ours.recipe import OursConfig, OursRecipe
from groundglass.systems.covid_rate.recipe import PublishedConfig, PublishedRecipe
from groundglass.systems.recipes import Recipe

Settings = str | None


def _published(settings: Settings) -> Recipe:
    return PublishedRecipe(None if settings is None else from_json(PublishedConfig, settings))


def _ours(settings: Settings) -> Recipe:
    return OursRecipe(None if settings is None else from_json(OursConfig, settings))


def recipe_for(system: str, preset: str, settings: Settings = None) -> Recipe:
    """Return the recipe of a system under a preset.

    Parameters
    ----------
    system : str
        Name of the system.
    preset : str
        ``published`` or ``ours``.
    settings : str, optional
        Settings as JSON; those missing take their defaults.

    Raises
    ------
    ValueError
        If there is none, names near the one asked for being offered; or a setting is unknown.
    """
    known: dict[tuple[str, str], Callable[[Settings], Recipe]] = {
        ("covid-rate", "published"): _published,
        ("covid-rate", "ours"): _ours,
    }
    if (system, preset) in known:
        return known[system, preset](settings)
    systems = sorted({name for name, _ in known})
    if system not in systems:
        near = difflib.get_close_matches(system, systems, n=1, cutoff=0.3) or systems
        msg = f"there is no system '{system}' to train; did you mean {' or '.join(near)}?"
        raise ValueError(msg)
    presets = sorted(name for one, name in known if one == system)
    msg = f"{system} has no preset '{preset}'; its presets are {', '.join(presets)}"
    raise ValueError(msg)
