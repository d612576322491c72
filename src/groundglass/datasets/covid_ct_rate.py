"""COVID-CT-Rate: single DICOM slices of 82 patients with masks.

The layout inside the published archive is not described, so the folders are looked for under
several names: slices in one, masks in a second, lung masks in a third if there is one. Files are
paired by stem, else by their natural order. A table ``patients.csv`` (columns ``file`` and
``patient_id``) tells the patients.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.core.scan import Intensity
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import ReadError

NAME = "COVID-CT-Rate"
LICENCE = "research, citation"
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
VOLUMES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class CtRateLayout:
    """Where things lie; the first folder name that exists is taken."""

    images: tuple[str, ...] = ("Images", "images", "CT", "ct", "DICOM", "dicom", "Slices", "slices")
    """Names of the folder of slices."""
    masks: tuple[str, ...] = ("Masks", "masks", "Labels", "labels", "GT", "gt")
    """Names of the folder of lesion masks."""
    lungs: tuple[str, ...] = ("Lungs", "lungs", "LungMasks", "lung_masks", "lung-masks")
    """Names of the folder of lung masks."""
    patients: str = "patients.csv"
    """Name of the table of patients."""


def looks_like_covid_ct_rate(root: Path, layout: CtRateLayout | None = None) -> bool:
    """Return whether a folder holds a folder of slices and one of masks."""
    layout = layout or CtRateLayout()
    return _found(root, layout.images) is not None and _found(root, layout.masks) is not None


def read_covid_ct_rate(
    root: Path, layout: CtRateLayout | None = None, *, needs_masks: bool = True
) -> SliceSet:
    """Return the slices of the data set.

    Parameters
    ----------
    root : Path
        The folder that holds the folders of slices and masks.
    layout : CtRateLayout, optional
        Where things lie.
    needs_masks : bool
        Whether slices without masks are refused; healthy slices have none.

    Raises
    ------
    ReadError
        If a folder is missing, holds nothing, masks do not pair with slices, or the table of
        patients lacks a column or a file.
    """
    layout = layout or CtRateLayout()
    images = _files(_required(root, layout.images, "slices"))
    masks: Sequence[Path | None] = [None] * len(images)
    if needs_masks:
        masks = paired(images, _files(_required(root, layout.masks, "masks")), "masks")
    lungs: Sequence[Path | None] = [None] * len(images)
    folder = _found(root, layout.lungs)
    if folder is not None:
        lungs = paired(images, _files(folder), "lung masks")
    patients = _patients(root / layout.patients)
    items = tuple(
        SliceItem(
            name=stem(image),
            group=_patient_of(image, patients),
            split="train",
            annotator="doctor" if needs_masks else "none",
            read=partial(_read, image, mask, lung),
        )
        for image, mask, lung in zip(images, masks, lungs, strict=True)
    )
    notes = () if patients else ("no table of patients: every slice counts as its own patient",)
    return SliceSet(NAME, LICENCE, items, notes)


def stem(path: Path) -> str:
    """Return a file's name without suffixes."""
    return path.name.removesuffix(".gz").removesuffix(".nii").rsplit(".", 1)[0]


def natural(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Return a key that puts ``im2`` before ``im10``."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def paired(images: Sequence[Path], others: Sequence[Path], what: str) -> list[Path]:
    """Return for each slice the file that belongs to it: of the same stem, else in the same place.

    Raises
    ------
    ReadError
        If neither stems nor counts agree.
    """
    by_stem = {stem(path): path for path in others}
    if all(stem(path) in by_stem for path in images):
        return [by_stem[stem(path)] for path in images]
    if len(others) != len(images):
        msg = (
            f"{NAME} needs as many {what} as slices, or the same names; found {len(others)} {what} "
            f"for {len(images)} slices, names differing"
        )
        raise ReadError(msg)
    return list(others)


def _found(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _required(root: Path, names: Sequence[str], what: str) -> Path:
    folder = _found(root, names)
    if folder is None:
        msg = f"{NAME} needs its {what} in a folder named {' or '.join(names)}, which is missing"
        raise ReadError(msg)
    return folder


def _files(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    if not files:
        msg = f"{NAME} needs files in the folder '{folder.name}', found none"
        raise ReadError(msg)
    return sorted(files, key=natural)


def _patients(table: Path) -> dict[str, str]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8-sig") as text:
        rows = csv.DictReader(text)
        if not {"file", "patient_id"} <= set(rows.fieldnames or ()):
            msg = f"'{table.name}' needs the columns file and patient_id, found {rows.fieldnames}"
            raise ReadError(msg)
        return {stem(Path(row["file"])): row["patient_id"] for row in rows}


def _patient_of(image: Path, patients: dict[str, str]) -> str:
    if not patients:
        return stem(image)
    if stem(image) not in patients:
        msg = "the table of patients needs a row for every slice, at least one has none"
        raise ReadError(msg)
    return patients[stem(image)]


def _read(image: Path, mask: Path | None, lungs: Path | None) -> Slice:
    values, intensity = read_values(image)
    lesion = None if mask is None else (read_values(mask)[0] != 0).astype(np.uint8)
    lung = None if lungs is None else np.asarray(read_values(lungs)[0], np.uint8)
    if lung is not None and lung.max(initial=0) > 2:
        lung = (lung != 0).astype(np.uint8)
    for other in (lesion, lung):
        if other is not None and other.shape != values.shape:
            msg = f"a mask of shape {other.shape} does not fit its slice of shape {values.shape}"
            raise ReadError(msg)
    return Slice(values, intensity, lesion, lungs=lung)


def read_values(path: Path) -> tuple[NDArray[Any], Intensity]:
    """Return the values of one slice in a file and what they mean.

    Pictures hold display values; DICOM, NIfTI and NPY hold Hounsfield units.

    Raises
    ------
    ReadError
        If the file cannot be read or does not hold a single slice.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("L")), Intensity.DISPLAY
        if suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.name.lower().endswith(VOLUMES):
            values = _nifti(path)
        else:
            values = _dicom(path)
    except (OSError, ValueError, RuntimeError) as error:
        msg = f"a slice of {NAME} cannot be read as DICOM, NIfTI, NPY or picture"
        raise ReadError(msg) from error
    plane = np.squeeze(values)
    if plane.ndim != 2:
        msg = f"a file of {NAME} needs to hold one slice, found an array of shape {values.shape}"
        raise ReadError(msg)
    return plane, Intensity.HU


def _nifti(path: Path) -> NDArray[Any]:
    import nibabel  # noqa: PLC0415 - slow to import, rarely needed

    image: Any = nibabel.load(path)
    return np.asarray(image.dataobj).T


def _dicom(path: Path) -> NDArray[Any]:
    import SimpleITK as sitk  # noqa: N813, PLC0415

    image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    return np.asarray(sitk.GetArrayFromImage(image))


def write_fake(root: Path, generator: np.random.Generator, patients: int = 3) -> None:
    """Write a tiny data set: four slices of 128 x 128 a patient, one of two without lesion.

    Body 40 HU in air, lungs -850 HU, a ring of bone 700 HU, lesions -350 HU.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and places.
    patients : int
        Number of patients.
    """
    for name in ("Images", "Masks", "Lungs"):
        (root / name).mkdir()
    rows = ["file,patient_id"]
    for number in range(4 * patients):
        hu, lesion, lungs = fake_slice(generator, lesions=2 if number % 2 == 0 else 1)
        name = f"im{number + 1:03d}"
        np.save(root / "Images" / f"{name}.npy", hu)
        Image.fromarray(lesion * np.uint8(255)).save(root / "Masks" / f"{name}.png")
        Image.fromarray(lungs).save(root / "Lungs" / f"{name}.png")
        rows.append(f"{name}.npy,patient{number // 4}")
    (root / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def fake_slice(
    generator: np.random.Generator, lesions: int = 1, side: int = 128
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return HU, lesion mask and lungs by side of one made-up slice."""
    y, x = np.mgrid[:side, :side] * (128 / side)
    y, x = y + generator.uniform(-6, 6), x + generator.uniform(-3, 3)
    reach = np.hypot((y - 64) / generator.uniform(46, 54), (x - 64) / generator.uniform(56, 62))
    hu = np.where(reach < 1, 40.0, -1000.0)
    hu[(reach > 0.86) & (reach < 0.92)] = 700
    lungs = np.zeros((side, side), np.uint8)
    for label, middle in ((1, 38), (2, 90)):
        tall, wide = generator.uniform(24, 36), generator.uniform(12, 18)
        lungs[np.hypot((y - 64) / tall, (x - middle) / wide) < 1] = label
    hu[lungs > 0] = -850
    lesion = np.zeros((side, side), np.uint8)
    for _ in range(lesions):
        row = 64 + generator.uniform(-14, 14)
        column = (38, 90)[int(generator.integers(2))] + generator.uniform(-4, 4)
        lesion[(np.hypot(y - row, x - column) < generator.uniform(7, 12)) & (lungs > 0)] = 1
    hu[lesion > 0] = -350
    hu += generator.normal(0, 15, hu.shape)
    return np.rint(hu).astype(np.int16), lesion, lungs
