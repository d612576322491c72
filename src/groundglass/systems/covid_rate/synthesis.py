"""Synthetic pairs: lesions of one patient laid into the healthy lung of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import LeakError
from groundglass.systems.covid_rate.placement import Placement, placed

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


class Mode(StrEnum):
    """How pairs are made."""

    FAITHFUL = "faithful"
    """As the published code does: same pixels, no matching, scaled by minimum and maximum."""
    IMPROVED = "improved"
    """Aligned by the lungs, in HU, densities matched, edges feathered."""


@dataclass(frozen=True)
class SynthesisConfig:
    """Settings of the synthesis."""

    mode: Mode = Mode.IMPROVED
    """How pairs are made."""
    least_lung_share: float = 0.03
    """Share of a slice that must be exceeded by its lung for it to take lesions."""
    least_rate: float = 0.01
    """Share of the lung that must be exceeded by the lesion for a pair to be kept."""
    least_survival: float = 0.7
    """Least share of the lesion that must lie in the new lung; improved mode only."""
    rotation_degrees: float = 10.0
    """Largest turn of a lesion; improved mode only."""
    scale: tuple[float, float] = (0.8, 1.2)
    """Range of the lesion's enlargement; improved mode only."""
    mirror_share: float = 0.5
    """Share of donors that are mirrored, their sides swapped; improved mode only."""
    feather_px: float = 3.0
    """Width of the lesion's edge over which densities blend; improved mode only."""


@dataclass(frozen=True, eq=False)
class Donor:
    """A slice with lesions."""

    name: str
    """Its name in the records."""
    hu: NDArray[np.floating] | NDArray[np.integer]
    """(rows, columns) Hounsfield units."""
    lesion: Mask
    """Where it is ill."""
    lungs: Labels
    """0 outside, 1 right, 2 left; 1 alone where sides are not known."""
    split: str = ""
    """The part of the data it belongs to."""


@dataclass(frozen=True, eq=False)
class Recipient:
    """A slice of a healthy lung."""

    name: str
    """Its name in the records."""
    hu: NDArray[np.floating] | NDArray[np.integer]
    """(rows, columns) Hounsfield units."""
    lungs: Labels
    """0 outside, 1 right, 2 left; 1 alone where sides are not known."""
    split: str = ""
    """The part of the data it belongs to."""


@dataclass(frozen=True, slots=True)
class PairRecord:
    """What became of one pair."""

    donor: str
    """Name of the slice with lesions."""
    recipient: str
    """Name of the healthy slice; empty if there was none."""
    seed: int
    """Seed of the run."""
    mode: Mode
    """How it was made."""
    rate_before: float
    """Lesion as a share of the new lung before it was cut to that lung."""
    rate_after: float
    """The same after."""
    kept: bool
    """Whether the pair is used."""
    reason: str
    """Why not; empty if kept."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One synthetic slice."""

    image: NDArray[np.float32]
    """(rows, columns): scaled to 0..1 in faithful mode, HU in improved mode."""
    mask: Mask
    """Where it is ill; lies within the new lung."""
    record: PairRecord
    """How it came to be."""


def min_max(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float32]:
    """Return values scaled from their minimum to their maximum to 0..1; zeros if constant."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.float32)
    return ((values - low) / (high - low)).astype(np.float32)


def takes_lesions(recipient: Recipient, config: SynthesisConfig) -> bool:
    """Return whether a healthy slice holds enough lung: strictly more than the least share."""
    return _exceeds(
        int(np.count_nonzero(recipient.lungs)), recipient.lungs.size, config.least_lung_share
    )


def _exceeds(part: int, whole: int, share: float) -> bool:
    """Compare strictly, free of rounding for shares of whole millionths."""
    return part * 1_000_000 > whole * round(share * 1_000_000)


def synthesize(
    donors: Sequence[Donor],
    recipients: Sequence[Recipient],
    config: SynthesisConfig | None = None,
    seed: int = 0,
) -> Iterator[Pair]:
    """Yield one pair for each donor, kept or not; the record says why not.

    Healthy slices with enough lung are shuffled and cycled to the number of donors. The same seed
    gives the same bytes.

    Parameters
    ----------
    donors : sequence of Donor
        Slices with lesions.
    recipients : sequence of Recipient
        Healthy slices.
    config : SynthesisConfig, optional
    seed : int

    Raises
    ------
    LeakError
        If donors and recipients come from more than one part of a split.
    ValueError
        If no healthy slice holds enough lung, or shapes of a pair differ in faithful mode.
    """
    config = config or SynthesisConfig()
    splits = sorted({one.split for one in donors} | {one.split for one in recipients})
    if len(splits) > 1:
        msg = f"donors and recipients must come from one part of a split, found {', '.join(splits)}"
        raise LeakError(msg)
    able = [one for one in recipients if takes_lesions(one, config)]
    if not able:
        msg = (
            f"no healthy slice whose lung is more than {config.least_lung_share:.0%} of it "
            f"was found among {len(recipients)}"
        )
        raise ValueError(msg)
    order = np.random.default_rng(seed).permutation(len(able))
    for index, donor in enumerate(donors):
        recipient = able[order[index % len(able)]]
        if config.mode is Mode.FAITHFUL:
            yield paste_faithfully(donor, recipient, config, seed)
        else:
            generator = np.random.default_rng([seed, index])
            yield paste_aligned(donor, recipient, config, seed, generator)


def paste_faithfully(
    donor: Donor, recipient: Recipient, config: SynthesisConfig, seed: int
) -> Pair:
    """Return the pair the published code makes: same pixels, scaled before and after.

    Raises
    ------
    ValueError
        If the two slices differ in shape.
    """
    if donor.hu.shape != recipient.hu.shape:
        msg = f"both slices need one shape, found {donor.hu.shape} and {recipient.hu.shape}"
        raise ValueError(msg)
    lung = recipient.lungs > 0
    ill = min_max(donor.hu) * (donor.lungs > 0)
    healthy = min_max(recipient.hu) * lung
    image = np.where(donor.lesion, ill, healthy) * lung
    mask = donor.lesion & lung
    record = _record(donor, recipient, config, seed, int(donor.lesion.sum()), mask)
    return Pair(min_max(image), mask, record)


def paste_aligned(
    donor: Donor,
    recipient: Recipient,
    config: SynthesisConfig,
    seed: int,
    generator: np.random.Generator,
) -> Pair:
    """Return a pair made by laying each lung's lesions over the same lung of the other patient.

    Lesion densities are shifted by the difference of the two lungs' healthy medians. Outside the
    mask the slice is unchanged.
    """
    placement = Placement(
        angle=float(np.deg2rad(config.rotation_degrees) * generator.uniform(-1, 1)),
        scale=float(generator.uniform(*config.scale)),
        mirrored=bool(generator.random() < config.mirror_share),
        feather_px=config.feather_px,
    )
    laid = placed(donor.hu, donor.lesion, donor.lungs, recipient.hu, recipient.lungs, placement)
    record = _record(donor, recipient, config, seed, laid.area_before, laid.mask)
    survived = int(laid.mask.sum())
    if record.kept and survived < config.least_survival * laid.area_before:
        reason = f"only {survived / laid.area_before:.0%} of the lesion lies in the new lung"
        record = _refused(record, reason)
    return Pair(laid.hu, laid.mask, record)


def _record(  # noqa: PLR0913, PLR0917 - the parts of a record
    donor: Donor,
    recipient: Recipient,
    config: SynthesisConfig,
    seed: int,
    area_before: int,
    mask: Mask,
) -> PairRecord:
    lung = int(np.count_nonzero(recipient.lungs))
    area = int(mask.sum())
    kept = _exceeds(area, lung, config.least_rate)
    reason = (
        ""
        if kept
        else f"lesion covers {area / lung:.2%} of the lung, {config.least_rate:.0%} needed"
    )
    return PairRecord(
        donor=donor.name,
        recipient=recipient.name,
        seed=seed,
        mode=config.mode,
        rate_before=area_before / lung,
        rate_after=area / lung,
        kept=kept,
        reason=reason,
    )


def _refused(record: PairRecord, reason: str) -> PairRecord:
    return replace(record, kept=False, reason=reason)
