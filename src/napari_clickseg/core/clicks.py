"""A click, as a frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from napari_clickseg.core.patch import Patch

__all__ = ["Click", "ClickError", "PromptError"]


class PromptError(ValueError):
    """A click, box, scribble or lasso that can't be used; the message says what to do."""


class ClickError(PromptError):
    """A click that cannot be used: outside the image, or not a number."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click of the user.

    Parameters
    ----------
    y, x : float
        Position in pixels of the image; the centre of the first pixel is (0, 0), so pixel
        ``(i, j)`` covers ``[i - 0.5, i + 0.5) × [j - 0.5, j + 0.5)``.
    positive : bool
        True: this pixel belongs to the object. False: it does not.

    Raises
    ------
    ClickError
        If a coordinate is NaN or infinite.
    """

    y: float
    x: float
    positive: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.y) and math.isfinite(self.x)):
            raise ClickError(f"The click ({self.y}, {self.x}) is not a position; give numbers.")

    @property
    def reach(self) -> Box:
        """The pixel that the click falls on, as a box."""
        return Box(*self.pixel, 1, 1)

    @property
    def pixel(self) -> tuple[int, int]:
        """The pixel (row, column) that the click falls on."""
        return math.floor(self.y + 0.5), math.floor(self.x + 0.5)

    def inside(self, shape: tuple[int, int]) -> bool:
        """Whether the click falls on a pixel of an image of this shape (Y, X)."""
        row, column = self.pixel
        return 0 <= row < shape[0] and 0 <= column < shape[1]

    def cut(self, shape: tuple[int, int]) -> Click:
        """Return it as it is, if it is on an image of this shape (Y, X).

        Raises
        ------
        ClickError
            If it is outside.
        """
        if not self.inside(shape):
            raise ClickError(
                f"The click ({self.y:g}, {self.x:g}) is outside the image, whose pixels go "
                f"from (0, 0) to ({shape[0] - 1}, {shape[1] - 1}); click on the image."
            )
        return self

    def holds(self, mask: Patch) -> bool:
        """Whether a mask has the click's pixel where it is positive, and has it not otherwise."""
        return mask.holds(*self.pixel) == self.positive
