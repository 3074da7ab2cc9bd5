from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.core.guidance import (
    LIKENESS,
    GuidanceError,
    encode,
    input_channels,
    likeness,
    stamp,
)

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20))
RADII = st.floats(0, 6)


def disk(shape: tuple[int, int], row: int, column: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - row, x - column) <= radius


@given(SHAPES, st.data(), RADII)
def test_a_click_in_the_window_is_never_lost(
    shape: tuple[int, int], data: st.DataObject, radius: float
) -> None:
    """Not in row 0, not in column 0, not in the last ones, and not with the smallest radius."""
    row = data.draw(st.integers(0, shape[0] - 1))
    column = data.draw(st.integers(0, shape[1] - 1))
    off_y, off_x = data.draw(st.floats(-0.49, 0.49)), data.draw(st.floats(-0.49, 0.49))
    canvas = np.zeros(shape, np.float32)
    stamp(canvas, [(row + off_y, column + off_x)], radius)
    assert canvas[row, column] == 1


@given(SHAPES, st.lists(st.tuples(st.integers(-15, 30), st.integers(-15, 30))), RADII)
def test_a_stamp_is_the_disks_and_nothing_else_wherever_they_lie(
    shape: tuple[int, int], positions: list[tuple[int, int]], radius: float
) -> None:
    canvas = np.zeros(shape, np.uint8)
    stamp(canvas, positions, radius)
    expected = np.zeros(shape, bool)
    for row, column in positions:
        expected |= disk(shape, row, column, radius)
    np.testing.assert_array_equal(canvas, expected)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels_are_image_then_positive_then_negative_then_previous(channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((channels, 16, 16), np.float32)
    previous = rng.random((16, 16), np.float32)
    out = encode(image, [(0, 0), (8, 9)], [(15, 3)], previous, encoding="channels", radius=2.5)
    assert out.shape == (input_channels("channels", channels), 16, 16)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[:channels], image)
    np.testing.assert_array_equal(out[-3], disk((16, 16), 0, 0, 2.5) | disk((16, 16), 8, 9, 2.5))
    np.testing.assert_array_equal(out[-2], disk((16, 16), 15, 3, 2.5))
    np.testing.assert_array_equal(out[-1], previous)


def test_without_a_previous_mask_its_channel_is_zero() -> None:
    out = encode(np.ones((1, 8, 8), np.float32), [], [], None, encoding="channels", radius=3)
    assert out[1:].max() == 0


@pytest.mark.parametrize("radius", [0.0, 4.0])
def test_colour_is_image_in_blue_and_clicks_as_squares_of_three_in_green_and_red(
    radius: float,
) -> None:
    image = np.random.default_rng(0).random((1, 12, 12), np.float32)
    out = encode(
        image,
        [(0.3, 0.4), (5, 6)],
        [(11, 11)],
        np.ones((12, 12), np.float32),
        encoding="colour",
        radius=radius,
    )
    green, red = np.zeros((12, 12)), np.zeros((12, 12))
    green[:2, :2] = green[4:7, 5:8] = red[10:, 10:] = 1
    np.testing.assert_array_equal(out, [red, green, image[0]])


@pytest.mark.parametrize("encoding", ["channels", "likeness", "colour"])
@pytest.mark.parametrize("far", [(-3, 5), (5, -3), (-40, -40), (14, 5), (5, 90)])
def test_a_click_outside_the_window_leaves_no_mark_in_it(
    encoding: str, far: tuple[float, float]
) -> None:
    image = np.zeros((1, 12, 12), np.float32)
    out = encode(image, [far], [far], None, encoding=encoding, radius=1.0)  # type: ignore[arg-type]
    assert out.max() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_likeness_comes_after_what_channels_give(channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((channels, 16, 16), np.float32)
    previous = rng.random((16, 16), np.float32)
    clicks = [(0.0, 0.0), (8.0, 9.0)], [(15.0, 3.0)]
    out = encode(image, *clicks, previous, encoding="likeness", radius=2.5)
    plain = encode(image, *clicks, previous, encoding="channels", radius=2.5)
    assert out.shape == (input_channels("likeness", channels), 16, 16)
    np.testing.assert_array_equal(out[: channels + 3], plain)
    assert out.shape[0] == channels + 3 + LIKENESS
    np.testing.assert_array_equal(out[channels + 3 : channels + 5], likeness(image, clicks[0]))
    np.testing.assert_array_equal(out[channels + 5 :], likeness(image, clicks[1]))


def test_likeness_tells_the_clicked_colours_from_others() -> None:
    image = np.full((3, 40, 60), 0.2, np.float32)
    image[0, :, 20:40], image[1, :, 40:] = 0.8, 0.9
    one, two = likeness(image, [(20, 30)]), likeness(image, [(20, 30), (3, 55)])
    for drawn in (one, two):
        assert drawn.dtype == np.float32
        np.testing.assert_allclose(drawn[:, :, 26:34], 1, atol=1e-6)
        assert drawn[:, :, :14].max() < 0.2
        assert ((drawn >= 0) & (drawn <= 1)).all()
    assert one[:, :, 46:].max() < 0.2
    np.testing.assert_allclose(two[:, :, 46:54], 1, atol=1e-6)


def test_the_colour_encoding_has_room_for_one_image_channel() -> None:
    assert input_channels("colour", 1) == 3
    with pytest.raises(GuidanceError, match="takes one image channel, not 3; choose one"):
        input_channels("colour", 3)
    with pytest.raises(GuidanceError, match="takes one image channel"):
        encode(np.zeros((2, 8, 8), np.float32), [], [], None, encoding="colour", radius=1)


def test_a_task_model_is_shown_the_image_alone() -> None:
    image = np.random.default_rng(0).random((2, 8, 8), np.float32)
    assert input_channels("image", 2) == 2
    shown = encode(image, [(3, 3)], [(1, 1)], image[0], encoding="image", radius=2)
    np.testing.assert_array_equal(shown, image)
