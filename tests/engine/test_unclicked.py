"""Models that predict without clicks: task models, and click models of one class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.card import ModelCard, WindowSpec


class Bands(nn.Module):
    """Finds the first class where the image is bright, the second where it is in between."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        bright = (x[:, :1] - 0.8) * 60
        middle = (0.2 - (x[:, :1] - 0.5).abs()) * 60
        background = torch.zeros_like(bright)
        parts = {1: [bright], 2: [bright, middle], 3: [background, bright, middle]}
        return torch.cat(parts[self.outputs], 1)


def card(**fields: Any) -> ModelCard:
    known: dict[str, Any] = {
        "name": "bands",
        "architecture": "unet",
        "encoder": "none",
        "encoding": "image",
        "image_channels": 1,
        "automatic": True,
        "classes": ("bright", "middle"),
        "window": WindowSpec(size=64, zoom=1.0),
    }
    return ModelCard(**known | fields)


@pytest.fixture
def image() -> np.ndarray:
    out = np.zeros((150, 200), np.uint8)
    out[20:60, 30:90] = 255
    out[100:140, 120:190] = 128
    return out


@pytest.mark.parametrize("overlapping", [False, True])
def test_a_task_model_finds_its_classes_in_the_whole_image(
    image: np.ndarray, overlapping: bool
) -> None:
    known = card(overlapping=overlapping)
    assert known.outputs == (2 if overlapping else 3)
    network = Bands(known.outputs)
    session = Segmenter(network, known, device="cpu", half=False).start(image)
    network.seen.clear()
    labels = session.predict().labels
    truth = np.select([image == 255, image == 128], [1, 2])
    assert (labels == truth).mean() > 0.99
    assert {tuple(x.shape) for x in network.seen} == {(1, 1, 64, 64)}
    assert len(network.seen) == 16, "4 × 4 windows that overlap"


def test_clicks_tell_a_task_model_nothing_new(image: np.ndarray) -> None:
    network = Bands(3)
    session = Segmenter(network, card(), device="cpu", half=False).start(image)
    before = session.predict().labels
    network.seen.clear()
    session.click(40, 60)
    assert (session.predict().labels == before).all()
    assert not network.seen
    start = np.zeros(image.shape, bool)
    start[:5] = True
    session.start_from(start)
    assert (session.predict().mask == start).all(), "a starting mask is kept as it is"


def test_a_small_image_is_seen_at_the_same_zoom() -> None:
    network = Bands(3)
    segmenter = Segmenter(network, card(), device="cpu", half=False)
    network.seen.clear()
    small = np.zeros((20, 30), np.uint8)
    small[5:15, 5:15] = 255
    assert (segmenter.start(small).predict().labels == (small > 0)).all()
    assert int((network.seen[-1] > 0.5).sum()) == 100


def test_a_click_model_of_one_class_begins_without_clicks_and_is_corrected(
    image: np.ndarray,
) -> None:
    """After the look at the whole image it looks at the object, in a window of its own size."""
    known = card(encoding="channels", classes=("bright",))
    network = Bands(1)
    session = Segmenter(network, known, device="cpu", half=False).start(image)
    assert (session.predict().mask == (image == 255)).mean() > 0.99
    network.seen.clear()
    session.click(40, 60)
    session.predict()
    assert network.seen
    assert {x.shape[-1] for x in network.seen} == {64}
    assert any(x[0, 1].any() for x in network.seen), "the click"
    assert any(x[0, 3].any() for x in network.seen), "what was found before"


@pytest.mark.parametrize(
    "fields",
    [{"automatic": False}, {"class_ids": (4,)}, {"window": {"size": 64, "zoom": 0.0}}],
)
def test_cards_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"clicks|ids|greater"):
        card(**fields)
