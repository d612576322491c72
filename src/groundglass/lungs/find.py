"""Lungs of a scan: the segmentation with its findings said as verdicts."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from groundglass.core.geometry import Geometry
from groundglass.core.results import LEFT, RIGHT, LungMask
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NoLungsError
from groundglass.lungs.completion import LungMap
from groundglass.lungs.config import LungConfig
from groundglass.lungs.model import open_lung_model
from groundglass.lungs.segment import LungLabels, gaps_between, segment_lungs

__all__ = ["LungConfig", "find_lungs"]

METHOD = "training-free"
REPAIR_WORTH_TELLING_ML = 1.0
"""Filled dents below this volume are not worth a verdict."""
COMPLETED_GRAVE_ML = 100.0
"""From this volume on what the network added is worth a warning."""
MOST_EVEN_SLICES = 1500
"""Slices an uneven scan may be brought to; a longer one gets a wider step."""

NO_NETWORK = Verdict(
    "lung_network",
    Status.NOTE,
    "no lung network is installed",
    "lungs were found by density and shape alone",
    "lung as dense as the chest wall is left out",
)


def find_lungs(scan: Scan, config: LungConfig | None = None) -> LungMask:
    """Return the lungs of a scan in Hounsfield units.

    Parameters
    ----------
    scan : Scan
        A chest CT. One with uneven steps is searched on an even grid where every slice is
        repeated over the length it stands for, so that shapes along the body are true.
    config : LungConfig, optional

    Returns
    -------
    LungMask
        With a verdict for everything doubtful.

    Raises
    ------
    NoLungsError
        If no enclosed air looks like lung.
    UncalibratedError
        If the scan holds display values or numbers of unknown scale.
    """
    config = config or LungConfig()
    network = open_lung_model() if config.method == "network" else None
    found = _segment(scan, config, network)
    if found.empty:
        msg = (
            "a chest CT needs lungs, and no air enclosed by the body looks like lung; check that "
            "the scan shows a chest and that its values are Hounsfield units"
        )
        raise NoLungsError(msg)
    verdicts = _verdicts(found)
    if config.method == "network" and network is None:
        verdicts.append(NO_NETWORK)
    method = METHOD if network is None else f"{METHOD}, completed by {network.name}"
    return LungMask(found.labels, scan.geometry, method, verdicts=tuple(verdicts))


def _segment(scan: Scan, config: LungConfig, network: LungMap | None) -> LungLabels:
    """Return the lungs on the scan's own slices."""
    hu, geometry = scan.hu(), scan.geometry
    if geometry.is_even:
        return segment_lungs(hu, geometry.spacing_mm, config, network)
    positions = np.abs(geometry.positions_mm - geometry.positions_mm[0])
    even, step_mm = _even_positions(geometry, config.grid_mm)
    middles = (positions[:-1] + positions[1:]) / 2
    found = segment_lungs(
        hu[np.searchsorted(middles, even)],
        (step_mm, *geometry.spacing_mm[1:]),
        config,
        network,
    )
    nearest = np.minimum(np.rint(positions / step_mm).astype(np.intp), even.size - 1)
    labels = found.labels[nearest]
    return replace(found, labels=labels, z_gaps=gaps_between(labels))


def _even_positions(geometry: Geometry, least_mm: float) -> tuple[NDArray[np.float64], float]:
    """Return even distances from the first slice to the last, and their step."""
    length = float(geometry.steps_mm.sum())
    wanted = max(float(geometry.steps_mm.min()), least_mm, length / MOST_EVEN_SLICES)
    count = max(1, round(length / wanted))
    return np.linspace(0, length, count + 1), length / count


def _verdicts(found: LungLabels) -> list[Verdict]:
    """Return what was noticed, gravest first."""
    checks = (
        _split_verdict,
        _completion_verdict,
        _fluid_verdict,
        _suspect_verdict,
        _gap_verdict,
        _repair_verdict,
        _airway_verdict,
    )
    return [verdict for check in checks if (verdict := check(found)) is not None]


def _split_verdict(found: LungLabels) -> Verdict | None:
    if found.split_method == "midline":
        return Verdict(
            "lung_sides",
            Status.WARNING,
            "the two lungs touch and could not be told apart",
            "they were cut at the middle of the body",
            "numbers of both lungs together hold, those of each side are estimates",
        )
    both = (found.labels == RIGHT).any() and (found.labels == LEFT).any()
    if found.split_method == "one lung" and not both:
        side = "right" if (found.labels == RIGHT).any() else "left"
        other = "left" if (found.labels == RIGHT).any() else "right"
        return Verdict(
            "lung_sides",
            Status.WARNING,
            f"air of the {side} lung only was found",
            f"the {other} lung counts as absent",
            f"if the {other} lung is there but white, volume and percent are too low",
        )
    return None


def _completion_verdict(found: LungLabels) -> Verdict | None:
    if found.completed_ml < REPAIR_WORTH_TELLING_ML:
        return None
    return Verdict(
        "lung_network",
        Status.WARNING if found.completed_ml >= COMPLETED_GRAVE_ML else Status.NOTE,
        f"{found.completed_ml:.0f} ml as dense as the chest wall are lung by the lung network",
        "they count as lung",
        "volume and infected percent include them; if some are no lung, both are too high",
    )


def _fluid_verdict(found: LungLabels) -> Verdict | None:
    if found.fluid_ml <= 0:
        return None
    return Verdict(
        "pleural_fluid",
        Status.WARNING,
        f"about {found.fluid_ml:.0f} ml of the density of water lie in the room of the lungs",
        "they were left out as effusion",
        "if some are consolidation, volume and infected percent are too low",
    )


def _suspect_verdict(found: LungLabels) -> Verdict | None:
    if found.suspected_ml <= 0:
        return None
    return Verdict(
        "pleural_opacity",
        Status.WARNING,
        f"about {found.suspected_ml:.0f} ml of soft tissue lie between ribs and lung in one dent",
        "it was left out of the lungs, as effusion and consolidation look alike there",
        "if it is consolidation, volume and infected percent are too low",
    )


def _gap_verdict(found: LungLabels) -> Verdict | None:
    if not found.z_gaps:
        return None
    return Verdict(
        "lung_gaps",
        Status.WARNING,
        f"{len(found.z_gaps)} slices between slices with lung show none",
        "they count as without lung",
        "volumes are too low by the lung of those slices",
    )


def _repair_verdict(found: LungLabels) -> Verdict | None:
    if found.repaired_ml < REPAIR_WORTH_TELLING_ML:
        return None
    return Verdict(
        "pleural_repair",
        Status.NOTE,
        f"dents of {found.repaired_ml:.0f} ml in the rib side of the lungs look like consolidation",
        "they were filled and count as lung",
        "volume and infected percent include them",
    )


def _airway_verdict(found: LungLabels) -> Verdict | None:
    if found.airway_ml > 0:
        return None
    return Verdict(
        "airway",
        Status.NOTE,
        "no windpipe was found",
        "no airway was taken out of the lungs",
        "lung volume may be too large by a few ml",
    )
