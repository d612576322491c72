"""Features of patients' slices, made once and kept: read, lungs, pictures, network, file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from groundglass.checks.intensity import calibrate
from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.datasets.patients import CLASSES, PatientScan
from groundglass.errors import ReadError
from groundglass.lungs.find import find_lungs
from groundglass.readers.read import read_scan
from groundglass.systems.identification_severity.network import Features, digest_of
from groundglass.systems.identification_severity.pictures import classification_pictures
from groundglass.systems.identification_severity.statement import network_input
from groundglass.systems.identification_severity.training_config import FEATURES, PatientConfig

VERSION = 1
"""Raised when features are made in another way, so that kept ones are not taken."""
BATCH = 8


@dataclass(frozen=True, eq=False)
class PatientFeatures:
    """One patient as the shallow network sees it."""

    patient: str
    """Name."""
    label: int
    """Class: 0 normal, 1 CAP, 2 COVID-19."""
    features: NDArray[np.float32]
    """(slices, 2048), head to feet."""
    ill: NDArray[np.bool_] | None
    """(slices,): which show infection; ``None`` where slices have no labels."""

    @property
    def rows(self) -> NDArray[np.intp]:
        """Slices that are trained on: those labelled ill of an ill patient, else all."""
        if self.label == 0 or self.ill is None:
            return np.arange(len(self.features))
        return np.flatnonzero(self.ill)


@dataclass(frozen=True)
class Spent:
    """What making features cost."""

    made: int
    """Patients whose features were made now."""
    kept: int
    """Patients whose features were there already."""
    slices: int
    """Slices that went through the network now."""
    preparing_seconds: float
    """Reading, lungs and pictures, in seconds of processor time."""
    network_seconds: float
    """The network, likewise."""


class FeatureStore:
    """Features in files, one a patient, named by a hash of all they depend on.

    A store may be used by several runs, and goes on where it was stopped.

    Parameters
    ----------
    folder : Path
        Where the files lie; made if needed.
    features : Features
        The network.
    config : PatientConfig
        Size and pictures.
    """

    def __init__(self, folder: Path, features: Features, config: PatientConfig) -> None:
        self._folder = folder
        self._network = features
        self._config = config
        made = {"version": VERSION, "size": config.size, "pictures": asdict(config.pictures)}
        self._base = json.dumps(made, sort_keys=True) + digest_of(features)

    def place_of(self, patient: PatientScan) -> Path:
        """Return the file of a patient's features, whether or not it is there."""
        found = hashlib.sha256(self._base.encode())
        files = patient.path.rglob("*") if patient.path.is_dir() else (patient.path,)
        for path in sorted(path for path in files if path.is_file()):
            found.update(hashlib.sha256(path.read_bytes()).digest())
        return self._folder / f"{found.hexdigest()}.npz"

    def load(
        self, patients: Sequence[PatientScan], on_progress: OnProgress = silent
    ) -> tuple[list[PatientFeatures], Spent]:
        """Return the features of patients, making those that are not there.

        Raises
        ------
        ReadError
            If a patient has no class, or labels that do not fit the scan.
        """
        found, made, slices, clock = [], 0, 0, [0.0, 0.0]
        for number, patient in enumerate(patients):
            on_progress(Progress("features", number, len(patients)))
            place = self.place_of(patient)
            if not place.is_file():
                slices += self._make(patient, place, clock)
                made += 1
            found.append(_opened(patient, place))
        return found, Spent(made, len(found) - made, slices, clock[0], clock[1])

    def _make(self, patient: PatientScan, place: Path, clock: list[float]) -> int:
        start = time.process_time()
        scan = calibrate(read_scan(patient.path))
        pictures = classification_pictures(
            scan.hu(), find_lungs(scan).labels, self._config.pictures
        )
        ready = time.process_time()
        answers = [np.zeros((0, FEATURES), np.float32)]
        for first in range(0, len(pictures.values), BATCH):
            part = pictures.values[first : first + BATCH]
            batch = np.stack([network_input(one, self._config.size) for one in part])
            with torch.inference_mode():
                answers.append(self._network(torch.tensor(batch[:, None])).numpy())
        clock[0] += ready - start
        clock[1] += time.process_time() - ready
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.{os.getpid()}.part")
        with partial.open("wb") as file:
            np.savez(
                file,
                features=np.concatenate(answers),
                index=pictures.index,
                slices=np.array(scan.shape[0]),
            )
        partial.replace(place)
        return len(pictures.values)


def _opened(patient: PatientScan, place: Path) -> PatientFeatures:
    if patient.label not in CLASSES:
        msg = f"patient {patient.patient} needs a class of {', '.join(CLASSES)} to train on"
        raise ReadError(msg)
    with np.load(place, allow_pickle=False) as kept:
        labels = patient.labels_of(int(kept["slices"]))
        ill = None if labels is None else labels[kept["index"]]
        label = CLASSES.index(patient.label)
        return PatientFeatures(patient.patient, label, kept["features"], ill)
