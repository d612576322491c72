"""Pictures in one folder a class, as many chest X-ray data sets come."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from groundglass.datasets.pictures import read_picture
from groundglass.datasets.slices import SliceItem, SliceSet
from groundglass.errors import ReadError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
PARTS = ("train", "val", "test")
UNKNOWN_TERMS = "terms of the pictures are not known"


def class_folders(root: Path) -> SliceSet:
    """Return the pictures of all classes, classes in the order of their names.

    Parameters
    ----------
    root : Path
        Holds one folder a class, or folders ``train``, ``val`` and ``test`` that do.

    Raises
    ------
    ReadError
        If there are fewer than two classes, a class has no picture, or parts differ in classes.
    """
    parts = [part for part in PARTS if (root / part).is_dir()]
    places = {part: root / part for part in parts} or {"train": root}
    classes = _classes(places.get("train", root))
    items: list[SliceItem] = []
    for part, place in places.items():
        if _classes(place) != classes:
            msg = f"the parts of a folder of classes need the same classes; '{part}' has others"
            raise ReadError(msg)
        for number, name in enumerate(classes):
            items += _items(place / name, part, number)
    notes = ("patients are not known: pictures that look alike count as one source",)
    return SliceSet(root.name, UNKNOWN_TERMS, tuple(items), notes, classes)


def _classes(place: Path) -> tuple[str, ...]:
    found = sorted(one.name for one in place.iterdir() if one.is_dir()) if place.is_dir() else []
    if len(found) < 2:
        msg = f"pictures by class need a folder for each of two classes or more, found {len(found)}"
        raise ReadError(msg)
    return tuple(found)


def _items(place: Path, part: str, number: int) -> list[SliceItem]:
    files = sorted(one for one in place.iterdir() if one.suffix.lower() in SUFFIXES)
    if not files:
        msg = f"the class '{place.name}' holds no picture"
        raise ReadError(msg)
    found = []
    for file in files:
        name = f"{part}/{place.name}/{file.name}"
        read = partial(read_picture, file)
        found.append(SliceItem(name, name, part, "doctor", read, float(number)))
    return found


def class_parts(root: Path) -> tuple[str, ...]:
    """Return the parts that can be measured: ``test`` first, then ``val`` and ``train``."""
    splits = {item.split for item in class_folders(root).items}
    return tuple(part for part in reversed(PARTS) if part in splits)


def class_part(root: Path, part: str) -> SliceSet:
    """Return the pictures of one part.

    Raises
    ------
    ReadError
        As ``class_folders``.
    ValueError
        If there is no such part.
    """
    found = class_folders(root)
    chosen = tuple(item for item in found.items if item.split == part)
    if not chosen:
        msg = f"parts here are {', '.join(class_parts(root))}; found {part}"
        raise ValueError(msg)
    return SliceSet(found.dataset, found.licence, chosen, found.notes, found.classes)
