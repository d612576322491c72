"""What the paper reports, as data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from groundglass.systems.identification_severity.published import INFNET_48, SegmentationRow

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

SEMISEG_SOURCE = "Fan et al., IEEE TMI 39(8) 2020: 48 test slices of COVID-SemiSeg"


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:
    """Return the source and the table that belong beside figures on a data set."""
    if dataset != "covid-semiseg":
        return SOURCE, TABLE
    return SEMISEG_SOURCE, {row.method: _infnet_figures(row) for row in INFNET_48}


def _infnet_figures(row: SegmentationRow) -> dict[str, float]:
    """Return the figures of a row under the names of the bench."""
    named = {
        "dice_mean256": row.dice,
        "dice_max256": row.dice_max,
        "dice_adaptive": row.dice_adaptive,
        "sensitivity_mean256": row.sensitivity,
        "specificity_mean256": row.specificity,
        "mae_scaled": row.mae,
    }
    return {name: value for name, value in named.items() if value is not None}
