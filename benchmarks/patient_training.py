"""What the classifier of patients costs, and whether it learns, on a fake SPGC of 30 patients.

The fake set has the layout and the traps of SPGC: a lesion of -450 HU (COVID-19) or -50 HU (CAP) in
a third of the slices. Every patient is read, its lungs are found and its slices go through
EfficientNet-B5 with random weights; then the shallow network and attention are trained and
calibrated in five folds by patient, once with the real classes and once with shuffled ones.

    python benchmarks/patient_training.py [--size 64] [--slices 12] [--reach 2] [--json FILE]

``--size 512 --slices 80 --reach 40`` is the published size; it takes about an hour of one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.datasets import spgc
from groundglass.datasets.patients import CLASSES
from groundglass.datasets.spgc import read_spgc_train
from groundglass.evaluation.patient_figures import calibration_table
from groundglass.systems.identification_severity.network import Features, new_backbone
from groundglass.systems.identification_severity.statement import WAYS, DecisionConfig, decide_by
from groundglass.systems.identification_severity.training_config import OURS, PatientConfig
from groundglass.systems.identification_severity.vote import Decision
from groundglass.training.patient_features import FeatureStore, PatientFeatures
from groundglass.training.patient_heads import slice_answers, train_attention, train_head
from groundglass.training.patient_run import calibrated, stratified

PER_CLASS = 10
FOLDS = 5


def extract(config: PatientConfig, slices: int) -> tuple[list[PatientFeatures], dict[str, Any]]:
    """Return the features of a fake SPGC, and what they cost."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        spgc.write_fake(root, np.random.default_rng(0), PER_CLASS, slices)
        patients = read_spgc_train(root)
        network = Features(new_backbone("random", 0)).eval()
        found, spent = FeatureStore(root / "features", network, config).load(patients)
    each = {"network_seconds_per_slice": round(spent.network_seconds / spent.slices, 4)}
    return found, {**asdict(spent), **each}


def cross_validate(patients: Sequence[PatientFeatures], config: PatientConfig) -> dict[str, Any]:
    """Return how patients held out are called in five folds, and processor seconds of a fold."""
    truth: list[str] = []
    decisions: dict[str, list[Decision]] = {way: [] for way in WAYS}
    plain: dict[str, list[Decision]] = {way: [] for way in WAYS}
    spent = {"head": 0.0, "attention": 0.0}
    parts = stratified(patients, FOLDS, 0)
    for fold, outside in enumerate(parts):
        chosen = parts[(fold + 1) % FOLDS]
        inside = [p for p in range(len(patients)) if p not in {*outside, *chosen}]
        train, validation = ([patients[p] for p in places] for places in (inside, chosen))
        start = time.process_time()
        head, _ = train_head(train, validation, config.head)
        middle = time.process_time()
        pool = train_attention(train, validation, head, config.attention_epochs)
        spent["attention"] += time.process_time() - middle
        spent["head"] += middle - start
        answers = [slice_answers(head, pool, one) for one in validation]
        how = calibrated(answers, [one.label for one in validation], config)
        for one in (patients[place] for place in outside):
            truth.append(CLASSES[one.label])
            answer = slice_answers(head, pool, one)
            for way in WAYS:
                decisions[way].append(decide_by(way, answer, how))
                plain[way].append(decide_by(way, answer, DecisionConfig(vote_temperature=1.0)))
    return {
        "n": len(truth),
        "right": {
            way: sum(d.label == t for d, t in zip(found, truth, strict=True))
            for way, found in decisions.items()
        },
        "log_loss": _losses(truth, decisions),
        "log_loss_uncalibrated": _losses(truth, plain),
        "cpu_seconds_per_fold": {name: round(one / FOLDS, 2) for name, one in spent.items()},
    }


def _losses(truth: Sequence[str], decisions: dict[str, list[Decision]]) -> dict[str, float]:
    shares = {way: [one.shares for one in found] for way, found in decisions.items()}
    rows = calibration_table(truth, shares, CLASSES).rows
    return {str(row[0]): round(float(row[2] or 0), 3) for row in rows}


def shuffled(patients: Sequence[PatientFeatures]) -> list[PatientFeatures]:
    """Return the patients with each other's classes."""
    labels = np.random.default_rng(1).permutation([one.label for one in patients])
    return [
        replace(one, label=int(label), ill=None)
        for one, label in zip(patients, labels, strict=True)
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="rows and columns of the network")
    parser.add_argument("--slices", type=int, default=12, help="slices of a series")
    parser.add_argument("--reach", type=int, default=2, help="slices to either side of the middle")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    pictures = replace(OURS.pictures, short_reach=given.reach, long_reach=given.reach)
    config = replace(OURS, size=(given.size, given.size), pictures=pictures)
    start = time.process_time()
    patients, spent = extract(config, given.slices)
    report: dict[str, Any] = {
        "size": given.size,
        "slices": given.slices,
        "reach": given.reach,
        "features": spent,
        "separable": cross_validate(patients, config),
        "shuffled": cross_validate(shuffled(patients), config),
    }
    report["cpu_seconds"] = round(time.process_time() - start, 1)
    print(write_report(report, given.json), end="")


if __name__ == "__main__":
    main()
