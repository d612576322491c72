"""How often a classifier abstains: pictures that are no CT slices, and the pictures of val.

Makes scrambled slices, X-rays (projections of CT volumes), photographs, empty pictures and noise,
and prints the share of each on which a classifier makes no statement. Nothing it makes is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.datasets.covid_ct import read_covid_ct
from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.models.catalogue import load_catalogue
from groundglass.models.familiar import Familiarity
from groundglass.readers.read import read_scan
from groundglass.systems.learn_familiar import learn_familiarity, scrambled

Grey = NDArray[np.uint8]
CROPS = 6


def grey_of(picture: Image.Image) -> Grey:
    """Return the grey values of a picture."""
    return np.asarray(picture.convert("RGB").convert("L"))


def photographs(generator: np.random.Generator) -> list[Grey]:
    """Return photographs that come with libraries, whole and cropped at random."""
    import matplotlib as mpl
    from sklearn.datasets import load_sample_images

    whole = [grey_of(Image.fromarray(one)) for one in load_sample_images().images]
    samples = Path(mpl.get_data_path()) / "sample_data"
    for file in ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png", "logo2.png"):
        if (samples / file).is_file():
            with Image.open(samples / file) as picture:
                whole.append(grey_of(picture))
    return [part for one in whole for part in (one, *_crops(one, generator))]


def _crops(picture: Grey, generator: np.random.Generator) -> list[Grey]:
    found = []
    for _ in range(CROPS):
        rows, columns = (int(side * generator.uniform(0.3, 0.8)) for side in picture.shape)
        top = int(generator.integers(picture.shape[0] - rows + 1))
        left = int(generator.integers(picture.shape[1] - columns + 1))
        found.append(picture[top : top + rows, left : left + columns])
    return found


def xrays(hu: NDArray[Any], step_mm: float, pixel_mm: float) -> list[Grey]:
    """Return frontal and lateral projections of a volume under three film curves, whole and cut."""
    density = np.clip(hu.astype(np.float32) + 1000, 0, 2500)
    found = []
    for axis in (1, 2):
        path = density.sum(axis)
        tall = max(int(path.shape[0] * step_mm / pixel_mm), 1)
        film = np.asarray(Image.fromarray(path).resize((path.shape[1], tall)))
        for shown in (film, 1 - np.exp(-film / np.median(film)), np.sqrt(film)):
            low, high = np.quantile(shown, [0.01, 0.995])
            grey = np.rint(255 * np.clip((shown - low) / (high - low), 0, 1)).astype(np.uint8)
            rows, columns = grey.shape[0] // 12, grey.shape[1] // 6
            found += [grey, grey[rows:-rows, columns:-columns]]
    return found


def empty_pictures(generator: np.random.Generator) -> list[Grey]:
    """Return constant pictures, slopes and noise."""
    shape = (200, 300)
    flat = [np.full(shape, tone, np.uint8) for tone in (0, 40, 128, 200, 255)]
    across = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1))
    noise = [generator.integers(0, 256, shape).astype(np.uint8) for _ in range(5)]
    soft = [np.clip(generator.normal(128, 30, shape), 0, 255).astype(np.uint8) for _ in range(5)]
    return [*flat, across, np.rot90(across), *noise, *soft]


def strange_set(data: Path, val: Sequence[Grey]) -> dict[str, list[Grey]]:
    """Return pictures on which no statement should be made, by kind."""
    generator = np.random.default_rng(1)
    found = {
        f"scrambled, {pieces} x {pieces} pieces": [scrambled(one, pieces, generator) for one in val]
        for pieces in (2, 3, 4, 8)
    }
    found["scrambled pixels"] = [
        generator.permutation(one.ravel()).reshape(one.shape) for one in val[::3]
    ]
    found["photographs"] = photographs(generator)
    found["empty and noise"] = empty_pictures(generator)
    if (data / "covid-ct-md").is_dir():
        found["X-rays"] = []
        for patient in read_covid_ct_md(data / "covid-ct-md"):
            scan = read_scan(patient.folder)
            step, pixel, _ = scan.geometry.spacing_mm
            found["X-rays"] += xrays(scan.hu(), step, pixel)
    return found


def shares(familiarity: Familiarity, kinds: Mapping[str, Sequence[Grey]]) -> dict[str, Any]:
    """Return count and share of pictures without a statement, by kind."""
    rows: dict[str, Any] = {}
    for kind, pictures in kinds.items():
        away = [familiarity.strangeness(one) > 1 for one in pictures]
        rows[kind] = {"pictures": len(away), "abstained": round(float(np.mean(away)), 4)}
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds covid-ct")
    parser.add_argument("--model", default="default", help="classifier, or 'learn' to learn anew")
    given = parser.parse_args(arguments)
    val = [one.image() for one in read_covid_ct(given.data / "covid-ct", "val")]
    if given.model == "learn":
        train = [one.image() for one in read_covid_ct(given.data / "covid-ct", "train")]
        familiarity = learn_familiarity(train, np.random.default_rng(0))
    else:
        found = load_catalogue().find(given.model, "covid-ct").card.familiarity
        if found is None:
            sys.stderr.write("this model cannot tell what it has not seen\n")
            return 1
        familiarity = found
    kinds = strange_set(given.data, val)
    rows = shares(familiarity, kinds)
    count = sum(row["pictures"] for row in rows.values())
    strange = sum(row["pictures"] * row["abstained"] for row in rows.values()) / count
    rows["all strange"] = {"pictures": count, "abstained": round(strange, 4)}
    rows |= shares(familiarity, {"val": val})
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
