"""A model whose answer depends on where windows end, and a picture for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.card import ModelCard, WindowSpec


class Surroundings(nn.Module):
    """Sees nine pixels each way, so that windows disagree where they end."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(outputs)
        self.look = nn.Conv2d(channels, outputs, 19, padding=9)
        self.runs = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        likely = self.look(x)
        return 40 * (likely - likely.mean(dim=(2, 3), keepdim=True))


def picture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, (5, 5, 0)[: len(shape)])
    return np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))


def model(classes: int = 2, **fields: Any) -> Segmenter:
    known: dict[str, Any] = {
        "name": "surroundings",
        "architecture": "unet",
        "encoder": "none",
        "encoding": "image",
        "image_channels": 1,
        "automatic": True,
        "classes": ("a", "b", "c")[:classes],
        "window": WindowSpec(size=64, zoom=1.0),
    }
    card = ModelCard(**known | fields)
    network = Surroundings(card.image_channels, card.outputs)
    return Segmenter(network, card, device="cpu", half=False)
