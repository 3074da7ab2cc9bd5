"""A tile's classes are those of the whole image, whichever tile asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.core.mosaic import whole_window
from napari_clickseg.core.window import Box
from napari_clickseg.engine import inference
from napari_clickseg.engine.imagewise import predict_unclicked
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.slides.class_tiles import ClassTiles, doubt_of
from napari_clickseg.models.card import WindowSpec
from tests.engine.slides.surroundings import Surroundings, model, picture

if TYPE_CHECKING:
    from napari_clickseg.engine.segmenter import Segmenter


def tiles(segmenter: Segmenter, image: Any, **options: Any) -> ClassTiles:
    session = segmenter.start(image)
    looking = Estimator(segmenter.card, session.source, session.intensity, segmenter.look)
    return ClassTiles(looking, **options)


def boxes(shape: tuple[int, int], rows: list[int], columns: list[int]) -> list[Box]:
    edges = [[0, *cuts, n] for cuts, n in zip((rows, columns), shape, strict=True)]
    return [
        Box.from_edges(top, left, bottom, right)
        for top, bottom in zip(edges[0], edges[0][1:], strict=False)
        for left, right in zip(edges[1], edges[1][1:], strict=False)
    ]


@pytest.mark.parametrize(
    ("zoom", "fields"),
    [
        (1.0, {}),
        (0.6, {}),
        (0.22, {}),
        (1.7, {"classes": 1}),
        (None, {}),
        (1.0, {"overlapping": True}),
    ],
)
def test_tiles_in_any_order_are_the_image_predicted_in_one_go(
    zoom: float | None, fields: dict[str, Any]
) -> None:
    image = picture((230, 310))
    segmenter = model(window=WindowSpec(size=64, zoom=zoom), **fields)
    whole, unsure = predict_unclicked(segmenter, image)
    assert len(np.unique(whole)) > 1, "there is something to be found"
    asked = tiles(segmenter, image, kept=0)
    joined = np.full(image.shape, 255, np.uint8)
    sums = []
    for box in reversed(boxes(image.shape, [7, 100, 101], [128, 200])):
        tile = asked.look(box)
        joined[box.slices] = tile.labels
        sums.append((tile.unsure, tile.pixels, tile.highest))
    np.testing.assert_array_equal(joined, whole)
    total = np.array(sums)
    in_tiles = doubt_of(total[:, 0].sum(), int(total[:, 1].sum()), total[:, 2].max())
    assert in_tiles == pytest.approx(unsure, rel=1e-5)


def test_an_image_beyond_what_is_predicted_in_one_go_keeps_its_zoom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert whole_window((64, 64 * 66), 1.0, 256).zoom < 1
    image, segmenter = picture((64, 700)), model(window=WindowSpec(size=256, zoom=1.0))
    sees = tiles(segmenter, image)
    assert (sees.window.zoom, sees.window.size) == (1.0, 700)
    monkeypatch.setattr(inference, "whole_window", partial(whole_window, largest=500))
    lowered, _ = predict_unclicked(segmenter, image)
    monkeypatch.setattr(inference, "whole_window", partial(whole_window, largest=None))
    whole, _ = predict_unclicked(segmenter, image)
    assert (lowered != whole).any()
    box = Box(0, 150, 64, 300)
    np.testing.assert_array_equal(sees.look(box).labels, whole[box.slices])


def test_each_window_is_asked_once_while_its_neighbours_need_it() -> None:
    image, segmenter = picture((200, 200)), model()
    network = segmenter.network
    assert isinstance(network, Surroundings)
    network.runs = 0
    predict_unclicked(segmenter, image)
    in_one_go, network.runs = network.runs, 0
    asked = tiles(segmenter, image)
    for box in boxes(image.shape, [70, 140], [70, 140]):
        asked.look(box)
    assert network.runs == in_one_go
