"""Clicks and their history, as frozen values.

Every operation returns a new value, so a worker thread can hold one while the user goes on
clicking, and undo is nothing but going back to an earlier value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_clickseg.util.history import History

if TYPE_CHECKING:
    from napari_clickseg.core.patch import Patch

__all__ = ["Click", "ClickError", "ClickHistory", "Prompt"]


class ClickError(ValueError):
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
    def pixel(self) -> tuple[int, int]:
        """The pixel (row, column) that the click falls on."""
        return math.floor(self.y + 0.5), math.floor(self.x + 0.5)

    def inside(self, shape: tuple[int, int]) -> bool:
        """Whether the click falls on a pixel of an image of this shape (Y, X)."""
        row, column = self.pixel
        return 0 <= row < shape[0] and 0 <= column < shape[1]

    def holds(self, mask: Patch) -> bool:
        """Whether a mask has the click's pixel where it is positive, and has it not otherwise."""
        (row, column), box = self.pixel, mask.box
        inside = box.top <= row < box.bottom and box.left <= column < box.right
        has = inside and bool(mask.mask[row - box.top, column - box.left])
        return has == self.positive


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that the user has said about the current object: clicks in order, and a starting mask.

    Parameters
    ----------
    clicks : tuple of Click
        In the order in which they were made.
    start : Patch, optional
        A mask to start from; None starts from nothing.
    settled : int
        So many of the first clicks are answered by `start` already, as in an object that is
        taken up again.
    """

    clicks: tuple[Click, ...] = ()
    start: Patch | None = None
    settled: int = 0

    def __bool__(self) -> bool:
        return bool(self.clicks) or self.start is not None

    @property
    def has_positive(self) -> bool:
        """Whether at least one click is positive."""
        return any(click.positive for click in self.clicks)

    def first(self, n: int) -> Prompt:
        """Return the prompt as it was after its first `n` clicks."""
        return replace(self, clicks=self.clicks[:n], settled=min(n, self.settled))


@dataclass(frozen=True, slots=True)
class ClickHistory(History[Prompt]):
    """A prompt with all that came before it and all that was undone.

    Parameters
    ----------
    present : Prompt
        The current prompt.
    past, future : tuple of Prompt
        As in `History`.
    """

    present: Prompt = field(default_factory=Prompt)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks of the current prompt."""
        return self.present.clicks

    def add(self, *clicks: Click) -> ClickHistory:
        """Add clicks after the ones that are there, as one step."""
        return self._to(replace(self.present, clicks=(*self.clicks, *clicks)))

    def clear(self) -> ClickHistory:
        """Begin again with neither clicks nor a starting mask; can be undone."""
        return self._to(Prompt())

    def start_from(self, patch: Patch | None, clicks: tuple[Click, ...] = ()) -> ClickHistory:
        """Begin again from a mask (and, where an object is taken up again, its clicks).

        Clicks that the mask contradicts, as where it was painted on since, are dropped: the mask
        is what the user wants now.
        """
        if patch is not None:
            clicks = tuple(click for click in clicks if click.holds(patch))
        return self._to(Prompt(clicks, patch, len(clicks)))

    def _to(self, prompt: Prompt) -> ClickHistory:
        return self if prompt == self.present else self.step(prompt)
