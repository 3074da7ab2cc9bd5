"""A 2D plane of an image of any number of axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Plane:
    """A 2D plane of an n-dimensional image.

    Parameters
    ----------
    axes : (int, int)
        The data axes of y and x, rising, however they are displayed.
    index : tuple of int
        Position along every data axis; 0 along y, x and the channels.
    shape : (int, int)
        Height and width in pixels.
    """

    axes: tuple[int, int]
    index: tuple[int, ...]
    shape: tuple[int, int]

    def position(self, y: float, x: float) -> tuple[float, ...]:
        """Return where (y, x) lies in the image, in data pixels along every axis."""
        out = [float(i) for i in self.index]
        out[self.axes[0]], out[self.axes[1]] = float(y), float(x)
        return tuple(out)

    def locate(self, position: Sequence[float]) -> tuple[float, float] | None:
        """Return y and x of a data position, or None if it lies in another plane."""
        if not all(map(math.isfinite, position)):
            return None
        for axis, (value, index) in enumerate(zip(position, self.index, strict=True)):
            if axis not in self.axes and round(float(value)) != index:
                return None
        return float(position[self.axes[0]]), float(position[self.axes[1]])

    def key(self, rows: Any, columns: Any) -> tuple[Any, ...]:
        """Return an index into the n-dimensional data for rows and columns of this plane."""
        out: list[Any] = list(self.index)
        out[self.axes[0]], out[self.axes[1]] = rows, columns
        return tuple(out)

    def on_level(self, shape: Sequence[int], finest: Sequence[int]) -> Plane:
        """Return the plane on a coarser level of a pyramid, given the shapes of both levels."""
        index = tuple(
            min(i * int(n) // int(full), int(n) - 1)
            for i, n, full in zip(self.index, shape, finest, strict=False)
        )
        return Plane(self.axes, index, (int(shape[self.axes[0]]), int(shape[self.axes[1]])))

    def stepped(self, axis: int, by: int) -> Plane:
        """Return the plane `by` further along `axis`."""
        index = list(self.index)
        index[axis] += by
        return Plane(self.axes, tuple(index), self.shape)
