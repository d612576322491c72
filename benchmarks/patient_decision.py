"""The patient decision on whole series, and how long it takes: read, find lungs, select, classify.

Those are the stages of the published system of COVID-CTset, whose times are printed beside. Each
series of COVID-CT-MD is decided as ``analyze`` decides it; the decision is a likeness to pictures
of publications, no diagnosis, and three patients measure no accuracy. With ``--lengths`` the first
series is thinned, or its slices repeated, to the lengths of the published table; reading is then
taken as the measured time of a file times their number, as the stacks lie in memory.

    python benchmarks/patient_decision.py --data DATA/covid-ct-md [--lengths 35 406] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.core.scan import Scan
from groundglass.datasets.covid_ct_md import read_covid_ct_md
from groundglass.lungs.find import find_lungs
from groundglass.models.runtime import Model
from groundglass.readers.read import read_scan
from groundglass.systems.area_selection import select_by_area
from groundglass.systems.classify import classify_scan, open_classifier
from groundglass.systems.covid_ctset.patient import PatientVote
from groundglass.systems.covid_ctset.published import MS_AN_IMAGE, SECONDS_BY_SLICES
from groundglass.systems.covid_ctset.selection import select_slices

CALLED_FROM = 0.5
"""Probability from which a slice counts as COVID-19 for the published thresholds."""


def timed(seconds: dict[str, dict[str, float]], name: str, work: Callable[[], Any]) -> Any:
    """Return what work returns; note its wall and processor time under a name."""
    start, began = time.perf_counter(), time.process_time()
    found = work()
    seconds[name] = {
        "wall": round(time.perf_counter() - start, 3),
        "processor": round(time.process_time() - began, 3),
    }
    return found


def decided(scan: Scan, model: Model, seconds: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the decision about a scan and what it rests on."""
    lungs = timed(seconds, "lungs", lambda: find_lungs(scan))
    selection = timed(seconds, "selection", lambda: select_by_area(lungs))
    likeness = timed(seconds, "classes", lambda: classify_scan(scan, lungs, selection, model=model))
    (said,) = likeness.predictions
    looked_at = len(said.slices)
    called = [one.probability >= CALLED_FROM for one in said.slices if one.counts]
    vote = PatientVote(len(called), sum(called))
    return {
        "slices": scan.shape[0],
        "kept_by_lung_area": int(selection.kept.sum()),
        "kept_by_published_rule": int(select_slices(scan).kept.sum()),
        "looked_at": looked_at,
        "with_a_say": sum(one.counts for one in said.slices),
        "decision": said.label,
        "reason": said.reason,
        "probabilities": {name: round(value, 3) for name, value in said.probabilities.items()},
        "threshold_1": str(vote.by_any),
        "threshold_2": str(vote.by_share),
        "seconds": seconds,
        "whole_s": total(seconds, "wall"),
        "whole_processor_s": total(seconds, "processor"),
        "ms_per_slice_looked_at": per_slice(seconds, looked_at, "wall"),
        "processor_ms_per_slice_looked_at": per_slice(seconds, looked_at, "processor"),
    }


def total(seconds: dict[str, dict[str, float]], kind: str) -> float:
    """Return the time of the whole series."""
    return round(sum(part[kind] for part in seconds.values()), 2)


def per_slice(seconds: dict[str, dict[str, float]], count: int, kind: str) -> float | None:
    """Return the time of the classifier for a slice; ``None`` where it looked at none."""
    return round(1000 * seconds["classes"][kind] / count, 1) if count else None


def stretched(scan: Scan, count: int) -> Scan:
    """Return the same chest in another number of slices, thinned or repeated."""
    factor = count / scan.shape[0]
    chosen = np.minimum((np.arange(count) / factor).astype(int), scan.shape[0] - 1)
    step, row, column = scan.geometry.spacing_mm
    stack = np.ascontiguousarray(scan.voxels[chosen])
    made = Scan.from_array(stack, (step / factor, row, column), intensity=scan.intensity)
    return replace(made, acquisition=scan.acquisition)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print as JSON, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of COVID-CT-MD")
    parser.add_argument("--model", default="default", help="the classifier")
    parser.add_argument("--lengths", type=int, nargs="*", default=[], help="numbers of slices")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    model = open_classifier(given.model)
    if model is None:
        sys.stderr.write("there is no classifier to measure\n")
        return 1
    rows: list[dict[str, Any]] = []
    longer: list[dict[str, Any]] = []
    for patient in read_covid_ct_md(given.data):
        seconds: dict[str, dict[str, float]] = {}
        scan = timed(seconds, "read", partial(read_scan, patient.folder))
        rows.append({"diagnosis": patient.diagnosis, **decided(scan, model, seconds)})
        if len(rows) > 1:
            continue
        one_file = {kind: value / scan.shape[0] for kind, value in seconds["read"].items()}
        for count in given.lengths:
            reading = {kind: round(value * count, 3) for kind, value in one_file.items()}
            row = decided(stretched(scan, count), model, {"read": reading})
            longer.append({**row, "published_s": SECONDS_BY_SLICES.get(count)})
    found = {
        "load_at_start": [round(one, 2) for one in os.getloadavg()],
        "model": model.card.name,
        "published_ms_per_image": dict(MS_AN_IMAGE),
        "published_hardware": "Tesla P100",
        "series": rows,
        "same_chest_in_other_lengths": longer,
    }
    sys.stdout.write(write_report(found, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
