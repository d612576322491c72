"""Real series de-identified: nothing personal left, as valid as before, same voxels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from groundglass.deidentify.rules import Keep
from groundglass.deidentify.run import Job, deidentify

EVERY = 40
"""One slice in so many is taken."""


def errors(paths: list[Path]) -> set[str]:
    tool = shutil.which("dciodvfy")
    if tool is None:
        return set()
    found: set[str] = set()
    for path in paths:
        done = subprocess.run([tool, path], capture_output=True, check=False)
        lines = done.stderr.decode("latin-1").splitlines()
        found.update(line for line in lines if line.startswith("Error"))
    return found


@pytest.mark.data
@pytest.mark.parametrize("keep", [frozenset(), frozenset(Keep)], ids=["basic", "all options"])
@pytest.mark.parametrize(
    "name", ["COVID-19 subjects/P001", "Cap subjects/cap001", "Normal subjects/normal001"]
)
def test_real_series(data: Path, name: str, keep: frozenset[Keep], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in sorted((data / "covid-ct-md" / name).iterdir())[::EVERY]:
        shutil.copy(path, source)
    originals = sorted(source.iterdir())
    summary = deidentify(Job(source, tmp_path / "out", keep))
    assert summary.written == len(originals) == summary.found
    copies = sorted((tmp_path / "out").rglob("*.dcm"))
    assert errors(copies) == set()
    before = {int(d.InstanceNumber): d for d in map(pydicom.dcmread, originals)}
    content = b"".join(path.read_bytes() for path in copies)
    for dataset in map(pydicom.dcmread, copies):
        original = before[int(dataset.InstanceNumber)]
        assert dataset.PixelData == original.PixelData
        assert np.allclose(dataset.ImagePositionPatient, original.ImagePositionPatient)
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyTime"):
            assert str(original[keyword].value).encode() not in content
        assert not [element for element in dataset if element.tag.is_private]
