"""An image and what became of its pixels, as a picture of a size that people look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.intensity import Intensity, measure, to_channels
from napari_clickseg.core.source import ImageSource
from napari_clickseg.pictures.outcomes import COLOURS, WORDS, PixelOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.data.images import ImagePlane

Picture = npt.NDArray[np.uint8]
_SMALLEST = 768  # pixels of the long side, below which pixels are drawn larger
_STRIP = 22  # pixels of the lines below a picture
_CONTOUR = 2  # pixels wide
_FILL = 0.25  # how much of its colour lies on what is wrong
_EDGES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True, slots=True)
class Canvas:
    """How an image comes to a picture: each pixel drawn larger, or some left out.

    Parameters
    ----------
    shape : (int, int)
        The image's.
    most : int
        Pixels of the picture's long side, at the most.
    """

    shape: tuple[int, int]
    most: int

    @property
    def larger(self) -> int:
        """How many pixels of the picture an image pixel has, along a side."""
        return max(1, min(_SMALLEST, self.most) // max(self.shape))

    @property
    def step(self) -> int:
        """Every how manieth pixel of the image is drawn."""
        return math.ceil(max(self.shape) / self.most)

    def drawn(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring values (Y, X, …), of the image or of a coarser level of it, to the picture."""
        index = []
        for n, there in zip(self.shape, values.shape, strict=False):
            at = np.minimum(np.arange(0, n, self.step) + self.step // 2, n - 1)
            index.append((at.repeat(self.larger) * there) // n)
        return values[np.ix_(*index)]

    def image(self, plane: ImagePlane, intensity: Intensity) -> Picture:
        """Return an image as colours, uint8 (Y, X, 3)."""
        from scipy import ndimage

        data = plane.data
        if isinstance(data, list):  # the coarsest level that has a pixel for each of the picture
            enough = [one for one in data if max(one.shape[:2]) * self.step >= max(self.shape)]
            data = enough[-1]
        source = ImageSource(data, rgb=plane.rgb)
        values = intensity.apply(source.read_all())
        if source.channels != 3:
            values = values.mean(2, keepdims=True)
        if (k := max(values.shape[:2]) * self.step // max(self.shape)) > 1:
            values = ndimage.uniform_filter(values, (k, k, 0))
        return (to_channels(self.drawn(values), 3) * 255).round().astype(np.uint8)


def limits_of(planes: Sequence[ImagePlane]) -> Intensity:
    """Measure what becomes black and white, the same for images that are shown one after another.

    Parameters
    ----------
    planes : sequence of ImagePlane
        One at least, with equally many channels.
    """
    ranges = [measure(ImageSource(plane.data, rgb=plane.rgb)) for plane in planes]
    low = tuple(min(values) for values in zip(*(one.low for one in ranges), strict=True))
    high = tuple(max(values) for values in zip(*(one.high for one in ranges), strict=True))
    return Intensity(low, high)


def contoured(
    picture: Picture, outcomes: npt.NDArray[np.uint8], objects: npt.NDArray[Any]
) -> Picture:
    """Draw what became of the pixels over a picture: contours, and a shade on what is wrong.

    Parameters
    ----------
    picture : uint8 (Y, X, 3)
        The image.
    outcomes : uint8 (Y, X)
        Values of `PixelOutcome`.
    objects : int (Y, X)
        What was found, so that objects that touch are told apart.

    Returns
    -------
    uint8 (Y, X, 3)
    """
    out = picture.astype(np.float32)
    parts = _parts(outcomes, objects)
    edge = _edge(parts, _CONTOUR)
    for outcome, colour in COLOURS.items():
        here = outcomes == outcome
        if not here.any():
            continue
        value = _rgb(colour)
        if outcome not in (PixelOutcome.TRUE_POSITIVE, PixelOutcome.UNJUDGED):
            out[here] += _FILL * (value - out[here])
        out[here & edge] = value
    return out.round().astype(np.uint8)


def _parts(outcomes: npt.NDArray[np.uint8], objects: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return numbers of what is told apart: outcomes, and objects within what is right."""
    kinds = len(PixelOutcome)
    numbers = np.unique(objects, return_inverse=True)[1].reshape(objects.shape)
    own = (outcomes > 0) & (outcomes != PixelOutcome.FALSE_POSITIVE)
    own &= outcomes != PixelOutcome.FALSE_NEGATIVE
    return np.where(own, kinds + numbers * kinds + outcomes, outcomes).astype(np.int64)


def _edge(parts: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.bool_]:
    """Return the pixels of parts that lie within a width of another one."""
    edge = np.zeros(parts.shape, bool)
    for y, x in _EDGES:
        for k in range(1, width + 1):
            at = [
                np.clip(np.arange(n) + k * d, 0, n - 1)
                for n, d in zip(parts.shape, (y, x), strict=True)
            ]
            edge |= parts[np.ix_(*at)] != parts
    return edge


def captioned(picture: Picture, text: str, shown: Sequence[PixelOutcome] = ()) -> Picture:
    """Put a line of text below a picture, and a line that says what its colours are.

    Parameters
    ----------
    picture : uint8 (Y, X, 3)
        What the lines are about.
    text : str
        Cut where it is longer than the picture.
    shown : sequence of PixelOutcome
        That the second line is about; without them there is none.
    """
    from PIL import Image, ImageDraw, ImageFont

    lines = 2 if shown else 1
    strip = Image.new("RGB", (picture.shape[1], _STRIP * lines))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    draw.text((5, 3), text, "white", font)
    x = 5.0
    for outcome in shown:
        draw.rectangle((x, _STRIP + 6, x + 10, _STRIP + 14), COLOURS[outcome])
        draw.text((x + 15, _STRIP + 2), WORDS[outcome], "white", font)
        x += 27 + draw.textlength(WORDS[outcome], font)
    return np.concatenate([picture, np.asarray(strip, np.uint8)])


def widest(shown: Sequence[PixelOutcome]) -> list[PixelOutcome]:
    """Return the kinds that pictures of the same kind need a word for, in their order."""
    every = [PixelOutcome.TRUE_POSITIVE, PixelOutcome.FALSE_POSITIVE, PixelOutcome.FALSE_NEGATIVE]
    if PixelOutcome.UNJUDGED in shown and not set(every) & set(shown):
        return [PixelOutcome.UNJUDGED]
    return [*every, *([PixelOutcome.OTHER_CLASS] if PixelOutcome.OTHER_CLASS in shown else [])]


def _rgb(colour: str) -> npt.NDArray[np.float32]:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.float32)
