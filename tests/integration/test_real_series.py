"""Real series: three transfer syntaxes, names out of order, text where identifiers should be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest

from groundglass.core.scan import Intensity
from groundglass.readers.read import read_scan
from tests.series import block, make_slices, save

SERIES = {
    "COVID-19 subjects/P001": (148, 0.748046875, (-52.1, -346.1)),
    "Cap subjects/cap001": (168, 0.58984375, (-67.9, -401.9)),
    "Normal subjects/normal001": (154, 0.634765625, (-24.5, -330.5)),
}


@pytest.mark.data
@pytest.mark.parametrize("name", SERIES)
def test_real_series(data: Path, name: str) -> None:
    slices, pixel_mm, ends = SERIES[name]
    folder = data / "covid-ct-md" / name
    scan = read_scan(folder)
    assert scan.shape == (slices, 512, 512)
    assert scan.intensity is Intensity.HU
    assert scan.geometry.spacing_mm == pytest.approx((2.0, pixel_mm, pixel_mm))
    assert scan.geometry.z_mm[[0, -1]] == pytest.approx(ends)
    assert [v.check for v in scan.verdicts] == ["series_choice"]
    assert -1024 <= scan.voxels.min() < -1000 < 1000 < scan.voxels.max()
    assert scan.acquisition.kernel == "D40s"
    assert len(scan.provenance.instance_uids) in (0, slices)
    by_place = sorted(
        folder.iterdir(),
        key=lambda f: -float(pydicom.dcmread(f, stop_before_pixels=True).SliceLocation),
    )
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in by_place)).hexdigest()
    assert scan.provenance.sha256 == digest


@pytest.mark.data
def test_folder_of_three_patients_says_so(data: Path) -> None:
    scan = read_scan(data / "covid-ct-md")
    choice = next(v for v in scan.verdicts if v.check == "series_choice")
    assert choice.found == "3 series of 3 patients were found"


def test_highdicom_agrees_on_a_sound_series(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    hu = block((9, 32, 40))
    slices = make_slices(hu, 2.5)
    scan = read_scan(save(slices, tmp_path))
    volume = highdicom.image.get_volume_from_series(slices, dtype=np.float32)
    corners = np.array([[0, 0, 0, 1], [8, 31, 39, 1], [4, 5, 6, 1]]).T
    theirs = np.linalg.inv(volume.affine) @ scan.geometry.affine @ corners
    for index, other in zip(corners.T, theirs.T, strict=True):
        assert other == pytest.approx(other.round(), abs=1e-6)
        mine = scan.voxels[tuple(index[:3])]
        assert mine == volume.array[tuple(other.round().astype(int)[:3])]
