"""Infection of a scan by the chosen method, and what the other methods say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from groundglass.core.results import Estimate, InfectionMask, LungMask, PercentEstimate
from groundglass.core.scan import Scan
from groundglass.errors import ModelError
from groundglass.infection.picture import PictureConfig
from groundglass.infection.pictures import masks_of_pictures, segment_pictures
from groundglass.infection.volume import VolumeInfectionConfig, find_infection
from groundglass.models.card import ModelCard
from groundglass.models.runtime import Model
from groundglass.scoring.cross_check import estimate_from_mask
from groundglass.systems.covid_rate.infection import (
    InfectionNetworkConfig,
    find_in_pictures_by_network,
    find_infection_by_network,
    open_infection_model,
)
from groundglass.systems.identification_severity.infection import find_published_infection

Method = Literal["network", "training-free", "published"]
Masks = dict[Method, InfectionMask]
NOTES: Mapping[Method, str] = {
    "training-free": "Opacity too thick for a vessel, by its density; nothing was trained",
    "network": "A network, with the part that the training-free rule is sure of",
    "published": "The published rule, to the letter",
}
"""How each method makes its mask."""


@dataclass(frozen=True)
class InfectionSettings:
    """What can be set about finding infection."""

    method: Method = "network"
    """The mask that is measured."""
    cross_check: bool = True
    """Whether network and rule are both run, whichever is measured."""
    volume: VolumeInfectionConfig = field(default_factory=VolumeInfectionConfig)
    """The rule in volumes."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    """The rule in pictures."""
    network: InfectionNetworkConfig = field(default_factory=InfectionNetworkConfig)
    """The network."""


@dataclass(frozen=True, eq=False)
class FoundInfection:
    """Infection by one method, and the percentages of others."""

    lungs: LungMask
    """Where the lungs are."""
    infection: InfectionMask
    """The mask that is measured."""
    method: Method
    """The method that made it."""
    others: tuple[PercentEstimate, ...] = ()
    """What other methods say."""
    model: Mapping[str, str] = field(default_factory=dict)
    """Name, licence and hash of the network that was run; empty if none was."""


def find_in_volume(scan: Scan, lungs: LungMask, settings: InfectionSettings) -> FoundInfection:
    """Return infection of a scan in Hounsfield units.

    Raises
    ------
    ModelError
        If the network is the chosen method and cannot be used. As a cross-check it is left out, and
        its estimate says why.
    """
    rule = find_infection(scan, lungs, settings.volume)
    masks: Masks = {"training-free": rule}
    if settings.method == "published":
        masks["published"] = find_published_infection(scan, lungs)

    def by_network(model: Model) -> InfectionMask:
        return find_infection_by_network(scan, lungs, rule, model, settings.network)

    return _found(lungs, settings.method, masks, by_network, settings)


def find_in_pictures(
    scan: Scan, lungs: LungMask | None, settings: InfectionSettings
) -> FoundInfection:
    """Return lungs and infection of pictures; for ``published``, which needs HU, by the 2-D rule.

    Raises
    ------
    NoLungsError
        If no lung is found in any picture.
    ModelError
        If the network is the chosen method and cannot be used.
    """
    pictures = segment_pictures(scan, settings.picture)
    found, rule = masks_of_pictures(scan, pictures, lungs)

    def by_network(model: Model) -> InfectionMask:
        return find_in_pictures_by_network(
            scan, pictures, found, rule, model, settings.network, settings.picture
        )

    method: Method = "network" if settings.method == "network" else "training-free"
    return _found(found, method, {"training-free": rule}, by_network, settings)


def _found(
    lungs: LungMask,
    method: Method,
    masks: Masks,
    by_network: Callable[[Model], InfectionMask],
    settings: InfectionSettings,
) -> FoundInfection:
    """Add the network's mask where it is wanted, and draw the estimates of what is not measured."""
    card: ModelCard | None = None
    failed: tuple[PercentEstimate, ...] = ()
    if method == "network" or settings.cross_check:
        try:
            model = open_infection_model(settings.network)
            masks["network"], card = by_network(model), model.card
        except ModelError as error:
            if method == "network":
                raise
            failed = (_failed(error),)
    others = tuple(
        _estimate(lungs, name, mask, card)
        for name, mask in masks.items()
        if name != method and settings.cross_check
    )
    facts = {} if card is None else _facts(card)
    return FoundInfection(lungs, masks[method], method, others + failed, facts)


def _estimate(
    lungs: LungMask, name: Method, mask: InfectionMask, card: ModelCard | None
) -> PercentEstimate:
    if name != "network" or card is None:
        return estimate_from_mask(lungs, mask, None, name, NOTES[name])
    note = f"{NOTES[name]}. Licence of its weights: {card.licence}"
    return estimate_from_mask(lungs, mask, card.name, name, note)


def _failed(error: ModelError) -> PercentEstimate:
    return PercentEstimate("network", None, Estimate.unknown(str(error)), "The network was not run")


def _facts(card: ModelCard) -> dict[str, str]:
    return {"model": card.name, "licence": card.licence, "sha256": card.sha256}
