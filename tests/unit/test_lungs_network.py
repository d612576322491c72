"""Training of the lung network: laws of the opacities laid in, its sources, its recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groundglass.datasets import covid_ct_md_fake
from groundglass.imaging.distance import distance_mm
from groundglass.lungs.segment import segment_lungs
from groundglass.models.card import Task
from groundglass.phantom import build_chest
from tests.chests import Plan, draw

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from groundglass.systems.lungs_network.network import LungNetwork  # noqa: E402
from groundglass.systems.lungs_network.recipe import (  # noqa: E402
    PICTURE,
    SCAN,
    LungsConfig,
    LungsRecipe,
)
from groundglass.systems.lungs_network.sources import (  # noqa: E402
    PoolConfig,
    random_chest,
    scan_stacks,
)
from groundglass.systems.lungs_network.synthesis import (  # noqa: E402
    OpacityConfig,
    add_opacity,
    vary_organs,
)
from groundglass.systems.recipes import Source, TrainingData  # noqa: E402

PLAN = Plan(shape=(40, 64, 64), spacing_mm=(6.0, 6.0, 6.0))
MAPS = LungsConfig().network.slices
BALLS, LOBES, HAZE, FLUID = np.eye(4)


def laid(kinds: np.ndarray, seed: int = 0, **changes: float) -> tuple[np.ndarray, ...]:
    """Return a chest before and after, and its lungs."""
    hu, truth = draw(PLAN)
    config = OpacityConfig(healthy=0.0, kinds=tuple(kinds), **changes)  # type: ignore[arg-type]
    generator = np.random.default_rng(seed)
    return hu, add_opacity(hu, truth, PLAN.spacing_mm, config, generator), truth


@pytest.mark.parametrize(
    "kinds", [BALLS, LOBES, HAZE, FLUID], ids=["balls", "lobes", "haze", "fluid"]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_opacity_only_makes_lung_and_its_rim_denser(kinds: np.ndarray, seed: int) -> None:
    hu, after, truth = laid(kinds, seed)
    changed = np.abs(after - hu) > 1e-3
    assert changed[truth > 0].any()
    assert (after >= hu - 1e-3).all()
    assert not changed[distance_mm(truth > 0, PLAN.spacing_mm) > OpacityConfig().rim_mm].any()


@pytest.mark.parametrize("kinds", [BALLS, LOBES], ids=["balls", "lobes"])
def test_consolidation_is_as_dense_as_asked_for(kinds: np.ndarray) -> None:
    hu, after, truth = laid(kinds, bronchogram=0.0, most=1)
    dense = (truth > 0) & (after > hu + 800)
    assert 20 < np.median(after[dense]) < 85


def test_fluid_lies_low_and_has_the_density_of_water() -> None:
    hu, after, truth = laid(FLUID, collapsed=0.0, most=1)
    fluid = (truth > 0) & (after > hu + 700)
    assert 0.01 < fluid.sum() / (truth > 0).sum() < 0.5
    assert np.nonzero(fluid)[1].mean() > np.nonzero(truth)[1].mean() + 3
    assert -25 < np.median(after[fluid]) < 40


def test_opacity_is_a_function_of_its_seed() -> None:
    first, again, other = (laid(BALLS, seed)[1] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_organs_change_and_lungs_and_fat_do_not() -> None:
    hu, truth = draw(PLAN)
    hu[:, :4] = -90
    changed = hu.astype(np.float32)
    config = OpacityConfig(organ_hu=(20.0, 20.0))
    vary_organs(changed, truth, PLAN.spacing_mm, config, np.random.default_rng(0))
    soft = (truth == 0) & (hu > -30)
    np.testing.assert_array_equal(changed[~soft], hu[~soft])
    change = changed[soft] - hu[soft]
    assert 5 < change.std() < 40
    neighbours = np.abs(np.diff(changed - hu, axis=2))[soft[:, :, 1:] & soft[:, :, :-1]]
    assert neighbours.max() < 12


def test_one_slice_can_hold_opacity() -> None:
    hu, truth = draw(PLAN)
    generator = np.random.default_rng(0)
    config = OpacityConfig(healthy=0.0)
    after = add_opacity(hu[20:21], truth[20:21], (5.0, 6.0, 6.0), config, generator)
    assert (after > hu[20:21] + 100).sum() > 10


def sources() -> list[Source]:
    """Return both sources, made of a plain chest."""
    hu, truth = draw(PLAN)
    tones = np.clip((hu[10:30] + 1000) * (0.85 / 1040) * 200, 0, 255).astype(np.uint8)
    stacks = np.stack([*[tones] * MAPS, (truth[10:30] > 0) * np.uint8(255)], 1)
    scale = (200.0,) * MAPS + (255.0,)
    return [Source(SCAN, stacks, 0.75, scale), Source(PICTURE, stacks, 0.25, scale)]


def test_the_shipped_network_is_small() -> None:
    network = LungsRecipe().network()
    assert isinstance(network, LungNetwork)
    assert sum(one.numel() for one in network.parameters()) < 600_000
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, MAPS, 160, 160)).shape == (2, 1, 160, 160)


def test_a_batch_depends_on_its_generator_alone_and_pictures_repeat_their_slice() -> None:
    recipe, made = LungsRecipe(LungsConfig(side_px=64)), sources()
    first, again = (recipe.batch(0, made, 8, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first["image"], again["image"])
    assert first["image"].shape == (8, MAPS, 64, 64)
    assert first["mask"].shape == (8, 1, 64, 64)
    assert torch.equal(first["image"][:3, 0], first["image"][:3, -1])
    assert not torch.equal(first["image"][3:, 0], first["image"][3:, -1])
    assert 0 < float(first["mask"].mean()) < 1


@pytest.mark.parametrize("name", [SCAN, PICTURE])
def test_one_source_alone_makes_batches(name: str) -> None:
    made = [source for source in sources() if source.name == name]
    batch = LungsRecipe(LungsConfig(side_px=64)).batch(0, made, 4, torch.Generator())
    assert len(batch["image"]) == 4


def test_a_few_steps_learn_where_air_is() -> None:
    config = LungsConfig(side_px=64, steps=25, batch=8, warm_up_steps=5)
    recipe, made = LungsRecipe(config), sources()
    torch.manual_seed(0)
    network = recipe.network()
    optimiser, _ = recipe.optimiser(recipe.stages(0)[0], network)
    losses = []
    for step in range(25):
        batch = recipe.batch(0, made, 8, torch.Generator().manual_seed(step))
        loss = recipe.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


class _Undecided(nn.Module):  # type: ignore[misc]
    """Gives every pixel an even chance, which costs log 2 of cross-entropy."""

    def forward(self, tones: Tensor) -> Tensor:
        return torch.zeros_like(tones[:, :1])


@pytest.mark.parametrize(("tone", "dense"), [(0.6, True), (0.4, False)])
def test_dense_pixels_near_lung_weigh_more(tone: float, dense: bool) -> None:
    config = LungsConfig(near_px=5, dense_weight=4.0)
    mask = torch.zeros(1, 1, 40, 40)
    mask[0, 0, 20, 12] = 1
    batch = {"image": torch.full((1, 3, 40, 40), tone), "mask": mask}
    smooth, total = 2e-3 * 40 * 40, 0.5 * 40 * 40 + 1
    dice = 1 - (1 + smooth) / (total + smooth)
    square = 11 * 11 * dense
    expected = 2 * np.log(2) * (1 + 3 * square / 1600) + dice
    assert float(LungsRecipe(config).loss(_Undecided(), batch)) == pytest.approx(expected)


def test_facts_fit_the_network() -> None:
    facts = LungsRecipe().facts
    assert facts.task is Task.LUNGS
    assert facts.preparation.channels == MAPS
    assert set(facts.thresholds) == set(facts.labels)


def test_made_up_chests_differ_and_hold_the_lungs_of_their_plan() -> None:
    plans = [random_chest(np.random.default_rng(seed)) for seed in range(3)]
    assert len({plan.right for plan in plans}) == len(plans)
    for plan in plans:
        scan = build_chest(plan)
        found = segment_lungs(scan.hu(), scan.geometry.spacing_mm).labels > 0
        ml = float(found.sum()) * np.prod(plan.spacing_mm) / 1000
        assert ml == pytest.approx(plan.lungs_ml, rel=0.04)


def test_scans_and_made_up_chests_are_trained_on(tmp_path: Path) -> None:
    covid_ct_md_fake.write_fake(tmp_path, np.random.default_rng(0))
    pool = PoolConfig(variants=1, phantoms=0, kept_px=32)
    scans = scan_stacks(tmp_path, pool, OpacityConfig(), 0, MAPS)
    both = scan_stacks(
        tmp_path, replace(pool, phantoms=1, phantom_variants=1), OpacityConfig(), 0, MAPS
    )
    assert scans is not None
    assert both is not None
    assert both.shape[1:] == (MAPS + 1, 32, 32)
    assert 17 <= len(both) - len(scans) <= 18
    np.testing.assert_array_equal(both[: len(scans)], scans)


def test_without_data_there_are_no_sources(tmp_path: Path) -> None:
    recipe = LungsRecipe(replace(LungsConfig(), steps=1))
    data = TrainingData((), tmp_path)
    assert recipe.sources(0, data, recipe.network()) == []
    assert recipe.other_data(data) == ()
