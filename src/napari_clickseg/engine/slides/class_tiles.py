"""The classes in any part of an image: the same as if the image had been predicted in one go.

All windows lie on one grid of the whole image, and what the network answers is faded into each
other in one order. So it makes no difference for a pixel which tile asks, or where tiles end.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.mosaic import MosaicGrid, whole_window
from napari_clickseg.core.uncertainty import SURROUNDINGS, near, pixel_entropy
from napari_clickseg.core.window import Box, resample

if TYPE_CHECKING:
    from napari_clickseg.engine.inference import Estimator

FloatArray = npt.NDArray[np.float32]
_KEPT = 384 << 20  # bytes of answers that are kept, as neighbouring tiles look at the same windows


@dataclass(frozen=True, eq=False, slots=True)
class ClassTile:
    """What was found in a tile.

    Parameters
    ----------
    labels : uint8 (h, w)
        Numbers of the model's classes, from 1; 0 is background.
    unsure : float
        Sum of the entropy of its network pixels that are found, and of those around them.
    pixels : int
        How many these are.
    highest : float
        The highest entropy of a network pixel.
    """

    labels: npt.NDArray[np.uint8]
    unsure: float
    pixels: int
    highest: float


class ClassTiles:
    """Predicts the tiles of one image; may be used on any thread, on one at a time.

    Parameters
    ----------
    estimator : Estimator
        Of the image, and a model that predicts without clicks.
    threshold : float
        Probability above which a pixel belongs to some class.
    kept : int
        Bytes of answers that are kept.
    """

    def __init__(self, estimator: Estimator, threshold: float = 0.5, *, kept: int = _KEPT) -> None:
        self.estimator, self.threshold = estimator, threshold
        self.shape, size = estimator.source.shape, estimator.card.window.size
        self.window = whole_window(self.shape, estimator.own_zoom, size, largest=None)
        self._grid = MosaicGrid(self.window, size, self.shape)
        self._answers: OrderedDict[Box, FloatArray] = OrderedDict()
        self._room = kept
        # What is resampled to a pixel, and what lies around it.
        self._margin = max(math.ceil(self.window.zoom), SURROUNDINGS) + 2

    def look(self, box: Box) -> ClassTile:
        """Predict a box of the image."""
        own = self.window.centred_in(box)
        part = self._around(box).union(own).intersection(self.window.pixels)
        probabilities = self._grid.predict(part, self._answer)
        return ClassTile(
            self._labels(probabilities, part, box),
            *self._doubt(probabilities, part, own.intersection(part)),
        )

    def _around(self, box: Box) -> Box:
        """Return the network pixels that are needed for a box."""
        top, left = self.window.to_network(box.top, box.left)
        bottom, right = self.window.to_network(box.bottom - 1, box.right - 1)
        m = self._margin
        return Box.from_edges(
            math.floor(top) - m,
            math.floor(left) - m,
            math.ceil(bottom) + m + 1,
            math.ceil(right) + m + 1,
        )

    def _labels(self, probabilities: FloatArray, part: Box, box: Box) -> npt.NDArray[np.uint8]:
        """Return the likeliest class of each pixel, as `prediction.predict` does."""
        one = len(probabilities) == 1
        foreground = probabilities[0] if one else 1 - probabilities[0]
        mask = self._in_image(foreground, part, box) > self.threshold
        if one:
            return mask.astype(np.uint8)
        out = np.zeros(box.shape, np.uint8)
        if mask.any():
            classes = np.ascontiguousarray(probabilities[1:].transpose(1, 2, 0))
            out[:] = self._in_image(classes, part, box).argmax(axis=2) + 1
        out[~mask] = 0
        return out

    def _in_image(self, values: FloatArray, part: Box, box: Box) -> FloatArray:
        """Resample network pixels of a part to the pixels of a box."""
        y, x = self.window.to_network(float(box.top), float(box.left))
        zoom = self.window.zoom
        return resample(values, box.shape, (y - part.top, x - part.left), (zoom, zoom), clamp=True)

    def _doubt(self, probabilities: FloatArray, part: Box, own: Box) -> tuple[float, int, float]:
        """Return the sum of the entropy that counts, of how many pixels, and the highest."""
        entropy = pixel_entropy(probabilities, overlapping=self.estimator.card.overlapping)
        one = len(probabilities) == 1
        foreground = (probabilities[0] if one else 1 - probabilities[0]) > 0.5
        inside = self.window.covers(self.shape, part)
        within = own.shift(-part.top, -part.left).slices
        inside, counts = inside[within], near(foreground & inside)[within]
        entropy = entropy[within]
        counts &= inside
        highest = float(entropy[inside].max(initial=0.0))
        return float(entropy[counts].sum(dtype=float)), int(counts.sum()), highest

    def _answer(self, at: Box) -> FloatArray:
        """Return what the network answers to a window, float32 (outputs, size, size)."""
        if at in self._answers:
            self._answers.move_to_end(at)
            return self._answers[at]
        answer = self.estimator.unclicked(self.estimator.unprompted(self.window, at))
        self._answers[at] = answer
        if len(self._answers) * answer.nbytes > self._room:
            self._answers.popitem(last=False)
        return answer


def doubt_of(unsure: float, pixels: int, highest: float) -> float:
    """Return how unsure the model is of an image, 0 … 1, from the sums of its tiles.

    The mean entropy over what was found and its surroundings, as `uncertainty.mean_entropy` gives
    it; where nothing was found, the highest entropy of any pixel.
    """
    return min(1.0, unsure / pixels if pixels else highest)
