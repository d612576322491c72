"""The secret of a run, and what is derived from it: identifiers, pseudonyms, shifts in time."""

from __future__ import annotations

import base64
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from groundglass.errors import ExportError
from groundglass.writers.codes import SCHEME_UID

KEY_BYTES = 32
"""Length of a new key."""
STANDARD_ROOT = "1.2.840.10008."
"""Root of the identifiers that the standard itself gives out."""
_KEY_TEXT = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES},}}")
_MOST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a patient's dates and times are moved; always into the past."""

    days: int
    """Whole days, below zero."""
    seconds: int
    """Seconds on top, between one and 23 hours."""


@dataclass(frozen=True)
class Pseudonyms:
    """Everything that replaces identifiers; the same for the same key."""

    key: bytes
    """The secret; whoever holds it can tell whether a pseudonym stands for a known patient."""
    issued: set[str] = field(default_factory=set)
    """Identifiers given out."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Identifiers met, with what stands in their place."""

    def digest(self, kind: str, text: str) -> bytes:
        """Return 32 bytes that nobody without the key can get from the text."""
        message = f"{kind}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.digest(self.key, message, "sha256")

    def uid(self, original: str) -> str:
        """Return what stands for a unique identifier, valid whatever the original looked like.

        Identifiers that the standard gives out (SOP classes and the like) stand for themselves,
        as does that of our coding scheme.
        """
        text = original.strip(" \0")
        if is_public_uid(text):
            return text
        if text not in self.replaced:
            number = int.from_bytes(self.digest("uid", text)[:16], "big")
            number = number & ~(0xF << 76 | 0x3 << 62) | 0x8 << 76 | 0x2 << 62
            self.replaced[text] = f"2.25.{number}"
            self.issued.add(self.replaced[text])
        return self.replaced[text]

    def patient(self, key: str) -> str:
        """Return the pseudonym of a patient."""
        return "GG-" + base64.b32encode(self.digest("patient", key))[:12].decode()

    def shift(self, key: str) -> Shift:
        """Return how far the dates of a patient are moved: between one and ten years back."""
        digest = self.digest("shift", key)
        days = 365 + int.from_bytes(digest[:4], "big") % (_MOST_DAYS - 365)
        return Shift(-days, 3600 + int.from_bytes(digest[4:8], "big") % 79_200)

    @cached_property
    def check(self) -> str:
        """What tells whether two runs had the same key, and nothing about it."""
        return self.digest("check", "")[:8].hex()


def is_public_uid(text: str) -> bool:
    """Return whether the standard gives out this identifier, or it names our coding scheme.

    One that the standard cannot know yet counts as none.
    """
    return text in UID_dictionary or text == SCHEME_UID


def new_key() -> bytes:
    """Return a new random key."""
    return secrets.token_bytes(KEY_BYTES)


def load_or_make_key(path: Path) -> bytes:
    """Return the key of a file, made with a new random key for its owner alone if absent.

    Raises
    ------
    ExportError
        If the file cannot be read or made, or holds no key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    except OSError as error:
        msg = f"the key file cannot be made: {error.strerror}"
        raise ExportError(msg) from error
    key = new_key()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    return key


def _read_key(path: Path) -> bytes:
    try:
        text = path.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        msg = f"the key file cannot be read: {error.strerror}"
        raise ExportError(msg) from error
    if not _KEY_TEXT.fullmatch(text) or len(text) % 2:
        msg = (
            f"a key file holds at least {2 * KEY_BYTES} hexadecimal digits and nothing else; "
            "name a file that does not exist and it is made"
        )
        raise ExportError(msg)
    return bytes.fromhex(text)
