"""Boxes, scribbles and lassos, as frozen values beside `Click`; positions as a click's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.clicks import Click, PromptError
from napari_clickseg.core.window import Box

Points: TypeAlias = tuple[tuple[float, float], ...]
BoolArray = npt.NDArray[np.bool_]
_GRID = 96  # pixels that a line's length is taken for, to see whether it crosses itself
_OVERLAP = 0.05  # of the area


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box around the object.

    Parameters
    ----------
    top, left, bottom, right : float
        Edges in pixels; the object's pixels have their centres between them.

    Raises
    ------
    PromptError
        If it has no area, or an edge is no number.
    """

    top: float
    left: float
    bottom: float
    right: float

    def __post_init__(self) -> None:
        edges = (self.top, self.left, self.bottom, self.right)
        if not all(map(math.isfinite, edges)):
            raise PromptError(f"The box {edges} is not a box; give numbers.")
        if self.bottom <= self.top or self.right <= self.left:
            raise PromptError(
                f"The box from ({self.top:g}, {self.left:g}) to ({self.bottom:g}, {self.right:g}) "
                "has no area; give its top, left, bottom and right edge."
            )

    @property
    def positive(self) -> bool:
        """A box is around the object."""
        return True

    @property
    def reach(self) -> Box:
        """The pixels whose centres lie in it; at least one."""
        top, left = math.ceil(self.top), math.ceil(self.left)
        bottom, right = math.floor(self.bottom) + 1, math.floor(self.right) + 1
        return Box.from_edges(top, left, max(bottom, top + 1), max(right, left + 1))

    def cut(self, shape: tuple[int, int]) -> DrawnBox:
        """Return what of it lies in an image of this shape (Y, X).

        Raises
        ------
        PromptError
            If nothing does.
        """
        bottom, right = shape[0] - 0.5, shape[1] - 0.5
        if not (self.top < bottom and self.left < right and self.bottom > -0.5 < self.right):
            raise PromptError(_outside("box", shape))
        return DrawnBox(
            max(self.top, -0.5),
            max(self.left, -0.5),
            min(self.bottom, bottom),
            min(self.right, right),
        )


@dataclass(frozen=True, slots=True)
class Scribble:
    """A stroke along the object, or along what is not of it.

    Parameters
    ----------
    points : tuple of (float, float)
        y, x in pixels, in order; at least one.

    Raises
    ------
    PromptError
        If there is no point, or one is not two numbers.
    """

    points: Points
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points(self.points, "scribble", 1))

    @property
    def reach(self) -> Box:
        """The box of the pixels that its points fall on."""
        return _reach(self.points)

    def cut(self, shape: tuple[int, int]) -> Scribble:
        """Return it without the points outside an image of this shape (Y, X).

        Raises
        ------
        PromptError
            If no point is left.
        """
        inside = tuple(point for point in self.points if Click(*point).inside(shape))
        if not inside:
            raise PromptError(_outside("scribble", shape))
        return self if len(inside) == len(self.points) else replace(self, points=inside)


@dataclass(frozen=True, slots=True)
class Lasso:
    """A line around the object, or around what is not of it; its ends are joined.

    Where it crosses itself, all that it goes around counts.

    Parameters
    ----------
    points : tuple of (float, float)
        y, x in pixels, in order; at least three.

    Raises
    ------
    PromptError
        If it goes around nothing, or a point is not two numbers.
    """

    points: Points
    positive: bool = True

    def __post_init__(self) -> None:
        points = _points(self.points, "lasso", 3)
        object.__setattr__(self, "points", points)
        y, x = (np.asarray(points) - np.mean(points, axis=0)).T
        if max(np.ptp(y), np.ptp(x)) == 0 or not _has_area(y, x):
            raise PromptError("The lasso goes around nothing; draw it around an area.")

    @property
    def reach(self) -> Box:
        """The box of the pixels that its points fall on."""
        return _reach(self.points)

    def cut(self, shape: tuple[int, int]) -> Lasso:
        """Return it as it is, if it goes around something of an image of this shape (Y, X).

        Raises
        ------
        PromptError
            If it lies outside.
        """
        if not self.reach.intersection(Box(0, 0, *shape)):
            raise PromptError(_outside("lasso", shape))
        return self


Gesture: TypeAlias = Click | DrawnBox | Scribble | Lasso


def enclosed(points: npt.ArrayLike, shape: tuple[int, int]) -> BoolArray:
    """Return the pixels that a closed line goes around, also where it crosses itself.

    Parameters
    ----------
    points : float (n, 2)
        y, x in pixels of the result; they may lie outside it.
    shape : (int, int)
        Of the result.

    Returns
    -------
    bool shape
        Where the line winds around the pixel's centre (nonzero winding rule).
    """
    return np.asarray(_turns(points, shape) != 0)


def crosses_itself(points: npt.ArrayLike) -> bool:
    """Whether a closed line goes around a part of its area twice, or the other way round.

    Parameters
    ----------
    points : float (n, 2)
        y, x in any unit. That the ends overlap a little, as a hand's do, is no crossing.
    """
    line = np.asarray(points, np.float64)
    low, span = line.min(axis=0), np.ptp(line, axis=0).max()
    turns = _turns((line - low) * (_GRID / max(span, 1e-9)), (_GRID + 1, _GRID + 1))
    inside = np.count_nonzero(turns)
    usual = max(np.count_nonzero(turns == 1), np.count_nonzero(turns == -1))
    return bool(inside - usual > _OVERLAP * inside)


def _turns(points: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return how often a closed line winds around each pixel's centre: int64 `shape`."""
    first = np.asarray(points, np.float64)
    last = np.roll(first, -1, axis=0)
    rows = np.arange(shape[0], dtype=np.float64)[:, None]
    (y0, x0), (y1, x1) = first.T, last.T
    down, up = (y0 <= rows) & (rows < y1), (y1 <= rows) & (rows < y0)
    row, edge = np.nonzero(down | up)
    along = (row - y0[edge]) / (y1[edge] - y0[edge])
    crossed = np.ceil(x0[edge] + along * (x1[edge] - x0[edge]))
    turns = np.zeros((shape[0], shape[1] + 1), np.int64)
    column = np.clip(crossed, 0, shape[1]).astype(np.int64)
    np.add.at(turns, (row, column), np.where(down[row, edge], 1, -1))
    return np.asarray(np.cumsum(turns, axis=1)[:, :-1])


def _points(points: npt.ArrayLike, what: str, least: int) -> Points:
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"The points of the {what} are not y, x pairs; give numbers.") from error
    if array.ndim != 2 or array.shape[1] != 2:
        raise PromptError(
            f"The points of the {what} are y, x pairs, (n, 2), not {array.shape}; give such."
        )
    if not np.isfinite(array).all():
        raise PromptError(f"The {what} has a point that is not a number; leave it out.")
    if len(array) < least:
        raise PromptError(f"The {what} has {len(array)} points; give {least} at the least.")
    return tuple((float(y), float(x)) for y, x in array)


def _reach(points: Points) -> Box:
    return Box.of_pixels(Click(*point).pixel for point in points)


def _has_area(y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> bool:
    """Whether points do not all lie on one straight line."""
    spread = np.linalg.svd(np.stack([y, x]), compute_uv=False)
    return bool(spread[1] > 1e-9 * max(spread[0], 1.0))


def _outside(what: str, shape: tuple[int, int]) -> str:
    return (
        f"The {what} is outside the image, whose pixels go from (0, 0) to "
        f"({shape[0] - 1}, {shape[1] - 1}); draw it on the image."
    )
