"""A whole image predicted window by window, where no click says where to look.

Windows overlap, and what they answer is faded into each other, so that no seam is seen.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FloatArray = npt.NDArray[np.float32]
LARGEST = 4096  # side in network pixels that an image is predicted at in one go, at the most
_OVERLAP = 0.25  # of a window with its neighbour, at the least
_FAINTEST = 0.02  # weight of a window's border


def whole_window(
    shape: tuple[int, int], zoom: float, size: int, *, largest: int | None = LARGEST
) -> Window:
    """Return a window on the whole image.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    zoom : float
        Network pixels for an image pixel; less where the image is very large.
    size : int
        The network's window: the least side.
    largest : int, optional
        The greatest side; None sets no bound.
    """
    longest = max(shape)
    zoom = zoom if largest is None else min(zoom, largest / longest)
    side = max(size, round(longest * zoom))
    span = max(longest, round(side / zoom))
    return Window(-((span - shape[0]) // 2), -((span - shape[1]) // 2), span, side)


def starts(length: int, size: int) -> list[int]:
    """Return where the windows of `size` begin that cover a side of `length` pixels."""
    if length <= size:
        return [0]
    count = math.ceil((length - size) / (size * (1 - _OVERLAP))) + 1
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def predict_mosaic(
    forward: Callable[[FloatArray], FloatArray],
    inputs: FloatArray,
    size: int,
    inside: npt.NDArray[np.bool_],
) -> FloatArray:
    """Predict an image window by window.

    Parameters
    ----------
    forward : callable
        float32 (K, size, size) → probabilities float32 (outputs, size, size).
    inputs : float32 (K, N, N)
        N is at least `size`.
    size : int
        Side of the windows.
    inside : bool (N, N)
        Where the image is; windows without any of it are left out.

    Returns
    -------
    float32 (outputs, N, N)
        Zero where no window was; of several outputs the first, the background, is one there.
    """
    side = inputs.shape[-1]
    if side == size:
        return forward(inputs)
    windows = [one for one in _windows(side, size) if inside[one.slices].any()]
    if not windows:
        raise ValueError("there is nothing of the image to predict")
    whole = Box(0, 0, side, side)
    return blended(whole, windows, lambda at: forward(np.ascontiguousarray(inputs[:, *at.slices])))


class MosaicGrid:
    """The windows in which a whole image is predicted, in network pixels.

    They are the same whichever part of the image is asked for.

    Parameters
    ----------
    whole : Window
        Of the whole image, as `whole_window` gives it.
    size : int
        Side of the windows.
    shape : (int, int)
        The image's height and width.
    """

    def __init__(self, whole: Window, size: int, shape: tuple[int, int]) -> None:
        self.whole, self._size = whole, size
        self._covered, self._starts = whole.covered(shape), starts(whole.size, size)

    def over(self, part: Box) -> list[Box]:
        """Return the windows that reach into a part, row by row; those without image are not."""
        rows, columns = (
            [at for at in self._starts if max(at, *low) < min(at + self._size, *high)]
            for low, high in (
                ((part.top, self._covered.top), (part.bottom, self._covered.bottom)),
                ((part.left, self._covered.left), (part.right, self._covered.right)),
            )
        )
        return [Box(top, left, self._size, self._size) for top in rows for left in columns]

    def predict(self, part: Box, answer: Callable[[Box], FloatArray]) -> FloatArray:
        """Predict a part; the same as `predict_mosaic` gives there.

        Parameters
        ----------
        part : Box
            In network pixels.
        answer : callable
            Returns what the network answers to a window, float32 (outputs, size, size).

        Returns
        -------
        float32 (outputs, part.height, part.width)
        """
        if self.whole.size == self._size:
            return answer(self.whole.pixels)[:, *part.slices]
        return blended(part, self.over(part), answer)


def blended(part: Box, windows: Iterable[Box], answer: Callable[[Box], FloatArray]) -> FloatArray:
    """Fade what the network answers to windows into each other.

    Parameters
    ----------
    part : Box
        What is wanted.
    windows : iterable of Box
        Squares of one size, one at the least; always in the same order.
    answer : callable
        As of `MosaicGrid.predict`.

    Returns
    -------
    float32 (outputs, part.height, part.width)
        As of `predict_mosaic`.
    """
    total, out = np.zeros(part.shape, np.float32), np.zeros((0, 0, 0), np.float32)
    for window in windows:
        values, weight = answer(window), fading(window.height)
        out = out if len(out) else np.zeros((len(values), *part.shape), np.float32)
        seen = window.intersection(part)
        there = seen.shift(-part.top, -part.left).slices
        within = seen.shift(-window.top, -window.left).slices
        out[:, *there] += values[:, *within] * weight[within]
        total[there] += weight[within]
    known = total > 0
    np.divide(out, total, out=out, where=known)
    if len(out) > 1:
        out[0, ~known] = 1.0
    return out


def _windows(side: int, size: int) -> list[Box]:
    """Return the windows of a square, row by row."""
    return [Box(top, left, size, size) for top in starts(side, size) for left in starts(side, size)]


@lru_cache(maxsize=4)
def fading(size: int) -> FloatArray:
    """Return weights (size, size) that fall towards the border."""
    ramp = np.minimum(np.arange(size) + 0.5, size - 0.5 - np.arange(size)) / (size * _OVERLAP)
    side = np.clip(ramp, _FAINTEST, 1.0).astype(np.float32)
    weights: FloatArray = np.outer(side, side)
    weights.setflags(write=False)
    return weights
