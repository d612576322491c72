"""Running a model by ONNX Runtime on the processor."""

from __future__ import annotations

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
        try:
            answer = self._session.run(None, {self._input: batch.astype(np.float32)})[0]
        except Exception as error:  # ONNX Runtime's kinds of error have no common base
            msg = f"model {self.card.name} cannot take an input of shape {batch.shape}: {error}"
            raise ModelError(msg) from error
        result = np.asarray(answer, dtype=np.float32)
        if not np.isfinite(result).all():
            msg = f"model {self.card.name} answered with values that are not finite"
            raise ModelError(msg)
        return result


@lru_cache(maxsize=KEPT_SESSIONS)
def _session(path: Path, name: str, sha256: str, threads: int) -> Any:
    """Return a session that neither spins nor talks, made from exactly the bytes hashed."""
    import onnxruntime  # noqa: PLC0415 - 0.4 seconds, needed only here

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
