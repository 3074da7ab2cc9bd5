"""Clicks and their history, as frozen values.

Every operation returns a new value, so a worker thread can hold one while the user goes on
clicking, and undo is nothing but going back to an earlier value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

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
class ClickHistory:
    """A prompt with all that came before it and all that was undone.

    There is no limit to undo.

    Parameters
    ----------
    present : Prompt
        The current prompt.
    past, future : tuple of Prompt
        Earlier prompts, oldest first; undone ones, the next to be redone last.
    """

    present: Prompt = field(default_factory=Prompt)
    past: tuple[Prompt, ...] = ()
    future: tuple[Prompt, ...] = ()

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks of the current prompt."""
        return self.present.clicks

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self.past)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self.future)

    def replace(self, prompt: Prompt) -> ClickHistory:
        """Make `prompt` the present one; what was undone before is forgotten."""
        if prompt == self.present:
            return self
        return ClickHistory(prompt, (*self.past, self.present), ())

    def add(self, *clicks: Click) -> ClickHistory:
        """Add clicks after the ones that are there, as one step."""
        return self.replace(replace(self.present, clicks=(*self.clicks, *clicks)))

    def move(self, index: int, y: float, x: float) -> ClickHistory:
        """Move the click at `index` to (y, x) in pixels; its polarity and its turn stay."""
        clicks = list(self.clicks)
        clicks[index] = replace(clicks[index], y=y, x=x)
        return self._changed(tuple(clicks), index % len(clicks))

    def remove(self, *indices: int) -> ClickHistory:
        """Remove the clicks at `indices`, as one step."""
        n = len(self.clicks)
        gone = {index % n if -n <= index < n else index for index in indices}
        if not gone <= set(range(n)):
            raise IndexError(f"There is no click {sorted(gone - set(range(n)))[0]}.")
        left = tuple(c for i, c in enumerate(self.clicks) if i not in gone)
        return self._changed(left, min(gone, default=n))

    def clear(self) -> ClickHistory:
        """Begin again with neither clicks nor a starting mask; can be undone."""
        return self.replace(Prompt())

    def start_from(self, patch: Patch | None, clicks: tuple[Click, ...] = ()) -> ClickHistory:
        """Begin again from a mask (and, where an object is taken up again, its clicks).

        Clicks that the mask contradicts, as where it was painted on since, are dropped: the mask
        is what the user wants now.
        """
        if patch is not None:
            clicks = tuple(click for click in clicks if click.holds(patch))
        return self.replace(Prompt(clicks, patch, len(clicks)))

    def undo(self) -> ClickHistory:
        """Go one step back; at the beginning, nothing changes."""
        if not self.past:
            return self
        return ClickHistory(self.past[-1], self.past[:-1], (*self.future, self.present))

    def redo(self) -> ClickHistory:
        """Go one step forward again; where nothing was undone, nothing changes."""
        if not self.future:
            return self
        return ClickHistory(self.future[-1], (*self.past, self.present), self.future[:-1])

    def _changed(self, clicks: tuple[Click, ...], first: int) -> ClickHistory:
        """Replace the clicks; if an answered one changed, the starting mask answers none."""
        settled = self.present.settled if first >= self.present.settled else 0
        return self.replace(replace(self.present, clicks=clicks, settled=settled))
