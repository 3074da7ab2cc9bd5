from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from napari_clickseg.engine.twin import fold_normalisation, quick_twin
from napari_clickseg.models.network import create


def example(channels: int = 6, size: int = 64) -> Tensor:
    return torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0))


def lively(network: nn.Module) -> nn.Module:
    """Give normalisation something to do: fresh statistics are 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias, module.running_var, module.weight):
                assert values is not None
                drawn = torch.rand(values.shape, generator=generator)
                values.data.copy_(drawn * 0.4 - 0.2 if values is module.bias else drawn * 0.5 + 0.7)
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "encoder", "options"),
    [
        ("unet", "tu-resnet10t", {"decoder_channels": [32, 16, 8, 8, 8]}),
        ("unet", "mobilenet_v2", {"decoder_channels": [32, 16, 8, 8, 8]}),
        ("fpn", "resnet18", {}),
        ("linknet", "densenet121", {}),
        ("unet", "tu-efficientnet_b0", {"decoder_channels": [32, 16, 8, 8, 8]}),
        ("segformer", "mit_b0", {}),
    ],
)
def test_folding_changes_no_answer(architecture: str, encoder: str, options: dict) -> None:
    network = lively(create(architecture, encoder, channels=6, classes=1, options=options))
    folded = fold_normalisation(copy.deepcopy(network))
    with torch.inference_mode():
        torch.testing.assert_close(folded(example()), network(example()), atol=2e-3, rtol=2e-3)


DTYPES = [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_twin_is_of_the_type_answers_alike_and_leaves_the_network_alone(
    dtype: torch.dtype,
) -> None:
    options = {"decoder_channels": [32, 16, 8, 8, 8]}
    network = lively(create("unet", "tu-resnet10t", channels=6, classes=1, options=options))
    before = copy.deepcopy(network.state_dict())
    twin = quick_twin(network, example(), dtype)
    assert twin is not None
    assert {p.dtype for p in twin.parameters()} == {dtype}
    count = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in twin.modules()) < count / 4
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


class Reversed(nn.Module):
    """Runs its modules in another order than that in which they are registered."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.conv(self.norm(inputs).relu()) * 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_is_no_twin_where_folding_would_be_wrong(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    assert quick_twin(lively(Reversed()), example(), dtype) is None


class Wide(nn.Module):
    """Needs the range of full precision, or an operation that knows nothing else."""

    def __init__(self, raises: bool) -> None:
        super().__init__()
        self.raises, self.norm = raises, nn.BatchNorm2d(6)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.raises and inputs.dtype != torch.float32:
            raise RuntimeError("not implemented for 'BFloat16'")
        return self.norm((inputs * 1000).round() - inputs * 1000) * 10


@pytest.mark.parametrize("raises", [True, False])
def test_there_is_no_twin_where_narrow_numbers_will_not_do(raises: bool) -> None:
    assert quick_twin(Wide(raises), example(), torch.bfloat16) is None
