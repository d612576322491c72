"""One broken input, and the small chest most of them are spoilt from."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from groundglass.phantom import Chest
from tests.phantoms import phantom
from tests.series import make_slices

Random = np.random.Generator
Build = Callable[[Path, Random], Path]

CHEST = Chest(shape=(20, 64, 64), spacing_mm=(14.0, 5.6, 5.6), noise_hu=10.0)
"""The smallest chest whose lungs are found."""


@dataclass(frozen=True)
class Case:
    """A broken input."""

    group: str
    """What kind of input is broken."""
    name: str
    """How, in a few words."""
    build: Build
    """Writes the input into an empty folder, with chance, and returns its path."""

    @property
    def id(self) -> str:
        """Name for the test."""
        return f"{self.group}-{self.name}"

    def make(self, folder: Path) -> Path:
        """Write the input, the same each time."""
        return self.build(folder, np.random.default_rng(zlib.crc32(self.id.encode())))


@lru_cache(maxsize=1)
def chest_hu() -> NDArray[np.int16]:
    """Return the chest, (20, 64, 64)."""
    return phantom(CHEST).scan.hu()


@lru_cache(maxsize=1)
def _slices() -> tuple[Dataset, ...]:
    return tuple(make_slices(chest_hu(), 14.0, spacing_mm=(5.6, 5.6), series="1.2.826.0.1.77"))


def chest_slices() -> list[Dataset]:
    """Return the chest as DICOM datasets that may be spoilt."""
    return copy.deepcopy(list(_slices()))


def flip_bytes(data: bytes, random: Random, count: int, start: int = 0) -> bytes:
    """Return bytes of which ``count`` were changed at random places from ``start`` on."""
    spoilt = bytearray(data)
    for place in random.integers(min(start, len(spoilt) - 1), len(spoilt), count):
        spoilt[place] = int(random.integers(256))
    return bytes(spoilt)


def write(name: str, data: bytes | Callable[[], bytes]) -> Build:
    """Return the builder of a file of given bytes, made when they are needed."""

    def build(folder: Path, _: Random) -> Path:
        path = folder / name
        path.write_bytes(data if isinstance(data, bytes) else data())
        return path

    return build


def spoilt(name: str, make: Callable[[], bytes], change: Callable[[bytes, Random], bytes]) -> Build:
    """Return the builder of a file made sound and then changed."""

    def build(folder: Path, random: Random) -> Path:
        return write(name, change(make(), random))(folder, random)

    return build


def cut(share: float) -> Callable[[bytes, Random], bytes]:
    """Return a change that keeps the first part of a file."""
    return lambda data, _: data[: int(share * len(data))]


def flipped(count: int, start: int = 0) -> Callable[[bytes, Random], bytes]:
    """Return a change of random bytes."""
    return lambda data, random: flip_bytes(data, random, count, start)
