"""A real scan against itself, moved, turned and resampled: nothing has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from groundglass.core.geometry import Geometry
from groundglass.core.scan import Scan
from groundglass.followup.compare import compare
from groundglass.followup.identity import Identity
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.read import read_scan

SHIFT_MM = (6.3, -4.1, 7.7)
TURN_DEGREES = 4.0
RULE = AnalyzeConfig(infection_method="training-free", cross_check=False)


def moved(scan: Scan) -> Scan:
    """Return the scan turned about the body axis and shifted, on a grid of its own."""
    itk: Any = SimpleITK
    image = itk.GetImageFromArray(scan.hu())
    dz, dy, dx = scan.geometry.spacing_mm
    image.SetSpacing((dx, dy, dz))
    size = image.GetSize()
    turn = itk.Euler3DTransform()
    turn.SetCenter([(n - 1) * mm / 2 for n, mm in zip(size, image.GetSpacing(), strict=True)])
    turn.SetRotation(0, 0, np.deg2rad(TURN_DEGREES))
    turn.SetTranslation(SHIFT_MM)
    laid = itk.Resample(image, image, turn, itk.sitkBSpline, -1024)
    grid = Geometry.from_spacing(scan.shape, (dz, dy, dx))
    return replace(
        Scan(itk.GetArrayFromImage(laid).astype(np.int16), grid, scan.intensity),
        acquisition=scan.acquisition,
    )


@pytest.mark.data
@pytest.mark.slow
def test_a_moved_copy_has_not_changed(data: Path) -> None:
    scan = read_scan(data / "covid-ct-md" / "COVID-19 subjects" / "P001")
    who = [Identity("p", (None, None), date(2020, 3, day)) for day in (1, 9)]
    results = [analyze(one, RULE) for one in (scan, moved(scan))]
    changes = compare(results, who, register="rigid")
    last = changes.visits[1]
    assert last.since_first is not None
    assert last.laid is not None
    for name, one in last.since_first.percent.items():
        assert not one.real, (name, one)
    assert not last.since_first.infected_ml.real
    assert last.laid.overlap > max(0.95, last.laid.overlap_before)
    kept, other = last.map_ml["kept"], last.map_ml["new"] + last.map_ml["resolved"]
    assert kept > 1.5 * other
