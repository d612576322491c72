"""What was done, for every attribute, without a single value."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundglass import __version__
from groundglass.deidentify.rules import BASIC_CODE, EDITION, OPTION_CODES, Keep, table
from groundglass.deidentify.walk import Audit, path_text, path_words
from groundglass.errors import ExportError

COLUMNS = ("attribute", "keyword", "rule", "action", "count")


@dataclass
class Summary:
    """A finished run in numbers."""

    keep: frozenset[Keep]
    """Options."""
    found: int = 0
    """Files looked at."""
    written: int = 0
    """Copies that passed the verifier."""
    patients: int = 0
    """Patients with at least one copy."""
    studies: int = 0
    """Studies with at least one copy."""
    series: int = 0
    """Series with at least one copy."""
    held: Counter[str] = field(default_factory=Counter)
    """Files without a copy, by reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Files that are no DICOM objects, and links, by reason."""
    flagged: Counter[str] = field(default_factory=Counter)
    """Copies that somebody should look at, by reason."""
    faults: Counter[str] = field(default_factory=Counter)
    """What the verifier found in copies that were not kept."""
    audit: Audit = field(default_factory=Counter)
    """What was done, by attribute."""

    def document(self) -> dict[str, Any]:
        """Return the run as the report file holds it."""
        options = [OPTION_CODES[option] for option in sorted(self.keep)]
        return {
            "groundglass": __version__,
            "table": f"DICOM PS3.15 {EDITION} Table E.1-1",
            "profile": [{"code": code, "meaning": text} for code, text in (BASIC_CODE, *options)],
            "files": {"found": self.found, "written_and_verified": self.written},
            "patients": self.patients,
            "studies": self.studies,
            "series": self.series,
            "held_back": dict(self.held.most_common()),
            "left_out": dict(self.left_out.most_common()),
            "to_be_looked_at": dict(self.flagged.most_common()),
            "verifier": dict(self.faults.most_common()),
            "attributes": [dict(zip(COLUMNS, row, strict=True)) for row in self.rows()],
        }

    def rows(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Yield one line for every attribute and what was done with it."""
        for (path, action), count in sorted(self.audit.items()):
            rule = table().get(path[-1], "")
            yield path_text(path), path_words(path), rule, str(action), count

    def write(self, path: Path) -> None:
        """Write the report: CSV with one line an attribute if the name says so, else JSON.

        Raises
        ------
        ExportError
            If it cannot be written.
        """
        text = self._csv() if path.suffix.lower() == ".csv" else self._json()
        try:
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            msg = f"the report cannot be written: {error.strerror}"
            raise ExportError(msg) from error

    def _json(self) -> str:
        return json.dumps(self.document(), indent=1) + "\n"

    def _csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self.rows())
        return out.getvalue()
