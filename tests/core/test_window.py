from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.core.window import (
    Box,
    Window,
    first_window,
    object_window,
    resample,
    resampling_matrix,
)

LENGTHS = st.one_of(st.integers(1, 40), st.integers(1, 40_000))
SHAPES = st.tuples(LENGTHS, LENGTHS)
SIZES = st.integers(1, 32).map(lambda n: 32 * n)
SMALL = st.integers(1, 24)
SMALL_BOXES = st.builds(Box, st.integers(-3, 8), st.integers(-3, 8), SMALL, SMALL)


def boxes_in(shape: tuple[int, int]) -> st.SearchStrategy[Box]:
    def side(length: int) -> st.SearchStrategy[tuple[int, int]]:
        return st.tuples(st.integers(0, length - 1), st.integers(0, length - 1)).map(
            lambda ends: (min(ends), abs(ends[0] - ends[1]) + 1)
        )

    return st.tuples(side(shape[0]), side(shape[1])).map(
        lambda sides: Box(sides[0][0], sides[1][0], sides[0][1], sides[1][1])
    )


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], Window]:
    """An image's shape and a window chosen for a box in it."""
    shape = draw(SHAPES)
    box = draw(boxes_in(shape))
    smallest = draw(st.integers(8, 100))
    margin = draw(st.floats(1.0, 3.0))
    largest = draw(st.integers(smallest, 50_000))
    size = draw(SIZES)
    return shape, object_window(shape, box, size, margin=margin, smallest=smallest, largest=largest)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(y, x) for y in range(box.top, box.bottom) for x in range(box.left, box.right)}


# Boxes


@given(SMALL_BOXES, SMALL_BOXES)
def test_boxes_behave_as_the_sets_of_their_pixels(a: Box, b: Box) -> None:
    assert pixels(a.intersection(b)) == pixels(a) & pixels(b)
    assert a.contains(b) == (pixels(b) <= pixels(a))
    assert a.union(b) == Box.of_pixels(pixels(a) | pixels(b))
    assert a.area == len(pixels(a))
    assert pixels(a.shift(2, -3)) == {(y + 2, x - 3) for y, x in pixels(a)}


def test_an_empty_box_counts_for_nothing() -> None:
    empty, full = Box(5, 5, 0, 3), Box(1, 2, 3, 4)
    assert not empty
    assert full.union(empty) == empty.union(full) == full
    assert not full.intersection(empty)
    assert not Box.of_pixels([])
    assert not Box.of_mask(np.zeros((3, 4), bool))
    assert not Box.of_mask(np.zeros((0, 0), bool))
    assert not Box.from_edges(4, 4, 3, 3)


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 7)), min_size=1))
def test_the_box_of_a_mask_is_the_box_of_its_pixels(points: set[tuple[int, int]]) -> None:
    mask = np.zeros((12, 8), bool)
    mask[tuple(zip(*points, strict=True))] = True
    box = Box.of_mask(mask)
    assert box == Box.of_pixels(points)
    assert mask[box.slices].sum() == mask.sum()


# There and back


@given(windows(), st.data())
def test_every_pixel_maps_to_the_network_and_back_onto_itself(
    case: tuple[tuple[int, int], Window], data: st.DataObject
) -> None:
    shape, window = case
    row = data.draw(st.integers(0, shape[0] - 1))
    column = data.draw(st.integers(0, shape[1] - 1))
    y, x = window.to_image(*window.to_network(row, column))
    assert (round(y), round(x)) == (row, column)
    assert abs(y - row) < 1e-6
    assert abs(x - column) < 1e-6


@given(windows(), st.data())
def test_every_network_pixel_maps_to_the_image_and_back_onto_itself(
    case: tuple[tuple[int, int], Window], data: st.DataObject
) -> None:
    _, window = case
    place = st.integers(0, window.size - 1)
    row, column = data.draw(place), data.draw(place)
    y, x = window.to_network(*window.to_image(row, column))
    assert (round(y), round(x)) == (row, column)


@given(windows())
def test_the_windows_corners_are_the_networks_corners(
    case: tuple[tuple[int, int], Window],
) -> None:
    _, window = case
    top_left = window.to_network(window.top - 0.5, window.left - 0.5)
    bottom_right = window.to_network(window.box.bottom - 0.5, window.box.right - 0.5)
    assert top_left == pytest.approx((-0.5, -0.5))
    assert bottom_right == pytest.approx((window.size - 0.5, window.size - 0.5))


# Where a window lies


def assert_inside(window: Window, shape: tuple[int, int]) -> None:
    for start, length in zip((window.top, window.left), shape, strict=True):
        if window.span <= length:
            assert 0 <= start <= length - window.span
        else:
            assert start <= 0
            assert start + window.span >= length
            assert abs((start + window.span - length) + start) <= 1, "in the middle"


@given(windows())
def test_a_window_lies_in_the_image_where_it_fits(case: tuple[tuple[int, int], Window]) -> None:
    shape, window = case
    assert_inside(window, shape)


@given(SHAPES, st.data())
def test_the_object_window_holds_the_object_unless_that_is_larger_than_allowed(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    box = data.draw(boxes_in(shape))
    margin = data.draw(st.floats(1.0, 3.0))
    smallest, largest = data.draw(st.integers(8, 100)), data.draw(st.integers(32, 50_000))
    window = object_window(shape, box, 64, margin=margin, smallest=smallest, largest=largest)
    assert smallest <= window.span <= max(smallest, largest)
    if max(box.shape) <= max(smallest, largest):
        assert window.box.contains(box)
    if smallest < window.span < min(largest, max(shape)):
        assert window.span == math.ceil(max(box.shape) * margin)


@given(SHAPES, st.data())
def test_the_first_window_is_the_image_or_holds_the_position(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    position = [data.draw(st.floats(-0.499, n - 0.501)) for n in shape]
    span = data.draw(st.integers(1, 5000))
    window = first_window(shape, (position[0], position[1]), 64, span)
    assert_inside(window, shape)
    assert window.span == min(span, max(shape))
    pixel = Box(round(position[0]), round(position[1]), 1, 1)
    assert window.box.contains(pixel)
    if span >= max(shape):
        assert window.visible(shape) == Box(0, 0, *shape)


# Resampling

STRIDES = st.floats(0.01, 20)


@given(SMALL, SMALL, st.floats(-30, 30), STRIDES, st.booleans())
def test_each_sample_is_an_average(
    n_in: int, n_out: int, start: float, stride: float, clamp: bool
) -> None:
    """No weight is negative and they add up to one (or to nothing outside), so that
    probabilities stay probabilities."""
    matrix = resampling_matrix(n_in, n_out, start, stride, clamp).toarray()
    assert matrix.shape == (n_out, n_in)
    assert matrix.min() >= -1e-6
    centres = start + stride * np.arange(n_out)
    inside = (centres >= -0.5) & (centres < n_in - 0.5)
    np.testing.assert_allclose(matrix.sum(1), 1.0 if clamp else inside, atol=1e-5)


@given(st.floats(-3, 3), STRIDES)
def test_a_ramp_stays_the_same_ramp_at_any_stride(offset: float, stride: float) -> None:
    reach = math.ceil(stride) + 1
    n_out = 12
    n_in = math.ceil(reach * 2 + stride * n_out + 8)
    start = reach + 3 + offset
    matrix = resampling_matrix(n_in, n_out, start, stride, False).astype(np.float64)
    np.testing.assert_allclose(
        matrix @ np.arange(n_in), start + stride * np.arange(n_out), rtol=1e-5, atol=1e-4
    )


def test_a_sample_at_a_pixel_is_that_pixel() -> None:
    values = np.random.default_rng(0).random((7, 5, 3), np.float32)
    np.testing.assert_array_equal(resample(values, (7, 5), (0, 0), (1, 1)), values)
    np.testing.assert_array_equal(resample(values, (2, 3), (4, 1), (1, 1)), values[4:6, 1:4])


def test_beyond_the_ends_are_zeros_or_the_end_values() -> None:
    values = np.ones((3, 3), np.float32)
    inside = np.zeros((9, 9), np.float32)
    inside[3:6, 3:6] = 1
    np.testing.assert_array_equal(resample(values, (9, 9), (-3, -3), (1, 1)), inside)
    np.testing.assert_array_equal(resample(values, (9, 9), (-3, -3), (1, 1), clamp=True), 1)


def test_nothing_aliases_where_samples_get_sparser() -> None:
    """Every pixel counts: a checkerboard becomes its mean, not one of its colours."""
    y, x = np.mgrid[:90, :90]
    checks = ((y + x) % 2).astype(np.float32)
    coarse = resample(checks, (10, 10), (4, 4), (9, 9), clamp=True)
    np.testing.assert_allclose(coarse, 0.5, atol=0.02)


@given(windows(), st.data())
def test_the_way_back_reproduces_a_ramp(
    case: tuple[tuple[int, int], Window], data: st.DataObject
) -> None:
    """What the network says at a place is found at that place of the image."""
    shape, window = case
    slope = 1 / window.size
    rows, columns = np.mgrid[: window.size, : window.size].astype(np.float32) * slope
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    top = data.draw(st.integers(window.top, window.box.bottom))
    left = data.draw(st.integers(window.left, window.box.right))
    box = Box(top, left, height, width).intersection(window.visible(shape))
    if not box:
        return
    back_y, back_x = window.to_box(rows, box), window.to_box(columns, box)
    assert back_y.shape == box.shape
    margin = max(1.0, window.zoom) + 1
    for back, start, n, axis in (
        (back_y[:, 0], box.top, box.height, 0),
        (back_x[0], box.left, box.width, 1),
    ):
        expected = np.array([window.to_network(start + i, start + i)[axis] for i in range(n)])
        inner = (expected >= margin) & (expected <= window.size - 1 - margin)
        np.testing.assert_allclose(back[inner], expected[inner] * slope, atol=1e-4)


def test_outside_the_window_the_nearest_value_is_taken() -> None:
    window = Window(10, 10, 32, 32)
    values = np.zeros((32, 32), np.float32)
    values[0] = 1
    assert window.to_box(values, Box(0, 12, 5, 5)).min() == 1


@given(st.tuples(SMALL, SMALL), st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 60))
def test_a_window_covers_the_network_pixels_whose_centres_lie_in_the_image(
    shape: tuple[int, int], top: int, left: int, span: int
) -> None:
    window = Window(top, left, span, 32)
    covered = window.covers(shape)
    for row, column in [(0, 0), (5, 20), (31, 31), (16, 15)]:
        y, x = window.to_image(row, column)
        inside = -0.5 <= y < shape[0] - 0.5 and -0.5 <= x < shape[1] - 0.5
        assert covered[row, column] == inside
