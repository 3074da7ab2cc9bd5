"""Objects divided by clicks and merged: nothing is lost and nothing is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_clickseg.engine.dividing import divided, merged
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.metrics import iou

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Segmenter


@pytest.mark.parametrize("seed", range(6))
def test_parts_make_up_the_object_and_each_holds_its_click(
    seed: int, random_segmenter: Callable[..., Segmenter]
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (50, 60)).astype(np.uint8)
    mask = gaussian_filter(rng.normal(size=(50, 60)), 4) > 0  # several pieces
    at = rng.permutation(np.argwhere(mask))[: 2 + seed % 3]
    clicks = [(float(y), float(x)) for y, x in at]
    parts = divided(random_segmenter(seed=seed), image, mask, clicks)
    assert np.array_equal(parts > 0, mask)
    assert [parts[tuple(one)] for one in at] == list(range(1, len(at) + 1))


def test_two_cells_that_were_taken_for_one_are_divided_where_they_meet() -> None:
    y, x = np.mgrid[:120, :160]
    one, other = np.hypot(y - 60, x - 55) < 28, np.hypot(y - 60, x - 105) < 28
    other &= ~one
    rim = np.exp(-((np.abs(np.hypot(y - 60, x - 55) - 28)) ** 2) / 6)
    image = 40 + 90.0 * (one | other) + 60 * (rim * (one | other))
    image = gaussian_filter(image, 1) + np.random.default_rng(0).normal(0, 3, image.shape)
    shown = image.clip(0, 255).astype(np.uint8)
    parts = divided(load_segmenter("default", "cpu"), shown, one | other, [(60, 50), (60, 115)])
    assert iou(parts == 1, one) > 0.8 and iou(parts == 2, other) > 0.8


@pytest.mark.parametrize(
    "clicks", [[], [(5.0, 5.0)], [(5.0, 5.0), (5.2, 5.1)], [(5, 5), (39, 3)], [(5, 5), (5, 99)]]
)
def test_clicks_that_do_not_part_an_object_are_refused(
    clicks: Any, random_segmenter: Callable[..., Segmenter]
) -> None:
    mask = np.zeros((40, 40), bool)
    mask[:20] = True
    with pytest.raises(ValueError, match="click on two parts"):
        divided(random_segmenter(), np.zeros((40, 40), np.uint8), mask, clicks)


def test_a_model_that_takes_no_clicks_divides_nothing(
    random_segmenter: Callable[..., Segmenter],
) -> None:
    blind = random_segmenter(encoding="image", automatic=True)
    with pytest.raises(ValueError, match="takes no clicks"):
        divided(blind, np.zeros((9, 9), np.uint8), np.ones((9, 9), bool), [(1, 1), (7, 7)])


def test_merged_objects_have_the_lowest_id_and_the_others_stay() -> None:
    labels = np.array([[5, 5, 0], [9, 2, 7]], np.uint8)
    change = merged(labels, [9, 5])
    assert change.tolist() == [[5, 5, 0], [5, 2, 7]] and change.dtype == np.uint8
    assert labels[1, 0] == 9
    for ids in ([5], [5, 5], [5, 4], [0, 5]):
        with pytest.raises(ValueError, match="choose two or more"):
            merged(labels, ids)
