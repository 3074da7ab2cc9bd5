"""A whole image predicted window by window, where no click says where to look.

Windows overlap, and what they answer is faded into each other, so that no seam is seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

FloatArray = npt.NDArray[np.float32]
LARGEST = 4096  # side in network pixels that an image is predicted at, at the most
_OVERLAP = 0.25  # of a window with its neighbour, at the least
_FAINTEST = 0.02  # weight of a window's border


def whole_window(shape: tuple[int, int], zoom: float, size: int) -> Window:
    """Return a window on the whole image.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    zoom : float
        Network pixels for an image pixel; less where the image is very large.
    size : int
        The network's window: the least side.
    """
    longest = max(shape)
    zoom = min(zoom, LARGEST / longest)
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
    weight, total = fading(size), np.zeros((side, side), np.float32)
    out: FloatArray | None = None
    for top in starts(side, size):
        for left in starts(side, size):
            part = (slice(top, top + size), slice(left, left + size))
            if not inside[part].any():
                continue
            answer = forward(np.ascontiguousarray(inputs[:, *part]))
            if out is None:
                out = np.zeros((len(answer), side, side), np.float32)
            out[:, *part] += answer * weight
            total[part] += weight
    if out is None:
        raise ValueError("there is nothing of the image to predict")
    seen = total > 0
    out[:, seen] /= total[seen]
    if len(out) > 1:
        out[0, ~seen] = 1.0
    return out


def fading(size: int) -> FloatArray:
    """Return weights (size, size) that fall towards the border."""
    ramp = np.minimum(np.arange(size) + 0.5, size - 0.5 - np.arange(size)) / (size * _OVERLAP)
    side = np.clip(ramp, _FAINTEST, 1.0).astype(np.float32)
    return np.outer(side, side)
