"""Clicks and a previous mask become input channels of the network; both encodings live here.

**channels**: the image's channels, then positive clicks, negative clicks (disks of value 1) and
the previous probability. **colour**: a monochrome image in blue, positive clicks in green and
negative clicks in red, as squares of 3 × 3 pixels at full value, so that an unmodified network
for colour images can be used (FlorinAndrei/segmentation_click_train).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Encoding", "GuidanceError", "encode", "input_channels", "stamp"]

Encoding = Literal["channels", "colour"]
FloatArray = npt.NDArray[np.float32]
Position = tuple[float, float]
_SQUARE = 1.5  # a disk of this radius is a square of 3 × 3 pixels


class GuidanceError(ValueError):
    """The image and the encoding do not fit each other."""


def input_channels(encoding: Encoding, image_channels: int) -> int:
    """Return how many input channels a network of this encoding has."""
    if encoding == "channels":
        return image_channels + 3
    if image_channels != 1:
        raise GuidanceError(
            f"The colour encoding takes one image channel, not {image_channels}; "
            "choose one channel, or the encoding 'channels'."
        )
    return 3


def stamp(canvas: npt.NDArray[np.generic], positions: Sequence[Position], radius: float) -> None:
    """Draw disks of value 1 on `canvas` (H, W) in place; radius 0 marks one pixel.

    Parameters
    ----------
    canvas : array (H, W)
        Changed in place.
    positions : sequence of (float, float)
        Centres y, x in pixels of the canvas. A disk at the border is cut off, not lost.
    radius : float
        In pixels.
    """
    height, width = canvas.shape
    for y, x in positions:
        cy, cx = math.floor(y + 0.5), math.floor(x + 0.5)
        reach = math.ceil(radius)
        top, bottom = max(cy - reach, 0), min(cy + reach + 1, height)
        left, right = max(cx - reach, 0), min(cx + reach + 1, width)
        if top >= bottom or left >= right:
            continue
        rows, columns = np.ogrid[top:bottom, left:right]
        disk = (rows - cy) ** 2 + (columns - cx) ** 2 <= radius**2
        canvas[top:bottom, left:right][disk] = 1


def encode(
    image: FloatArray,
    positive: Sequence[Position],
    negative: Sequence[Position],
    previous: FloatArray | None,
    *,
    encoding: Encoding,
    radius: float,
) -> FloatArray:
    """Put image, clicks and previous mask together as the network's input.

    Parameters
    ----------
    image : float32 (C, N, N)
        The window of the image, each channel in 0 … 1.
    positive, negative : sequence of (float, float)
        Clicks y, x in network pixels.
    previous : float32 (N, N), optional
        The previous probability in 0 … 1; None counts as zero. The colour encoding has no
        room for it and leaves it out.
    encoding : {"channels", "colour"}
        See the module's text.
    radius : float
        Radius of the disks in network pixels (channels only).

    Returns
    -------
    float32 (K, N, N)
        K = C + 3 for channels, 3 for colour (red, green, blue).

    Raises
    ------
    GuidanceError
        If the colour encoding is given more than one image channel.
    """
    count = input_channels(encoding, image.shape[0])
    out = np.zeros((count, *image.shape[1:]), np.float32)
    if encoding == "colour":
        red, green, blue = out
        blue[:] = image[0]
        stamp(green, positive, _SQUARE)
        stamp(red, negative, _SQUARE)
        return out
    out[: image.shape[0]] = image
    stamp(out[-3], positive, radius)
    stamp(out[-2], negative, radius)
    if previous is not None:
        out[-1] = previous
    return out
