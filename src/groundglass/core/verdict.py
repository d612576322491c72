"""What a check found, what was done about it, and what that does to the numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """How much a finding matters, mildest first."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    REFUSED = "refused"


NOTHING_DONE = "Nothing had to be done"
"""What a verdict says if nothing was done."""
NO_EFFECT = "The numbers are not affected"
"""What a verdict says if ml and percent do not change."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One plain statement about the input or the result."""

    check: str
    """Stable name of the check, e.g. ``"slice_spacing"``."""
    status: Status
    """How much it matters."""
    found: str
    """What was found, as a sentence without personal data."""
    done: str
    """What was done about it; :data:`NOTHING_DONE` if left empty."""
    effect: str
    """What that does to ml and percent; :data:`NO_EFFECT` if left empty."""

    def __post_init__(self) -> None:
        """Say in words what was left empty."""
        for name, words in (("done", NOTHING_DONE), ("effect", NO_EFFECT)):
            if not getattr(self, name).strip(" ."):
                object.__setattr__(self, name, words)

    def with_effect(self, effect: str) -> Verdict:
        """Return the verdict with a better known effect, e.g. once the lungs have a volume."""
        return replace(self, effect=effect)

    @property
    def sentence(self) -> str:
        """The three parts as running text."""
        parts = [part.strip().rstrip(".") for part in (self.found, self.done, self.effect)]
        return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part)


def worst(verdicts: tuple[Verdict, ...]) -> Status:
    """Return the most serious status among verdicts; ``OK`` for none."""
    order = list(Status)
    return max((v.status for v in verdicts), key=order.index, default=Status.OK)
