"""How a long call tells where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a long call."""

    stage: str
    """What is being done, as a doctor would say it: ``reading slices``."""
    done: int
    """Units finished."""
    total: int
    """Units in all; 0 if not known."""


OnProgress = Callable[[Progress], None]
"""What a long call takes to report to; only the command line draws bars."""


def silent(_: Progress) -> None:
    """Take no notice."""
