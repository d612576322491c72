"""COVID-SemiSeg: single slices with infection masks, turned by 90 degrees and cut to the lungs.

Layout: ``Dataset/TrainingSet/LungInfection-Train/{Doctor-label,Pseudo-label}/{Imgs,GT}``,
``Dataset/TrainingSet/MultiClassInfection-Train/{Imgs,GT}``, and the same with ``TestingSet`` and
``-Test`` (without the two label folders). A picture and its mask share the stem.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.layout import require_folder
from groundglass.errors import ReadError

NAME = "COVID-SemiSeg"
Split = Literal["train", "pseudo", "test"]
MASK_ABOVE = 128
"""Grey value above which a mask pixel is infected."""

_INFECTION = {
    "train": "Dataset/TrainingSet/LungInfection-Train/Doctor-label",
    "pseudo": "Dataset/TrainingSet/LungInfection-Train/Pseudo-label",
    "test": "Dataset/TestingSet/LungInfection-Test",
}
_CLASSES = {
    "train": "Dataset/TrainingSet/MultiClassInfection-Train",
    "test": "Dataset/TestingSet/MultiClassInfection-Test",
}


@dataclass(frozen=True)
class SemiSegSample:
    """One slice and its masks, as files."""

    name: str
    """Stem of its files."""
    image_file: Path
    """The picture."""
    mask_file: Path
    """Infection or not."""
    classes_file: Path | None
    """Ground glass and consolidation apart; ``None`` where there is none."""

    def image(self) -> NDArray[np.uint8]:
        """Return the picture as (rows, columns) grey values."""
        with Image.open(self.image_file) as picture:
            return np.asarray(picture.convert("L"))

    def mask(self) -> NDArray[np.bool_]:
        """Return the infection mask, (rows, columns)."""
        with Image.open(self.mask_file) as picture:
            return np.asarray(picture.convert("L")) > MASK_ABOVE

    def classes(self) -> NDArray[np.uint8] | None:
        """Return 0 none, 1 ground glass, 2 consolidation; ``None`` where there is no such mask.

        Raises
        ------
        ReadError
            If the mask does not hold class numbers.
        """
        if self.classes_file is None:
            return None
        with Image.open(self.classes_file) as picture:
            labels = np.asarray(picture if picture.mode == "P" else picture.convert("L"))
        if labels.max() > 2:
            msg = f"a class mask of {NAME} needs values 0, 1 and 2, found up to {labels.max()}"
            raise ReadError(msg)
        return labels


def read_covid_semiseg(root: Path, split: Split = "train") -> tuple[SemiSegSample, ...]:
    """Return the slices of a split, by name.

    Parameters
    ----------
    root : Path
        The folder that holds ``Dataset``.
    split : str
        ``train``: doctors' masks; ``pseudo``: a network's; ``test``: doctors' masks kept for
        testing.

    Raises
    ------
    ReadError
        If the layout is another, or a picture has no mask.
    """
    folder = _INFECTION[split]
    images = require_folder(root, f"{folder}/Imgs", NAME)
    masks = require_folder(root, f"{folder}/GT", NAME)
    classes = root / _CLASSES[split] / "GT" if split in _CLASSES else None
    samples = []
    for image in sorted(images.glob("*.jpg"), key=lambda file: (len(file.stem), file.stem)):
        mask = masks / f"{image.stem}.png"
        if not mask.is_file():
            msg = f"{NAME} needs a mask of the same name in '{folder}/GT' for every picture"
            raise ReadError(msg)
        kinds = None if classes is None else classes / f"{image.stem}.png"
        known = kinds if kinds is not None and kinds.is_file() else None
        samples.append(SemiSegSample(image.stem, image, mask, known))
    if not samples:
        msg = f"{NAME} needs JPEG pictures in '{folder}/Imgs', found none"
        raise ReadError(msg)
    return tuple(samples)


def upright(picture: NDArray[Any]) -> NDArray[Any]:
    """Return a picture or mask of the dataset upright, the patient's right at the left."""
    return picture.T


def write_fake(root: Path, generator: np.random.Generator, slices: int = 2) -> None:
    """Write a tiny dataset of the same layout: training and test slices with one lesion each.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and places.
    slices : int
        Slices in each split.
    """
    for split in ("train", "pseudo", "test"):
        for number in range(slices):
            image, classes = _fake_slice(generator)
            _save(root / _INFECTION[split], str(number), image, (classes > 0) * np.uint8(255))
            if split in _CLASSES:
                _save(root / _CLASSES[split], str(number), image, classes)


def _fake_slice(generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a turned picture of two lungs, 96 x 128, with ground glass round consolidation."""
    y, x = np.mgrid[:128, :96]
    grey = np.full((128, 96), 220.0)
    for middle in (32, 96):
        grey[((y - middle) / 24) ** 2 + ((x - 48) / 40) ** 2 < 1] = 40
    centre = 32 + int(generator.integers(-4, 5))
    away = np.hypot(y - centre, x - 48)
    classes = np.where(away < 5, 2, np.where(away < 12, 1, 0)).astype(np.uint8)
    grey[classes == 1], grey[classes == 2] = 120, 190
    grey += generator.normal(0, 3, grey.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), classes


def _save(folder: Path, stem: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    for name, array, suffix in (("Imgs", image, ".jpg"), ("GT", mask, ".png")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / name / f"{stem}{suffix}")
