"""The optimiser of small networks against the library's and its own laws."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.optim import AdamW, Optimizer  # noqa: E402

from groundglass.systems.optimisers import Muon, orthogonalised  # noqa: E402


class _Net(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(3, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.head(torch.relu(self.kernel(maps)))


def _net() -> _Net:
    torch.manual_seed(3)
    return _Net()


def _steps(network: nn.Module, optimiser: Optimizer, numbers: range) -> None:
    for number in numbers:
        maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        optimiser.zero_grad()
        (network(maps) - maps[:, :2]).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("shape", [(12, 27), (40, 9), (16, 16)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = (left.T @ orthogonalised(matrix) @ right.T).numpy()
    assert np.all((np.diag(inner) > 0.3) & (np.diag(inner) < 1.4))
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 0.12


def test_zeros_stay_zeros() -> None:
    assert not orthogonalised(torch.zeros(4, 7)).any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")
def test_kernels_move_as_the_librarys_matrices_do() -> None:
    network = _net()
    flat = nn.Parameter(network.kernel.weight.detach().flatten(1).clone())
    reference = torch.optim.Muon(
        [flat], lr=0.01, weight_decay=0.03, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    ours = Muon(network, 0.01, 0.03)
    for number in range(4):
        slope = torch.randn(12, 3, 3, 3, generator=torch.Generator().manual_seed(number))
        network.kernel.weight.grad, flat.grad = slope.clone(), slope.flatten(1).clone()
        ours.step()
        reference.step()
    moved = network.kernel.weight.detach().flatten(1)
    assert float((moved - _net().kernel.weight.detach().flatten(1)).abs().max()) > 0.005
    torch.testing.assert_close(moved, flat.detach(), rtol=0, atol=1e-6)


def test_all_else_moves_as_by_adamw() -> None:
    network = _net()
    twin = copy.deepcopy(network)
    ours = Muon(network, 0.01, 0.03)
    theirs = AdamW(twin.parameters(), lr=0.01, weight_decay=0.03)
    for number in range(3):
        for one, other in zip(network.parameters(), twin.parameters(), strict=True):
            generator = torch.Generator().manual_seed(number)
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        ours.step()
        theirs.step()
    for name in ("kernel.bias", "head.weight", "head.bias"):
        torch.testing.assert_close(network.get_parameter(name), twin.get_parameter(name))
    assert not torch.equal(network.kernel.weight, twin.kernel.weight)


def test_goes_on_from_its_state_to_the_same_weights() -> None:
    whole = _net()
    _steps(whole, Muon(whole, 0.01, 0.03), range(6))
    first = _net()
    before = Muon(first, 0.01, 0.03)
    _steps(first, before, range(3))
    second = _net()
    second.load_state_dict(first.state_dict())
    after = Muon(second, 0.01, 0.03)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    _steps(second, after, range(3, 6))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_kernel_without_gradient_stays() -> None:
    network = _net()
    kept = network.kernel.weight.detach().clone()
    network.head.weight.grad = torch.ones_like(network.head.weight)
    Muon(network, 0.01, 0.03).step()
    assert torch.equal(network.kernel.weight, kept)
