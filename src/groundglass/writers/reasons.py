"""Numbers into the document, with the reason for every one that is missing."""

from __future__ import annotations

from collections.abc import Mapping

from groundglass.core.results import Estimate
from groundglass.writers.document import SideIntervalsPart, SidesPart


class Reasons:
    """Rounds numbers on their way into the document and notes why each null is one.

    Every method takes the dotted path of the field it fills.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """Reasons by path."""

    def number(self, path: str, value: float | None, digits: int, why: str) -> float | None:
        """Return a number rounded to ``digits``; if there is none, ``why`` is noted."""
        if value is None:
            self.known.setdefault(path, why)
            return None
        return round(float(value), digits) + 0.0

    def estimate(self, path: str, estimate: Estimate, digits: int) -> float | None:
        """Return the value of an estimate; its own reason is noted if there is none."""
        return self.number(path, estimate.value, digits, estimate.reason or "it is not known")

    def interval(self, path: str, estimate: Estimate, digits: int) -> list[float] | None:
        """Return low and high of an estimate, or nothing and the reason."""
        if estimate.low is None or estimate.high is None:
            self.known.setdefault(path, estimate.reason or "the mask has no threshold spread")
            return None
        return [round(float(estimate.low), digits), round(float(estimate.high), digits)]

    def sides(self, path: str, estimates: Mapping[str, Estimate], digits: int) -> SidesPart:
        """Return the values of both lungs and each of them."""
        return SidesPart(
            **{name: self.estimate(f"{path}.{name}", e, digits) for name, e in estimates.items()}
        )

    def ranges(
        self, path: str, estimates: Mapping[str, Estimate], digits: int
    ) -> SideIntervalsPart:
        """Return the intervals of both lungs and each of them."""
        return SideIntervalsPart(
            **{name: self.interval(f"{path}.{name}", e, digits) for name, e in estimates.items()}
        )
