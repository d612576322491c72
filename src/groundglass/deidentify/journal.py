"""What of a run is done, on disk after every file, so that a killed run can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from groundglass.errors import ExportError

NAME = ".groundglass-journal"
"""Name of the journal in the destination; gone once the run is finished."""


@dataclass
class Journal:
    """The journal of one run.

    Parameters
    ----------
    out : Path
        Destination.
    settings : mapping
        What the run was asked for; a run goes on only with the same.
    """

    out: Path
    """Destination."""
    settings: Mapping[str, Any]
    """What the run was asked for."""
    done: dict[str, str] = field(default_factory=dict)
    """What the pixels of a finished file raised as suspicion, by the file's mark."""
    _file: IO[str] | None = None

    @property
    def path(self) -> Path:
        """Where the journal lies."""
        return self.out / NAME

    def load(self) -> None:
        """Take up an earlier run.

        Raises
        ------
        ExportError
            If there is none, or one with another key or other options.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            msg = "there is no unfinished run to resume; leave --resume out"
            raise ExportError(msg) from error
        entries = [entry for entry in map(_parsed, lines) if entry is not None]
        if not entries or entries[0] != dict(self.settings):
            msg = "the unfinished run had another key or other options; name the same to resume it"
            raise ExportError(msg)
        self.done = {entry["mark"]: entry["flag"] for entry in entries[1:] if "mark" in entry}

    def open(self) -> None:
        """Begin to write, behind what was taken up."""
        try:
            self._file = self.path.open("a" if self.done else "w", encoding="utf-8")
        except OSError as error:
            msg = f"the destination cannot be written: {error.strerror}"
            raise ExportError(msg) from error
        if self.done:
            self._file.write("\n")
        else:
            self._line(dict(self.settings))

    def note(self, mark: str, flag: str) -> None:
        """Write down that a file is finished."""
        if mark not in self.done:
            self._line({"mark": mark, "flag": flag})

    def close(self, *, finished: bool) -> None:
        """Stop writing; a finished run leaves no journal."""
        if self._file is not None:
            self._file.close()
        if finished:
            self.path.unlink(missing_ok=True)

    def _line(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _parsed(line: str) -> dict[str, Any] | None:
    """Return one entry; ``None`` for a line that was being written when the run was killed."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
