from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_clickseg.models.network import create
from napari_clickseg.models.scaling import rescale

OPTIONS = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}


def grown(encoder: str = "resnet18", by: float = 8.0) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Return a network whose kernels have grown, with statistics to match, and its fresh ones."""
    torch.manual_seed(0)
    network = create("unet", encoder, channels=3, classes=1, options=OPTIONS)
    fresh = {name: value.detach().clone() for name, value in network.named_parameters()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.weight.data.mul_(by)
    network.train()
    with torch.no_grad():
        for _ in range(40):
            network(torch.rand(4, 3, 64, 64))
    return network.eval(), fresh


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "tu-resnet10t"])
def test_kernels_shrink_to_their_first_size_and_answers_stay(encoder: str) -> None:
    network, fresh = grown(encoder)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        assert rescale(network, fresh) > 10
        after = network(image)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
    sizes = {
        name: float(value.detach().square().mean() / fresh[name].square().mean())
        for name, value in network.named_parameters()
        if value.ndim == 4 and name.startswith("encoder")
    }
    assert max(sizes.values()) < 16  # of 64
    assert np.median(list(sizes.values())) == pytest.approx(1, rel=0.01)


def test_a_fresh_network_stays_as_it_is() -> None:
    network, fresh = grown(by=1.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert rescale(network, fresh) == 0
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_kernels_with_a_bias_or_without_normalisation_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, bias=False), nn.ReLU(),
        nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False),
    )  # fmt: skip
    fresh = {name: value / 3 for name, value in network.named_parameters()}
    network[5].running_var.fill_(10.0)
    assert rescale(network, fresh) == 1
    torch.testing.assert_close(network[4].weight, fresh["4.weight"])
    assert float(network[5].running_var[0]) == pytest.approx(10 / 9)


def test_the_variance_stays_large_beside_what_the_normalisation_adds() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    network[1].running_var.fill_(0.04)
    rescale(network, {"0.weight": network[0].weight.detach() / 1000})
    assert float(network[1].running_var[0]) == pytest.approx(0.01)
