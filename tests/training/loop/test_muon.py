from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from napari_clickseg.training.loop.muon import ConvolutionalMuon, orthogonalised


def network(layout: torch.memory_format = torch.channels_last) -> nn.Sequential:
    torch.manual_seed(0)
    some = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1))
    return some.to(memory_format=layout)


def learn(some: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    wanted = images[:, :1, 1:-1, 1:-1]
    loss = torch.tensor(0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (some(images) - wanted).square().mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_it_learns_whatever_the_kernels_layout(layout: torch.memory_format) -> None:
    some = network(layout)
    optimizer = ConvolutionalMuon(some.parameters(), lr=1e-2, weight_decay=0.0)
    first = learn(some, optimizer, 1)
    assert learn(some, optimizer, 60) < 0.2 * first


def test_the_layout_of_kernels_changes_nothing_but_the_order_of_sums() -> None:
    made = []
    for layout in (torch.channels_last, torch.contiguous_format):
        some = network(layout)
        learn(some, ConvolutionalMuon(some.parameters(), lr=1e-2, weight_decay=0.0), 3)
        made.append(next(some.parameters()).detach())
    torch.testing.assert_close(made[0].contiguous(), made[1].contiguous(), atol=1e-4, rtol=1e-3)


def test_a_step_along_a_kernel_is_nearly_orthogonal() -> None:
    some = network()
    kernel = next(some.parameters())
    before = kernel.detach().clone()
    learn(some, ConvolutionalMuon(some.parameters(), lr=1e-2, weight_decay=0.0), 1)
    step = (kernel.detach() - before).reshape(8, -1)
    sizes = torch.linalg.svdvals(step)
    assert float(sizes.max() / sizes.min()) < 3  # a gradient's usually differ by hundreds


def test_groups_have_rates_of_their_own_and_what_has_no_gradient_stays() -> None:
    some = network()
    first, norm, last = (list(layer.parameters()) for layer in some)
    last[0].requires_grad_(False)
    groups: list[dict[str, Any]] = [{"params": first, "lr": 0.0}, {"params": [*norm, *last]}]
    optimizer = ConvolutionalMuon(groups, lr=1e-2, weight_decay=0.0)
    before = [p.detach().clone() for p in some.parameters()]
    learn(some, optimizer, 2)
    same = [torch.equal(p, old) for p, old in zip(some.parameters(), before, strict=True)]
    assert same == [True, True, False, False, True, False]
    optimizer.param_groups[0]["lr"] = 1e-2
    learn(some, optimizer, 1)
    assert not torch.equal(first[0], before[0])


def test_it_goes_on_from_its_state_as_if_it_had_not_been_interrupted() -> None:
    whole, parted = network(), network()
    one = ConvolutionalMuon(whole.parameters(), lr=1e-2, weight_decay=1e-2)
    learn(whole, one, 6)
    first = ConvolutionalMuon(parted.parameters(), lr=1e-2, weight_decay=1e-2)
    learn(parted, first, 3)
    second = ConvolutionalMuon(parted.parameters(), lr=1e-2, weight_decay=1e-2)
    second.load_state_dict(first.state_dict())
    learn(parted, second, 3)
    for a, b in zip(whole.parameters(), parted.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16), (64, 576)])
def test_singular_vectors_stay_and_singular_values_become_about_one(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ orthogonalised(matrix) @ right.T
    sizes = inner.diagonal()
    assert float(sizes.min()) > 0.2  # of square matrices the smallest are near zero
    assert float(sizes.max()) < 1.25
    torch.testing.assert_close(inner, torch.diag(sizes), atol=1e-4, rtol=0)


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_steps_are_as_long_as_those_of_adamw() -> None:
    some = network()
    kernel = next(some.parameters())
    before = kernel.detach().clone()
    learn(some, ConvolutionalMuon(some.parameters(), lr=1e-2, weight_decay=0.0), 1)
    length = float((kernel.detach() - before).square().mean().sqrt())
    assert 0.1 * 1e-2 < length < 0.3 * 1e-2
