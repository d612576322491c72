"""What is published on Per-COVID-19, and the floor that constants reach, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = (
    "Bougourzi et al., J. Imaging 7(9), 189 (2021), abstract: mean of five folds; eleven of the "
    "twelve configurations were not found. Constants: computed on the same folds"
)
CHALLENGE_SOURCE = (
    "Per-COVID-19 challenge at ICIAP 2021, validation part, ranking page of the organisers"
)

BEST = "Inception-v3, dynamic Huber, X-ray initialisation"

TABLE: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        BEST: {
            "slice_pc": 0.9365,
            "slice_mae": 5.10,
            "slice_rmse": 9.25,
            "subject_pc": 0.9603,
            "subject_mae": 4.01,
            "subject_rmse": 6.79,
        },
        "constant: mean of the training folds": {
            "slice_mae": 20.40,
            "slice_rmse": 25.87,
            "subject_mae": 18.69,
            "subject_rmse": 23.07,
        },
        "constant: median of the training folds": {
            "slice_mae": 17.97,
            "slice_rmse": 28.63,
            "subject_mae": 17.19,
            "subject_rmse": 26.47,
        },
    }
)
"""Figures by method, under the names of the bench."""


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    """One team of the challenge."""

    team: str
    """Its name."""
    val: tuple[float, float, float]
    """MAE, PC and RMSE of slices on the validation part."""
    test: tuple[float, float, float]
    """The same on the test part, whose labels were never released."""
    final_mae: float
    """0.3 validation + 0.7 test."""
    final_pc: float
    """The same of PC."""
    printed_rmse: float
    """Final RMSE as the page prints it: with the two weights swapped."""

    @property
    def final_rmse(self) -> float:
        """RMSE with the weights the page states."""
        return 0.3 * self.val[2] + 0.7 * self.test[2]


CHALLENGE: tuple[ChallengeRow, ...] = (
    ChallengeRow(
        "Taiyuan_university_lab713",
        (4.5043, 0.9490, 8.0965),
        (3.5570, 0.8548, 7.5102),
        3.8412,
        0.8831,
        7.9206,
    ),
    ChallengeRow("TAC", (4.4840, 0.9460, 8.5474), (3.6454, 0.8022, 8.5709), 3.8970, 0.8453, 8.5545),
    ChallengeRow(
        "SenticLab.UAIC", (4.1714, 0.9488, 8.1961), (4.6172, 0.7635, 9.0996), 4.4835, 0.8191, 8.4672
    ),
    ChallengeRow(
        "ACVLab", (4.9926, 0.9365, 9.0806), (4.8661, 0.7287, 10.2751), 4.9040, 0.7911, 9.4390
    ),
    ChallengeRow(
        "EIDOSlab_Unito", (4.9124, 0.9430, 8.7002), (5.0202, 0.7978, 9.0057), 4.9879, 0.8413, 8.7918
    ),
    ChallengeRow(
        "IPLab (ausilianapoli94)",
        (4.9531, 0.9435, 8.6038),
        (6.5363, 0.7092, 9.9761),
        6.0613,
        0.7795,
        9.0155,
    ),
)
"""In the order of the final ranking."""


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:
    """Return the source and the table that belong beside figures on a data set."""
    if not dataset.endswith("challenge"):
        return SOURCE, TABLE
    rows = {
        row.team: dict(zip(("slice_mae", "slice_pc", "slice_rmse"), row.val, strict=True))
        for row in CHALLENGE
    }
    return CHALLENGE_SOURCE, rows
