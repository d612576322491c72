"""Broken and strange inputs, built anew from a seed each time: what a scanner of the world meets.

``all_cases`` gives some hundred of them, by group. Each builds its input in an empty folder.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzzing import archives, dicom, folders, pictures, volumes
from tests.fuzzing.case import Case

__all__ = ["Case", "all_cases"]


def all_cases() -> Iterator[Case]:
    """Yield every case; names are unique."""
    for module in (dicom, archives, volumes, pictures, folders):
        yield from module.cases()
