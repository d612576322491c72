"""One table of three infection masks: the published rule, our rule, the network.

On single pictures with doctors' masks (COVID-SemiSeg): Dice under the five averages. On series with
slice labels (COVID-CT-MD): area under the ROC curve of each slice's infected percent, with that of
the lung area alone beside; for normal patients the infected percent of the lungs.

    python benchmarks/infection_table.py --data DIR [--method published ours network] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.checks.intensity import calibrate
from groundglass.datasets.covid_ct_md import CtMdPatient, read_covid_ct_md
from groundglass.evaluation.infection_tasks import TaskOptions, infection_48
from groundglass.evaluation.severity_masks import Method, open_network, volume_masks
from groundglass.metrics import roc_auc
from groundglass.models.runtime import Model
from groundglass.readers.read import read_scan
from groundglass.scoring.counts import floored_percent
from groundglass.systems.identification_severity.presets import VOLUME

AVERAGES = ("legacy", "slice_mean", "infected_only", "per_patient", "pooled")


def pictures(root: Path, method: Method, network: Model | None, rounds: int) -> dict[str, Any]:
    """Return Dice with its interval under the five averages, and the time a picture takes."""
    start = time.process_time()
    found = infection_48(root, TaskOptions(method, network, rounds))
    seconds = time.process_time() - start
    rows = {str(row[0]): row for row in found.tables[0].rows}
    return {
        "dataset": found.dataset,
        "slices": found.count,
        "dice": {name: rows[name][2] for name in AVERAGES},
        "interval": {name: rows[name][3] for name in AVERAGES},
        "slices_counted": {name: rows[name][1] for name in AVERAGES},
        "cpu_seconds": round(seconds, 1),
    }


def series(patient: CtMdPatient, method: Method, network: Model | None) -> dict[str, Any]:
    """Return the AUC of the infected percent of slices, and the percent of the lungs."""
    start = time.process_time()
    scan = calibrate(read_scan(patient.folder))
    lungs, mask = volume_masks(scan, method, network, VOLUME)
    lung, ill = (lungs > 0).sum(axis=(1, 2)), ((lungs > 0) & mask).sum(axis=(1, 2))
    percent = np.nan_to_num(floored_percent(ill.astype(float), lung.astype(float)))
    labels = patient.labels_of(len(percent))
    return {
        "patient": patient.patient,
        "positive": int(labels.sum()),
        "slices": len(percent),
        "auc": roc_auc(labels, percent),
        "auc_lung_area": roc_auc(labels, lung),
        "percent": float(100 * ill.sum() / lung.sum()),
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table, methods as columns."""
    print(f"{'':38}" + "".join(f"{name:>26}" for name in rows))
    first = next(iter(rows.values()))
    for average in AVERAGES if "pictures" in first else ():
        cells = []
        for one in rows.values():
            p = one["pictures"]
            cells.append(f"{p['dice'][average]:.3f} ({p['interval'][average]})")
        title = f"Dice, {average}, n = {first['pictures']['slices_counted'][average]}"
        print(f"{title:38}" + "".join(f"{cell:>26}" for cell in cells))
    for place, one in enumerate(first.get("series", [])):
        cells = []
        for row in rows.values():
            found = row["series"][place]
            auc = "n/a" if found["auc"] is None else f"{found['auc']:.3f}"
            cells.append(f"{auc}, {found['percent']:.2f} %")
        area = "n/a" if one["auc_lung_area"] is None else f"{one['auc_lung_area']:.3f}"
        title = f"AUC, percent: {one['patient']} (lung area {area})"
        print(f"{title:38}" + "".join(f"{cell:>26}" for cell in cells))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--method", nargs="*", choices=list(Method), default=list(Method))
    parser.add_argument("--patient", nargs="*", help="patients of COVID-CT-MD; all by default")
    parser.add_argument("--rounds", type=int, default=1000, help="bootstrap draws")
    parser.add_argument("--part", choices=("pictures", "series"), help="one part alone")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    for name in given.method:
        method = Method(name)
        network = open_network() if method is Method.NETWORK else None
        rows[method.value] = {}
        if given.part != "series":
            rows[method.value]["pictures"] = pictures(given.data, method, network, given.rounds)
        if given.part != "pictures":
            rows[method.value]["series"] = [
                series(patient, method, network)
                for patient in read_covid_ct_md(given.data / "covid-ct-md")
                if not given.patient or patient.patient in given.patient
            ]
    show(rows)
    write_report({"methods": rows}, given.json)


if __name__ == "__main__":
    main()
