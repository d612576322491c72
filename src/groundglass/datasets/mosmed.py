"""MosMedData: chest CT by grade of severity, some with infection masks.

Layout: ``study_0001.nii.gz`` (or ``.nii``) and so on in folders ``CT-0`` to ``CT-4``, and masks
``study_0255_mask.nii.gz`` anywhere below the same root. Where the folders are lost the number of a
study tells its grade.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.datasets.covid_ct_md_fake import fake_hu
from groundglass.datasets.patients import PatientScan
from groundglass.errors import ReadError

NAME = "MosMedData"
GRADES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
"""Grades of severity."""
LAST_STUDY = (254, 938, 1063, 1108, 1110)
"""Last study number of each grade."""
_STUDY = re.compile(r"study_(\d{4})(_mask)?\.nii(\.gz)?")
_SPACING_MM = (5.0, 5.0, 8.0)


def read_mosmed(root: Path) -> tuple[PatientScan, ...]:
    """Return all studies by number, with grade, and mask where there is one.

    Parameters
    ----------
    root : Path
        A folder with the studies somewhere below it.

    Raises
    ------
    ReadError
        If no study is there, or a study is there twice.
    """
    scans: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    for path in sorted(root.rglob("study_*.nii*")):
        match = _STUDY.fullmatch(path.name)
        if match is None:
            continue
        kept, number = (masks if match[2] else scans), int(match[1])
        if number in kept:
            msg = f"{NAME} needs every study once, found '{path.name}' in two places"
            raise ReadError(msg)
        kept[number] = path
    if not scans:
        msg = f"{NAME} in its original layout needs files 'study_0001.nii.gz' and so on, found none"
        raise ReadError(msg)
    return tuple(
        PatientScan(f"study_{number:04}", path, _grade(path, number), mask=masks.get(number))
        for number, path in sorted(scans.items())
    )


def _grade(path: Path, number: int) -> str | None:
    named = next((part for part in reversed(path.parts[:-1]) if part in GRADES), None)
    if named is not None:
        return named
    return next((g for g, last in zip(GRADES, LAST_STUDY, strict=True) if number <= last), None)


def write_fake(root: Path, generator: np.random.Generator, slices: int = 12) -> None:
    """Write a tiny MosMedData: two studies of CT-0 and two of CT-1 with masks, feet first.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise.
    slices : int
        Slices of each study.
    """
    ill = np.zeros(slices, dtype=bool)
    ill[slices // 3 : 2 * slices // 3] = True
    for number in (1, 2, 255, 256):
        shown = ill & (number > 254)
        folder = root / "studies" / GRADES[int(number > 254)]
        folder.mkdir(parents=True, exist_ok=True)
        save_nifti(folder / f"study_{number:04}.nii.gz", fake_hu(shown, generator))
        if number > 254:
            (root / "masks").mkdir(exist_ok=True)
            save_nifti(root / "masks" / f"study_{number:04}_mask.nii.gz", fake_mask(shown))


def fake_mask(ill: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the mask of the lesion of a fake series, canonical."""
    y, x = np.mgrid[:64, :64]
    return np.asarray(ill[:, None, None] & (np.hypot(y - 36, x - 46) < 6), dtype=np.uint8)


def save_nifti(
    path: Path, canonical: NDArray[Any], spacing_mm: Sequence[float] = _SPACING_MM
) -> None:
    """Write a canonical volume as NIfTI with right to left, back to front, feet to head axes.

    Parameters
    ----------
    path : Path
        Ends with ``.nii`` or ``.nii.gz``.
    canonical : ndarray
        (slices, rows, columns): head to feet, front to back, right to left.
    spacing_mm : sequence of float
        Column, row and slice spacing.
    """
    import nibabel  # noqa: PLC0415 - slow to import, needed for fakes alone

    # Columns run to the left, so x falls in RAS; rows and slices are turned to rise.
    affine = np.diag([-spacing_mm[0], spacing_mm[1], spacing_mm[2], 1.0])
    turned = np.ascontiguousarray(canonical[::-1, ::-1].transpose(2, 1, 0))
    image: Any = nibabel.Nifti1Image(turned, affine)  # type: ignore[no-untyped-call]
    nibabel.save(image, path)
