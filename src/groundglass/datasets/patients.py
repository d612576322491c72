"""Whole scans of patients with what is known about them, one type for all data sets of such."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import ReadError

CLASSES = ("NORMAL", "CAP", "COVID-19")
"""Names of the classes of patients, in the order of the published network's outputs."""


@dataclass(frozen=True, eq=False)
class PatientScan:
    """One patient's scan in a data set, and what the data set says about it."""

    patient: str
    """Unlike any other in the data set."""
    path: Path
    """Folder of DICOM files, or one volume."""
    label: str | None = None
    """Class of the patient; ``None`` where not told."""
    slice_labels: NDArray[np.bool_] | None = None
    """Whether each slice from the head shows infection; may be padded with False at the end."""
    mask: Path | None = None
    """Reference mask of infection on the scan's grid."""
    score: float | None = None
    """Severity as radiologists scored it."""
    cohort: str = ""
    """Part of the data set."""

    def labels_of(self, slices: int) -> NDArray[np.bool_] | None:
        """Return the label of every slice, head to feet; ``None`` where slices have none.

        Raises
        ------
        ReadError
            If the series has more slices than labels, or fewer than the last labelled one.
        """
        if self.slice_labels is None:
            return None
        if slices > self.slice_labels.size or self.slice_labels[slices:].any():
            msg = f"the slice labels of patient {self.patient} do not fit {slices} slices"
            raise ReadError(msg)
        return self.slice_labels[:slices]


def class_of(text: str) -> str | None:
    """Return the class a folder's or cell's name tells; ``None`` for any other word.

    ``Covid``, ``COVID-19 subjects`` and ``COVID19`` are COVID-19, ``Cap subjects`` CAP, and so on.
    """
    word = text.strip().lower()
    for name, begin in (("COVID-19", "covid"), ("CAP", "cap"), ("NORMAL", "normal")):
        if word.startswith(begin):
            return name
    return None
