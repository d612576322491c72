"""From slices to a patient, as COVID-CTset decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """What the rule says about a patient."""

    INFECTED = "infected"
    NOT_INFECTED = "not infected"
    UNDETERMINED = "undetermined"
    """No slice was kept, so nothing can be said. The published code calls such a patient infected,
    as 0 is at least a tenth of 0."""


@dataclass(frozen=True, slots=True)
class PatientVote:
    """Slices of a patient and what follows from them."""

    kept: int
    """Slices that the selection kept."""
    covid: int
    """Those of them that were called COVID-19."""

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other.

        Raises
        ------
        ValueError
            If more slices are COVID-19 than were kept.
        """
        if not 0 <= self.covid <= self.kept:
            msg = f"COVID-19 slices are part of the kept ones; found {self.covid} of {self.kept}"
            raise ValueError(msg)

    @property
    def by_any(self) -> Decision:
        """Threshold 1: infected if one slice is COVID-19."""
        return self._decided(infected=self.covid > 0)

    @property
    def by_share(self) -> Decision:
        """Threshold 2: infected if at least a tenth of the kept slices is COVID-19."""
        return self._decided(infected=10 * self.covid >= self.kept)

    def _decided(self, *, infected: bool) -> Decision:
        if not self.kept:
            return Decision.UNDETERMINED
        return Decision.INFECTED if infected else Decision.NOT_INFECTED
