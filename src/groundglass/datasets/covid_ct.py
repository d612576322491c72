"""COVID-CT: pictures of CT slices cut out of publications, COVID-19 or not.

Layout: ``CT_COVID`` and ``CT_NonCOVID`` inside ``Images-processed`` or ``images``, and lists of
file names, ``Data-split/COVID/trainCT_COVID.txt`` and so on. File format and colour mode tell the
class in this data set, so a picture is handed on as plain grey or RGB values and nothing else.
Names hold ``%`` and spaces and are never put through a pattern. The table of patients' clinical
data that comes with some copies is not opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.layout import require_file, require_folder
from groundglass.errors import ReadError

NAME = "COVID-CT"
PARTS = ("train", "val", "test")
"""Parts of the published split."""
CLASSES = {"CT_COVID": ("COVID", True), "CT_NonCOVID": ("NonCOVID", False)}
"""Folder of pictures: folder of lists, and whether it is COVID-19."""
PICTURE_ROOTS = ("Images-processed", "images", ".")
LISTS = "Data-split"
_PAGE = re.compile(r"-p\d+")


@dataclass(frozen=True, slots=True)
class Cues:
    """What a file tells about its class although it is not CT; never given to a model."""

    format: str
    """Format by content, e.g. ``PNG``; the name may say another."""
    mode: str
    """Colour mode: ``L``, ``RGB``, ``RGBA``, ``P``."""
    width_px: int
    """Columns."""
    height_px: int
    """Rows."""


@dataclass(frozen=True)
class ClassPicture:
    """One picture with its class."""

    name: str
    """Folder and file name, e.g. ``CT_NonCOVID/71%0.jpg``."""
    file: Path
    """The picture."""
    covid: bool
    """True for COVID-19."""
    group: str
    """Source paper (COVID-19) or figure (others): pictures of one group never part."""
    split: str
    """``train``, ``val`` or ``test``."""

    def image(self) -> NDArray[np.uint8]:
        """Return grey values, (rows, columns); transparency is dropped.

        Raises
        ------
        ReadError
            If the picture cannot be decoded.
        """
        return self._decoded("L")

    def rgb(self) -> NDArray[np.uint8]:
        """Return colours, (rows, columns, 3); transparency is dropped.

        Raises
        ------
        ReadError
            If the picture cannot be decoded.
        """
        return self._decoded("RGB")

    def cues(self) -> Cues:
        """Return format, mode and size, for baselines that look at nothing else."""
        try:
            with Image.open(self.file) as picture:
                return Cues(str(picture.format), picture.mode, *picture.size)
        except OSError as error:
            raise _unreadable(self.name) from error

    def _decoded(self, mode: str) -> NDArray[np.uint8]:
        try:
            with Image.open(self.file) as picture:
                return np.asarray(picture.convert("RGB").convert(mode))
        except OSError as error:
            raise _unreadable(self.name) from error


def _unreadable(name: str) -> ReadError:
    return ReadError(f"the picture '{name}' of {NAME} cannot be read; unpack the data set again")


def looks_like_covid_ct(root: Path) -> bool:
    """Return whether a folder holds COVID-CT."""
    return (root / LISTS / "COVID").is_dir() and (root / LISTS / "NonCOVID").is_dir()


def parts_of(root: Path) -> tuple[str, ...]:
    """Return the parts whose lists are there for both classes."""
    return tuple(
        part
        for part in PARTS
        if all((root / _list_of(folder, part)).is_file() for folder in CLASSES)
    )


def read_covid_ct(root: Path, part: str = "train") -> tuple[ClassPicture, ...]:
    """Return the pictures of a part, COVID-19 first, in the order of the lists.

    Parameters
    ----------
    root : Path
        The folder that holds ``Data-split`` and the pictures.
    part : str
        ``train``, ``val`` or ``test``.

    Raises
    ------
    ReadError
        If the layout is another, a listed picture is missing or is no picture, or a name stands in
        two parts or twice in one.
    ValueError
        If there is no such part.
    """
    if part not in PARTS:
        msg = f"parts of {NAME} are {', '.join(PARTS)}; found '{part}'"
        raise ValueError(msg)
    pictures = _picture_root(root)
    require_folder(root, LISTS, NAME)
    found: list[ClassPicture] = []
    for folder, (_, covid) in CLASSES.items():
        names = _checked(root, folder, part)
        found += [_picture(pictures, folder, name, part, covid=covid) for name in names]
    return tuple(found)


def _list_of(folder: str, part: str) -> str:
    return f"{LISTS}/{CLASSES[folder][0]}/{part}{folder}.txt"


def _picture_root(root: Path) -> Path:
    for name in PICTURE_ROOTS:
        if all((root / name / folder).is_dir() for folder in CLASSES):
            return root / name
    msg = (
        f"{NAME} in its original layout needs folders 'CT_COVID' and 'CT_NonCOVID' in "
        "'Images-processed' or 'images', which are missing here; unpack the two archives of those "
        "names if they are still packed"
    )
    raise ReadError(msg)


def _checked(root: Path, folder: str, part: str) -> tuple[str, ...]:
    """Return the names of a part, after making sure that no other part has any of them."""
    wanted = _names(require_file(root, (_list_of(folder, part),), NAME))
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    for other in PARTS:
        file = root / _list_of(folder, other)
        if other != part and file.is_file():
            twice += sorted(set(wanted).intersection(_names(file)))
    if twice:
        msg = (
            f"'{twice[0]}' stands twice in the lists of {NAME} ({folder}); every picture belongs "
            "to one part, correct the lists"
        )
        raise ReadError(msg)
    return wanted


def _names(file: Path) -> tuple[str, ...]:
    """Return the names in a list, whatever its line ends."""
    text = file.read_bytes().decode("utf-8-sig")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _picture(pictures: Path, folder: str, name: str, part: str, *, covid: bool) -> ClassPicture:
    file = pictures / folder / name
    if not file.is_file():
        msg = f"{NAME} lists '{folder}/{name}' in its part {part}, and the picture is missing"
        raise ReadError(msg)
    made = ClassPicture(f"{folder}/{name}", file, covid, group_of(folder, name), part)
    made.cues()
    return made


def group_of(folder: str, name: str) -> str:
    """Return the source of a picture by its name.

    Pictures of COVID-19 bear the name of their source paper before the page (``-p12``); the others
    the number of a figure before ``%``. A name without either is a source of its own: ``33.png``
    has nothing to do with ``33%0.jpg``.
    """
    stem = name.rsplit(".", 1)[0]
    page = _PAGE.search(stem)
    if page is not None:
        return f"{folder}/{stem[: page.start()]}"
    return f"{folder}/{stem.split('%')[0]}%" if "%" in stem else f"{folder}/{stem}"


def write_fake(root: Path, generator: np.random.Generator, pictures: str = "images") -> None:
    """Write a tiny data set of the same layout: 6, 3 and 3 pictures of each class.

    COVID-19 has a bright spot. Formats, colour modes and sizes are mixed, JPEG data lies in files
    named ``.png``, one picture is 61 pixels high, names hold ``%`` and spaces, one list ends its
    lines with CR LF, and one source paper feeds two parts.

    Parameters
    ----------
    root : Path
        An existing folder.
    generator : numpy.random.Generator
        Source of noise and places.
    pictures : str
        Name of the folder of pictures.
    """
    for folder, (lists, covid) in CLASSES.items():
        (root / pictures / folder).mkdir(parents=True)
        (root / LISTS / lists).mkdir(parents=True)
        number = 0
        for part, count in zip(PARTS, (6, 3, 3), strict=True):
            names = [_fake_name(number + place, covid=covid) for place in range(count)]
            for place, name in enumerate(names):
                file = root / pictures / folder / name
                _save_fake(file, number + place, generator, covid=covid)
            ends = "\n" if covid else "\r\n"
            (root / _list_of(folder, part)).write_bytes(ends.join(names).encode())
            number += count


def _fake_name(number: int, *, covid: bool) -> str:
    if covid:
        return f"2020.03.0{number // 2 + 1}.2003{number // 2}-p{10 + number}-4{number}%{number}.png"
    return f"{number // 3}%{number % 3}.jpg" if number % 3 else f"{number // 3}%0 0.png"


def _save_fake(file: Path, number: int, generator: np.random.Generator, *, covid: bool) -> None:
    rows, columns = (61, 130) if number == 0 else (90 + 7 * number, 120 + 11 * number)
    y, x = np.mgrid[:rows, :columns] / np.array([rows, columns]).reshape(2, 1, 1)
    grey = np.full((rows, columns), 170.0)
    for middle in (0.28, 0.72):
        grey[np.hypot((y - 0.5) / 0.38, (x - middle) / 0.18) < 1] = 45
    if covid:
        middle = 0.28 if generator.random() < 0.5 else 0.72
        grey[np.hypot((y - 0.6) / 0.15, (x - middle) / 0.1) < 1] = 235
    grey += generator.normal(0, 4, grey.shape)
    picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    mode = ("L", "RGB", "RGBA")[number % 3]
    packed = number % 4 == 1
    picture.convert("RGB" if packed and mode == "RGBA" else mode).save(
        file, "JPEG" if packed else "PNG"
    )
