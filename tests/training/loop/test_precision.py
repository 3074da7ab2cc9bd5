"""Half precision in training, on a processor that is said to be quick at it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_clickseg.training.loop.optimising import Precision

CPU = torch.device("cpu")


@pytest.fixture
def precision(monkeypatch: pytest.MonkeyPatch) -> Precision:
    monkeypatch.setattr(
        "napari_clickseg.training.loop.optimising.quick_dtype", lambda _: torch.bfloat16
    )
    return Precision(CPU, wanted=True)


def test_convolutions_in_groups_run_in_full_and_others_in_half(precision: Precision) -> None:
    torch.manual_seed(0)
    image, whole, depthwise = (
        torch.randn(2, 8, 9, 9),
        torch.randn(8, 8, 3, 3),
        torch.randn(8, 1, 3, 3),
    )
    with precision.autocast():
        grouped = F.conv2d(image, depthwise, padding=1, groups=8)
        all_channels = F.conv2d(image, whole, padding=1)
    assert grouped.dtype == all_channels.dtype == torch.bfloat16
    exact = F.conv2d(image, depthwise, padding=1, groups=8)
    assert torch.equal(grouped, exact.bfloat16())
    assert not torch.equal(all_channels, F.conv2d(image, whole, padding=1).bfloat16())


def test_gradients_are_those_of_full_precision_but_for_rounding(precision: Precision) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 5, stride=2, groups=12), nn.Conv2d(12, 1, 1)
    )
    image = torch.randn(4, 3, 17, 17)
    network(image).square().mean().backward()
    exact = [parameter.grad for parameter in network.parameters()]
    network.zero_grad()
    with precision.autocast():
        answer = network(image)
    answer.float().square().mean().backward()
    for parameter, gradient in zip(network.parameters(), exact, strict=True):
        assert parameter.grad is not None
        assert gradient is not None
        assert parameter.grad.dtype == torch.float32
        torch.testing.assert_close(parameter.grad, gradient, rtol=0.05, atol=0.02)


def test_full_precision_where_half_is_not_wanted() -> None:
    network, image = nn.Conv2d(3, 4, 1), torch.randn(1, 3, 5, 5)
    with Precision(CPU, wanted=False).autocast():
        assert network(image).dtype == torch.float32
