"""The image as a session reads it: any array, and of it only the window that is needed.

numpy, dask and zarr arrays and lists of them (a multiscale pyramid, finest first) are taken as
they are; a window is cut out before anything is converted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box, Window

MAX_CHANNELS = 32
_WHOLE = 2 * 1024**3  # bytes that are read at once, at the most
_DENSEST = 3  # pixels read for one network pixel, at the most
_SAMPLE_BLOCKS = 4  # blocks a side that a large image is sampled with
_SAMPLE_SIDE = 256


class ImageError(ValueError):
    """An image that cannot be worked on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PixelSample:
    """Pixels cut from the image.

    Parameters
    ----------
    values : array (h, w, C)
        In the image's dtype.
    origin : (float, float)
        Position of the first pixel, y and x in image pixels.
    step : (float, float)
        Distance between neighbouring pixels, in image pixels.
    """

    values: npt.NDArray[Any]
    origin: tuple[float, float]
    step: tuple[float, float]


class ImageSource:
    """One plane of an image, possibly with channels, possibly lazy, possibly multiscale.

    Parameters
    ----------
    data : array or sequence of arrays
        (Y, X) or (Y, X, C) of a real dtype; a list is a pyramid, finest level first.
    rgb : bool, optional
        Whether the last axis holds red, green, blue (and alpha, which is left out). By default
        8-bit images with three or four channels count as colour.

    Of a masked array, or a dask array of such, what is masked counts as missing (NaN).

    Raises
    ------
    ImageError
        If the image is empty, complex, of unknown size, has more than 32 channels or other axes
        than these, or the levels of a pyramid don't fit each other.
    """

    def __init__(self, data: Any, *, rgb: bool | None = None) -> None:
        given = [_as_array(level) for level in (data if _is_pyramid(data) else [data])]
        if not given:
            raise ImageError("The image is empty; open one that has pixels.")
        levels = [_unmasked(level) for level in given]
        for finer, level in zip([levels[0], *levels], levels, strict=False):
            _check(level)
            _check_order(finer, level)
        self._levels = levels
        self.dtype: np.dtype[Any] = np.dtype(levels[0].dtype)
        self.shape: tuple[int, int] = (int(levels[0].shape[0]), int(levels[0].shape[1]))
        stored = int(levels[0].shape[2]) if len(levels[0].shape) == 3 else 1
        if rgb is None:
            rgb = stored in (3, 4) and np.dtype(given[0].dtype) == np.uint8
        if rgb and stored not in (3, 4):
            raise ImageError(
                f"A colour image has 3 or 4 channels, not {stored}; give it as not RGB."
            )
        self.rgb = rgb
        self.channels = 3 if rgb else stored
        self.notices = self._notices(stored)

    def _notices(self, stored: int) -> tuple[str, ...]:
        notices = []
        if self.rgb and stored == 4:
            notices.append(
                "The image's fourth channel is taken for alpha and left out; if it is not alpha, "
                "give the image as not RGB."
            )
        if self.dtype == np.bool_:
            notices.append(
                "The image is boolean and is used as 0 and 1; if it is a mask, choose it as the "
                "starting mask and open the image itself."
            )
        if self.shape == (1, 1):
            notices.append("The image is a single pixel; open a larger one to outline objects.")
        return tuple(notices)

    def sample(self) -> npt.NDArray[Any]:
        """Return pixels (n, C) that stand for the whole image; a large image is not read whole.

        Small images come whole; of large ones blocks on a fixed grid of the coarsest level that
        is not smaller than a block.
        """
        level = self._levels[0]
        for coarser in self._levels[1:]:
            if min(coarser.shape[:2]) >= _SAMPLE_SIDE:
                level = coarser
        height, width = int(level.shape[0]), int(level.shape[1])
        side = _SAMPLE_SIDE * _SAMPLE_BLOCKS
        if height * width <= side * side:
            return self._channels(np.asarray(level[:])).reshape(-1, self.channels)
        blocks = []
        for top in _starts(height):
            for left in _starts(width):
                part = np.asarray(level[top : top + _SAMPLE_SIDE, left : left + _SAMPLE_SIDE])
                blocks.append(self._channels(part).reshape(-1, self.channels))
        return np.concatenate(blocks)

    def is_grey(self) -> bool:
        """Whether this is a colour image without colours, as far as its sample shows."""
        if not self.rgb:
            return False
        sample = self.sample()
        return bool((sample == sample[:, :1]).all())

    def read(self, window: Window, part: Box | None = None) -> PixelSample | None:
        """Read what `window` shows of the image, subsampled where it shows very much.

        Parameters
        ----------
        window : Window
            What is looked at.
        part : Box, optional
            Only what these network pixels of it are made of. The pixels are those that are read
            of the whole window, whichever part is asked for.

        Returns
        -------
        PixelSample or None
            None where the window lies outside the image.
        """
        zoomed_out = window.span / window.size
        level, factors = self._level_for(zoomed_out)
        visible = window.visible(self.shape)
        if not visible:
            return None
        # One pixel more on every side, for the interpolation at the border.
        pad = math.ceil(zoomed_out) + 1
        edges = [
            (max(0, math.floor((start - pad) / f)), min(n, math.ceil((stop + pad) / f) + 1))
            for start, stop, f, n in (
                (visible.top, visible.bottom, factors[0], int(level.shape[0])),
                (visible.left, visible.right, factors[1], int(level.shape[1])),
            )
        ]
        strides = [max(1, math.floor(zoomed_out / f / _DENSEST)) for f in factors]
        index = tuple(
            slice(start + (stride // 2 if stop - start > stride // 2 else 0), stop, stride)
            for (start, stop), stride in zip(edges, strides, strict=True)
        )
        if part is not None:
            index = _narrowed(index, window, part, factors)
        values = self._channels(np.asarray(level[index]))
        origin = tuple((i.start + 0.5) * f - 0.5 for i, f in zip(index, factors, strict=True))
        step = tuple(stride * f for stride, f in zip(strides, factors, strict=True))
        return PixelSample(values, (origin[0], origin[1]), (step[0], step[1]))

    def read_all(self) -> npt.NDArray[Any]:
        """Read the whole image (Y, X, C) at full resolution."""
        return self.read_box(Box(0, 0, *self.shape))

    def read_box(self, box: Box) -> npt.NDArray[Any]:
        """Read the pixels (h, w, C) of a box at full resolution.

        Raises
        ------
        ImageError
            If they are too many for that.
        """
        height, width = (part.stop - part.start for part in box.slices)
        if height * width * self.channels * self.dtype.itemsize > _WHOLE:
            raise ImageError(
                f"{height:,} × {width:,} pixels of the image are too many to be read at once; cut "
                "out the part that is needed."
            )
        return self._channels(np.asarray(self._levels[0][box.slices]))

    def _level_for(self, zoomed_out: float) -> tuple[Any, tuple[float, float]]:
        """Return the coarsest level that still has a pixel for each network pixel, and factors."""
        best, factors = self._levels[0], (1.0, 1.0)
        for level in self._levels[1:]:
            candidate = (self.shape[0] / level.shape[0], self.shape[1] / level.shape[1])
            if max(candidate) <= zoomed_out:
                best, factors = level, candidate
        return best, factors

    def _channels(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values[:, :, None] if values.ndim == 2 else values[:, :, : self.channels]


def _narrowed(
    index: tuple[slice, ...], window: Window, part: Box, factors: Sequence[float]
) -> tuple[slice, ...]:
    """Return those of the pixels read of a window that a part of it is resampled from."""
    ends = window.to_image(part.top, part.left), window.to_image(part.bottom - 1, part.right - 1)
    out = []
    for each, first, last, f in zip(index, *ends, factors, strict=True):
        count = len(range(each.start, each.stop, each.step))
        origin, step = (each.start + 0.5) * f - 0.5, each.step * f
        reach = math.ceil(max(1.0, window.span / window.size / step)) + 2
        start = min(max(0, math.floor((first - origin) / step) - reach), count - 1)
        stop = max(min(count, math.ceil((last - origin) / step) + reach + 1), start + 1)
        out.append(slice(each.start + start * each.step, each.start + stop * each.step, each.step))
    return tuple(out)


def _is_pyramid(data: Any) -> bool:
    """Whether this is a list of levels; napari's own lists of levels have a shape as well."""
    return isinstance(data, Sequence) and all(hasattr(level, "shape") for level in data)


def _as_array(level: Any) -> Any:
    """Take lazy arrays as they are; make arrays of everything else (nested lists, tensors)."""
    try:
        np.dtype(level.dtype)
        len(level.shape)
    except (AttributeError, TypeError):
        try:
            return np.asarray(level)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ImageError(
                f"The image is not an array but {type(level).__name__}; give a numpy, dask or zarr "
                "array."
            ) from error
    return level


def _unmasked(level: Any) -> Any:
    """Return a masked array as one with NaN where it is masked; any other as it is."""
    if isinstance(getattr(level, "_meta", None), np.ma.MaskedArray):  # of a dask array's chunks
        kind = _with_nan(np.dtype(level.dtype))
        meta = np.empty((0,) * len(level.shape), kind)
        return level.map_blocks(lambda part: _filled(part, kind), dtype=kind, meta=meta)
    if not isinstance(level, np.ma.MaskedArray):
        return level
    if level.dtype.kind not in "buif" or not np.ma.is_masked(level):
        return np.ma.getdata(level)
    return _filled(level, _with_nan(level.dtype))


def _with_nan(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype that holds all values of another, and NaN."""
    if dtype.kind not in "bui":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


def _filled(part: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.ma.filled(part.astype(dtype), np.nan if dtype.kind == "f" else None))


def _check(level: Any) -> None:
    if any(n != n for n in level.shape):  # NaN
        raise ImageError(
            "The image is a dask array whose size is not known; call image.compute_chunk_sizes() "
            "first."
        )
    shape = tuple(int(n) for n in level.shape)
    dtype = np.dtype(level.dtype)
    if dtype.kind == "c":
        raise ImageError("The image is complex; take its magnitude first, e.g. numpy.abs(image).")
    if dtype.kind not in "buif":
        raise ImageError(f"The image's dtype is {dtype}; convert it to integers or floats first.")
    if len(shape) not in (2, 3):
        raise ImageError(
            f"The image has {len(shape)} axes; choose one plane (Y, X) or (Y, X, channels)."
        )
    if 0 in shape:
        raise ImageError(f"The image is empty, its shape is {shape}; open one that has pixels.")
    if len(shape) == 3 and shape[2] > MAX_CHANNELS:
        raise ImageError(
            f"The image has {shape[2]} channels (its last axis), at most {MAX_CHANNELS} can be "
            "used; choose some of them, or one plane of a stack (Y, X)."
        )


def _check_order(finer: Any, level: Any) -> None:
    a, b = tuple(finer.shape), tuple(level.shape)
    if len(a) != len(b) or a[2:] != b[2:] or b[0] > a[0] or b[1] > a[1]:
        raise ImageError(
            f"The image's levels don't fit each other ({a}, then {b}); give them finest first, "
            "with the same channels."
        )


def _starts(length: int) -> list[int]:
    """Where the blocks begin that a side is sampled with: each in the middle of its share."""
    n = min(_SAMPLE_BLOCKS, math.ceil(length / _SAMPLE_SIDE))
    return [max(0, round((i + 0.5) * length / n - _SAMPLE_SIDE / 2)) for i in range(n)]
