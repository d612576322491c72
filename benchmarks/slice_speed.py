"""How long one slice takes the shipped networks, on one core, as ``analyze`` uses them.

From the slice as read to the averaged answer, all views of the card together: median of wall time,
and of processor time, which other work on the machine disturbs less. With ``--data`` also what
each choice of views of the percentage network costs in mean absolute error, on slices evenly drawn
from a data set it may have been trained on: for the difference between views, not for the error.

    python benchmarks/slice_speed.py [--data DATA/per-covid-19 --slices 600] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report
from groundglass.core.scan import Intensity
from groundglass.datasets.per_covid_19 import rated_slices
from groundglass.datasets.slices import Slice
from groundglass.models.catalogue import find_model
from groundglass.models.runtime import Model
from groundglass.phantom import build_chest
from groundglass.systems.class_views import classify_pictures
from groundglass.systems.covid_rate.infection import InfectionNetworkConfig
from groundglass.systems.covid_rate.method import network_maps, prepared
from groundglass.systems.pictures import FLIPS, answers, slice_input

LIMIT_MS = 20.0
CHOICES = {
    "as_is": ("as_is",),
    "as_is, columns": ("as_is", "columns"),
    "as_is, rows": ("as_is", "rows"),
    "as_is, both": ("as_is", "both"),
    "all four": ("as_is", "rows", "columns", "both"),
}
"""Views whose answers are averaged."""


def pictures() -> list[NDArray[np.uint8]]:
    """Return slices of a drawn chest in a lung window, 512 x 512."""
    hu = build_chest().hu()
    middle = hu[len(hu) // 2 - 3 : len(hu) // 2 + 3]
    shown = np.rint(np.clip((middle + 1150.0) / 1300, 0, 1) * 255).astype(np.uint8)
    return [np.asarray(Image.fromarray(one).resize((512, 512))) for one in shown]


def timed(work: Callable[[Any], object], given: Sequence[Any], rounds: int) -> dict[str, float]:
    """Return median wall and processor time of one call, in milliseconds, after one unmeasured."""
    work(given[0])
    wall, processor = [], []
    for place in range(rounds):
        start, began = time.perf_counter(), time.process_time()
        work(given[place % len(given)])
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - began)
    return {
        "wall_ms": round(1000 * float(np.median(wall)), 2),
        "processor_ms": round(1000 * float(np.median(processor)), 2),
    }


def speeds(rounds: int) -> dict[str, Any]:
    """Return the time of one slice by network."""
    shown = pictures()
    slices = [Slice(one, Intensity.DISPLAY, None) for one in shown]
    percent = Model(find_model("default", "per-covid-19"))
    classes = Model(find_model("default", "covid-ct"))
    infection = Model(find_model("default", "covid-rate"))
    views = InfectionNetworkConfig().views

    def mask(picture: NDArray[np.uint8]) -> object:
        given = prepared(picture, Intensity.DISPLAY, None, infection.card.preparation)
        return network_maps(infection, given[None], views)

    works: dict[str, tuple[Model, Sequence[str], Callable[[Any], object], Sequence[Any]]] = {
        "percentage": (
            percent,
            percent.card.preparation.views,
            lambda one: answers(percent, [one]),
            slices,
        ),
        "classes": (
            classes,
            classes.card.preparation.views,
            lambda one: classify_pictures(classes, [one]),
            shown,
        ),
        "infection": (infection, views, mask, shown),
    }
    return {
        kind: {
            "model": model.card.name,
            "views": list(used),
            "input": list(model.card.preparation.size),
            **timed(work, given, rounds),
        }
        for kind, (model, used, work, given) in works.items()
    }


def views_cost(data: Path, count: int) -> dict[str, Any]:
    """Return the mean absolute error of slices for each choice of views, and whose error it is."""
    model = Model(find_model("default", "per-covid-19"))
    items = rated_slices(data).items
    chosen = [items[place] for place in np.linspace(0, len(items) - 1, count).astype(int)]
    wanted = np.array([item.target for item in chosen])
    seen = {view: np.zeros(len(chosen)) for view in FLIPS}
    for place, item in enumerate(chosen):
        given = slice_input(item.read(), model.card.preparation)
        for view, axes in FLIPS.items():
            seen[view][place] = model.run(np.flip(given, axes)[None])[0, 0]
    errors = {
        name: round(float(np.abs(np.mean([seen[one] for one in views], 0) - wanted).mean()), 3)
        for name, views in CHOICES.items()
    }
    known = sorted({item.fold for item in chosen if item.fold in model.card.folds_seen})
    return {"slices": len(chosen), "folds_trained_on": known, "mean_absolute_error": errors}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print as JSON, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of Per-COVID-19, to compare views")
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {
        "load_at_start": [round(one, 2) for one in os.getloadavg()],
        "threads": 1,
        "limit_ms": LIMIT_MS,
        "one_slice": speeds(given.rounds),
    }
    if given.data is not None:
        found["views_of_percentage"] = views_cost(given.data, given.slices)
    sys.stdout.write(write_report(found, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
