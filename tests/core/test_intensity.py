from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_clickseg.core.intensity import Intensity, measure, to_channels
from napari_clickseg.core.source import ImageError, ImageSource

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64", "longdouble"]


def normalised(image: np.ndarray, **how: Any) -> np.ndarray:
    source = ImageSource(image, **how)
    return measure(source).apply(source.read_all())


def is_normal(values: np.ndarray) -> bool:
    return values.dtype == np.float32 and bool(((values >= 0) & (values <= 1)).all())


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
def test_any_real_image_fills_the_networks_range(dtype: str) -> None:
    gradient = np.arange(120).reshape(10, 12)
    image = (gradient > 60) if dtype == "bool" else gradient.astype(dtype)
    values = normalised(image)[:, :, 0]
    assert is_normal(values)
    assert (values[0, :4].max(), values[-1, -4:].min()) == (0, 1)
    assert (np.diff(values.ravel()) >= 0).all()


@given(
    st.sampled_from([*INTEGERS, "bool", "float16", "float32", "float64"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 3])),
        )
    )
)
def test_no_image_whatever_its_values_becomes_anything_but_0_to_1(image: np.ndarray) -> None:
    """Extremes, subnormal numbers, NaN and infinities included."""
    values = normalised(image)
    assert values.shape == image.shape
    assert is_normal(values)


@pytest.mark.parametrize(
    "value", [0, 7, -7, 1e-300, 2.0**24, 1e10, -1e10, 2.0**60, 1e300, sys.float_info.max]
)
@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_a_constant_image_is_black(value: float, dtype: str) -> None:
    if dtype == "int64":
        value = max(min(value, 2.0**60), -(2.0**60))
    if dtype == "float32" and value > 1e30:
        value = float(np.finfo(np.float32).max)
    image = np.full((6, 7), value).astype(dtype)
    assert (normalised(image) == 0).all() or value == sys.float_info.max
    assert is_normal(normalised(image))


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_is_black_and_infinities_are_the_ends(dtype: str) -> None:
    image = np.arange(100.0).reshape(10, 10).astype(dtype)
    plain = normalised(image)
    image[4, 4:7] = np.nan, np.inf, -np.inf
    values = normalised(image)[:, :, 0]
    assert values[4, 4:7].tolist() == [0, 1, 0]
    assert is_normal(values)
    rest = np.ones((10, 10), bool)
    rest[4, 4:7] = False
    np.testing.assert_allclose(values[rest], plain[:, :, 0][rest], atol=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_without_any_number_is_no_error(bad: float) -> None:
    assert is_normal(normalised(np.full((5, 5), bad)))


@pytest.mark.parametrize("side", [3, 8, 64, 1024, 1500])
@pytest.mark.parametrize("hot", [65_535, 0])
def test_a_hot_or_dead_pixel_changes_nothing(side: int, hot: int) -> None:
    """Each limit stays, or moves to the next of the image's own intensities."""
    image = np.random.default_rng(0).integers(1000, 1200, (side, side), np.uint16)
    damaged = image.copy()
    damaged[side // 2, side // 2] = hot
    before, after = measure(ImageSource(image)), measure(ImageSource(damaged))
    present = np.unique(image).tolist()
    for old, new in ((before.low, after.low), (before.high, after.high)):
        assert abs(present.index(new[0]) - present.index(old[0])) <= 1


def test_a_hot_pixel_does_not_hide_a_small_object_on_a_plain_background() -> None:
    image = np.zeros((256, 256), np.uint16)
    image[100:105, 100:105] = 200
    image[7, 7] = 65_535
    assert measure(ImageSource(image)) == Intensity((0.0,), (200.0,))


def test_what_differs_least_is_still_seen() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[3, 3] = 9
    assert measure(ImageSource(image)) == Intensity((0.0,), (9.0,))


def test_the_limits_are_the_chosen_percentiles() -> None:
    image = np.random.default_rng(0).permutation(10_000).reshape(100, 100)
    assert measure(ImageSource(image), trim=0.02) == Intensity((200.0,), (9799.0,))


def test_a_large_images_limits_are_those_of_its_sample() -> None:
    """Reading it whole would take minutes; a sample says nearly the same."""
    rng = np.random.default_rng(0)
    image = rng.normal(1000, 50, (3000, 3000)).astype(np.float32)
    intensity = measure(ImageSource(image))
    low, high = np.quantile(image, [0.001, 0.999])
    assert abs(intensity.low[0] - low) < 5
    assert abs(intensity.high[0] - high) < 5


def test_colours_share_their_limits_and_other_channels_do_not() -> None:
    rng = np.random.default_rng(0)
    image = np.stack([rng.integers(10 * c, 10 * c + 50, (40, 40)) for c in range(3)], 2)
    image = image.astype(np.uint8)
    joint, apart = measure(ImageSource(image)), measure(ImageSource(image, rgb=False))
    assert len(set(joint.low)) == len(set(joint.high)) == 1
    assert apart.low[0] < apart.low[1] < apart.low[2]
    assert (joint.low[0], joint.high[0]) == (apart.low[0], apart.high[2])


def test_the_same_pixel_is_the_same_in_every_window() -> None:
    image = np.random.default_rng(0).integers(0, 4000, (60, 60, 5)).astype(np.uint16)
    source = ImageSource(image)
    intensity = measure(source)
    whole = intensity.apply(source.read_all())
    np.testing.assert_array_equal(intensity.apply(image[10:20, 30:50]), whole[10:20, 30:50])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_limits_map_linearly(dtype: str) -> None:
    intensity = Intensity.from_limits((20, 120), 2)
    pixels = np.array([[[0, 20], [45, 70], [120, 125]]], dtype)
    expected = [[[0, 0], [0.25, 0.5], [1, 1]]]
    np.testing.assert_allclose(intensity.apply(pixels), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("share", ["largest", "smallest"])
def test_the_whole_range_of_a_float_can_be_used(dtype: str, share: str) -> None:
    """The distance between the largest numbers is itself too large for their dtype."""
    limits = np.finfo(dtype)
    end = limits.max if share == "largest" else limits.smallest_subnormal * 100
    image = np.array([[[-end], [-end / 2], [0], [end / 2], [end]]], dtype)
    values = Intensity((float(-end),), (float(end),)).apply(image)
    np.testing.assert_allclose(values.ravel(), [0, 0.25, 0.5, 0.75, 1], atol=0.01)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_limits_that_are_equal_are_no_error(dtype: str) -> None:
    pixels = np.array([[[4], [5], [6]]], dtype)
    assert Intensity((5.0,), (5.0,)).apply(pixels).ravel().tolist() == [0, 0, 1]


def test_large_numbers_keep_their_differences() -> None:
    """float32 cannot tell 2**30 from 2**30 + 1, so such images are worked on in float64."""
    image = 2**30 + np.arange(100).reshape(10, 10)
    values = normalised(image.astype(np.int64))
    np.testing.assert_allclose(values, normalised(image - 2**30), atol=1e-6)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (math.nan, 1), (0, math.inf), (-math.inf, 0)])
def test_contrast_limits_are_two_rising_numbers(limits: tuple[float, float]) -> None:
    with pytest.raises(ImageError, match="must be two rising numbers"):
        Intensity.from_limits(limits, 1)


def test_applying_leaves_the_image_alone() -> None:
    image = np.random.default_rng(0).random((5, 5, 1), np.float32)
    before = image.copy()
    Intensity((0.2,), (0.7,)).apply(image)
    np.testing.assert_array_equal(image, before)


# Channels


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("have", range(1, 33))
def test_any_number_of_channels_fits_any_network(have: int, count: int) -> None:
    values = np.random.default_rng(have).random((4, 5, have), np.float32)
    fitted = to_channels(values, count)
    assert fitted.shape == (4, 5, count)
    assert is_normal(fitted)
    if have >= count:
        # Every channel counts, in order: a change of any of them changes exactly one output.
        for channel in range(have):
            changed = values.copy()
            changed[:, :, channel] += 1
            moved = np.abs(to_channels(changed, count) - fitted).max((0, 1)) > 1e-3
            assert moved.sum() == 1
    else:
        np.testing.assert_array_equal(fitted[:, :, :have], values)
        np.testing.assert_allclose(
            fitted[:, :, have:], np.repeat(values.mean(2, keepdims=True), count - have, 2)
        )


def test_one_channel_is_repeated() -> None:
    values = np.random.default_rng(0).random((4, 5, 1), np.float32)
    np.testing.assert_array_equal(to_channels(values, 3), np.repeat(values, 3, 2))
