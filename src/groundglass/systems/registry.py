"""The systems of the bench, one entry each: their data, recipes, published figures, yardsticks."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from groundglass.datasets import class_folders, covid_ct_slices, covid_ctset_slices, finding
from groundglass.datasets import per_covid_19 as per_covid_19_data
from groundglass.datasets.slices import SliceSet
from groundglass.errors import ReadError
from groundglass.systems.covid_ct import published as covid_ct
from groundglass.systems.covid_ctset import published as covid_ctset
from groundglass.systems.covid_ctset import series as ctset_series
from groundglass.systems.covid_rate import published as covid_rate
from groundglass.systems.identification_severity.statement import SYSTEM as PATIENTS
from groundglass.systems.lungs_network import folders as lungs_network
from groundglass.systems.per_covid_19 import published as per_covid_19
from groundglass.systems.xray_classes import published as xray_classes

if TYPE_CHECKING:
    from groundglass.systems.recipes import Recipe

Published = tuple[str, Mapping[str, Mapping[str, float]]]
"""Where figures come from, and the figures by method."""


class Measure(StrEnum):
    """How the models of a system are measured."""

    MASKS = "masks"
    """Against a mask in each slice."""
    PERCENT = "percent"
    """Against a percentage of each slice and of each patient."""
    CLASSES = "classes"
    """Against the class of each picture."""


@dataclass(frozen=True, eq=False)
class System:
    """What the bench must know of a system."""

    name: str
    """Name on the command line."""
    measure: Measure
    """How its models are measured."""
    recipes: Mapping[str, str]
    """By preset: ``module:class``, loaded when it is needed, as it loads torch. ``preset/model``
    names the class of a model that another class than that of the preset trains."""
    parts: Callable[[Path], tuple[str, ...]]
    """Takes a folder, returns the parts of the data set in it, the one to measure first."""
    read: Callable[[Path, str], SliceSet]
    """Takes a folder and a part, returns its slices."""
    read_all: Callable[[Path], SliceSet]
    """Takes a folder, returns all that is trained on or held out."""
    published: Callable[[str], Published]
    """Takes the name of a data set, returns the published figures on it."""
    published_fold: Callable[[Path, int], SliceSet] | None = None
    """Takes a folder and a number, returns a fold whose parts were published and overlap with those
    of other folds; ``None`` where folds do not overlap."""


def _covid_rate_parts(root: Path) -> tuple[str, ...]:
    found = finding.parts_in(root)
    return tuple(sorted(found, key=("test", "train", "pseudo").index)) or ("train",)


def _covid_rate_all(root: Path) -> SliceSet:
    parts = finding.parts_in(root)
    return finding.open_slices(root, parts if "train" in parts else ["train"])


SYSTEMS: tuple[System, ...] = (
    System(
        "covid-rate",
        Measure.MASKS,
        {
            "published": "groundglass.systems.covid_rate.recipe:PublishedRecipe",
            "ours": "groundglass.systems.covid_rate.ours.recipe:OursRecipe",
        },
        _covid_rate_parts,
        lambda root, part: finding.open_slices(root, [part]),
        _covid_rate_all,
        covid_rate.published_for,
    ),
    System(
        "per-covid-19",
        Measure.PERCENT,
        {
            "published": "groundglass.systems.per_covid_19.recipe:PublishedRecipe",
            "ours": "groundglass.systems.per_covid_19.ours.recipe:SmallRecipe",
            "ours/small": "groundglass.systems.per_covid_19.ours.recipe:SmallRecipe",
            "ours/resnext50": "groundglass.systems.per_covid_19.recipe:OursRecipe",
            "ours/densenet161": "groundglass.systems.per_covid_19.recipe:OursRecipe",
            "ours/inception3": "groundglass.systems.per_covid_19.recipe:OursRecipe",
        },
        per_covid_19_data.rated_parts,
        per_covid_19_data.rated_part,
        per_covid_19_data.rated_slices,
        per_covid_19.published_for,
    ),
    System(
        "covid-ct",
        Measure.CLASSES,
        {
            "published": "groundglass.systems.covid_ct.recipe:PublishedRecipe",
            "ours": "groundglass.systems.covid_ct.ours.pyramid:PyramidRecipe",
            "ours/pyramid": "groundglass.systems.covid_ct.ours.pyramid:PyramidRecipe",
            "ours/small": "groundglass.systems.covid_ct.ours.recipe:SmallRecipe",
            "ours/densenet169": "groundglass.systems.covid_ct.ours.dense:OursRecipe",
        },
        covid_ct_slices.class_parts,
        covid_ct_slices.class_part,
        covid_ct_slices.all_parts,
        covid_ct.published_for,
    ),
    System(
        "covid-ctset",
        Measure.CLASSES,
        {
            "published": "groundglass.systems.covid_ctset.recipe:CtsetRecipe",
            "ours": "groundglass.systems.covid_ctset.recipe:OursRecipe",
        },
        ctset_series.parts_of,
        ctset_series.part_of,
        covid_ctset_slices.all_parts,
        covid_ctset.published_for,
        covid_ctset_slices.published_fold,
    ),
    System(
        "xray-classes",
        Measure.CLASSES,
        {
            "ours": "groundglass.systems.xray_classes.recipe:XrayRecipe",
        },
        class_folders.class_parts,
        class_folders.class_part,
        class_folders.class_folders,
        xray_classes.published_for,
    ),
    System(
        "lungs",
        Measure.MASKS,
        {"ours": "groundglass.systems.lungs_network.recipe:LungsRecipe"},
        lambda _: ("train",),
        lambda root, _: lungs_network.lung_data(root),
        lungs_network.lung_data,
        lungs_network.published_for,
    ),
)
"""All systems of slices."""
PATIENT_SYSTEMS = (PATIENTS,)
"""Systems whose tasks and classifier are of patients; commands of their own run them."""


def system_names() -> tuple[str, ...]:
    """Return the names of all systems that can be trained or evaluated."""
    return (*(system.name for system in SYSTEMS), *PATIENT_SYSTEMS)


def system_named(name: str, purpose: str = "train") -> System:
    """Return a system of slices.

    Parameters
    ----------
    name : str
        Its name.
    purpose : str
        What for, as the refusal says: ``train`` or ``evaluate``.

    Raises
    ------
    ValueError
        If there is none of that name; the nearest is offered. Or if it is one of patients.
    """
    for system in SYSTEMS:
        if system.name == name:
            return system
    if name in PATIENT_SYSTEMS:
        msg = f"{name} is of patients, not of slices: tasks and training of its own {purpose} it"
        raise ValueError(msg)
    names = system_names()
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
    told = f"; did you mean {near[0]}?" if near else ""
    msg = f"systems to {purpose} are {', '.join(names)}; found '{name}'{told}"
    raise ValueError(msg)


def read_part(system: System, root: Path, part: str | None) -> tuple[SliceSet, str]:
    """Return the slices of a part of a system's data set, and the part's name.

    Parameters
    ----------
    system : System
        Whose data it is.
    root : Path
        Its folder.
    part : str or None
        Part wanted; the first one there where not given.

    Raises
    ------
    ReadError
        If the folder holds another layout, or not the part wanted.
    ValueError
        If the part is not one of the data set's.
    """
    chosen = part or system.parts(root)[0]
    found = system.read(root, chosen)
    if not found.items:
        msg = f"the part '{chosen}' of {found.dataset} holds no slices"
        raise ReadError(msg)
    return found, chosen


def recipe_class(place: str) -> Callable[..., Recipe]:
    """Return a recipe's class by ``module:class``; it is made with its settings or none."""
    module, _, name = place.partition(":")
    found: Callable[..., Recipe] = getattr(importlib.import_module(module), name)
    return found
