"""The picture rule and the adapters on the real data, where it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.datasets.covid_semiseg import read_covid_semiseg
from groundglass.infection.picture import segment_picture
from groundglass.metrics import averages, overlap

pytestmark = pytest.mark.data


def test_dice_on_the_doctors_slices(data: Path) -> None:
    samples = read_covid_semiseg(data / "covid-semiseg")
    assert len(samples) == 50
    overlaps, classes_fit = [], []
    for sample in samples:
        truth, classes = sample.mask(), sample.classes()
        overlaps.append(overlap(segment_picture(sample.image()).labels, truth))
        assert classes is not None
        classes_fit.append(overlap(classes, truth).dice)
    found = averages(overlaps, [sample.name for sample in samples])
    dice, pooled = found["slice_mean"].dice, found["pooled"].dice
    assert dice is not None
    assert dice >= 0.66
    assert pooled is not None
    assert pooled >= 0.70
    assert np.median(classes_fit) > 0.95


def test_real_labels_follow_the_index(data: Path) -> None:
    patients = {p.patient: p for p in read_covid_ct_md(data / "covid-ct-md")}
    assert int(patients["P001"].labels_of(148).sum()) == 80
    assert int(patients["cap001"].labels_of(168).sum()) == 86
    assert patients["normal001"].slice_labels is None
    for patient in patients.values():
        lobes = patient.lobe_labels
        if lobes is not None:
            for upper, lower in ((1, 0), (4, 2)):
                if lobes[:, upper].any() and lobes[:, lower].any():
                    above, below = (np.flatnonzero(lobes[:, n]).mean() for n in (upper, lower))
                    assert above < below
