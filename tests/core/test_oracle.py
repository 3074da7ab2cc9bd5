from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.oracle import IGNORE, jittered, next_click

SHAPE = (9, 11)
MASKS = hnp.arrays(bool, SHAPE)
PLACES = st.builds(Click, st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.booleans())


def depth(error: np.ndarray, row: int, column: int) -> float:
    """Distance to the nearest pixel that is not in error, the padding of one pixel included."""
    height, width = error.shape
    outside = [
        (y, x)
        for y in range(-1, height + 1)
        for x in range(-1, width + 1)
        if not (0 <= y < height and 0 <= x < width and error[y, x])
    ]
    return min(math.hypot(y - row, x - column) for y, x in outside)


def protocol(
    prediction: np.ndarray, truth: np.ndarray, clicked: set[tuple[int, int]], counts: np.ndarray
) -> tuple[int, int, bool] | None:
    """The field's protocol, pixel by pixel."""
    best: dict[bool, tuple[float, int, int]] = {True: (0, -1, -1), False: (0, -1, -1)}
    for positive in (True, False):
        error = (truth & ~prediction if positive else prediction & ~truth) & counts
        for row, column in np.ndindex(error.shape):  # raster order: the first maximum stays
            if error[row, column] and (row, column) not in clicked:
                distance = depth(error, row, column)
                if distance > best[positive][0]:
                    best[positive] = (distance, row, column)
    positive = best[True][0] > best[False][0]
    distance, row, column = best[positive]
    return (row, column, positive) if distance > 0 else None


@given(MASKS, MASKS, st.lists(PLACES, max_size=6), st.one_of(st.none(), MASKS))
def test_the_next_click_is_the_protocols(
    prediction: np.ndarray,
    truth: np.ndarray,
    clicks: list[Click],
    ignore: np.ndarray | None,
) -> None:
    counts = np.ones(SHAPE, bool) if ignore is None else ~ignore
    expected = protocol(prediction, truth, {click.pixel for click in clicks}, counts)
    click = next_click(prediction, truth, clicks, ignore=ignore)
    assert (click and (*click.pixel, click.positive)) == expected


def block(*slices: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    for index in slices:
        mask[index] = True
    return mask


def test_a_tie_is_answered_with_a_negative_click() -> None:
    truth = block((slice(2, 7), slice(2, 7)))
    prediction = block((slice(2, 7), slice(20, 25)))
    assert next_click(prediction, truth) == Click(4, 22, False)


def test_the_image_ends_where_the_error_ends() -> None:
    """An object at the border is clicked in its middle, not at the border."""
    truth = block((slice(0, 5), slice(0, 5)))
    assert next_click(np.zeros_like(truth), truth) == Click(2, 2, True)


def test_a_pixel_that_was_clicked_is_not_clicked_again() -> None:
    truth = block((slice(0, 5), slice(0, 5)))
    second = next_click(np.zeros_like(truth), truth, [Click(2, 2)])
    assert second == Click(1, 1, True)


def test_ignored_pixels_count_neither_way() -> None:
    truth = np.zeros((20, 30), np.uint8)
    truth[3:6, 3:6] = 1
    truth[10:19, 10:29] = IGNORE
    ignore = truth == IGNORE
    prediction = block((slice(10, 19), slice(10, 20)))
    click = next_click(prediction, truth == 1, ignore=ignore)
    assert click == Click(4, 4, True)
    assert next_click(prediction | (truth == 1), truth == 1, ignore=ignore) is None


def test_where_nothing_is_wrong_there_is_no_click() -> None:
    truth = block((slice(2, 7), slice(2, 7)))
    assert next_click(truth, truth) is None
    assert next_click(np.zeros((0, 4), bool), np.zeros((0, 4), bool)) is None
    single = np.ones((1, 1), bool)
    assert next_click(~single, single) == Click(0, 0, True)
    assert next_click(~single, single, [Click(0, 0)]) is None


@pytest.mark.parametrize("sigma", [0.0, 2.0, 50.0])
def test_jitter_stays_inside_the_error_and_keeps_the_polarity(sigma: float) -> None:
    truth = block((slice(2, 14), slice(2, 14)))
    prediction = block((slice(8, 20), slice(8, 28)))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for click, error in (
            (Click(4, 4, True), truth & ~prediction),
            (Click(15, 20, False), prediction & ~truth),
        ):
            moved = jittered(click, prediction, truth, rng, sigma=sigma)
            assert moved.positive == click.positive
            assert error[moved.pixel]
            assert moved == click or sigma > 0


def test_jitter_is_as_wide_as_asked_and_decided_by_the_seed() -> None:
    truth = np.ones((101, 101), bool)
    nothing, middle = np.zeros_like(truth), Click(50, 50)
    rng = np.random.default_rng(0)
    moved = [jittered(middle, nothing, truth, rng, sigma=3) for _ in range(800)]
    assert np.std([click.y for click in moved]) == pytest.approx(3, rel=0.1)
    assert np.std([click.x for click in moved]) == pytest.approx(3, rel=0.1)
    again = np.random.default_rng(0)
    assert jittered(middle, nothing, truth, again, sigma=3) == moved[0]
