"""Clicks and a previous mask become input channels of the network; all encodings live here.

**channels**: the image's channels, then positive clicks, negative clicks (disks of value 1) and
the previous probability. **likeness**: the same, and how much each pixel looks like what was
clicked on, which a small network could hardly find out across the window. **prompts**: the same,
with a channel of its own for areas that the user marked: 1 in boxes and lassos around the object,
-1 in lassos around what it does not have; scribbles are strokes beside the clicks' disks.
**colour**: a monochrome image in blue, positive clicks in green and negative clicks in red, as
squares of 3 × 3 pixels at full value, so that an unmodified network for colour images can be used
(FlorinAndrei/segmentation_click_train). **image**: the image's channels alone, for networks that
know a task and take no clicks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Encoding = Literal["channels", "likeness", "prompts", "colour", "image"]
FloatArray = npt.NDArray[np.float32]
Position = tuple[float, float]
_SQUARE = 1.5  # a disk of this radius is a square of 3 × 3 pixels
LIKENESS_SCALES = (3, 9)  # network pixels: colours are averaged over squares of these sides
LIKENESS_TOLERANCE = 0.15  # difference of colours, 0 … 1, at which the likeness is 1/e
LIKENESS = 2 * len(LIKENESS_SCALES)  # channels: of positive clicks, then of negative ones
_STROKE = 0.5  # width of a scribble over that of a click's disk: what it follows may be thin
_ALONG = 24  # positions along a scribble whose colours count as clicked on, at the most


_FURTHER = {"likeness": LIKENESS, "prompts": LIKENESS + 1}  # channels after the previous mask


class GuidanceError(ValueError):
    """The image and the encoding do not fit each other."""


@dataclass(frozen=True, eq=False, slots=True)
class Stroke:
    """A scribble, as the network sees it.

    Parameters
    ----------
    points : float (n, 2)
        y, x in network pixels; n at least 1.
    positive : bool
        Whether it is on the object.
    """

    points: npt.NDArray[np.floating]
    positive: bool

    def dense(self) -> npt.NDArray[np.float64]:
        """Return positions along it, at most half a pixel apart: float64 (m, 2)."""
        points = np.asarray(self.points, np.float64)
        if len(points) == 1:
            return points
        lengths = np.hypot(*np.diff(points, axis=0).T)
        at = np.concatenate([[0.0], np.cumsum(lengths)])
        wanted = np.linspace(0, at[-1], max(2, math.ceil(at[-1] * 2) + 1))
        return np.stack([np.interp(wanted, at, axis) for axis in points.T], 1)

    def places(self) -> list[Position]:
        """Return positions along it, few enough that all pixels are compared with their colours."""
        dense = self.dense()
        return _positions(dense[:: max(1, -(-len(dense) // _ALONG))])

    def draw(self, canvas: npt.NDArray[np.generic], radius: float) -> None:
        """Draw it with value 1 on `canvas` (H, W) in place, beside clicks of this radius."""
        stamp(canvas, _positions(self.dense()), _STROKE * radius)


def input_channels(encoding: Encoding, image_channels: int) -> int:
    """Return how many input channels a network of this encoding has."""
    if encoding == "image":
        return image_channels
    if encoding != "colour":
        return image_channels + 3 + _FURTHER.get(encoding, 0)
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


def likeness(image: FloatArray, positions: Sequence[Position]) -> FloatArray:
    """Return how much each pixel's colour is like that at the most similar of some positions.

    Parameters
    ----------
    image : float32 (C, N, N)
        0 … 1.
    positions : sequence of (float, float)
        y, x in pixels; those outside the image don't count.

    Returns
    -------
    float32 (len(LIKENESS_SCALES), N, N)
        0 … 1 for each scale; 0 without a position.
    """
    from scipy import ndimage

    out = np.zeros((len(LIKENESS_SCALES), *image.shape[1:]), np.float32)
    pixels = [(math.floor(y + 0.5), math.floor(x + 0.5)) for y, x in positions]
    height, width = image.shape[1:]
    inside = [(y, x) for y, x in pixels if 0 <= y < height and 0 <= x < width]
    if not inside:
        return out
    rows, columns = np.array(inside).T
    for plane, side in zip(out, LIKENESS_SCALES, strict=True):
        smooth = ndimage.uniform_filter(image, (1, side, side), mode="nearest")
        least = np.full((height, width), np.inf, np.float32)
        for colour in np.unique(smooth[:, rows, columns], axis=1).T:
            np.minimum(least, ((smooth - colour[:, None, None]) ** 2).mean(0), out=least)
        plane[:] = np.exp(-np.sqrt(least) / LIKENESS_TOLERANCE)
    return out


def encode(
    image: FloatArray,
    positive: Sequence[Position],
    negative: Sequence[Position],
    previous: FloatArray | None,
    *,
    encoding: Encoding,
    radius: float,
    strokes: Sequence[Stroke] = (),
    region: FloatArray | None = None,
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
    encoding : {"channels", "likeness", "prompts", "colour", "image"}
        See the module's text.
    radius : float
        Radius of the disks in network pixels (for channels, likeness and prompts).
    strokes : sequence of Stroke
        Scribbles.
    region : float32 (N, N), optional
        1 in marked areas of the object, -1 in those outside it; only prompts has room for it.

    Returns
    -------
    float32 (K, N, N)
        K = C + 3 for channels, C + 7 for likeness, C + 8 for prompts, 3 for colour (red, green,
        blue), C for image.

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
    n = image.shape[0]
    out[:n] = image
    if encoding == "image":
        return out
    stamp(out[n], positive, radius)
    stamp(out[n + 1], negative, radius)
    for stroke in strokes:
        stroke.draw(out[n + (not stroke.positive)], radius)
    if previous is not None:
        out[n + 2] = previous
    if encoding == "prompts" and region is not None:
        out[n + 3] = region
    if encoding in _FURTHER:
        at_object, off_object = list(positive), list(negative)
        for stroke in strokes:
            (at_object if stroke.positive else off_object).extend(stroke.places())
        scales = [likeness(image, places) for places in (at_object, off_object)]
        out[-LIKENESS:] = np.concatenate(scales)
    return out


def _positions(points: npt.NDArray[np.float64]) -> list[Position]:
    return [(float(y), float(x)) for y, x in points]
