"""The network and the loss of COVID-Rate are the published ones."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from groundglass.systems.covid_rate.losses import (  # noqa: E402
    LossConfig,
    covid_rate_loss,
    focal_tversky,
    tversky_index,
    weighted_entropy,
)
from groundglass.systems.covid_rate.network import (  # noqa: E402
    CovidRateNetwork,
    NetworkConfig,
    SameConv,
    SqueezeExcite,
    count_numbers,
)


def small() -> NetworkConfig:
    return NetworkConfig(widths=(8, 8, 8, 16, 16), decoder_widths=(16, 16, 8, 8), squeeze=4)


def test_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        network = CovidRateNetwork()
    assert count_numbers(network) == (14_390_049, 14_380_833)


@pytest.mark.parametrize("side", [64, 128])
def test_the_answer_has_the_shape_of_the_slice(side: int) -> None:
    network = CovidRateNetwork(small()).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, side, side)).shape == (2, 1, side, side)


def test_full_size_slices_pass_in_full_width() -> None:
    with torch.device("meta"):
        assert CovidRateNetwork()(torch.zeros(1, 1, 512, 512)).shape == (1, 1, 512, 512)


def test_padding_at_stride_two_is_below_and_right() -> None:
    assert SameConv(1, 1, 3, stride=2).ends == (0, 1)
    assert SameConv(1, 1, 3, dilation=8).ends == (8, 8)
    assert SameConv(1, 1, 7).ends == (3, 3)
    assert SameConv(1, 1, 1, stride=2).ends == (0, 0)


def test_squeeze_and_excite_gains_lie_between_one_and_two() -> None:
    maps = torch.rand(3, 16, 5, 5) + 0.1
    gains = SqueezeExcite(16, 4)(maps) / maps
    assert bool((gains >= 1).all() and (gains <= 2).all())


def test_the_loss_of_the_worked_example() -> None:
    labels = torch.tensor([1.0, 0, 1, 0], dtype=torch.float64)
    shares = torch.tensor([0.8, 0.1, 0.4, 0.3], dtype=torch.float64)
    logits = torch.logit(shares)
    config = LossConfig(lesion_weight=2)
    plain = LossConfig(lesion_weight=0)
    assert float(weighted_entropy(logits, labels, plain)) == pytest.approx(0.400367, abs=1e-6)
    assert float(weighted_entropy(logits, labels, config)) == pytest.approx(0.970085, abs=1e-6)
    assert float(tversky_index(shares, labels, config)) == pytest.approx(0.638298, abs=1e-6)
    assert float(focal_tversky(shares, labels, config)) == pytest.approx(0.466405, abs=1e-6)
    assert float(covid_rate_loss(logits, labels, config)) == pytest.approx(1.436490, abs=1e-6)


def test_the_loss_of_a_perfect_answer_is_finite_with_its_gradient() -> None:
    logits = torch.full((4,), 80.0, requires_grad=True)
    covid_rate_loss(logits, torch.ones(4)).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_the_penalty_is_that_of_the_context_kernels() -> None:
    network = CovidRateNetwork(small())
    with torch.no_grad():
        for way in network.neck.ways:
            way.weight.fill_(1.0)
    kernels = 16 * 16 * (1 + 4 * 9)
    assert float(network.penalty().detach()) == pytest.approx(0.01 * kernels)
