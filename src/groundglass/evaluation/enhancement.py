"""What an enhancement gained: the same slices before and after, chosen and not chosen apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from groundglass.evaluation.compare import Difference, compare
from groundglass.evaluation.scores import SliceScore


@dataclass(frozen=True)
class Gain:
    """An enhanced model against the one before."""

    everything: Difference
    """All slices scored."""
    chosen: Difference | None
    """Those whose answers were trained on; ``None`` without such."""
    rest: Difference | None
    """The others."""
    disjoint: bool
    """Whether no scored slice shares its source with one adapted on."""


def gain_of(
    before: Sequence[SliceScore],
    after: Sequence[SliceScore],
    chosen: Collection[str],
    *,
    disjoint: bool,
) -> Gain:
    """Return what an enhancement gained.

    Parameters
    ----------
    before, after : sequence of SliceScore
        The same slices by both models.
    chosen : collection of str
        Names of the slices whose answers were trained on.
    disjoint : bool
        Whether no scored slice shares its source with one adapted on.
    """
    inside = _part(before, after, {score.name for score in before} & set(chosen))
    outside = _part(before, after, {score.name for score in before} - set(chosen))
    return Gain(compare(after, before), inside, outside, disjoint)


def _part(
    before: Sequence[SliceScore], after: Sequence[SliceScore], names: Collection[str]
) -> Difference | None:
    if not names:
        return None
    return compare([s for s in after if s.name in names], [s for s in before if s.name in names])


def write_gains(gains: dict[str, Gain], caveats: Sequence[str], path: Path) -> None:
    """Write gains by name with what must be said beside them."""
    record = {"gains": {name: asdict(gain) for name, gain in gains.items()}, "caveats": caveats}
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
