"""The published classifiers: layers, sizes, parameter counts, Grad-CAM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from groundglass.systems.answers import PooledAnswers, answers_of  # noqa: E402
from groundglass.systems.covid_ct import network as covid_ct  # noqa: E402
from groundglass.systems.covid_ct.self_supervision import (  # noqa: E402
    ContrastConfig,
    MomentumContrast,
    contrast_loss,
    learn_without_labels,
    random_view,
)
from groundglass.systems.covid_ctset import network as ctset  # noqa: E402
from groundglass.training.attention import grad_cam  # noqa: E402


def parameters(module: Any) -> int:
    return sum(one.numel() for one in module.parameters())


def running(module: Any) -> int:
    return sum(one.numel() for name, one in module.named_buffers() if "running" in name)


@pytest.fixture(scope="module")
def dense() -> Any:
    """A DenseNet-121."""
    torch.manual_seed(0)
    return covid_ct.DenseNetClassifier().eval()


@pytest.fixture(scope="module")
def pyramid() -> Any:
    """A ResNet50V2 with its pyramid."""
    torch.manual_seed(0)
    return ctset.PyramidClassifier().eval()


def test_densenets_have_their_parameters(dense: Any) -> None:
    assert parameters(dense) == 6_955_906
    large = covid_ct.DenseNetClassifier(covid_ct.NetworkConfig("densenet169"))
    assert parameters(large) == 12_487_810
    assert large.classifier.in_features == 1664


def test_densenet_has_its_stages(dense: Any) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:]))
        )
        for name, layer in dense.body.named_children()
    ]
    with torch.no_grad():
        assert dense(torch.zeros(1, 3, 224, 224)).shape == (1, 2)
    for hook in hooks:
        hook.remove()
    assert shapes["norm0"] == (64, 112, 112)
    assert shapes["pool0"] == (64, 56, 56)
    assert [shapes[f"denseblock{n}"] for n in range(1, 5)] == [
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (1024, 7, 7),
    ]
    assert [shapes[f"transition{n}"] for n in range(1, 4)] == [
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
    ]
    assert not dense.body.conv0.bias
    assert (dense.classifier.bias == 0).all()


def test_pyramid_has_its_parameters(pyramid: Any) -> None:
    assert parameters(pyramid) == 34_013_216
    assert running(pyramid) == 45_440
    assert parameters(pyramid.backbone) + running(pyramid.backbone) == 23_558_528
    counts = [parameters(layer) for layer in (pyramid.reduce[2], pyramid.p5, pyramid.reduce[1])]
    counts += [parameters(layer) for layer in (pyramid.p4, pyramid.reduce[0], pyramid.p3)]
    counts += [parameters(layer) for layer in (pyramid.p6, pyramid.p7)]
    assert counts == [524_544, 590_080, 262_400, 1_179_904, 131_328, 1_769_728, 4_718_848, 590_080]
    for layer in (*(head[2] for head in pyramid.heads), pyramid.classifier):
        assert 0.0007 < float(layer.weight.detach().std()) < 0.0014
        assert (layer.bias == 0).all()
    assert all(one.eps == 1.001e-5 for one in norms(pyramid))
    assert all(one.momentum == 0.01 for one in norms(pyramid))


def norms(module: Any) -> list[Any]:
    return [one for one in module.modules() if isinstance(one, torch.nn.BatchNorm2d)]


def test_pyramid_has_its_taps_and_levels(pyramid: Any) -> None:
    seen: dict[str, tuple[int, ...]] = {}
    watched = {"stem": pyramid.backbone.stem, "third": pyramid.backbone.stages[2][0].pre}
    watched |= {"fourth": pyramid.backbone.stages[3][0].pre, "fifth": pyramid.last_maps}
    hooks = [
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, tuple(out.shape[1:]))
        )
        for name, layer in watched.items()
    ]
    with torch.no_grad():
        levels = pyramid.pyramid(torch.rand(1, 1, 512, 512) * 3000)
        pairs = zip(pyramid.heads, levels, strict=True)
        ten = torch.cat([head(maps) for head, maps in pairs], 1)
        assert pyramid.classifier(ten).shape == (1, 2)
    for hook in hooks:
        hook.remove()
    assert seen["stem"] == (64, 256, 256)
    assert [seen["third"], seen["fourth"]] == [(512, 32, 32), (1024, 16, 16)]
    assert seen["fifth"] == (2048, 16, 16)
    shapes = [tuple(one.shape[1:]) for one in levels]
    assert shapes == [(256, 30, 30), (256, 14, 14), (256, 16, 16), (256, 8, 8), (256, 4, 4)]


def test_pool_pads_with_zeros_not_with_less() -> None:
    backbone = ctset.ResNet50V2()
    pooled = backbone.pool(torch.full((1, 1, 4, 4), -5.0))
    assert pooled[0, 0].tolist() == [[0, 0], [0, -5]]


def test_compared_networks() -> None:
    plain = ctset.build_network(ctset.NetworkConfig("resnet50v2"))
    assert parameters(plain) == 23_558_528 - 45_440 + 2 * 2049
    xception = ctset.build_network(ctset.NetworkConfig("xception")).eval()
    assert parameters(xception) == 20_810_474
    with torch.no_grad():
        assert xception(torch.zeros(2, 1, 96, 96)).shape == (2, 2)


def test_dead_heads_are_noticed_and_drawn_anew(pyramid: Any) -> None:
    levels = [torch.rand(2, count, 1, 1) for count in ctset.HEAD_INPUTS]

    def answers() -> Any:
        pairs = zip(pyramid.heads, levels, strict=True)
        return pyramid.classifier(torch.cat([head(maps) for head, maps in pairs], 1))

    with torch.no_grad():
        for head in pyramid.heads:
            head[2].bias.fill_(-1e9)
        assert ctset.answers_are_constant(answers())
        pyramid.draw_heads()
        assert not ctset.answers_are_constant(answers())
    assert not ctset.answers_are_constant(torch.zeros(1, 2))


def test_attention_of_a_linear_head_is_grad_cam(dense: Any) -> None:
    pictures = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        probabilities, features, attention = PooledAnswers(dense, 2.0)(pictures)
        logits = dense(pictures) / 2
    assert isinstance(answers_of(dense), PooledAnswers)
    assert attention.shape == (2, 2, 3, 2)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    torch.testing.assert_close(attention.sum((2, 3)) + dense.classifier.bias / 2, logits)
    for label in (0, 1):
        found = grad_cam(dense, pictures.clone(), label)
        torch.testing.assert_close(attention[:, label].clamp(min=0) * 2, found)
        weight = dense.classifier.weight[label].detach().numpy() / 6
        maps = dense.maps(pictures).detach().numpy()
        by_hand = np.maximum(np.einsum("k,nkij->nij", weight, maps), 0)
        np.testing.assert_allclose(found.numpy(), by_hand, rtol=1e-4, atol=1e-6)
    assert features.shape == (2, 1024)


class Crooked(torch.nn.Module):  # type: ignore[name-defined, misc]
    """A classifier whose head is not linear: other layers look at its last maps."""

    def __init__(self) -> None:
        super().__init__()
        self.last_maps = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3), torch.nn.Softplus())
        self.beside = torch.nn.Conv2d(6, 5, 3)
        self.head = torch.nn.Linear(5, 2)
        with torch.no_grad():  # so that the maps raise one of the logits
            self.beside.weight.abs_()
            self.head.weight[1].abs_()

    def forward(self, pictures: Any) -> Any:
        """Return logits."""
        inner = torch.tanh(self.beside(self.last_maps(pictures)))
        return self.head((inner**2).mean((2, 3)))


def test_grad_cam_agrees_with_finite_differences() -> None:
    """The mean gradient by a map is what a little more everywhere in the map does to the logit."""
    torch.manual_seed(1)
    network = Crooked().eval().double()
    pictures = torch.rand(1, 1, 9, 10, dtype=torch.float64)
    assert not isinstance(answers_of(network), PooledAnswers)
    with torch.no_grad():
        maps, before, weights = network.last_maps(pictures), network(pictures)[0], []
        for channel in range(6):
            more = torch.zeros_like(maps)
            more[:, channel] = 1e-6
            inner = torch.tanh(network.beside(maps + more))
            after = network.head((inner**2).mean((2, 3)))[0]
            weights.append((after - before) / 1e-6 / (7 * 8))
    wanted = torch.einsum("kl,kij->lij", torch.stack(weights), maps[0]).clamp(min=0)
    assert wanted.max() > 0
    for label in (0, 1):
        found = grad_cam(network, pictures, label)[0]
        torch.testing.assert_close(found, wanted[label], rtol=1e-4, atol=1e-9)


def test_grad_cam_wants_evaluation_mode_and_a_layer_in_use(dense: Any) -> None:
    with pytest.raises(ValueError, match="takes no part"):
        grad_cam(dense, torch.zeros(1, 3, 64, 64), 1, torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="evaluation mode"):
        grad_cam(covid_ct.DenseNetClassifier().train(), torch.zeros(1, 3, 64, 64), 1)


def test_contrast_loss_in_closed_form() -> None:
    one = torch.eye(4)[:2]
    queue = torch.eye(4)[2:]
    alone = contrast_loss(one, one, queue, 1.0)
    assert float(alone) == pytest.approx(np.log(np.e + 2) - 1)
    swapped = contrast_loss(one, one.flip(0), queue, 1.0)
    assert float(swapped) == pytest.approx(np.log(3))


def test_views_are_drawn_by_the_generator_alone() -> None:
    pictures = torch.rand(3, 1, 40, 50)
    views = [
        random_view(pictures, 32, ContrastConfig(), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert views[0].shape == (3, 1, 32, 32)
    assert 0 <= float(views[0].min()) <= float(views[0].max()) <= 1
    torch.testing.assert_close(views[0], views[1])
    assert not torch.allclose(views[0], views[2])


def test_pictures_are_learnt_without_labels() -> None:
    torch.manual_seed(0)
    config = ContrastConfig(queue=8, batch=4, momentum=0.9, area=(0.8, 1.0))
    classifier = covid_ct.DenseNetClassifier()
    contrast = MomentumContrast(classifier, config)
    head = classifier.classifier.weight.clone()
    first = classifier.body.conv0.weight.clone()
    behind = contrast.follower.classifier.body.conv0.weight.clone()
    pictures = torch.rand(6, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    losses = learn_without_labels(contrast, pictures, 2, torch.Generator().manual_seed(0), 32)
    assert len(losses) == 2
    assert all(np.isfinite(losses))
    assert not torch.equal(classifier.body.conv0.weight, first)
    assert not torch.equal(contrast.follower.classifier.body.conv0.weight, behind)
    assert torch.equal(classifier.classifier.weight, head)
    assert contrast.queue.shape == (8, 128)
    torch.testing.assert_close(contrast.queue.norm(dim=1), torch.ones(8))
