"""A first click may mean the nucleus or the cell; a key goes from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Segmenter


def cell() -> np.ndarray:
    image = np.zeros((400, 400), np.uint8)
    image[150:250, 150:250] = 110
    image[180:220, 180:220] = 250
    return image


def opened(make_bench: Callable[..., Any], segmenter: Callable[[], Segmenter]) -> Any:
    bench = make_bench(model=None, load=lambda *_: segmenter())
    bench.open(cell())
    return bench


def test_a_key_goes_to_the_next_reading_and_back(
    make_bench: Callable[..., Any], nested_segmenter: Callable[[], Segmenter]
) -> None:
    bench = opened(make_bench, nested_segmenter)
    bench.click(200, 200)
    assert (bench.state.reading, bench.state.readings) == (0, 2)
    first = bench.mask
    bench.do("reading")
    assert bench.state.reading == 1
    second = bench.mask
    assert abs(int(first.sum()) - int(second.sum())) > 5000
    bench.do("reading")
    np.testing.assert_array_equal(bench.mask, first)
    bench.do("reading_back")
    np.testing.assert_array_equal(bench.mask, second)


def test_the_reading_is_a_step_and_is_what_is_accepted(
    make_bench: Callable[..., Any], nested_segmenter: Callable[[], Segmenter]
) -> None:
    bench = opened(make_bench, nested_segmenter)
    bench.click(200, 200)
    first = bench.mask
    bench.do("reading")
    second = bench.mask
    bench.do("undo")
    np.testing.assert_array_equal(bench.mask, first)
    bench.do("redo")
    np.testing.assert_array_equal(bench.mask, second)
    bench.do("accept")
    np.testing.assert_array_equal(bench.labels > 0, second)
    assert bench.state.readings == 1
    bench.click(200, 200)
    assert bench.state.reading == 0, "the next object begins with the most plausible one"


def test_where_there_is_one_reading_it_is_said(
    make_bench: Callable[..., Any], nested_segmenter: Callable[[], Segmenter]
) -> None:
    bench = opened(make_bench, nested_segmenter)
    bench.do("reading")
    assert "one object only" in bench.state.message
    assert not bench.state.can_undo
