"""Published numbers, as data: of the system and of those it is set against.

The tables 2 to 6 of the system itself and its figure 8 were not available; what was not found is
absent.
"""

from __future__ import annotations

from dataclasses import dataclass

SLICES_48 = (*range(7, 11), 19, 22, 37, 39, *range(60, 68), *range(69, 101))
"""Test slices among the 100 of MedSeg, 1-based."""
SLICES_636 = (
    (4, 43),
    (7, 35),
    (55, 378),
    (7, 35),
    (12, 58),
    (13, 37),
    (5, 38),
    (1, 45),
    (19, 81),
)
"""First and last test slice, 1-based, of each of the nine volumes; 636 slices, published as 638."""


@dataclass(frozen=True)
class SegmentationRow:
    """Published means of one method; ``None`` where not given."""

    method: str
    """Name of the method."""
    dice: float
    """Mean Dice; for the 48 slices over images and 256 thresholds."""
    sensitivity: float
    """Mean sensitivity."""
    specificity: float
    """Mean specificity."""
    precision: float | None = None
    """Mean precision."""
    s_measure: float | None = None
    """Structure measure."""
    e_measure: float | None = None
    """Mean enhanced alignment measure."""
    mae: float | None = None
    """Mean absolute error."""
    dice_adaptive: float | None = None
    """Dice at twice the mean of each map."""
    dice_max: float | None = None
    """Dice at the best threshold."""


INFNET_48 = (
    SegmentationRow("U-Net", 0.439, 0.534, 0.858, None, 0.622, 0.625, 0.186, 0.532, 0.558),
    SegmentationRow("U-Net++", 0.581, 0.672, 0.902, None, 0.722, 0.720, 0.120, 0.631, 0.706),
    SegmentationRow("Inf-Net", 0.682, 0.692, 0.943, None, 0.781, 0.838, 0.082, 0.727, 0.746),
    SegmentationRow("Semi-Inf-Net", 0.739, 0.725, 0.960, None, 0.800, 0.894, 0.064, 0.764, 0.775),
)
"""Inf-Net's stored evaluation on its 48 test pictures."""

VOLUMES_638 = (
    SegmentationRow("U-Net", 0.308, 0.678, 0.836, 0.265),
    SegmentationRow("Attention-UNet", 0.466, 0.723, 0.930, 0.390),
    SegmentationRow("Gated-UNet", 0.447, 0.674, 0.956, 0.375),
    SegmentationRow("Dense-UNet", 0.410, 0.607, 0.977, 0.415),
    SegmentationRow("U-Net++", 0.444, 0.877, 0.929, 0.369),
    SegmentationRow("Inf-Net", 0.579, 0.870, 0.974, 0.500),
)
"""Real volumes, as reprinted by Oulefki et al., Pattern Recognition 2021, table 3."""


@dataclass(frozen=True)
class PatientRow:
    """Published accuracy of a classifier of patients; ``None`` where not given."""

    work: str
    """Name of the method."""
    test: str
    """What it was tested on."""
    accuracy: float
    """Share of patients called right."""
    covid: float | None = None
    """Sensitivity for COVID-19."""
    cap: float | None = None
    """Sensitivity for community-acquired pneumonia."""
    normal: float | None = None
    """Sensitivity for normal."""


PATIENTS = (
    PatientRow("COVID+CAP-CNN (arXiv 2104.05121)", "SPGC challenge", 0.900, 0.857, 0.900, 0.942),
    PatientRow("COVID+CAP-CNN (arXiv 2104.05121)", "own validation", 0.893),
    PatientRow("CNR-IEMN (Sensors 21:5878)", "own validation", 0.8775, 0.9636, 0.5263, 0.9583),
    PatientRow(
        "multicentre framework (arXiv 2109.09241)", "130 SPGC", 0.9615, 0.9608, 0.9286, 0.980
    ),
    PatientRow("capsule network (Afshar 2022), images", "LDCT", 0.90, 0.895, 0.95, 0.857),
    PatientRow("capsule network (Afshar 2022), with clinic", "LDCT", 0.941, 0.943, 0.967, 0.91),
)
"""Classification of patients into COVID-19, CAP and normal."""


@dataclass(frozen=True)
class AgreementRow:
    """Agreement of a severity score with radiologists over 50 patients."""

    score: str
    """Which score."""
    pearson: float
    """Correlation."""
    spearman: float
    """Rank correlation."""
    mae: float
    """Mean absolute difference in points."""
    rmse: float
    """Root mean squared difference in points."""
    bias: float
    """Mean difference in points."""


CTSS_AGREEMENT = (
    AgreementRow("mean over slices", 0.823, 0.787, 2.12, 2.67, -1.04),
    AgreementRow("max over slices", 0.554, 0.560, 12.72, 13.24, 12.72),
)
"""The published severity scores, drawn from the stored results of the system."""
