"""Running a model by ONNX Runtime on the processor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import ModelError, WeightsError
from groundglass.models.catalogue import Entry, verified_bytes

KEPT_SESSIONS = 8


class Model:
    """An opened model; in one process, one session serves the same file and number of threads.

    Parameters
    ----------
    entry : Entry
        The model; its file is hashed before it is opened.
    threads : int
        Threads of one call.

    Raises
    ------
    WeightsError
        If the file is missing, another one, or not ONNX.
    """

    def __init__(self, entry: Entry, threads: int = 1) -> None:
        self.card = entry.card
        self._session = _session(entry.path, entry.card.name, entry.card.sha256, threads)
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first output for a batch.

        Parameters
        ----------
        batch : ndarray
            (items, channels, rows, columns).

        Raises
        ------
        ModelError
            If the network cannot take the batch, or answers with values that are not finite.
        """
        return self.run_all(batch, self.outputs[:1])[self.outputs[0]]

    def run_all(
        self, batch: NDArray[np.float32], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Return several outputs for a batch, by name.

        Parameters
        ----------
        batch : ndarray
            (items, channels, rows, columns).
        outputs : sequence of str, optional
            Names of the outputs wanted; all of them where not given.

        Raises
        ------
        ModelError
            As for `run`, or if the network has no output of a name.
        """
        names = list(self.outputs if outputs is None else outputs)
        try:
            found = self._session.run(names, {self._input: batch.astype(np.float32)})
        except Exception as error:  # ONNX Runtime's kinds of error have no common base
            msg = f"model {self.card.name} cannot take an input of shape {batch.shape}: {error}"
            raise ModelError(msg) from error
        answers = {
            name: np.asarray(one, np.float32) for name, one in zip(names, found, strict=True)
        }
        if not all(np.isfinite(one).all() for one in answers.values()):
            msg = f"model {self.card.name} answered with values that are not finite"
            raise ModelError(msg)
        return answers


def _silent_onnxruntime() -> Any:
    """Return the library, kept from reporting its use to its maker, which it does from 1.29 on."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # heeded only before the import
    import onnxruntime  # noqa: PLC0415 - 0.4 seconds, needed only here

    onnxruntime.disable_telemetry_events()  # where the system collects such reports itself
    return onnxruntime


@lru_cache(maxsize=KEPT_SESSIONS)
def _session(path: Path, name: str, sha256: str, threads: int) -> Any:
    """Return a session that neither spins nor talks, made from exactly the bytes hashed."""
    onnxruntime = _silent_onnxruntime()
    data = verified_bytes(path, name, sha256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(threads, 1)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        msg = f"the file of model {name} is not a network ONNX Runtime can open: {error}"
        raise WeightsError(msg) from error


def verify(entry: Entry) -> str | None:
    """Return what is wrong with a model, or ``None``: hash, opening, one run on zeros."""
    size = entry.card.preparation.size
    channels = entry.card.preparation.channels
    try:
        entry.content()
        answer = Model(entry).run(np.zeros((1, channels, *size), np.float32))
    except ModelError as error:
        return str(error)
    if answer.shape[:2] != (1, len(entry.card.labels)):
        wanted = (1, len(entry.card.labels))
        return f"the network answers in shape {answer.shape}, its card's labels need {wanted}"
    return None
