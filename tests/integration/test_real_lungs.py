"""Lungs and infection of the real scans, against the slice labels that come with them.

The figures were measured on these scans while the method was made, so they guard against loss and
promise nothing about other patients.
"""

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from groundglass.core.scan import Scan
from groundglass.infection.volume import find_infection
from groundglass.lungs.find import find_lungs
from groundglass.lungs.segment import segment_lungs
from groundglass.readers.read import read_scan

pytestmark = pytest.mark.data

FOLDERS = {
    "P001": "COVID-19 subjects/P001",
    "cap001": "Cap subjects/cap001",
    "normal001": "Normal subjects/normal001",
}


@pytest.fixture(scope="module")
def read(data: Path) -> Callable[[str], Scan]:
    """Return a reader that reads each scan once."""

    @cache
    def reader(name: str) -> Scan:
        folder = data / "covid-ct-md" / FOLDERS[name]
        if not folder.is_dir():
            pytest.skip(f"no scan {name}")
        return read_scan(folder)

    return reader


def slice_labels(data: Path, name: str, slices: int) -> np.ndarray:
    """Return which slices are labelled infected; rows follow the index, columns head to feet."""
    with (data / "covid-ct-md" / "Index.csv").open(newline="") as stream:
        names = [row[3] for row in csv.reader(stream)][1:]
    table = np.load(data / "covid-ct-md" / "Slice-level-labels-updated-1.npy")
    return np.asarray(table[names.index(name), :slices] > 0)


def auc(values: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks."""
    positive = int(labels.sum())
    rank_sum = float(rankdata(values)[labels].sum())
    return (rank_sum - positive * (positive + 1) / 2) / (positive * (labels.size - positive))


@pytest.mark.parametrize(("name", "least"), [("P001", 0.95), ("cap001", 0.93)])
def test_infected_share_of_slices_follows_the_labels(
    read: Callable[[str], Scan], data: Path, name: str, least: float
) -> None:
    scan = read(name)
    lungs = find_lungs(scan)
    infection = find_infection(scan, lungs)
    area = (lungs.labels > 0).sum(axis=(1, 2))
    share = (infection.labels > 0).sum(axis=(1, 2)) / np.maximum(area, 0.3 * area.max())
    assert auc(share, slice_labels(data, name, scan.shape[0])) >= least


@pytest.mark.parametrize(
    ("name", "right_l", "left_l"),
    [("P001", 3.12, 3.06), ("cap001", 2.85, 3.14), ("normal001", 1.87, 1.62)],
)
def test_lung_volumes_stay(
    read: Callable[[str], Scan], name: str, right_l: float, left_l: float
) -> None:
    scan = read(name)
    found = segment_lungs(scan.hu(), scan.geometry.spacing_mm)
    litres = float(np.prod(scan.geometry.spacing_mm)) / 1e6
    assert (found.labels == 1).sum() * litres == pytest.approx(right_l, rel=0.02)
    assert (found.labels == 2).sum() * litres == pytest.approx(left_l, rel=0.02)
    assert 5 < found.airway_ml < 90
    assert found.z_gaps == ()


def test_a_normal_chest_is_hardly_infected(read: Callable[[str], Scan]) -> None:
    scan = read("normal001")
    lungs = find_lungs(scan)
    infection = find_infection(scan, lungs)
    assert (infection.labels > 0).sum() / (lungs.labels > 0).sum() < 0.003
    assert {verdict.check for verdict in lungs.verdicts} == set()


@pytest.mark.parametrize("radius_mm", [10.0, 20.0])
def test_consolidation_put_on_the_pleura_is_recovered(
    read: Callable[[str], Scan], radius_mm: float
) -> None:
    scan = read("normal001")
    hu, spacing = scan.hu().copy(), scan.geometry.spacing_mm
    healthy = segment_lungs(hu, spacing).labels
    middle = int(np.flatnonzero(healthy.any(axis=(1, 2))).mean())
    rows, columns = np.nonzero(healthy[middle] == 1)
    row, column = int(rows.mean()), int(columns[rows == int(rows.mean())].min())
    z, y, x = np.ogrid[tuple(slice(0, size) for size in hu.shape)]
    parts = zip((z, y, x), (middle, row, column), spacing, strict=True)
    ball = sum(((axis - centre) * mm) ** 2 for axis, centre, mm in parts) <= radius_mm**2
    lesion = np.asarray(ball) & (healthy > 0)
    hu[lesion] = 35
    assert (segment_lungs(hu, spacing).labels[lesion] > 0).mean() > 0.7
