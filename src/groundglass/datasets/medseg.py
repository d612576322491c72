"""MedSeg: 100 single slices and nine volumes with masks of infection, in HU.

Layouts: ``tr_im.nii.gz`` and ``tr_mask.nii.gz`` hold the 100 slices; ``Test/<name>.nii.gz`` and the
same name in ``Mask`` hold the volumes. Labels are 1 ground glass, 2 consolidation, 3 effusion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from groundglass.datasets.covid_ct_md_fake import fake_hu
from groundglass.datasets.covid_ct_rate import natural
from groundglass.datasets.layout import require_file, require_folder
from groundglass.datasets.mosmed import fake_mask, save_nifti
from groundglass.datasets.patients import PatientScan
from groundglass.errors import ReadError

NAME = "MedSeg"
GROUND_GLASS, CONSOLIDATION, EFFUSION = 1, 2, 3
"""Labels of the masks."""
IMAGES = ("tr_im.nii.gz", "tr_im.nii")
MASKS = ("tr_mask.nii.gz", "tr_mask.nii")
VOLUMES, VOLUME_MASKS = "Test", "Mask"


def read_medseg_slices(root: Path) -> PatientScan:
    """Return the 100 slices, which are of many patients, as one stack with its mask.

    Raises
    ------
    ReadError
        If image or mask are missing.
    """
    image = require_file(root, IMAGES, NAME)
    return PatientScan("100 slices", image, mask=require_file(root, MASKS, NAME))


def read_medseg_volumes(root: Path) -> tuple[PatientScan, ...]:
    """Return the volumes in the order of their names.

    Raises
    ------
    ReadError
        If a folder is missing or empty, or a volume has no mask of the same name.
    """
    images = require_folder(root, VOLUMES, NAME)
    masks = require_folder(root, VOLUME_MASKS, NAME)
    files = [path for path in images.iterdir() if path.name.endswith((".nii", ".nii.gz"))]
    if not files:
        msg = f"{NAME} needs NIfTI volumes in '{VOLUMES}', found none"
        raise ReadError(msg)
    found = []
    for path in sorted(files, key=natural):
        mask = masks / path.name
        if not mask.is_file():
            msg = f"{NAME} needs a mask of the same name in '{VOLUME_MASKS}' for every volume"
            raise ReadError(msg)
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        found.append(PatientScan(name, path, mask=mask))
    return tuple(found)


def write_fake(root: Path, generator: np.random.Generator, slices: int = 12) -> None:
    """Write a tiny MedSeg: a stack of 100 slices and two volumes, masks with labels 0 to 3.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise.
    slices : int
        Slices of each volume.
    """
    stack = np.arange(100) % 3 == 0
    ill = np.zeros(slices, dtype=bool)
    ill[slices // 3 : 2 * slices // 3] = True
    places = {(root / IMAGES[0], root / MASKS[0]): stack}
    for name in ("1.nii.gz", "2.nii.gz"):
        for folder in (VOLUMES, VOLUME_MASKS):
            (root / folder).mkdir(exist_ok=True)
        places[root / VOLUMES / name, root / VOLUME_MASKS / name] = ill
    for (image, mask), shown in places.items():
        labels = fake_mask(shown)
        labels[:, :36][labels[:, :36] > 0] = CONSOLIDATION
        labels[:, 60:62, 30:32][shown] = EFFUSION
        save_nifti(image, fake_hu(shown, generator))
        save_nifti(mask, labels)
