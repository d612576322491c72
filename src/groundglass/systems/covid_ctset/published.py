"""What the paper on COVID-CTset reports, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Rahimzadeh et al., Biomed. Signal Process. Control 68 (2021) 102588: COVID-CTset"
NETWORKS = ("ResNet50V2-FPN", "Xception", "ResNet50V2")


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Slice figures of one network: means of five folds."""

    correct: float
    """Slices that are right."""
    wrong: float
    """Slices that are wrong."""
    covid_right: float
    """COVID-19 slices that were found."""
    covid_missed: float
    """COVID-19 slices that were not."""
    normal_wrong: float
    """Normal slices called COVID-19."""
    normal_right: float
    """Normal slices that were right."""
    accuracy: float
    """Share of slices that are right."""
    sensitivity: float
    """Share of COVID-19 slices found."""
    specificity: float
    """Share of normal slices that are right."""
    precision: float
    """Share of slices called COVID-19 that are."""
    precision_normal: float
    """Share of slices called normal that are."""


MEANS: Mapping[str, SliceRow] = MappingProxyType(
    {
        "ResNet50V2-FPN": SliceRow(
            8183.6, 125.2, 433.4, 23, 102.2, 7750.2, 0.9849, 0.9496, 0.987, 0.8126, 0.997
        ),
        "Xception": SliceRow(
            8022.2, 286.6, 447.4, 9, 277.6, 7574.8, 0.9655, 0.9802, 0.9647, 0.636, 0.9988
        ),
        "ResNet50V2": SliceRow(
            8102.8, 206, 447.2, 9.2, 196.8, 7655.6, 0.9752, 0.9799, 0.9749, 0.6988, 0.9988
        ),
    }
)
"""Mean of five folds, by network."""

FOLDS: Mapping[str, tuple[Mapping[str, float], ...]] = MappingProxyType(
    {
        "ResNet50V2-FPN": (
            {"accuracy": 0.987, "sensitivity": 0.9437, "precision": 0.8417},
            {"accuracy": 0.9847, "sensitivity": 0.9527, "precision": 0.8069},
            {"accuracy": 0.9777, "sensitivity": 0.9574, "precision": 0.7189},
            {"accuracy": 0.9868, "sensitivity": 0.963, "precision": 0.8262},
            {"accuracy": 0.9886, "sensitivity": 0.9311, "precision": 0.8693},
        ),
        "Xception": (
            {"accuracy": 0.9811, "sensitivity": 0.987},
            {"accuracy": 0.9494, "sensitivity": 0.9849},
            {"accuracy": 0.9741, "sensitivity": 0.9731},
            {"accuracy": 0.9446, "sensitivity": 0.9782},
            {"accuracy": 0.9785, "sensitivity": 0.9778},
        ),
        "ResNet50V2": (
            {"accuracy": 0.9816, "sensitivity": 0.9805},
            {"accuracy": 0.972, "sensitivity": 0.9806},
            {"accuracy": 0.97, "sensitivity": 0.9843},
            {"accuracy": 0.9821, "sensitivity": 0.9564},
            {"accuracy": 0.9704, "sensitivity": 0.9978},
        ),
    }
)
"""Slice figures of folds 1 to 5."""

MISSED_AND_WRONG = ((26, 82), (22, 106), (19, 167), (17, 93), (31, 63))
"""COVID-19 slices missed and normal slices called COVID-19, folds 1 to 5, ResNet50V2-FPN."""

TEST_SLICES = ((462, 7860), (465, 7878), (446, 7883), (459, 7856), (450, 7785))
"""COVID-19 and normal test slices of folds 1 to 5."""

PATIENTS: Mapping[str, tuple[tuple[int, int, int, int], ...]] = MappingProxyType(
    {
        "ResNet50V2-FPN": (
            (16, 2, 232, 5),
            (21, 2, 233, 12),
            (17, 1, 215, 14),
            (13, 1, 200, 6),
            (21, 1, 201, 10),
        ),
        "Xception": (
            (17, 1, 221, 16),
            (23, 0, 211, 34),
            (18, 0, 209, 20),
            (14, 0, 169, 37),
            (22, 0, 190, 21),
        ),
        "ResNet50V2": (
            (17, 1, 222, 15),
            (22, 1, 223, 22),
            (17, 1, 206, 23),
            (13, 1, 190, 16),
            (22, 0, 194, 17),
        ),
    }
)
"""Threshold 2: COVID-19 right and missed, normal right and called COVID-19, folds 1 to 5."""

PATIENTS_BY_ANY: Mapping[str, tuple[int, int, int, int]] = MappingProxyType(
    {
        "ResNet50V2-FPN": (17, 1, 231, 6),
        "ResNet50V2": (17, 1, 205, 32),
        "Xception": (17, 1, 195, 42),
    }
)
"""Threshold 1, fold 1 only."""

MS_AN_IMAGE: Mapping[str, float] = MappingProxyType(
    {"Xception": 65.4, "ResNet50V2": 52.6, "ResNet50V2-FPN": 66.1}
)
"""Milliseconds an image on a Tesla P100."""
SECONDS_BY_SLICES: Mapping[int, float] = MappingProxyType(
    {
        35: 2.30,
        52: 3.15,
        56: 3.31,
        65: 3.56,
        130: 9.88,
        198: 12.44,
        355: 13.24,
        406: 23.65,
    }
)
"""Seconds of the whole system by the slices of a series, on the same."""


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:
    """Return the source and the table that belong beside slice figures on a data set."""
    if dataset != "covid-ctset":
        return SOURCE, {}
    names = ("accuracy", "sensitivity", "specificity", "precision")
    return SOURCE, {
        method: {name: getattr(row, name) for name in names} for method, row in MEANS.items()
    }
