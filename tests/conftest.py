from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.segmenter import Segmenter

# The same examples on every machine; --hypothesis-profile=thorough looks for new ones.
settings.register_profile(
    "reproducible",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def make_card() -> Callable[..., ModelCard]:
    """Make cards of a small network with a small window."""
    from napari_clickseg.models.card import ModelCard, WindowSpec

    def make(
        *, size: int = 64, window: dict[str, float] | None = None, **fields: object
    ) -> ModelCard:
        known = {"name": "tiny", "architecture": "unet", "encoder": "mobilenet_v2"}
        spec = WindowSpec.model_validate({"size": size, "first_span": 256} | (window or {}))
        return ModelCard.model_validate(
            known
            | {"options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}}
            | fields
            | {"window": spec}
        )

    return make


@pytest.fixture(scope="session")
def random_segmenter(make_card: Callable[..., ModelCard]) -> Callable[..., Segmenter]:
    """Make segmenters whose network has two layers of random weights, by seed."""
    import torch
    from torch import nn

    from napari_clickseg.core.guidance import input_channels
    from napari_clickseg.segmenter import Segmenter

    def make(*, seed: int = 0, gain: float = 8.0, **fields: object) -> Segmenter:
        card = make_card(**fields)
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(input_channels(card.encoding, card.image_channels), 8, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, card.outputs, 5, padding=2),
        )
        with torch.no_grad():
            network[2].weight *= gain  # so that probabilities are not all near 0.5
        return Segmenter(network, card, device="cpu")

    return make


@pytest.fixture(scope="session")
def bright_segmenter(make_card: Callable[..., ModelCard]) -> Callable[..., Segmenter]:
    """Make segmenters that find what is brighter than half of the image's range."""
    from torch import Tensor, nn

    from napari_clickseg.segmenter import Segmenter

    class Bright(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return 20 * (inputs[:, :-3].mean(1, keepdim=True) - 0.5)

    def make(**fields: object) -> Segmenter:
        return Segmenter(Bright(), make_card(**fields), device="cpu")

    return make
