"""Our recipe: slices without doctors' masks, and what its stages draw and weigh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from groundglass.datasets import (  # noqa: E402
    covid_ct_md_fake,
    covid_semiseg,
    per_covid_19,
    per_covid_19_fake,
)
from groundglass.datasets.finding import open_slices  # noqa: E402
from groundglass.errors import ReadError  # noqa: E402
from groundglass.systems.covid_rate.ours import extra  # noqa: E402
from groundglass.systems.covid_rate.ours.augment import AugmentConfig, augment  # noqa: E402
from groundglass.systems.covid_rate.ours.network import NetworkConfig  # noqa: E402
from groundglass.systems.covid_rate.ours.recipe import (  # noqa: E402
    OursConfig,
    OursRecipe,
    StageConfig,
)
from groundglass.systems.covid_rate.ours.synthetic import SyntheticConfig  # noqa: E402
from groundglass.systems.covid_rate.ours.weak import WeakMaskConfig, mask_from_percent  # noqa: E402
from groundglass.systems.recipes import TrainingData  # noqa: E402


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of several data sets."""
    for name, write in (
        ("covid-ct-md", covid_ct_md_fake.write_fake),
        ("per-covid-19", per_covid_19_fake.write_fake),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name, np.random.default_rng(0))
    return tmp_path


def tiny() -> NetworkConfig:
    return NetworkConfig((4, 4, 4, 4, 4), (1, 1, 1, 1), (4, 4, 4, 4), (6, 4))


def test_rated_slices_are_read_back(root: Path) -> None:
    found = per_covid_19.read_per_covid_19(root / "per-covid-19")
    assert [one.percent for one in found] == pytest.approx([0, 3.125, 12.5, 28.125])
    assert [one.subject for one in found] == ["S0", "S1", "S0", "S1"]
    assert [one.fold for one in found] == [1, 2, 1, 2]
    assert found[0].image().shape == (224, 224)


def test_other_layouts_of_rated_slices_are_refused(root: Path) -> None:
    place = root / "per-covid-19"
    for path in (place / "Images").iterdir():
        path.unlink()
    with pytest.raises(ReadError, match="found none"):
        per_covid_19.read_per_covid_19(place)
    (place / per_covid_19.SHEET).write_bytes(b"no sheet")
    with pytest.raises(ReadError, match="needs rows of file"):
        per_covid_19.read_per_covid_19(place)
    (place / per_covid_19.SHEET).unlink()
    with pytest.raises(ReadError, match="needs the file"):
        per_covid_19.read_per_covid_19(place)


def test_data_sets_are_found_beside_each_other(root: Path) -> None:
    (root / "covid-semiseg").mkdir()
    assert extra.sibling(root, "per-covid-19") == root / "per-covid-19"
    assert extra.sibling(root / "covid-semiseg", "per-covid-19") == root / "per-covid-19"
    assert extra.sibling(root, "something") is None
    assert extra.sibling(None, "per-covid-19") is None
    assert extra.healthy_slices(None, 32) == ()
    assert extra.rated_stacks(None, 32) is None


def test_made_up_lesions_lie_in_healthy_lungs(root: Path) -> None:
    slices = extra.healthy_slices(root, 64)
    assert slices
    assert all(one.lungs.any() and one.hu[one.lungs].mean() < -600 for one in slices)
    made = extra.synthetic_stacks(slices, 2, SyntheticConfig(), 0)
    assert made is not None
    lungs = np.stack([one.lungs for one in slices] * 2)
    assert not made[:, 1][~lungs].any()
    assert not (made[:, 2] & ~made[:, 1]).any()
    assert made[:, 1].any()
    again = extra.synthetic_stacks.__wrapped__(slices, 2, SyntheticConfig(), 0)
    np.testing.assert_array_equal(made, again)
    assert not extra.negative_stacks(slices)[:, 1:].any()


def test_percentages_become_masks_of_that_area(root: Path) -> None:
    rated = extra.rated_stacks(root, 96)
    assert rated is not None
    config = WeakMaskConfig(smallest_lung_px=100)
    stacks = extra.weak_stacks(rated, lambda tones: np.clip(tones, 0, 1), config)
    assert stacks is not None
    assert 0 < len(stacks) < len(rated.percent)
    unhurt = extra.unhurt_stacks(rated)
    assert unhurt is not None
    assert len(unhurt) == 1
    assert not unhurt[:, 1].any()


def test_a_reading_moves_the_threshold_within_its_range() -> None:
    chance = np.linspace(0, 0.45, 100).reshape(10, 10)
    lungs = np.ones((10, 10), bool)
    config = WeakMaskConfig(smallest_lung_px=10)
    mask = mask_from_percent(chance, lungs, 20, config)
    assert mask is not None
    assert mask.sum() == pytest.approx(20, abs=1)
    assert mask_from_percent(chance, lungs, 99, config) is not None
    nothing = mask_from_percent(chance, lungs, 0, config)
    assert nothing is not None
    assert not nothing.any()
    assert mask_from_percent(chance * 0, lungs, 50, config) is None
    assert mask_from_percent(chance, lungs & False, 50, config) is None


def test_all_sources_of_the_recipe(root: Path) -> None:
    shares = dict.fromkeys(("synthetic", "normal", "unhurt", "rated"), 0.25)
    config = OursConfig(
        network=tiny(),
        stages=(StageConfig("broad", 1, 1e-3, shares, 32, 2),),
        weak=WeakMaskConfig(smallest_lung_px=50, thresholds=(0.0, 1.0), area_ratio=(0.0, 100.0)),
        kept_px=64,
        answer_px=64,
    )
    recipe = OursRecipe(config)
    data = TrainingData((), root)
    assert recipe.other_data(data) == ("covid-ct-md", "per-covid-19")
    torch.manual_seed(0)
    found = recipe.sources(0, data, recipe.network())
    assert [source.name for source in found] == ["synthetic", "normal", "unhurt", "rated"]
    assert [source.weights[1] for source in found] == [0.5, 0.5, 0.5, 0.0]
    assert recipe.sources(0, TrainingData(()), recipe.network()) == []


def test_the_last_stage_weighs_doctors_most_and_wants_sharp_maps(tmp_path: Path) -> None:
    covid_semiseg.write_fake(tmp_path, np.random.default_rng(0))
    items = open_slices(tmp_path, ["train", "pseudo"]).items
    config = OursConfig(network=tiny(), kept_px=64, answer_px=64)
    recipe, last = OursRecipe(config), len(config.stages) - 1
    assert recipe.stages(0)[last].average_decay == 0.995
    found = recipe.sources(last, TrainingData(items), recipe.network())
    weights = {source.name: source.weights for source in found}
    assert weights == {"doctor": (1.0, 0.5), "network": (0.7, 0.0)}
    batch = recipe.batch(last, found, 4, torch.Generator().manual_seed(0))
    assert batch["image"].shape == (4, 1, 224, 224)
    torch.manual_seed(0)
    network = recipe.network().eval()
    sharp, plain, none = (
        recipe.loss(network, {**batch, "dice_weight": torch.tensor(weight)}).item()
        for weight in (float(batch["dice_weight"]), 1.0, 0.0)
    )
    assert sharp - none == pytest.approx(3 * (plain - none), rel=1e-4)
    assert plain > none


def test_augmented_masks_follow_their_tones() -> None:
    stack = torch.zeros(6, 3, 48, 48)
    stack[:, :2, 16:32, 10:38] = 0.8
    stack[:, 1] = (stack[:, 1] > 0).float()
    generator = torch.Generator().manual_seed(0)
    plain = AugmentConfig(
        gamma=0, gain=0, offset=0, saturation=0, noise=0, blur=0, cutout=0, elastic=0
    )
    tones, masks = augment(stack, 48, plain, generator)
    assert tones.shape == (6, 1, 48, 48)
    assert masks.shape == (6, 2, 48, 48)
    agree = ((tones[:, 0] > 0.4) == (masks[:, 0] > 0.5)).float().mean()
    assert agree > 0.98
    again, _ = augment(stack, 48, plain, torch.Generator().manual_seed(0))
    assert torch.equal(tones, again)
