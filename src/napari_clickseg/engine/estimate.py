"""What a network is shown of an image, and what it answers, in a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from napari_clickseg.core.window import Window

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(eq=False, slots=True)
class Sight:
    """What a window shows of an image.

    Parameters
    ----------
    pixels : float32 (C, size, size)
    features : object
        What a network made of them that sees the image by itself, so that later prompts in the
        window need not ask its encoder again; None before the first look, and for networks that
        take image and prompts as one.
    """

    pixels: FloatArray
    features: Any = None


class Looked(NamedTuple):
    """What a network gives.

    Parameters
    ----------
    probabilities : float32 (outputs, size, size)
    overlap : float, optional
        The IoU with the object that the network itself expects, 0 … 1; None if it can't tell.
    distances : float32 (2, size, size), optional
        From the edge and the middle of each object; of models that tell objects apart.
    """

    probabilities: FloatArray
    overlap: float | None = None
    distances: FloatArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """The network's answer in its window.

    Parameters
    ----------
    probabilities : float32 (outputs, size, size)
        Of the object; or of background and each class.
    overlap, distances
        See `Looked`.
    """

    window: Window
    probabilities: FloatArray
    overlap: float | None = None
    distances: FloatArray | None = None

    @property
    def foreground(self) -> FloatArray:
        """Probability of the foreground, float32 (size, size)."""
        first: FloatArray = self.probabilities[0]
        return first if self.probabilities.shape[0] == 1 else np.subtract(1.0, first)

    def extent(self, least: float, shape: tuple[int, int]) -> Box:
        """Return the box in the image outside of which the probability is below `least`."""
        box = Box.of_mask(self.foreground > least)
        if not box:
            return box
        window = self.window
        top, left = window.to_image(box.top - 1.0, box.left - 1.0)
        bottom, right = window.to_image(float(box.bottom), float(box.right))
        edges = Box.from_edges(int(top), int(left), int(bottom) + 2, int(right) + 2)
        return edges.intersection(window.visible(shape))

    def part(self, extent: Box) -> FloatArray:
        """Return the foreground's probability in `extent`, zero outside the window."""
        seen = extent.intersection(self.window.box)
        out = np.zeros(extent.shape, np.float32)
        if seen:
            part = self.window.to_box(self.foreground, seen)
            out[seen.shift(-extent.top, -extent.left).slices] = part
        return out

    def classes(self, extent: Box, mask: BoolArray) -> npt.NDArray[np.uint8]:
        """Return the most probable class of each pixel of `mask` in `extent`, uint8 ids from 1."""
        if self.probabilities.shape[0] == 1 or not extent:
            return mask.astype(np.uint8)
        planes = np.ascontiguousarray(self.probabilities[1:].transpose(1, 2, 0))
        best = self.window.to_box(planes, extent).argmax(axis=2)
        return np.where(mask, best + 1, 0).astype(np.uint8)


def with_background(probabilities: FloatArray) -> FloatArray:
    """Put a background before classes (K, N, N) that overlap: what is left of the likeliest."""
    if len(probabilities) == 1:
        return probabilities
    return np.concatenate([1 - probabilities.max(axis=0, keepdims=True), probabilities])
