"""Results on scans read from DICOM, for tests of what is written back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.core.results import CaseResult, InfectionMask, LungMask, Prediction
from groundglass.core.scan import Scan
from groundglass.readers.read import read_scan
from groundglass.writers.summary import result_document
from tests.cases import volume_case
from tests.series import make_enhanced, make_slices, save

SHAPE = (12, 48, 64)
LONG = Prediction("net", "other", {"other": 0.7204216207587436, "ill": 0.2795783792412564}, "few")
"""Numbers of more signs than a decimal string of DICOM holds."""


def pattern(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Return HU that look like a chest nowhere and differ everywhere."""
    return np.random.default_rng(5).integers(-1000, 200, shape).astype(np.int16)


def case_on(scan: Scan) -> CaseResult:
    """Return a result whose masks on a scan have no symmetry that could hide a flip."""
    rng = np.random.default_rng(8)
    base = volume_case()
    lungs = np.zeros(scan.shape, np.uint8)
    slices, rows, columns = scan.shape
    lungs[1:-1, 3 : rows // 2, 2 : columns // 3] = 1
    lungs[2:-1, 5 : rows // 2 + 3, columns // 2 : -4] = 2
    ill = np.where((lungs > 0) & (rng.random(scan.shape) < 0.2), 1, 0).astype(np.uint8)
    ill[(ill > 0) & (rng.random(scan.shape) < 0.3)] = 2
    grid = scan.geometry
    assert slices > 3
    return replace(
        base,
        scan=scan,
        lungs=LungMask(lungs, grid, "by hand"),
        infection=InfectionMask(ill, ill, grid, "by hand"),
        predictions=(LONG,),
        provenance=scan.provenance.after("lungs", method="by hand").after(
            "infection", method="by hand", model="some-net", sha256="ab" * 32
        ),
    )


def result_folder(case: CaseResult, out: Path) -> Path:
    """Make the part of a result folder that DICOM objects are made from."""
    out.mkdir(parents=True, exist_ok=True)
    text = f"<html><body><p>{len(result_document(case).slices)} slices</p></body></html>"
    (out / "report.html").write_text(text)
    return out


def axial(folder: Path) -> Path:
    return save(make_slices(pattern(SHAPE)), folder)


def prone_feet_first(folder: Path) -> Path:
    datasets = make_slices(pattern(SHAPE))
    for number, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [40.0, -30.0, -50.0 + 5 * number]
    return save(datasets, folder)


def sagittal(folder: Path) -> Path:
    datasets = make_slices(pattern(SHAPE))
    for number, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [-30.0 + 5 * number, -20.0, 10.0]
    return save(datasets, folder)


def tilted(folder: Path) -> Path:
    datasets = make_slices(pattern(SHAPE))
    for dataset in datasets:
        angle = np.deg2rad(12)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))]
    return save(datasets, folder)


def gappy(folder: Path) -> Path:
    datasets = make_slices(pattern((14, *SHAPE[1:])))
    return save(datasets[:6] + datasets[8:], folder)


def enhanced(folder: Path) -> Path:
    return save([make_enhanced(pattern(SHAPE), shuffle=True)], folder)


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    made.__name__: made for made in (axial, prone_feet_first, sagittal, tilted, gappy, enhanced)
}


def read_case(series: Path) -> CaseResult:
    """Return a result on the scan of a series."""
    return case_on(read_scan(series))


def names_in(folder: Path) -> list[str]:
    """Return the DICOM files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))
