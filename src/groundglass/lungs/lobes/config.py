"""Settings of the approximate lobes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LobeConfig:
    """Settings of the approximate lobes; lengths in mm."""

    method: Literal["approximate", "none"] = "approximate"
    """Find approximate lobes where no lobe mask is given, or leave lobes out."""

    grid_mm: float = 1.4
    """Wanted side in the slice of the grid fissures are looked for on."""

    thickest_step_mm: float = 3.5
    """Fissures are not looked for where slices lie farther apart; the prior stands then."""

    seen_share: float = 0.17
    """Share of a fissure's searchable area that must show a bright sheet for it to count as
    seen."""
