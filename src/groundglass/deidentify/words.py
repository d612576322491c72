"""Words that name nobody, and the search for those that do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

REMOVED = "REMOVED"
"""What stands in place of a text that may not be empty."""
SHORTEST = 4
"""Fewest characters of a removed value that is looked for elsewhere; a part of a name: 3."""
_HARMLESS = frozenset(
    """
    abd abdomen abdominal adult air algorithm and angio angiography aorta apex apical arterial
    artery average axial axl base basal bone brain breath breathhold bronchial c c+ cardiac cbct
    chest child contrast control convolution cor coronal covid covid-19 covid19 ct cta ctpa
    delayed diagnostic dicom dose dual dynamic embolism emphysema energy enhanced exp expiration
    expiratory feet fine first follow followup for from full gating groundglass hd head heart
    helical hi-res high hilum hr hrct hu image images in inf inferior insp inspiration inspiratory
    iodine ir iterative iv kernel kv kvp l large lateral left liver localizer low lower ldct lung
    lungs ma mar mas mean median mediastinal mediastinum medium mip mm mpr mr mrt native neck no
    non noncontrast none nsclc of old on opacity original oral over p pa parenchyma pe pediatric
    pelvis pet phase plain pneumonia portal post pre primary prone prospective protocol pulmonary
    r recon reconstruction reformat research resolution retrospective right rl routine s safire
    sagittal scan scout screening second secondary section sequence series sharp slice slices
    slow small smooth soft spine spiral standard std stnd study sup superior supine survey test
    thick thin third thor thoracic thorax tissue tomography topogram torso trauma triage
    ultra unenhanced up upper vascular venous very view volume w wa weighted whole window with
    without wo x-ray xray younger 3d 4d mediastin inflammation infection standardized iodinated
    agent unknown removed other none omnipaque ultravist iohexol iopromide iomeprol iodixanol
    visipaque iopamidol isovue ultra thorroutine lungroutine axialroutine
    """.split()  # noqa: SIM905 - a list of words reads best as text
)
_SHAPES = re.compile(
    r"[a-z]?[a-z]?\d{2}[a-z]?|\d{1,3}(\.\d{1,3})?(mm|kv|ma|mas|hu|s|ml|mg|%)?|[x/+&,.:;()-]+"
)
"""Kernels (B31f), short numbers with or without unit, signs."""
_SPLIT = re.compile(r"[\s_^,;:/()\[\]|]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_UID_LIKE = re.compile(rb"(?<![\d.])\d+(?:\.\d+){5,}")
_DATE_LIKE = re.compile(
    rb"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6})?(?!\d)"
)
_ALNUM = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")


def harmless(text: str) -> bool:
    """Return whether all words of a text are terms of the field, kernels or short numbers."""
    return all(_is_harmless(word) for word in _words(text))


def harmless_part(text: str, names: Set[str] = frozenset()) -> str:
    """Return a description reduced to its words that name nobody, separated by one space.

    Parameters
    ----------
    text : str
        What somebody wrote.
    names : set of str
        Parts of the patient's own names in lower case; left out though they be terms of the field.
    """
    kept = (word for word in _words(text) if _is_harmless(word))
    return " ".join(word for word in kept if word.casefold() not in names)


def _words(text: str) -> Iterator[str]:
    for word in _SPLIT.split(_HUMPS.sub(" ", text)):
        if word:
            yield word


def _is_harmless(word: str) -> bool:
    low = word.casefold().strip(".-")
    return low in _HARMLESS or not low or _SHAPES.fullmatch(low) is not None


@dataclass
class Sought:
    """Values taken out of a patient's files, to be looked for in what is left."""

    values: set[bytes] = field(default_factory=set)
    """In lower case, as the bytes stand in the files."""
    names: set[str] = field(default_factory=set)
    """Parts of persons' names in lower case, also those that are terms of the field."""
    _last: tuple[int, re.Pattern[bytes] | None] = (0, None)

    def add(self, value: bytes, *, name: bool = False) -> None:
        """Take up a removed value; of a person's name its parts as well."""
        for part in value.split(b"\\"):
            whole = part.strip(b" \0").lower()
            self._add_one(whole, SHORTEST)
            if name:
                for piece in re.split(rb"[\^= ,.]+", whole):
                    self._add_one(piece, SHORTEST - 1)
                    self.names.add(piece.decode("latin-1").casefold())

    def _add_one(self, value: bytes, shortest: int) -> None:
        if not shortest <= len(value) <= 1024 or (value.isdigit() and len(value) < 5):
            return
        if len(set(value)) > 1 and not harmless(value.decode("latin-1")):
            self.values.update(_spellings(value))

    def found_in(self, value: bytes) -> bool:
        """Return whether a text holds one of the values, not just as part of a word."""
        return self._pattern is not None and self._pattern.search(value.lower()) is not None

    def found_raw(self, data: bytes, shortest: int) -> bool:
        """Return whether any value of a length stands anywhere in bytes, upper or lower case."""
        low = data.lower()
        return any(len(value) >= shortest and value in low for value in self.values)

    @property
    def _pattern(self) -> re.Pattern[bytes] | None:
        if self._last[0] != len(self.values):
            self._last = (len(self.values), _any_of(self.values))
        return self._last[1]


def _spellings(value: bytes) -> Iterable[bytes]:
    """Return a value in the encodings that another attribute may use."""
    yield value
    if value.isascii():
        return
    for one, other in (("utf-8", "latin-1"), ("latin-1", "utf-8")):
        try:
            yield value.decode(one).encode(other)
        except UnicodeError:
            continue


def _any_of(values: Iterable[bytes]) -> re.Pattern[bytes] | None:
    found = sorted(values, key=len, reverse=True)
    if not found:
        return None
    joined = b"|".join(map(_bounded, found))
    return re.compile(joined)


def _bounded(value: bytes) -> bytes:
    before = rb"(?<![0-9a-z])" if value[0] in _ALNUM else b""
    after = rb"(?![0-9a-z])" if value[-1] in _ALNUM else b""
    return before + re.escape(value) + after


def uids_in(value: bytes) -> list[str]:
    """Return what looks like a unique identifier inside a text."""
    return [found.decode() for found in _UID_LIKE.findall(value)]


def has_date(value: bytes) -> bool:
    """Return whether a text holds eight digits that read as a date of the last or this century."""
    return _DATE_LIKE.search(value) is not None
