"""Which models there are: those inside the package and those a user added."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from groundglass.errors import UnknownModelError, WeightsError
from groundglass.models.card import (
    CARD_SUFFIX,
    ModelCard,
    card_path,
    read_card,
    sha256_of,
    write_card,
)

FOLDER_VARIABLE = "GROUNDGLASS_MODELS"
"""Environment variable that names the folder of added models."""
SHIPPED = Path(__file__).parent / "shipped"
"""Where the models inside the package lie."""
DEFAULT = "default"
"""The name that stands for a system's default model."""


class Origin(StrEnum):
    """Where a model comes from."""

    SHIPPED = "shipped"
    ADDED = "added"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be opened."""

    card: ModelCard
    """What it is."""
    path: Path
    """Its ONNX file."""
    origin: Origin
    """Where it comes from."""

    def content(self) -> bytes:
        """Return the ONNX file after comparing its hash with the card's.

        Raises
        ------
        WeightsError
            If the file is missing or another one.
        """
        return verified_bytes(self.path, self.card.name, self.card.sha256)


def verified_bytes(path: Path, name: str, sha256: str) -> bytes:
    """Return the content of a model's file after comparing its hash with the card's.

    Raises
    ------
    WeightsError
        If the file is missing or another one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"the file of model {name} cannot be read: {error.strerror}"
        raise WeightsError(msg) from error
    found = sha256_of(data)
    if found != sha256:
        msg = (
            f"the file of model {name} is not the one its card names: "
            f"SHA-256 {sha256[:12]}… needed, {found[:12]}… found; add it again"
        )
        raise WeightsError(msg)
    return data


def user_folder() -> Path:
    """Return the folder of added models, whether or not it exists."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "groundglass" / "models"


@dataclass(frozen=True)
class Catalogue:
    """The models at hand."""

    entries: tuple[Entry, ...]
    """Shipped ones first, each group by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all models."""
        return tuple(entry.card.name for entry in self.entries)

    def find(self, name: str, system: str | None = None) -> Entry:
        """Return a model by its name, by its file, or the default of a system.

        Parameters
        ----------
        name : str
            A name, the path of an ONNX file with its card beside it or of a folder that holds
            ``model.onnx``, or ``default``.
        system : str, optional
            Needed for ``default``.

        Raises
        ------
        UnknownModelError
            If there is none; names near the one asked for are offered.
        WeightsError
            If a file was named that has no card.
        """
        if name == DEFAULT:
            return self._default(system)
        for entry in self.entries:
            if entry.card.name == name:
                return entry
        path = Path(name)
        if path.is_dir():
            path /= "model.onnx"
        if path.suffix == ".onnx" and path.is_file():
            return Entry(read_card(card_path(path)), path, Origin.FILE)
        near = difflib.get_close_matches(name, self.names, n=3, cutoff=0.4)
        told = f"did you mean {' or '.join(near)}?" if near else _known(self.names)
        msg = f"there is no model '{Path(name).name}', by name or as an ONNX file; {told}"
        raise UnknownModelError(msg)

    def _default(self, system: str | None) -> Entry:
        for entry in self.entries:
            if entry.card.default and entry.card.system == system:
                return entry
        msg = (
            f"no default model of {system or 'an unnamed system'} is shipped; {_known(self.names)}"
        )
        raise UnknownModelError(msg)


def _known(names: Sequence[str]) -> str:
    return f"known are {', '.join(names)}" if names else "no model is known"


def load_catalogue(folder: Path | None = None, shipped: Path = SHIPPED) -> Catalogue:
    """Return the models inside the package and in the folder of added ones.

    Parameters
    ----------
    folder : Path, optional
        Folder of added models; the user's where not given. It need not exist.
    shipped : Path
        Folder of shipped models.

    Raises
    ------
    WeightsError
        If a card cannot be read.
    """
    added = user_folder() if folder is None else folder
    return Catalogue((*_entries(shipped, Origin.SHIPPED), *_entries(added, Origin.ADDED)))


def _entries(place: Path, origin: Origin) -> Iterator[Entry]:
    for path in sorted(place.glob(f"*{CARD_SUFFIX}")) if place.is_dir() else ():
        weights = path.with_name(path.name.removesuffix(CARD_SUFFIX) + ".onnx")
        yield Entry(read_card(path), weights, origin)


def find_model(name: str, system: str | None = None) -> Entry:
    """Return a model by name or file, or the default of a system.

    A shipped default is found without reading the folder of added models: what lies broken there
    stops nobody who did not ask for it.

    Parameters
    ----------
    name, system : str
        As for ``Catalogue.find``.

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If a card that had to be read cannot be.
    """
    if name == DEFAULT:
        with contextlib.suppress(UnknownModelError):
            return Catalogue(tuple(_entries(SHIPPED, Origin.SHIPPED))).find(name, system)
    return load_catalogue().find(name, system)


def add_model(source: Path, folder: Path | None = None, *, force: bool = False) -> Entry:
    """Copy a model with its card into the folder of added ones.

    Parameters
    ----------
    source : Path
        An ONNX file with its card beside it, or a folder that holds ``model.onnx``.
    folder : Path, optional
        Where to; the user's folder where not given.
    force : bool
        Replace a model of that name with another content.

    Raises
    ------
    WeightsError
        If file or card lack or do not fit, or the name is taken by a shipped model, or by an
        added one of other content without ``force``.
    """
    path = source / "model.onnx" if source.is_dir() else source
    given = Entry(read_card(card_path(path)), path, Origin.FILE)
    data = given.content()
    place = user_folder() if folder is None else folder
    for entry in load_catalogue(place).entries:
        if entry.card.name != given.card.name:
            continue
        if entry.origin is Origin.SHIPPED:
            msg = f"the name {given.card.name} belongs to a shipped model; give it another"
            raise WeightsError(msg)
        if entry.card.sha256 != given.card.sha256 and not force:
            msg = f"another model {given.card.name} is there already; --force replaces it"
            raise WeightsError(msg)
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"{given.card.name}.onnx"
    partial = target.with_name(target.name + ".part")
    partial.write_bytes(data)
    partial.replace(target)
    write_card(given.card, card_path(target))
    return Entry(given.card, target, Origin.ADDED)
