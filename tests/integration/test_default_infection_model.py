"""The shipped infection network on real slices, without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from groundglass.datasets.finding import open_slices
from groundglass.evaluation.evaluate import Options
from groundglass.evaluation.kinds import evaluate_model
from groundglass.models.catalogue import DEFAULT, load_catalogue
from groundglass.models.runtime import Model


@pytest.mark.data
def test_the_default_network_marks_what_doctors_mark(data: Path) -> None:
    slices = open_slices(data / "covid-semiseg", ["train"])
    few = replace(slices, items=slices.items[::5])
    model = Model(load_catalogue().find(DEFAULT, "covid-rate"))
    found = evaluate_model(model, few, "train", Options(rounds=50, baselines=False))
    dice = found.metrics["dice"].value
    assert dice is not None
    assert dice > 0.65
    assert "non-commercial" in model.card.licence
