"""Every element of a data set, at any depth, taken through its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_dict, keyword_for_tag
from pydicom.dataset import Dataset

from groundglass.deidentify.codes import SUBJECT_CODES, clean_code, is_coded
from groundglass.deidentify.dates import shift_moment, shift_pair
from groundglass.deidentify.rules import TEMPORAL, Keep, Rule, RuleBook, rule_book
from groundglass.deidentify.secret import Pseudonyms, Shift
from groundglass.deidentify.values import (
    DUMMIES,
    NUMERALS,
    TEXT,
    bytes_of,
    is_foreign,
    is_number,
    items_of,
    put,
    put_dummy,
    put_empty,
    tags_of,
    text_of,
    vr_of,
)
from groundglass.deidentify.words import REMOVED, Sought, harmless_part, has_date, uids_in

CONTENT_SEQUENCE = 0x0040A730
TEXT_VALUE = 0x0040A160
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
PATIENT_SEX = 0x00100040
SEXES = frozenset({"M", "F", "O"})
"""Values of the sex that the standard knows."""
SOP_CLASS = 0x00080016
OLDEST_YEARS = 89
"""Highest age that is kept; older patients are few enough to be told by their age."""
_TAKEN_OUT = frozenset({Rule.REMOVE, Rule.EMPTY, Rule.DUMMY, Rule.WORDS})
_TERMS = frozenset({"AS", "CS"})
"""Ages and terms of lists, which are no names and stand in many places."""
MAX_DEPTH = 32
"""Most sequences inside one another; deeper ones are removed."""


class Action(StrEnum):
    """What was done with an attribute."""

    KEPT = "kept"
    REMOVED = "removed"
    EMPTIED = "emptied"
    DUMMY = "replaced by a dummy"
    PSEUDONYM = "replaced by a pseudonym"
    MAPPED = "identifier mapped"
    SHIFTED = "date shifted"
    CLEANED = "cleaned"
    ADDED = "added"


Audit = Counter[tuple[tuple[int, ...], Action]]
"""How often what was done, by the tags on the way to the attribute."""


@dataclass(frozen=True)
class Subject:
    """What all files of a patient share."""

    pseudonym: str
    """Stands for name and identifier."""
    shift: Shift
    """How far dates are moved."""
    sought: Sought
    """Values that were taken out and must not be left elsewhere."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a data set."""

    path: tuple[int, ...] = ()
    """Tags of the sequences on the way."""
    content: bool = False
    """Inside the content of a structured report."""
    blank: bool = False
    """Inside a sequence whose every text has to go."""


class Cleaner:
    """Takes one data set through the rules.

    Parameters
    ----------
    pseudonyms : Pseudonyms
        Where identifiers come from.
    subject : Subject
        The patient.
    keep : frozenset of Keep
        Options.
    strict : bool
        Whether the object's class needs values where plain images do not.
    """

    def __init__(
        self, pseudonyms: Pseudonyms, subject: Subject, keep: frozenset[Keep], *, strict: bool
    ) -> None:
        self.audit: Audit = Counter()
        self._names = pseudonyms
        self._subject = subject
        self._strict = strict
        self._book: RuleBook = rule_book(keep, strict=strict)
        self._handlers: Mapping[Rule, Callable[[Dataset, int, str, _Place], Action]] = {
            Rule.KEEP: self._keep,
            Rule.REMOVE: self._remove,
            Rule.EMPTY: self._empty,
            Rule.DUMMY: self._dummy,
            Rule.UID: self._uid,
            Rule.SHIFT: self._shift,
            Rule.WORDS: self._words,
            Rule.AGE: self._age,
        }

    def clean(self, dataset: Dataset) -> None:
        """Apply the rules to a data set in place."""
        self._walk(dataset, _Place())

    def _walk(self, dataset: Dataset, place: _Place) -> None:
        if place.path and is_coded(dataset) and clean_code(dataset):
            self._note(place, 0x00080104, Action.CLEANED)
        paired = self._shift_pairs(dataset)
        for tag in tags_of(dataset):
            if tag in paired:
                self._note(place, tag, Action.SHIFTED)
            else:
                self._note(place, tag, self._one(dataset, tag, place))

    def _note(self, place: _Place, tag: int, action: Action) -> None:
        self.audit[(*place.path, tag), action] += 1

    def _one(self, dataset: Dataset, tag: int, place: _Place) -> Action:
        """Do with one element what its rule says."""
        if is_foreign(tag):
            return self._remove(dataset, tag, "", place)
        vr = vr_of(dataset, tag)
        rule = self._book.rule(tag, vr)
        if tag == TEXT_VALUE or (place.blank and vr in TEXT and rule is Rule.KEEP):
            rule = Rule.DUMMY
        return self._handlers[rule](dataset, tag, vr, place)

    def _keep(self, dataset: Dataset, tag: int, vr: str, place: _Place) -> Action:
        """Keep an element unless it holds what was taken out elsewhere."""
        if vr == "SQ":
            return self._into(dataset, tag, place)
        value = bytes_of(dataset, tag)
        if vr in NUMERALS or (vr in TEXT and not _may_be_text(tag)):
            if is_number(value):
                return Action.KEPT
            put_empty(dataset, tag, vr)
            return Action.CLEANED
        if vr not in TEXT and self.tells(value, binary=True):
            put_dummy(dataset, tag, vr)
            return Action.CLEANED
        if vr in TEXT and self.tells(value):
            return self._keep_harmless(dataset, tag, vr, value)
        return Action.KEPT

    def _keep_harmless(self, dataset: Dataset, tag: int, vr: str, value: bytes) -> Action:
        """Replace those of an element's values that tell something."""
        parts = value.split(b"\\") if vr not in ("LT", "ST", "UT") else [value]
        texts = [part.decode("latin-1").strip(" \0") for part in parts]
        dummy = DUMMIES.get(vr, REMOVED)
        kept = [
            dummy if self.tells(part) else text for part, text in zip(parts, texts, strict=True)
        ]
        ascii_only = [text if text.isascii() else dummy for text in kept]
        put(dataset, tag, vr, ascii_only[0] if len(kept) == 1 else ascii_only)
        return Action.CLEANED

    def tells(self, value: bytes, *, binary: bool = False) -> bool:
        """Return whether a value holds something that was taken out, an identifier or a date."""
        if self._subject.sought.found_in(value):
            return True
        if binary:
            return False
        return has_date(value) or any(uid not in self._names.issued for uid in uids_in(value))

    def _into(self, dataset: Dataset, tag: int, place: _Place) -> Action:
        """Go through the items of a sequence."""
        items = items_of(dataset, tag)
        if items is None or len(place.path) >= MAX_DEPTH:
            return self._remove(dataset, tag, "SQ", place)
        inside = replace(place, path=(*place.path, tag))
        if inside.content:
            kept = [item for item in items if not _is_about_subject(item)]
            if len(kept) < len(items):
                self._note(inside, 0x0040A043, Action.REMOVED)
                items[:] = kept
        for item in items:
            self._walk(item, inside)
        return Action.KEPT

    def _remove(self, dataset: Dataset, tag: int, _vr: str, _place: _Place) -> Action:
        del dataset[tag]
        return Action.REMOVED

    def _empty(self, dataset: Dataset, tag: int, vr: str, place: _Place) -> Action:
        if tag in (PATIENT_NAME, PATIENT_ID):
            return self._dummy(dataset, tag, vr, place)
        put_empty(dataset, tag, vr)
        return Action.EMPTIED

    def _dummy(self, dataset: Dataset, tag: int, vr: str, place: _Place) -> Action:
        if tag in (PATIENT_NAME, PATIENT_ID):
            pseudonym = self._subject.pseudonym
            name = tag == PATIENT_NAME
            put(dataset, tag, *(("PN", f"{pseudonym}^") if name else ("LO", pseudonym)))
            return Action.PSEUDONYM
        if vr == "SQ":
            content = tag == CONTENT_SEQUENCE
            inside = replace(place, content=content, blank=place.blank or not content)
            action = self._into(dataset, tag, inside)
            return Action.CLEANED if action is Action.KEPT else action
        put_dummy(dataset, tag, vr)
        return Action.DUMMY

    def _uid(self, dataset: Dataset, tag: int, _vr: str, _place: _Place) -> Action:
        if tag == SOP_CLASS:
            return Action.KEPT
        texts = [text for text in text_of(dataset, tag).split("\\") if text.strip(" \0")]
        mapped = [self._names.uid(text) for text in texts]
        if mapped == texts:
            return Action.KEPT
        put(dataset, tag, "UI", mapped[0] if len(mapped) == 1 else mapped)
        return Action.MAPPED

    def _words(self, dataset: Dataset, tag: int, vr: str, _place: _Place) -> Action:
        text = harmless_part(text_of(dataset, tag), self._subject.sought.names)
        if self.tells(text.encode("latin-1", "replace")):
            text = ""
        put(dataset, tag, vr, text[:64] if text or not self._strict else "REMOVED")
        return Action.CLEANED

    def _age(self, dataset: Dataset, tag: int, vr: str, _place: _Place) -> Action:
        text = text_of(dataset, tag)
        if tag == PATIENT_SEX and text in SEXES:
            return Action.KEPT
        if len(text) != 4 or not text[:3].isdigit() or text[3] not in "DWMY":
            put_empty(dataset, tag, vr)
            return Action.EMPTIED
        if text[3] == "Y" and int(text[:3]) > OLDEST_YEARS:
            put(dataset, tag, vr, f"{OLDEST_YEARS + 1:03d}Y")
            return Action.CLEANED
        return Action.KEPT

    def _shift(self, dataset: Dataset, tag: int, vr: str, _place: _Place) -> Action:
        """Move a date without a time, a time without a date, or both in one."""
        shift = self._subject.shift
        values = text_of(dataset, tag).split("\\")
        if vr == "DT":
            moved = [shift_moment(text, shift) for text in values]
        elif vr == "TM":
            moved = [shift_pair("", text, shift)[1] for text in values]
        else:
            moved = [shift_pair(text, "", shift)[0] for text in values]
        return self._put_moved(dataset, tag, vr, moved)

    def _shift_pairs(self, dataset: Dataset) -> set[int]:
        """Move dates together with the times that belong to them; return the tags of both."""
        done: set[int] = set()
        for date_tag in [tag for tag in tags_of(dataset) if tag in _time_tags()]:
            time_tag = _time_tags()[date_tag]
            if time_tag not in dataset or self._book.rule(date_tag, "DA") is not Rule.SHIFT:
                continue
            dates, times = (text_of(dataset, t).split("\\") for t in (date_tag, time_tag))
            if len(dates) != len(times):
                continue
            pairs = [
                shift_pair(d, t, self._subject.shift) for d, t in zip(dates, times, strict=True)
            ]
            self._put_moved(dataset, date_tag, "DA", [date for date, _ in pairs])
            self._put_moved(dataset, time_tag, "TM", [time for _, time in pairs])
            done |= {date_tag, time_tag}
        return done

    def _put_moved(self, dataset: Dataset, tag: int, vr: str, values: list[str]) -> Action:
        if not any(values):
            if self._strict:
                put_dummy(dataset, tag, vr)
                return Action.DUMMY
            put_empty(dataset, tag, vr)
            return Action.EMPTIED
        put(dataset, tag, vr, values[0] if len(values) == 1 else values)
        return Action.SHIFTED


def gather(dataset: Dataset, book: RuleBook, sought: Sought) -> None:
    """Take up every value that the rules will take out of a data set, at any depth."""
    for tag in tags_of(dataset):
        vr = vr_of(dataset, tag)
        if is_foreign(tag) and not dictionary_has_tag(tag):
            continue
        if vr == "SQ":
            for item in items_of(dataset, tag) or ():
                gather(item, book, sought)
        elif book.rule(tag, vr) in _TAKEN_OUT and vr in TEXT - _TERMS:
            sought.add(bytes_of(dataset, tag), name=vr == "PN")


def temporal_values(
    dataset: Dataset, path: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield every date and time of a data set with tags and item numbers on the way to it."""
    for tag in tags_of(dataset):
        if is_foreign(tag):
            continue
        vr = vr_of(dataset, tag)
        if vr == "SQ":
            for number, item in enumerate(items_of(dataset, tag) or ()):
                yield from temporal_values(item, (*path, tag, number))
        elif vr in TEMPORAL and (value := bytes_of(dataset, tag).strip(b" \0")):
            yield (*path, tag), value


@cache
def _time_tags() -> Mapping[int, int]:
    """Return the tag of the time that belongs to each date."""
    found = {}
    for keyword, tag in keyword_dict.items():
        partner = keyword_dict.get(keyword.replace("Date", "Time"))
        if dictionary_VR(tag) == "DA" and partner and dictionary_VR(partner) == "TM":
            found[int(tag)] = int(partner)
    return found


def _may_be_text(tag: int) -> bool:
    """Return whether the standard lets an attribute hold text, whatever the file says."""
    return dictionary_VR(tag)[:2] in TEXT | TEMPORAL | {"UI"}


def _is_about_subject(item: Dataset) -> bool:
    """Return whether an item of a report's content says who the subject is."""
    names = items_of(item, 0x0040A043) if 0x0040A043 in item else None
    coded = [name for name in names or () if 0x00080100 in name]
    return any(text_of(name, 0x00080100) in SUBJECT_CODES for name in coded)


def path_text(path: tuple[int, ...]) -> str:
    """Return tags on the way to an attribute as ``(0040,0275)>(0040,0007)``."""
    return ">".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in path)


def path_words(path: tuple[int, ...]) -> str:
    """Return the same in the standard's keywords; empty where the last tag has none."""
    last = keyword_for_tag(path[-1])
    return ".".join([*(keyword_for_tag(tag) for tag in path[:-1]), last]) if last else ""
