"""A model that needs no click answers as soon as an image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Segmenter

INSIDE, OUTSIDE = (30, 30), (80, 100)


@pytest.fixture
def lesion() -> np.ndarray:
    """A bright square on black, uint8 (96, 128)."""
    image = np.zeros((96, 128), np.uint8)
    image[20:44, 20:50] = 220
    return image


@pytest.fixture
def alone(make_bench: Callable[..., Any], bright_segmenter: Callable[..., Segmenter]) -> Any:
    """A user whose model finds what is bright, without a click."""
    made = {"automatic": True, "window": {"zoom": 1.0}}
    return make_bench(model=None, load=lambda *_: bright_segmenter(**made))


def test_it_is_shown_at_once_and_accepted_without_a_click(alone: Any, lesion: np.ndarray) -> None:
    alone.open(lesion)
    assert np.array_equal(alone.mask, lesion > 0)
    alone.do("accept")
    assert np.array_equal(alone.labels > 0, lesion > 0)
    assert alone.mask is None, "the next object begins with a click"
    alone.do("undo")
    assert not alone.labels.any() and np.array_equal(alone.mask, lesion > 0)


def test_clicks_correct_it(alone: Any, lesion: np.ndarray) -> None:
    alone.open(lesion)
    alone.click(*INSIDE, positive=False)
    alone.click(*OUTSIDE)
    assert not alone.mask[INSIDE] and alone.mask[OUTSIDE]
    alone.do("undo"), alone.do("undo")
    assert np.array_equal(alone.mask, lesion > 0)


def test_what_was_skipped_stays_away_until_it_is_cleared(alone: Any, lesion: np.ndarray) -> None:
    alone.open(lesion)
    alone.do("skip")
    assert alone.mask is None
    alone.click(*INSIDE)
    assert alone.mask is not None
    alone.do("clear")
    assert np.array_equal(alone.mask, lesion > 0)


def test_each_plane_of_a_stack_is_predicted_when_it_is_shown(
    alone: Any, lesion: np.ndarray
) -> None:
    alone.open(np.stack([lesion, lesion.T[:96, :96].repeat(2, 1)[:, :128]]))
    alone.viewer.dims.set_point(0, 0)
    alone.settle()
    first = alone.mask
    alone.viewer.dims.set_point(0, 1)
    alone.settle()
    assert first is not None and not np.array_equal(alone.mask, first)


def test_a_huge_plane_is_not_predicted_before_a_click(
    alone: Any, lesion: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clickseg._napari.annotate.answers._LARGE", lesion.size - 1)
    alone.open(lesion)
    assert alone.mask is None
    alone.click(*INSIDE)
    assert alone.mask[INSIDE]
