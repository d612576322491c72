"""Infection by lobe against the lobe labels of COVID-CT-MD, slice by slice.

For every slice and lobe there is a label. The infection mask, cut by the lobes found, says
infected or not: sensitivity, precision, accuracy and F1 over all pairs of slice and lobe. Beside
the lobes found stand two baselines made from the same masks: thirds and halves of each lung by
height, and the average chest alone.

    python benchmarks/lobe_labels.py --data DIR [--patient ID ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import groundglass as gg

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.core.results import LEFT, LOBES, RIGHT, CaseResult, LungMask
from groundglass.datasets.covid_ct_md import LOBE_ORDER, CtMdPatient, read_covid_ct_md
from groundglass.lungs.lobes.config import LobeConfig
from groundglass.lungs.lobes.find import find_lobes

LEAST_MM2 = 20.0
"""Infected area of a lobe in a slice from which it counts as infected there."""


def by_height(lungs: LungMask) -> NDArray[np.uint8]:
    """Return the right lung in thirds and the left in halves by height, as lobe labels."""
    labels = np.zeros_like(lungs.labels)
    for side, parts in ((LEFT, (1, 2)), (RIGHT, (3, 4, 5))):
        inside = lungs.labels == side
        held = np.flatnonzero(inside.any(axis=(1, 2)))
        edges = np.rint(np.linspace(held[0], held[-1] + 1, len(parts) + 1)).astype(int)
        for part, start, stop in zip(parts, edges[:-1], edges[1:], strict=True):
            labels[start:stop][inside[start:stop]] = part
    return labels


def infected_lobes(result: CaseResult, lobes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (slices, 5), in the order of the labels: whether the lobe is infected there."""
    least = LEAST_MM2 / result.scan.geometry.pixel_area_mm2
    ill = result.infection.labels > 0
    numbers = [LOBES.index(name) + 1 for name in LOBE_ORDER]
    areas = [((lobes == number) & ill).sum(axis=(1, 2)) for number in numbers]
    return np.stack(areas, axis=1) >= least


def scores(found: NDArray[np.bool_], labels: NDArray[np.bool_]) -> dict[str, float | int | None]:
    """Return counts and rates over pairs of slice and lobe."""
    both, wrong = int((found & labels).sum()), int((found & ~labels).sum())
    missed, neither = int((~found & labels).sum()), int((~found & ~labels).sum())

    def rate(part: int, whole: int) -> float | None:
        return round(part / whole, 4) if whole else None

    return {
        "pairs": int(labels.size),
        "labelled": int(labels.sum()),
        "sensitivity": rate(both, both + missed),
        "precision": rate(both, both + wrong),
        "specificity": rate(neither, neither + wrong),
        "accuracy": rate(both + neither, int(labels.size)),
        "f1": rate(2 * both, 2 * both + wrong + missed),
    }


def measure(patient: CtMdPatient) -> dict[str, Any]:
    """Analyze one series and set its lobes against the labels."""
    assert patient.lobe_labels is not None
    scan = gg.read_scan(patient.folder)
    rule = gg.AnalyzeConfig(infection_method="training-free", cross_check=False)
    result = gg.analyze(scan, rule)
    labels = patient.lobe_labels[: scan.shape[0]]
    assert result.lobes is not None
    start, cpu = time.perf_counter(), time.process_time()
    again = find_lobes(result.scan, result.lungs)
    spent = time.perf_counter() - start, time.process_time() - cpu
    assert again is not None
    plain = find_lobes(result.scan, result.lungs, LobeConfig(thickest_step_mm=0.0))
    assert plain is not None
    by_lobe = {
        "found": result.lobes.labels,
        "average chest": plain.labels,
        "by height": by_height(result.lungs),
    }
    infected = {name: infected_lobes(result, lobes) for name, lobes in by_lobe.items()}
    ill = labels.any(axis=1)
    return {
        "patient": patient.patient,
        "method": result.lobes.method,
        "verdict": result.lobes.verdicts[0].found,
        "lobes_ml": {name: result.burden.regions[name].lung_ml.value for name in LOBES},
        "all_slices": {name: scores(found, labels) for name, found in infected.items()},
        "labelled_slices": {
            name: scores(found[ill], labels[ill]) for name, found in infected.items()
        },
        "by_lobe": {
            name: {lobe: scores(found[:, k], labels[:, k]) for k, lobe in enumerate(LOBE_ORDER)}
            for name, found in infected.items()
        },
        "lobes_seconds": round(spent[0], 2),
        "lobes_cpu_seconds": round(spent[1], 2),
    }


def show(row: dict[str, Any]) -> None:
    """Print one patient."""
    print(f"{row['patient']}: {row['method']}; {row['verdict']}")
    print(f"  lobes took {row['lobes_seconds']} s, {row['lobes_cpu_seconds']} s of one core")
    for part in ("all_slices", "labelled_slices"):
        for name, got in row[part].items():
            shown = "  ".join(
                f"{key} {got[key]:.3f}"
                for key in ("sensitivity", "precision", "accuracy", "f1")
                if got[key] is not None
            )
            print(f"  {part.replace('_', ' '):<15} {name:<14} {shown}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds covid-ct-md")
    parser.add_argument("--patient", nargs="*", help="patients' folder names; all by default")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    root = given.data if (given.data / "Index.csv").is_file() else given.data / "covid-ct-md"
    rows = []
    for patient in read_covid_ct_md(root):
        wanted = not given.patient or patient.patient in given.patient
        if patient.lobe_labels is not None and wanted:
            rows.append(measure(patient))
            show(rows[-1])
    write_report({"least_mm2": LEAST_MM2, "patients": rows}, given.json)


if __name__ == "__main__":
    main()
