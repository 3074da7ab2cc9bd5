"""The first gesture of a simulated annotator, where that is not a click.

It is made with a hand's imprecision (`core.simulated_gestures`) on the object as it is seen with
about a hundred pixels from end to end, so that it is as imprecise on large objects as on small
ones.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.simulated_gestures import box_edges, draw_lasso, draw_scribble
from napari_clickseg.core.window import Box

First = Literal["click", "box", "scribble", "lasso"]
BoolArray = npt.NDArray[np.bool_]
_SEEN = 100  # pixels of the longer side of an object as it is drawn around
_NEAREST = 8.0  # times that a small object is enlarged at the most
_MARGIN = 0.4  # of that, around the object
_WANDER = 1.0  # pixels that the outline of a lasso may be off for fewer corners


def first_gesture(
    kind: First, truth: BoolArray, rng: np.random.Generator
) -> DrawnBox | Scribble | Lasso:
    """Draw a box or a lasso around an object, or a scribble on it.

    Parameters
    ----------
    kind : {"box", "scribble", "lasso"}
        What is drawn.
    truth : bool (Y, X)
        The object; not empty.
    rng : numpy.random.Generator
        Decides everything.
    """
    box = Box.of_mask(truth)
    if kind == "box":
        rows, columns = box_edges(truth[box.slices], rng)
        top, left = rows.start + box.top, columns.start + box.left
        bottom, right = rows.stop + box.top, columns.stop + box.left
        return DrawnBox(top - 0.5, left - 0.5, bottom - 0.5, right - 0.5).cut(truth.shape)
    part, corner, zoom = _seen(truth, box)
    if kind == "scribble":
        points = draw_scribble(part, rng)
        inside = np.clip(_back(points, corner, zoom), 0, np.array(truth.shape) - 1)
        return Scribble(_pairs(inside))
    outline = _outline(draw_lasso(part, rng))
    return Lasso(_pairs(_back(outline, corner, zoom))).cut(truth.shape)


def _seen(truth: BoolArray, box: Box) -> tuple[BoolArray, tuple[int, int], float]:
    """Return the object as it is seen, where that begins in the image, and the zoom."""
    from skimage.transform import resize

    side = max(box.shape)
    margin = math.ceil(_MARGIN * side) + 2
    part = np.pad(truth[box.slices], margin)
    zoom = min(_NEAREST, _SEEN / side)
    if zoom != 1:
        shape = [max(1, round(n * zoom)) for n in part.shape]
        shown = resize(part.astype(np.float32), shape, order=1, anti_aliasing=True)
        part = np.asarray(shown > 0.5 * shown.max())
    return part, (box.top - margin, box.left - margin), zoom


def _back(
    points: npt.NDArray[np.float64], corner: tuple[int, int], zoom: float
) -> npt.NDArray[np.float64]:
    """Return positions as pixels of the image."""
    return np.asarray((points + 0.5) / zoom - 0.5 + np.array(corner), np.float64)


def _outline(area: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the longest outline of an area: float64 (n, 2)."""
    from skimage.measure import approximate_polygon, find_contours

    longest = max(find_contours(np.pad(area, 1), 0.5), key=len) - 1.0
    return np.asarray(approximate_polygon(longest, _WANDER), np.float64)


def _pairs(points: npt.NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(y), float(x)) for y, x in points)
