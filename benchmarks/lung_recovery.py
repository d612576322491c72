"""Dense opacity laid into lungs: how much of it the lung mask holds, with and without the network.

For every patient of COVID-CT-MD that is there, lungs are found in the scan as it is. Then balls on
the rib-side pleura, lobe-like parts and an effusion of made-up density are laid into the scan, one
in each lung at a time, and lungs are found again. Reported is the share of every opacity that
counts as lung; for effusion it should be small. Opacity lies in the mask of the scan as it is. It
has noise, and the thin rim of half-aerated voxels between lung and chest wall is closed, as both
would give it away.

    python benchmarks/lung_recovery.py --data DIR [--patient ID ...] [--model NAME|FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))

import groundglass as gg
from benchmarks.report import write_report
from groundglass.core.results import LEFT, RIGHT
from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.imaging import morphology
from groundglass.imaging.resample import block_mean, working_grid
from groundglass.lungs.completion import LungMap
from groundglass.lungs.config import LungConfig
from groundglass.lungs.model import open_lung_model
from groundglass.lungs.segment import segment_lungs

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

OPACITY_HU, FLUID_HU, NOISE_HU = 35.0, 8.0, 15.0
RADII_MM = (20.0, 30.0, 45.0)
RIM_MM = 3.5
BINS = 90
SEED = 20_000
"""Far from the seeds of training."""


@dataclass(frozen=True, eq=False)
class Chest:
    """A scan on the working grid with its lungs."""

    hu: NDArray[np.int16]
    lungs: Labels
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000

    def places(self) -> tuple[NDArray[Any], ...]:
        """Return mm along each axis, broadcastable."""
        axes = [np.arange(n) * mm for n, mm in zip(self.hu.shape, self.spacing_mm, strict=True)]
        return axes[0][:, None, None], axes[1][:, None], axes[2]


@dataclass(frozen=True, eq=False)
class Opacity:
    """What is laid in."""

    kind: str
    mask: Mask
    hu: float = OPACITY_HU


def read_chest(folder: Path) -> Chest:
    """Return a scan on the working grid and its training-free lungs."""
    scan = gg.read_scan(folder)
    grid = working_grid(scan.shape, scan.geometry.spacing_mm, LungConfig().grid_mm)
    hu = block_mean(scan.hu(), grid)
    return Chest(hu, segment_lungs(hu, grid.spacing_mm).labels, grid.spacing_mm)


def rib_side(chest: Chest, side: int) -> NDArray[np.intp]:
    """Return the voxels of one lung that lie outermost as seen from the middle of both lungs."""
    found = []
    for index, labels in enumerate(chest.lungs):
        if not (labels == side).any() or not (labels > 0).sum() > 2000:
            continue
        rows, columns = np.nonzero(labels == side)
        middle = [np.mean(axis) for axis in np.nonzero(labels > 0)]
        down, across = rows - middle[0], columns - middle[1]
        distance = np.hypot(down, across)
        angle = ((np.arctan2(down, across) + np.pi) / (2 * np.pi) * BINS).astype(int) % BINS
        outer = np.zeros(BINS)
        np.maximum.at(outer, angle, distance)
        chosen = distance >= outer[angle] - 1.0
        found.append(np.stack([np.full(chosen.sum(), index), rows[chosen], columns[chosen]], 1))
    return np.concatenate(found)


def ball(chest: Chest, side: int, radius: float, generator: np.random.Generator) -> Opacity:
    """Return a ball whose middle lies on the rib-side pleura."""
    places = rib_side(chest, side)
    centre = places[generator.integers(len(places))]
    square = sum(
        (axis - place * mm) ** 2
        for axis, place, mm in zip(chest.places(), centre, chest.spacing_mm, strict=True)
    )
    return Opacity(f"ball {radius:.0f} mm", (square < radius**2) & (chest.lungs == side))


def lobe(chest: Chest, side: int, where: str, share: float) -> Opacity:
    """Return the posterior base or the top of a lung beyond an oblique plane."""
    down, back, across = chest.places()
    height = {"base": down + 0.6 * back, "top": -down - 0.25 * back + 0.15 * across}[where]
    lung = chest.lungs == side
    height = np.broadcast_to(height, lung.shape)
    return Opacity(f"lobe, {where}", lung & (height > np.quantile(height[lung], 1 - share)))


def effusion(chest: Chest, side: int, share: float) -> Opacity:
    """Return fluid at the back of the base with a level."""
    down, back, _ = chest.places()
    lung = chest.lungs == side
    height = np.broadcast_to(back + 0.3 * down, lung.shape)
    return Opacity("effusion", lung & (height > np.quantile(height[lung], 1 - share)), FLUID_HU)


def laid_in(chest: Chest, opacities: list[Opacity], generator: np.random.Generator) -> Any:
    """Return the scan with opacities."""
    hu = chest.hu.astype(np.float32)
    healthy = chest.lungs > 0
    for one in opacities:
        near = morphology.dilate(morphology.as_bits(one.mask), RIM_MM, chest.spacing_mm).view(bool)
        rim = near & ~healthy & (hu > -900) & (hu < -150)
        weight = ndimage.gaussian_filter(one.mask.astype(np.float32), (0.4, 0.7, 0.7))
        weight[rim] = 1.0
        weight[one.mask & (ndimage.uniform_filter(healthy.astype(np.float32), 3) < 1)] = 1.0
        noise = ndimage.gaussian_filter(generator.standard_normal(hu.shape), (0, 0.6, 0.6))
        target = one.hu + noise * (NOISE_HU / noise.std())
        hu += np.where(healthy | rim, weight * np.maximum(target - hu, 0), 0).astype(np.float32)
    return np.rint(hu).astype(np.int16)


def tasks(chest: Chest, places: int) -> Iterator[list[Opacity]]:
    """Yield what is laid in at once."""
    for radius in RADII_MM:
        for place in range(places):
            generator = np.random.default_rng((SEED, int(radius), place))
            yield [ball(chest, side, radius, generator) for side in (RIGHT, LEFT)]
    yield [lobe(chest, RIGHT, "base", 0.35), lobe(chest, LEFT, "top", 0.35)]
    yield [lobe(chest, LEFT, "base", 0.35), lobe(chest, RIGHT, "top", 0.35)]
    yield [effusion(chest, RIGHT, 0.2)]


def measure(folder: Path, network: LungMap, places: int) -> dict[str, Any]:
    """Return volumes of the scan as it is, and recovered shares, by method."""
    chest = read_chest(folder)
    plain = float((chest.lungs > 0).sum()) * chest.voxel_ml
    start = time.process_time()
    found = segment_lungs(chest.hu, chest.spacing_mm, network=network).labels
    seconds = time.process_time() - start
    completed = float((found > 0).sum()) * chest.voxel_ml
    rows = []
    generator = np.random.default_rng(SEED)
    for opacities in tasks(chest, places):
        hu = laid_in(chest, opacities, generator)
        masks = {
            "training_free": segment_lungs(hu, chest.spacing_mm).labels > 0,
            "network": segment_lungs(hu, chest.spacing_mm, network=network).labels > 0,
        }
        outside = ~(chest.lungs > 0)
        beyond = {name: float((m & outside).sum()) * chest.voxel_ml for name, m in masks.items()}
        for one in opacities:
            row = {"kind": one.kind, "ml": round(float(one.mask.sum()) * chest.voxel_ml, 1)}
            row |= {name: round(float(m[one.mask].mean()), 4) for name, m in masks.items()}
            rows.append(row | {"outside_ml": round(beyond["network"], 1)})
            print(f"  {rows[-1]}", flush=True)
    lost = float(((chest.lungs > 0) & (found == 0)).sum()) * chest.voxel_ml
    return {
        "ml_training_free": round(plain, 1),
        "ml_network": round(completed, 1),
        "change_percent": round(100 * (completed / plain - 1), 2),
        "ml_lost": round(lost, 2),
        "cpu_seconds_with_network": round(seconds, 2),
        "opacities": rows,
    }


def summary(patients: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return shares by patient, kind and method: of all ml, and the least of one opacity."""
    out: dict[str, Any] = {}
    for name, one in patients.items():
        for kind in sorted({row["kind"] for row in one["opacities"]}):
            rows = [row for row in one["opacities"] if row["kind"] == kind]
            ml = [row["ml"] for row in rows]
            for method in ("training_free", "network"):
                shares = [row[method] for row in rows]
                mean = round(float(np.average(shares, weights=ml)), 3)
                told = {"of_all_ml": mean, "least": min(shares), "count": len(rows)}
                out.setdefault(name, {}).setdefault(kind, {})[method] = told
    return out


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds covid-ct-md")
    parser.add_argument("--patient", nargs="*", help="patients' folder names; all by default")
    parser.add_argument("--model", default="default", help="name or ONNX file of a lung network")
    parser.add_argument("--places", type=int, default=3, help="places of each ball, in each lung")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    network = open_lung_model(given.model)
    if network is None:
        parser.error("there is no default lung network; name one with --model")
    patients: dict[str, dict[str, Any]] = {}
    for patient in read_covid_ct_md(given.data / "covid-ct-md"):
        if not given.patient or patient.patient in given.patient:
            print(patient.patient, flush=True)
            patients[patient.patient] = measure(patient.folder, network, given.places)
    report = {
        "model": network.name,
        "opacity_hu": OPACITY_HU,
        "fluid_hu": FLUID_HU,
        "noise_hu": NOISE_HU,
        "seed": SEED,
        "summary": summary(patients),
        "patients": patients,
    }
    print(json.dumps(report["summary"], indent=1))
    write_report(report, given.json)


if __name__ == "__main__":
    main()
