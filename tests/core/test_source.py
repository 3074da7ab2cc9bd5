from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.core.intensity import measure
from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.core.window import Box, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEIGHT, WIDTH = 480, 720  # both divide by 8 and by 3


class Counting:
    """An array of any size that counts what is read of it."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint16") -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.read: list[tuple[int, ...]] = []

    def __getitem__(self, index: Any) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        spans = [range(n)[i] for n, i in zip(self.shape, index, strict=False)]
        shape = tuple(len(span) for span in spans) + self.shape[len(spans) :]
        self.read.append(shape)
        return np.ones(shape, self.dtype)

    @property
    def pixels(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.read)


def ramp(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (3.0 * y + 2.0 * x + 7.0)[:, :, None]


def block_means(image: np.ndarray, factor: int) -> np.ndarray:
    h, w, c = image.shape
    return image.reshape(h // factor, factor, w // factor, factor, c).mean((1, 3))


def seen(source: ImageSource, window: Window) -> np.ndarray:
    sample = source.read(window)
    assert sample is not None
    values = sample.values.astype(np.float32)
    return window.from_image(values, sample.origin, sample.step, source.shape)


# Geometry


@given(
    st.integers(-100, HEIGHT),
    st.integers(-100, WIDTH),
    st.integers(1, 1200),
    st.sampled_from([32, 64]),
    st.sampled_from([(), (2,), (2, 4, 8), (3,), (4, 24)]),
)
def test_a_ramp_is_seen_as_the_same_ramp_from_any_level_at_any_zoom(
    top: int, left: int, span: int, size: int, factors: Sequence[int]
) -> None:
    """What the network sees at a place is what the image has there, however it was read."""
    image = ramp(HEIGHT, WIDTH)
    source = ImageSource([image, *(block_means(image, factor) for factor in factors)])
    window = Window(top, left, span, size)
    if not window.visible(source.shape):
        assert source.read(window) is None
        return
    values = seen(source, window)[:, :, 0]
    places = np.arange(size)
    y = np.array([window.to_image(k, 0)[0] for k in places])[:, None]
    x = np.array([window.to_image(0, k)[1] for k in places])[None, :]
    far = 2 * max(1.0, span / size) + 2
    interior = ((y > far) & (y < HEIGHT - 1 - far)) & ((x > far) & (x < WIDTH - 1 - far))
    np.testing.assert_allclose(values[interior], (3 * y + 2 * x + 7)[interior], atol=0.02)


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(-200, 300),
    st.integers(-200, 300),
    st.integers(1, 900),
)
def test_the_network_sees_the_image_up_to_its_border_and_nothing_beyond(
    shape: tuple[int, int], top: int, left: int, span: int
) -> None:
    source = ImageSource(np.ones(shape, np.uint8))
    window = Window(top, left, span, 32)
    if window.visible(shape):
        covered = window.covers(shape).astype(np.float32)
        np.testing.assert_allclose(seen(source, window)[:, :, 0], covered, atol=1e-5)


def test_a_window_at_zoom_one_is_the_pixels_themselves() -> None:
    image = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    np.testing.assert_array_equal(seen(ImageSource(image), Window(7, 9, 64, 64)), image[7:71, 9:73])


# What is read


@pytest.mark.parametrize("span", [64, 300, 1024, 4096, 16_384])
def test_only_the_window_is_read_and_not_more_than_three_pixels_for_one(span: int) -> None:
    array = Counting((30_000, 30_000))
    ImageSource(array).read(Window(5000, 9000, span, 256))
    assert len(array.read) == 1
    densest = min(span + 2 * (span // 256 + 2) + 2, 6 * 256)
    assert array.pixels <= densest**2


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    levels = [Counting((8192 // f, 8192 // f)) for f in (1, 2, 4, 8)]
    source = ImageSource(levels)
    for span, read in [(256, 0), (511, 0), (512, 1), (1500, 2), (8192, 3)]:
        source.read(Window(0, 0, span, 256))
        assert [bool(level.read) for level in levels] == [i == read for i in range(4)]
        for level in levels:
            level.read.clear()


def test_of_a_dask_array_only_the_chunks_of_the_window_are_computed() -> None:
    computed: list[int] = []

    def block(values: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        computed.append(1)
        return np.full(values.shape, block_id[0], np.uint8)

    lazy = da.zeros((10_000, 10_000), chunks=500, dtype=np.uint8).map_blocks(
        block, dtype=np.uint8, meta=np.zeros((0, 0), np.uint8)
    )
    source = ImageSource(lazy)
    assert computed == []
    assert source.read(Window(2600, 2600, 256, 256)) is not None
    assert len(computed) == 1
    source.sample()
    assert len(computed) <= 1 + 4 * 16


def test_numpy_dask_and_zarr_are_read_alike() -> None:
    image = np.random.default_rng(1).integers(0, 4000, (700, 900, 4), np.uint16)
    stored = zarr.create_array({}, shape=image.shape, chunks=(128, 128, 4), dtype=image.dtype)
    stored[:] = image
    sources = [ImageSource(a) for a in (image, da.from_array(image, chunks=128), stored)]
    for window in (Window(20, 30, 100, 256), Window(-50, -50, 1000, 64)):
        first, *others = (source.read(window) for source in sources)
        assert first is not None
        for other in others:
            assert other is not None
            assert (other.origin, other.step) == (first.origin, first.step)
            assert other.values.dtype == np.uint16
            np.testing.assert_array_equal(other.values, first.values)
    for source in sources[1:]:
        np.testing.assert_array_equal(source.sample(), sources[0].sample())
        np.testing.assert_array_equal(source.read_all(), image)
        box = Box(3, 4, 5, 6)
        np.testing.assert_array_equal(source.read_box(box), image[box.slices])


# The sample


def test_a_small_image_is_sampled_whole() -> None:
    image = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(ImageSource(image).sample(), image.reshape(-1, 1))


@pytest.mark.parametrize(
    "shape", [(30_000, 30_000), (30_000, 50), (1, 2_000_000), (5000, 5000, 32)]
)
def test_a_large_image_is_sampled_in_a_few_blocks(shape: tuple[int, ...]) -> None:
    array = Counting(shape)
    channels = shape[2] if len(shape) == 3 else 1
    sample = ImageSource(array).sample()
    assert len(array.read) <= 16
    assert sample.shape[1] == channels
    assert 200 <= len(sample) <= 1024**2


def test_the_sample_is_spread_over_the_whole_image() -> None:
    """Of a slide with an empty border the tissue in the middle is what counts."""
    slide = np.zeros((4000, 4000), np.uint8)
    slide[1000:3000, 1000:3000] = 100
    share = (ImageSource(slide).sample() > 0).mean()
    assert 0.15 < share < 0.35


def test_a_pyramid_is_sampled_at_a_coarse_level() -> None:
    levels = [Counting((n, n)) for n in (40_000, 4000, 400, 40)]
    ImageSource(levels).sample()
    assert [level.pixels for level in levels] == [0, 0, 400 * 400, 0]


# What an image is


@pytest.mark.parametrize(
    ("shape", "dtype", "rgb", "colour", "channels"),
    [
        ((5, 6), "uint8", None, False, 1),
        ((5, 6, 1), "uint8", None, False, 1),
        ((5, 6, 2), "uint8", None, False, 2),
        ((5, 6, 3), "uint8", None, True, 3),
        ((5, 6, 4), "uint8", None, True, 3),
        ((5, 6, 3), "uint8", False, False, 3),
        ((5, 6, 4), "uint8", False, False, 4),
        ((5, 6, 3), "uint16", None, False, 3),
        ((5, 6, 4), "float32", True, True, 3),
        ((5, 6, 32), "float64", None, False, 32),
    ],
)
def test_colour_is_8_bit_or_what_the_caller_says(
    shape: tuple[int, ...], dtype: str, rgb: bool | None, colour: bool, channels: int
) -> None:
    source = ImageSource(np.ones(shape, dtype), rgb=rgb)
    assert (source.shape, source.rgb, source.channels) == ((5, 6), colour, channels)
    assert source.read_all().shape == (5, 6, channels)
    assert source.sample().shape == (30, channels)


def test_alpha_is_left_out_and_said_so() -> None:
    image = np.arange(4 * 5 * 4, dtype=np.uint8).reshape(4, 5, 4)
    source = ImageSource(image)
    np.testing.assert_array_equal(source.read_all(), image[..., :3])
    (notice,) = source.notices
    assert "alpha" in notice
    assert "\n" not in notice
    assert ImageSource(image, rgb=False).notices == ()


def test_a_grey_image_stored_in_colour_is_recognised() -> None:
    grey = np.repeat(np.arange(30, dtype=np.uint8).reshape(5, 6, 1), 3, axis=2)
    coloured = grey.copy()
    coloured[2, 2, 1] += 1
    assert ImageSource(grey).is_grey()
    assert not ImageSource(coloured).is_grey()
    assert not ImageSource(grey[..., 0]).is_grey()


class Levels(list):  # type: ignore[type-arg]
    """A list with the shape of its first level, as napari's multiscale data is."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self[0].shape

    dtype = np.dtype("uint8")


@pytest.mark.parametrize("kind", [list, tuple, Levels])
def test_a_pyramid_is_any_sequence_of_arrays(kind: Callable[..., Any]) -> None:
    source = ImageSource(kind([np.zeros((64, 64)), np.ones((16, 16))]))
    assert source.shape == (64, 64)
    assert seen(source, Window(0, 0, 64, 16)).min() == 1


def test_nested_lists_and_tensors_are_images_too() -> None:
    import torch

    rows = [[0, 1, 2], [3, 4, 5]]
    for image in (rows, torch.tensor(rows)):
        np.testing.assert_array_equal(ImageSource(image).read_all()[:, :, 0], rows)


@pytest.mark.parametrize(
    "levels",
    [
        [(16, 16), (32, 32)],
        [(16, 16, 3), (8, 8)],
        [(16, 16, 3), (8, 8, 2)],
        [(16, 16), (8, 17)],
    ],
)
def test_levels_that_do_not_fit_each_other_are_refused(levels: list[tuple[int, ...]]) -> None:
    with pytest.raises(ImageError, match=r"levels don't fit each other .* finest first"):
        ImageSource([np.zeros(shape) for shape in levels])


def test_what_is_masked_decides_no_intensity():
    values = np.random.default_rng(0).integers(0, 200, (64, 64)).astype(np.uint16)
    hidden = np.zeros(values.shape, bool)
    hidden[:9] = True
    spoilt = np.where(hidden, 60_000, values).astype(np.uint16)
    source = ImageSource(np.ma.masked_array(spoilt, hidden))
    assert measure(source).high[0] <= values[~hidden].max()
    assert np.isnan(source.read_all()[hidden]).all()
    assert np.array_equal(source.read_all()[~hidden][:, 0], values[~hidden])
    plain = ImageSource(np.ma.masked_array(values))
    assert plain.dtype == np.uint16


def test_masked_colours_are_colours():
    values = np.zeros((9, 9, 3), np.uint8)
    hidden = np.zeros(values.shape, bool)
    hidden[0] = True
    assert ImageSource(np.ma.masked_array(values, hidden)).rgb


def test_a_dask_array_of_unknown_size_says_what_to_call():
    image = da.from_array(np.zeros((64, 64), np.uint8), chunks=32)
    image = image[image.mean(axis=1) >= 0]
    with pytest.raises(ImageError, match=r"compute_chunk_sizes\(\)"):
        ImageSource(image)
    image.compute_chunk_sizes()
    assert ImageSource(image).shape == (64, 64)


def test_too_much_is_not_read_at_once():
    image = np.broadcast_to(np.zeros((), np.uint8), (1_000_000, 1_000_000))
    with pytest.raises(ImageError, match="too many to be read at once"):
        ImageSource(image).read_all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_what_is_masked_in_chunks_of_a_dask_array_is_missing(dtype: type) -> None:
    values = np.ma.masked_greater(np.arange(64).reshape(8, 8).astype(dtype), 50)
    source = ImageSource(da.from_array(values, chunks=4))
    pixels = source.read_all()[:, :, 0]
    np.testing.assert_array_equal(
        pixels, np.where(np.arange(64).reshape(8, 8) > 50, np.nan, values)
    )
