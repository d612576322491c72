"""What the paper reports, as data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SOURCE = "Enshaei et al., Scientific Reports 12 (2022), Table 4: COVID-CT-Rate, ten folds"

TABLE: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "U-Net": {"dice": 0.7793, "specificity": 0.9963, "sensitivity": 0.7622, "mae": 0.0059},
        "U-Net++": {"dice": 0.7891, "specificity": 0.9964, "sensitivity": 0.8118, "mae": 0.0061},
        "Attention U-Net": {
            "dice": 0.7911,
            "specificity": 0.9974,
            "sensitivity": 0.7842,
            "mae": 0.0056,
        },
        "Residual U-Net with CPB": {
            "dice": 0.7921,
            "specificity": 0.9968,
            "sensitivity": 0.8239,
            "mae": 0.0055,
        },
        "COVID-Rate without CPB": {
            "dice": 0.7991,
            "specificity": 0.9968,
            "sensitivity": 0.8296,
            "mae": 0.0054,
        },
        "COVID-Rate": {"dice": 0.8036, "specificity": 0.9968, "sensitivity": 0.8340, "mae": 0.0053},
        "Enhanced COVID-Rate": {
            "dice": 0.8069,
            "specificity": 0.9969,
            "sensitivity": 0.8354,
            "mae": 0.0053,
        },
    }
)
"""Mean figures by model, each slice's 512 x 512 pixels counted whole."""

SEMISEG_SOURCE = "Fan et al., IEEE TMI 39(8) 2020, Table II: the 48 test slices of COVID-SemiSeg"

SEMISEG_TABLE: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "U-Net": {
            "dice_mean256": 0.439,
            "sensitivity_mean256": 0.534,
            "specificity_mean256": 0.858,
        },
        "Inf-Net": {
            "dice_mean256": 0.682,
            "sensitivity_mean256": 0.692,
            "specificity_mean256": 0.943,
        },
        "Semi-Inf-Net": {
            "dice_mean256": 0.739,
            "dice_max256": 0.775,
            "sensitivity_mean256": 0.725,
            "specificity_mean256": 0.960,
        },
    }
)
"""Mean figures over 256 thresholds of each picture's scaled map."""


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:
    """Return the source and the table that belong beside figures on a data set."""
    return (SEMISEG_SOURCE, SEMISEG_TABLE) if dataset == "covid-semiseg" else (SOURCE, TABLE)
