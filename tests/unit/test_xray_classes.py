"""Classes of X-rays from folders, and regressors that start from their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("timm")

from PIL import Image

from groundglass.datasets.class_folders import class_folders, class_part, class_parts
from groundglass.datasets.per_covid_19 import rated_slices
from groundglass.datasets.per_covid_19_fake import write_fake
from groundglass.errors import ReadError
from groundglass.models.runtime import Model
from groundglass.systems.per_covid_19.network import BACKBONES
from groundglass.systems.per_covid_19.recipe import PublishedConfig, PublishedRecipe
from groundglass.systems.pictures import answers
from groundglass.training.fit import FitOptions
from groundglass.training.presets import recipe_for
from groundglass.training.run import RunOptions, train_run
from tests.backbones import TINY

FIT = FitOptions(accelerator="cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny network in the place of ResNeXt-50."""
    monkeypatch.setitem(BACKBONES, "resnext50", TINY)


def write_xrays(root: Path) -> None:
    """Write five folders of pictures, told apart by their brightness."""
    generator = np.random.default_rng(0)
    for number in range(5):
        place = root / f"class-{number}"
        place.mkdir(parents=True)
        for picture in range(4):
            coarse = generator.normal(40 + 40 * number, 20, (9, 11)).clip(0, 255)
            large = Image.fromarray(coarse.astype(np.uint8)).resize((70, 60))
            large.save(place / f"{picture}.png")


@pytest.mark.usefixtures("small")
def test_weights_of_xrays_start_a_regressor_and_the_card_says_so(
    tmp_path: Path,
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write_fake(root, np.random.default_rng(0), 12, folds=2, subjects=2)
    write_xrays(tmp_path / "xrays")
    found = class_folders(tmp_path / "xrays")
    assert found.classes == tuple(f"class-{number}" for number in range(5))
    recipe = recipe_for("xray-classes", "ours", None, {"model": "resnext50"})
    run = train_run(recipe, found, tmp_path / "x", RunOptions(fit=FIT, allow_leak=True))
    entry = run.entries["full"]
    assert entry.card.labels == found.classes
    chances = answers(Model(entry), [found.items[0].read()])
    assert chances.shape == (1, 5)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    weights = entry.path.with_suffix(".safetensors")
    options = RunOptions((1,), fit=FIT, init=str(weights))
    run = train_run(
        PublishedRecipe(PublishedConfig("resnext50", epochs=1, batch=4)),
        rated_slices(root),
        tmp_path / "y",
        options,
    )
    told = run.entries["fold-1"].card.training_data
    assert told == (
        "per-covid-19",
        "initial weights: xray-classes-ours-full (xray-classes), trained on xrays",
    )


def test_folders_of_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_xrays(tmp_path / part)
    assert class_parts(tmp_path) == ("test", "train")
    assert len(class_part(tmp_path, "test").items) == 20
    assert [int(i.target or 0) for i in class_part(tmp_path, "test").items[::4]] == list(range(5))
    with pytest.raises(ValueError, match="parts here are test, train"):
        class_part(tmp_path, "val")
    (tmp_path / "test" / "more").mkdir()
    with pytest.raises(ReadError, match="need the same classes"):
        class_folders(tmp_path)
    (tmp_path / "train" / "more").mkdir()
    with pytest.raises(ReadError, match="'more' holds no picture"):
        class_folders(tmp_path)
    with pytest.raises(ReadError, match="found 0"):
        class_folders(tmp_path / "train" / "more")
