"""Infection masks of single pictures against doctors' masks (COVID-SemiSeg).

Prints every average in use with bootstrap intervals, the whole lung as a trivial baseline, and the
published table beside.

    python benchmarks/slices_2d.py --data DIR [--split train|test]
                                   [--method default|published|network] [--model NAME]

``default`` is the training-free rule, ``network`` a network with the rule's surest part. The
shipped default has been fitted to the training split, so its figure there is no result; what a
model has seen is printed first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.core.scan import Intensity, Scan
from groundglass.datasets.covid_semiseg import read_covid_semiseg
from groundglass.errors import NoLungsError
from groundglass.infection.picture import PictureConfig, segment_picture
from groundglass.infection.picture_lungs import find_picture_lungs
from groundglass.metrics import (
    AVERAGES,
    Overlap,
    averages,
    bootstrap_interval,
    infnet_scores,
    overlap,
)
from groundglass.systems.covid_rate.infection import (
    InfectionNetworkConfig,
    open_infection_model,
)
from groundglass.systems.identification_severity.infection import published_infection
from groundglass.systems.identification_severity.presets import SEGMENTATION
from groundglass.systems.identification_severity.published import INFNET_48
from groundglass.systems.infection import InfectionSettings, find_in_pictures

Mask = NDArray[np.bool_]


def masks_of(
    picture: NDArray[np.uint8], method: str, settings: InfectionSettings
) -> tuple[Mask, Mask]:
    """Return the lung mask and the infection mask of one picture."""
    empty = np.zeros(picture.shape, dtype=bool)
    if method == "network":
        scan = Scan.from_array(picture[None], intensity=Intensity.DISPLAY)
        try:
            found = find_in_pictures(scan, None, settings)
        except NoLungsError:
            return empty, empty
        return found.lungs.labels[0] > 0, found.infection.labels[0] > 0
    if method == "default":
        result = segment_picture(picture)
        return result.lungs, result.labels > 0
    lungs = find_picture_lungs(picture.astype(np.float32), PictureConfig().lungs)
    if lungs is None:
        return empty, empty
    density = np.rint(np.clip(lungs.density_hu, -1024, 3071)).astype(np.int16)
    published = published_infection(density, lungs.mask.astype(np.uint8), SEGMENTATION)
    return lungs.mask, published.mask[0]


def summary(masks: Sequence[Mask], truths: Sequence[Mask], rounds: int) -> dict[str, Any]:
    """Return all averages with bootstrap intervals of Dice, and Inf-Net's measures."""
    overlaps = [overlap(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
    # The pictures carry no patient, so each counts as one; intervals are too narrow where they
    # share.
    patients = list(range(len(overlaps)))
    table = {}
    for name in AVERAGES:

        def dice(index: NDArray[np.intp], name: str = name) -> float | None:
            chosen = [overlaps[i] for i in index]
            return averages(chosen, range(len(chosen)))[name].dice

        table[name] = asdict(averages(overlaps, patients)[name])
        table[name]["interval"] = bootstrap_interval(
            dice, patients, np.random.default_rng(0), rounds=rounds
        )
    maps = [mask.astype(np.float64) for mask in masks]
    return {
        "averages": table,
        "infnet": asdict(infnet_scores(maps, list(truths))),
        "mae": float(np.mean([o.mae or 0.0 for o in overlaps])),
        "area_correlation": _correlation(overlaps),
        "dice_quantiles": [
            round(float(q), 3)
            for q in np.quantile([o.dice for o in overlaps], (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1))
        ],
    }


def _correlation(overlaps: Sequence[Overlap]) -> float | None:
    found, true = [o.tp + o.fp for o in overlaps], [o.tp + o.fn for o in overlaps]
    if len(set(found)) < 2 or len(set(true)) < 2:
        return None
    return round(float(np.corrcoef(found, true)[0, 1]), 4)


def _shown(value: float | None) -> str:
    return "   n/a" if value is None else f"{value:6.3f}"


def show(title: str, result: dict[str, Any]) -> None:
    """Print one result."""
    print(f"\n{title}")
    print(
        f"  {'average':<14}{'n':>4}  {'Dice':>6}  {'95 % interval':<15} {'sens':>6} {'spec':>6} "
        f"{'prec':>6}"
    )
    for name, row in result["averages"].items():
        low, high = row["interval"] or (None, None)
        rest = " ".join(_shown(row[key]) for key in ("sensitivity", "specificity", "precision"))
        ends = f"{_shown(low)} -{_shown(high)}"
        print(f"  {name:<14}{row['count']:>4}  {_shown(row['dice'])}  {ends}  {rest}")
    one = result["infnet"]
    print(
        f"  Inf-Net's own averages: Dice mean {one['dice_mean']:.3f}, max {one['dice_max']:.3f}, "
        f"adaptive {one['dice_adaptive']:.3f}, sensitivity {one['sensitivity_mean']:.3f}, "
        f"specificity {one['specificity_mean']:.3f}, MAE {one['mae']:.3f}"
    )
    print(
        f"  correlation of infected area {result['area_correlation']}; Dice at 0, 10, 25, 50,"
        f" 75, 90, 100 %: {result['dice_quantiles']}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds covid-semiseg or Dataset"
    )
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--method", choices=("default", "published", "network"), default="default")
    parser.add_argument("--model", default="default", help="of the method network")
    parser.add_argument("--rounds", type=int, default=1000, help="bootstrap draws")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    root = given.data if (given.data / "Dataset").is_dir() else given.data / "covid-semiseg"
    samples = read_covid_semiseg(root, given.split)
    network = InfectionNetworkConfig(model=given.model)
    settings = InfectionSettings(cross_check=False, network=network)
    if given.method == "network":
        seen = open_infection_model(network).card
        print(f"{seen.name} has seen: {'; '.join(seen.training_data)}")
    pictures = [sample.image() for sample in samples]
    start = time.process_time()
    found = [masks_of(picture, given.method, settings) for picture in pictures]
    seconds = (time.process_time() - start) / len(samples)
    truths = [sample.mask() for sample in samples]
    result = {
        "split": given.split,
        "method": given.method,
        "model": given.model if given.method == "network" else None,
        "slices": len(samples),
        "no_lungs": sum(not lungs.any() for lungs, _ in found),
        "cpu_seconds_per_slice": round(seconds, 4),
        "infection": summary([mask for _, mask in found], truths, given.rounds),
        "whole_lung": summary([lungs for lungs, _ in found], truths, given.rounds),
    }
    print(
        f"{len(samples)} slices, split {given.split}, method {given.method}, {seconds * 1000:.0f}"
        " ms CPU each"
    )
    show("infection mask", result["infection"])
    show("baseline: all of the lung mask", result["whole_lung"])
    print("\npublished on the 48 test slices (Inf-Net's averages; other networks, trained)")
    for row in INFNET_48:
        print(
            f"  {row.method:<14} Dice mean {row.dice:.3f}, max {row.dice_max:.3f}, adaptive "
            f"{row.dice_adaptive:.3f}, sensitivity {row.sensitivity:.3f}, specificity "
            f"{row.specificity:.3f}, MAE {row.mae:.3f}"
        )
    write_report(result, given.json)


if __name__ == "__main__":
    main()
