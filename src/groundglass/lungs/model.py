"""The lung network of the package as a function of tone maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import UnknownModelError, WeightsError
from groundglass.lungs.network_view import PLACES
from groundglass.models.card import Task
from groundglass.models.catalogue import DEFAULT, find_model
from groundglass.models.runtime import Model

SYSTEM = "lungs"
THREADS = 2


class LungModel:
    """An opened lung network.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name = model.card.name
        self.size = model.card.preparation.size
        self.slices = model.card.preparation.channels

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of lung, shape (slices, rows, columns)."""
        return self._model.run(batch)[:, 0]


def open_lung_model(name: str = DEFAULT) -> LungModel | None:
    """Return a lung network by name; ``None`` if it is the default that is asked for and not there.

    Raises
    ------
    UnknownModelError
        If there is no model of that name.
    WeightsError
        If its file is missing, another one, or the model does something else.
    """
    try:
        entry = find_model(name, SYSTEM)
    except UnknownModelError:
        if name == DEFAULT:
            return None
        raise
    if entry.card.task is not Task.LUNGS:
        msg = f"the model {entry.card.name} finds {entry.card.task}, a lung network is needed"
        raise UnknownModelError(msg)
    slices = entry.card.preparation.channels
    if slices not in PLACES:
        able = ", ".join(map(str, PLACES))
        msg = f"the lung network {entry.card.name} reads {slices} slices at once; known are {able}"
        raise WeightsError(msg)
    return LungModel(Model(entry, THREADS))
