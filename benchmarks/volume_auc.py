"""Infected percent of slices against slice labels, patient by patient (COVID-CT-MD).

For each series: area under the ROC curve of the floored infected percent, and beside it that of the
lung area alone, which already tells much as labels lie mid-chest. Normal patients have no positive
slice; for them the infected percent of the lungs is what counts.

    python benchmarks/volume_auc.py --data DIR [--patient ID ...]
                                    [--method network|training-free|published]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import groundglass as gg
from benchmarks.report import write_report
from groundglass.datasets.covid_ct_md import CtMdPatient, read_covid_ct_md
from groundglass.metrics import roc_auc


def measure(patient: CtMdPatient, config: gg.AnalyzeConfig) -> dict[str, Any]:
    """Analyze one series and set it against its labels."""
    start, cpu = time.perf_counter(), time.process_time()
    scan = gg.read_scan(patient.folder)
    result = gg.analyze(scan, config)
    slices = result.burden.slices
    labels = patient.labels_of(len(slices))
    regions = result.burden.regions
    return {
        "patient": patient.patient,
        "diagnosis": patient.diagnosis,
        "slices": len(slices),
        "positive": int(labels.sum()),
        "auc_percent": roc_auc(labels, [s.infected_percent or 0.0 for s in slices]),
        "auc_percent_plain": roc_auc(labels, [s.infected_percent_plain or 0.0 for s in slices]),
        "auc_lung_area": roc_auc(labels, [s.lung_area_mm2 or 0.0 for s in slices]),
        "percent": {name: region.percent.value for name, region in regions.items()},
        "interval": [regions["total"].percent.low, regions["total"].percent.high],
        "lung_ml": {name: regions[name].lung_ml.value for name in ("total", "right", "left")},
        "others": {
            one.method: {
                "percent": one.percent.value,
                "auc_percent": roc_auc(labels, [share or 0.0 for share in one.slices_percent])
                if one.slices_percent
                else None,
            }
            for one in result.estimates
        },
        "ctss25": result.severity.ctss25.value,
        "tss20": result.severity.tss20.value,
        "ct_grade": result.severity.ct_grade.value,
        "kept": int(result.selection.kept.sum()),
        "kept_ctset": int(result.selection_ctset.kept.sum()),
        "wall_seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def show(row: dict[str, Any]) -> None:
    """Print one patient."""
    auc = [
        "  n/a" if row[key] is None else f"{row[key]:.3f}"
        for key in ("auc_percent", "auc_percent_plain", "auc_lung_area")
    ]
    percent, ml = row["percent"], row["lung_ml"]
    sides = [
        "n/a" if percent[side] is None else f"{percent[side]:.2f}" for side in ("right", "left")
    ]
    print(
        f"{row['patient']:<10} {row['diagnosis']:<9} {row['positive']:>3}/{row['slices']:<4} "
        f"{auc[0]:>7} {auc[1]:>7} {auc[2]:>7}   {percent['total']:6.2f} "
        f"({row['interval'][0]:.2f}-{row['interval'][1]:.2f})  {sides[0]:>6} {sides[1]:>6} "
        f"{ml['total']:7.0f}  {row['ctss25']}/{row['tss20']}/CT-{row['ct_grade']}  "
        f"{row['kept']:>3} {row['kept_ctset']:>3}  {row['wall_seconds']:5.1f} s"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds covid-ct-md or Index.csv"
    )
    parser.add_argument(
        "--patient", nargs="*", help="patients' folder names; all that are there by default"
    )
    parser.add_argument(
        "--method", choices=("network", "training-free", "published"), default="network"
    )
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    root = given.data if (given.data / "Index.csv").is_file() else given.data / "covid-ct-md"
    patients = read_covid_ct_md(root)
    missing = set(given.patient or ()) - {p.patient for p in patients}
    if missing:
        parser.error(f"no folder for {', '.join(sorted(missing))}")
    config = gg.AnalyzeConfig(infection_method=given.method)
    print(
        "patient    diagnosis  +/all      AUC   plain lung area  infected % (interval)   right   "
        "left lung ml  CTSS/TSS/grade  kept: area, CTset"
    )
    rows = []
    for patient in patients:
        if not given.patient or patient.patient in given.patient:
            rows.append(measure(patient, config))
            show(rows[-1])
    ill = [row["auc_percent"] for row in rows if row["auc_percent"] is not None]
    if ill:
        area = [row["auc_lung_area"] for row in rows if row["auc_lung_area"] is not None]
        print(
            f"mean AUC {np.mean(ill):.3f}, of lung area alone {np.mean(area):.3f}, {len(ill)} "
            "patients"
        )
    write_report({"method": given.method, "patients": rows}, given.json)


if __name__ == "__main__":
    main()
