"""Lines over an image: what is drawn, and the outlines of masks, in data pixels of its plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble

if TYPE_CHECKING:
    from napari_clickseg.core.window import Box

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Outline:
    """A line over the displayed plane.

    Parameters
    ----------
    points : float64 (n, 2)
        y, x in data pixels.
    positive : bool
        Whether it is on, or around, the object.
    closed : bool
        Whether its ends are joined.
    """

    points: FloatArray
    positive: bool = True
    closed: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Edges:
    """The edges of pixels, over the displayed plane.

    Parameters
    ----------
    ends : float64 (n, 2, 2)
        Of each edge, y and x of both ends in data pixels.
    """

    ends: FloatArray


NO_EDGES = Edges(np.zeros((0, 2, 2)))


def outline_of(shape: DrawnBox | Scribble | Lasso) -> Outline:
    """Return the line of a box, scribble or lasso."""
    if isinstance(shape, DrawnBox):
        return box_outline((shape.top, shape.left), (shape.bottom, shape.right))
    points = np.asarray(shape.points, np.float64)
    return Outline(points, shape.positive, isinstance(shape, Lasso))


def box_outline(corner: tuple[float, float], opposite: tuple[float, float]) -> Outline:
    """Return the line of a box between two corners (y, x)."""
    (y0, x0), (y1, x1) = corner, opposite
    return Outline(np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], np.float64), closed=True)


def mask_outline(mask: npt.NDArray[np.bool_], box: Box) -> Edges:
    """Return the edges between a mask's pixels and the others.

    Parameters
    ----------
    mask : bool (box.height, box.width)
    box : Box
        Where it lies.
    """
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[1:] != padded[:-1])  # edges that lie along x
    across = np.stack([np.stack([y, x - 1], 1), np.stack([y, x], 1)], 1)
    y, x = np.nonzero(padded[:, 1:] != padded[:, :-1])
    down = np.stack([np.stack([y - 1, x], 1), np.stack([y, x], 1)], 1)
    # Pixel (0, 0) of the mask lies between -0.5 and 0.5.
    ends = np.concatenate([across, down]).astype(np.float64)
    ends += (box.top - 0.5, box.left - 0.5)
    return Edges(ends)
