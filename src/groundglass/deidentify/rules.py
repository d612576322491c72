"""What is to be done with every attribute: PS3.15 Table E.1-1 and the options that soften it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_dict
from pydicom.tag import Tag

EDITION = "2026c"
"""Edition of PS3.15 whose table is followed."""
TEMPORAL = frozenset({"DA", "DT", "TM"})
"""Value representations that hold dates and times."""


class Keep(StrEnum):
    """What of a patient's data may stay, each an option of PS3.15."""

    DATES = "dates-shifted"
    """Dates and times, moved by one secret amount a patient."""
    AGE_SEX = "age-sex"
    """Age, up to 89, and sex."""
    DEVICE = "device"
    """What names the scanner: serial number, station name."""
    DESCRIPTIONS = "descriptions"
    """Descriptions of study, series and protocol, word by word where the word names nobody."""


class Rule(StrEnum):
    """What is to be done with one attribute."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    SHIFT = "shift"
    WORDS = "words"
    AGE = "age"


OPTION_CODES: Mapping[Keep, tuple[str, str]] = MappingProxyType(
    {
        Keep.DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        Keep.AGE_SEX: ("113108", "Retain Patient Characteristics Option"),
        Keep.DEVICE: ("113109", "Retain Device Identity Option"),
        Keep.DESCRIPTIONS: ("113105", "Clean Descriptors Option"),
    }
)
"""Code value and meaning of each option, coding scheme DCM."""
BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")
"""Code value and meaning of the profile itself."""
CONTENT_CODE = ("113104", "Clean Structured Content Option")
"""Code value and meaning of what is done to structured reports."""

_NEVER_DATED = ("PatientBirthDate", "PatientBirthTime")
_DEVICE = (
    "StationName", "DeviceSerialNumber", "DeviceUID", "GantryID", "GeneratorID", "DetectorID",
    "PlateID", "CassetteID", "StationAETitle", "ScheduledStationName", "ScheduledStationAETitle",
    "PerformedStationName", "PerformedStationAETitle", "XRaySourceID", "XRayDetectorID",
    "DeviceDescription", "DeviceLabel", "SourceSerialNumber", "TreatmentMachineName",
)  # fmt: skip
_DESCRIPTIONS = (
    "StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription",
    "PerformedProcedureStepDescription", "ScheduledProcedureStepDescription",
    "AcquisitionProtocolDescription", "AcquisitionDeviceProcessingDescription",
    "DerivationDescription", "ContrastBolusAgent",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rule of every attribute that is not simply kept."""

    rules: Mapping[int, Rule]
    """Rule by tag."""
    temporal: Rule
    """Rule of dates and times that the table does not name."""
    listed: frozenset[int]
    """Tags that the table names."""

    def rule(self, tag: int, vr: str) -> Rule:
        """Return the rule of a standard attribute."""
        found = self.rules.get(tag)
        if found is not None:
            return found
        if vr in TEMPORAL:
            return self.temporal
        return Rule.UID if vr == "UI" else Rule.KEEP


@cache
def table() -> Mapping[int, str]:
    """Return the action of the basic profile by tag, as the table writes it: ``X/Z`` ..."""
    text = resources.files("groundglass.deidentify").joinpath("table.json").read_text("utf-8")
    actions = json.loads(text)["actions"]
    return MappingProxyType({int(tag, 16): code for code, tags in actions.items() for tag in tags})


@cache
def rule_book(keep: frozenset[Keep], *, strict: bool) -> RuleBook:
    """Return the rules of the basic profile with options.

    Where the table leaves a choice, the least is done that keeps the object valid.

    Parameters
    ----------
    keep : frozenset of Keep
        Options.
    strict : bool
        Whether the object needs a value where the plain images of one frame do not: enhanced
        images, structured reports and all other classes.
    """
    choice = {"X": Rule.REMOVE, "Z": Rule.EMPTY, "D": Rule.DUMMY, "U": Rule.UID}
    choice |= {"X/Z": Rule.EMPTY, "X/Z/U*": Rule.KEEP, "Z/D": Rule.EMPTY, "X/Z/D": Rule.EMPTY}
    choice["X/D"] = Rule.REMOVE
    if strict:
        choice |= dict.fromkeys(("Z/D", "X/D", "X/Z/D"), Rule.DUMMY)
    rules = {tag: choice[code] for tag, code in table().items()}
    if not strict:  # an empty sequence is as wrong there as none is right
        either = (tag for tag, code in table().items() if code in ("X/Z", "X/Z/D"))
        rules |= dict.fromkeys((tag for tag in either if _vr(tag) == "SQ"), Rule.REMOVE)
    rules[_tag("ClinicalTrialProtocolEthicsCommitteeName")] = Rule.REMOVE  # needs its number
    if Keep.DATES in keep:
        rules |= dict.fromkeys((tag for tag in rules if _vr(tag) in TEMPORAL), Rule.SHIFT)
        rules |= dict.fromkeys(_tags(_NEVER_DATED), Rule.EMPTY)
    if Keep.AGE_SEX in keep:
        rules |= dict.fromkeys(_tags(("PatientSex", "PatientAge")), Rule.AGE)
    if Keep.DEVICE in keep:
        rules |= dict.fromkeys(_tags(_DEVICE), Rule.KEEP)
        rules[_tag("DeviceUID")] = Rule.UID
    if Keep.DESCRIPTIONS in keep:
        rules |= dict.fromkeys(_tags(_DESCRIPTIONS), Rule.WORDS)
    undated = Rule.DUMMY if strict else Rule.EMPTY
    temporal = Rule.SHIFT if Keep.DATES in keep else undated
    return RuleBook(MappingProxyType(rules), temporal, frozenset(table()))


def _vr(tag: int) -> str:
    return dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else ""


def _tag(keyword: str) -> int:
    return int(Tag(keyword))


def _tags(keywords: Iterable[str]) -> list[int]:
    """Return the tags of keywords; one that this pydicom does not know is not there to keep."""
    return [_tag(word) for word in keywords if word in keyword_dict]
