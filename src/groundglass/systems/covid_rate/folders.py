"""Synthetic pairs from folders to a folder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.scan import Intensity
from groundglass.core.serial import to_json
from groundglass.datasets.covid_ct_rate import CtRateLayout, read_covid_ct_rate
from groundglass.datasets.slices import Slice, SliceItem
from groundglass.errors import ExportError, ReadError
from groundglass.lungs.find import find_lungs
from groundglass.readers.read import read_scan
from groundglass.systems.covid_rate.fallback_lungs import fallback_lungs
from groundglass.systems.covid_rate.synthesis import (
    Donor,
    Mode,
    PairRecord,
    Recipient,
    SynthesisConfig,
    synthesize,
)

RECORDS = "records.csv"
SETTINGS = "synthesis.json"
SYNTHETIC = "synthetic"
"""The annotator of synthetic slices."""


def read_donors(folder: Path) -> list[Donor]:
    """Return the slices with lesions of a folder laid out as COVID-CT-Rate.

    Raises
    ------
    ReadError
        If the layout is another, or a slice is a picture, whose densities are not known.
    """
    found = []
    for item in read_covid_ct_rate(folder).items:
        one = item.read()
        assert one.lesion is not None
        found.append(Donor(item.name, one.values, one.lesion > 0, _lungs(one)))
    return found


def read_recipients(folder: Path) -> list[Recipient]:
    """Return healthy slices: of a folder laid out as COVID-CT-Rate, or of the scans in it.

    Raises
    ------
    ReadError
        If there are neither.
    """
    layout = CtRateLayout()
    if any((folder / name).is_dir() for name in layout.images):
        items = read_covid_ct_rate(folder, layout, needs_masks=False).items
        slices = [(item.name, item.read()) for item in items]
        return [Recipient(name, one.values, _lungs(one)) for name, one in slices]
    places = [place for place in sorted(folder.iterdir()) if place.is_dir()] or [folder]
    found: list[Recipient] = []
    for place in places:
        scan = read_scan(place)
        labels = find_lungs(scan).labels
        hu = scan.hu()
        found += [
            Recipient(f"{place.name}/{index}", hu[index], labels[index]) for index in range(len(hu))
        ]
    return found


def _lungs(one: Slice) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if one.intensity is not Intensity.HU:
        msg = "synthetic pairs need slices in Hounsfield units, found a picture"
        raise ReadError(msg)
    return fallback_lungs(one.values).astype(np.uint8) if one.lungs is None else one.lungs


def synthesize_folder(  # noqa: PLR0913, PLR0917 - from where, to where, how
    infected: Path,
    healthy: Path,
    out: Path,
    config: SynthesisConfig | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> list[PairRecord]:
    """Write synthetic pairs so that they can be read as COVID-CT-Rate.

    ``Images`` holds HU (int16, improved) or values in 0..1 (float32, faithful) as NPY, ``Masks``
    PNG, ``records.csv`` one row a pair, kept or not, ``synthesis.json`` the settings.

    Parameters
    ----------
    infected, healthy : Path
        Folders of slices.
    out : Path
        A new or empty folder.
    config : SynthesisConfig, optional
    seed : int
    on_progress : callable, optional

    Returns
    -------
    list of PairRecord
        One for each slice with lesions.

    Raises
    ------
    ExportError
        If the folder is not empty.
    ReadError
        If a folder cannot be read, or no healthy slice holds enough lung.
    """
    if out.is_dir() and any(out.iterdir()):
        msg = "the folder for the pairs is not empty; name another"
        raise ExportError(msg)
    config = config or SynthesisConfig()
    donors, recipients = read_donors(infected), read_recipients(healthy)
    for name in ("Images", "Masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    records = []
    try:
        for number, pair in enumerate(synthesize(donors, recipients, config, seed)):
            on_progress(Progress("making pairs", number, len(donors)))
            records.append(pair.record)
            if pair.record.kept:
                improved = config.mode is Mode.IMPROVED
                image = np.rint(pair.image).astype(np.int16) if improved else pair.image
                np.save(out / "Images" / f"{name_of(number)}.npy", image)
                mask = Image.fromarray(pair.mask.astype(np.uint8) * np.uint8(255))
                mask.save(out / "Masks" / f"{name_of(number)}.png")
    except ValueError as error:
        raise ReadError(str(error)) from error
    (out / SETTINGS).write_text(to_json(config) + "\n", encoding="utf-8")
    _write_records(records, out / RECORDS)
    return records


@dataclass(frozen=True, eq=False)
class PairItem:
    """A synthetic slice with the name of the slice its lesions come from."""

    item: SliceItem
    """The slice."""
    donor: str
    """Name of the slice with lesions."""


def read_pairs(folder: Path) -> tuple[PairItem, ...]:
    """Return the synthetic slices of a folder that ``synthesize_folder`` wrote.

    Raises
    ------
    ReadError
        If the folder is none, or was changed.
    """
    path = folder / RECORDS
    if not path.is_file():
        msg = f"a folder of synthetic pairs needs its '{RECORDS}', which is missing"
        raise ReadError(msg)
    with path.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    donors = {name_of(number): row["donor"] for number, row in enumerate(rows)}
    found = []
    for item in read_covid_ct_rate(folder).items:
        if item.name not in donors:
            msg = f"a synthetic slice is not in '{RECORDS}'; make the pairs again"
            raise ReadError(msg)
        pair = replace(item, name=f"pair/{item.name}", annotator=SYNTHETIC)
        found.append(PairItem(pair, donors[item.name]))
    return tuple(found)


def name_of(number: int) -> str:
    """Return the stem of a pair's files."""
    return f"im{number + 1:04d}"


def _write_records(records: Sequence[PairRecord], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as text:
        table = csv.DictWriter(text, [field.name for field in fields(PairRecord)])
        table.writeheader()
        table.writerows(asdict(record) for record in records)
