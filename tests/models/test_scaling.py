from __future__ import annotations

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
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(
                module.weight, 0.5, 1.5
            )  # some are 0 at first, which hides what is wrong
            module.momentum = 0.5
    network.train()
    with torch.no_grad():
        for _ in range(8):
            network(torch.rand(4, 3, 64, 64))
    return network.eval(), fresh


@pytest.mark.parametrize(
    ("encoder", "least"),
    [("resnet18", 15), ("mobilenet_v2", 20), ("tu-resnet10t", 13), ("densenet121", 24),
     ("tu-res2net50_26w_4s", 40)],
)  # fmt: skip
def test_kernels_shrink_to_their_first_size_and_answers_stay(encoder: str, least: int) -> None:
    network, fresh = grown(encoder)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        changed = rescale(network, fresh, torch.rand(1, 3, 64, 64))
        after = network(image)
    spread = float(before.std())
    torch.testing.assert_close(after, before, rtol=0.01, atol=0.01 * spread)
    sizes = [
        float(value.detach().square().mean() / fresh[name].square().mean())
        for name, value in network.named_parameters()
        if value.ndim == 4 and name.startswith("encoder")
    ]
    assert changed > least
    assert sum(size < 40 for size in sizes) >= changed - 6  # of 64; six are the decoder's
    assert sum(size == pytest.approx(1, rel=0.01) for size in sizes) > 0.4 * changed


def test_a_fresh_network_stays_as_it_is() -> None:
    network, fresh = grown(by=1.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert rescale(network, fresh, torch.rand(1, 3, 64, 64)) == 0
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_kernels_with_a_bias_or_without_normalisation_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, bias=False), nn.ReLU(),
        nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False),
    ).eval()  # fmt: skip
    fresh = {name: value.detach() / 3 for name, value in network.named_parameters()}
    network[5].running_var.fill_(10.0)
    assert rescale(network, fresh, torch.rand(1, 3, 16, 16)) == 1
    torch.testing.assert_close(network[4].weight.detach(), fresh["4.weight"])
    assert float(network[5].running_var[0]) == pytest.approx(10 / 9)


def test_the_variance_stays_large_beside_what_the_normalisation_adds() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
    network[1].running_var.fill_(0.04)
    rescale(network, {"0.weight": network[0].weight.detach() / 1000}, torch.rand(1, 3, 8, 8))
    assert float(network[1].running_var[0]) == pytest.approx(0.01)


class Odd(nn.Module):
    """Uses what a kernel answers twice, in a way that no module shows."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer = self.kernel(inputs)
        return self.norm(answer) + answer


def test_a_network_that_would_answer_otherwise_is_left_as_it_was() -> None:
    network = Odd().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fresh = {"kernel.weight": network.kernel.weight.detach() / 5}
    assert rescale(network, fresh, torch.rand(1, 3, 8, 8) * 9) == 0
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
