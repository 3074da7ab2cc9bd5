"""Prompts and their history, as frozen values.

Every operation returns a new value, so a worker thread can hold one while the user goes on
clicking, and undo is nothing but going back to an earlier value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_clickseg.core.clicks import Click
from napari_clickseg.util.history import History

if TYPE_CHECKING:
    from napari_clickseg.core.gestures import Gesture
    from napari_clickseg.core.patch import Patch


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that the user has said about the current object, in order, and a starting mask.

    Parameters
    ----------
    gestures : tuple of Click, DrawnBox, Scribble or Lasso
        In the order in which they were made.
    start : Patch, optional
        A mask to start from; None starts from nothing.
    settled : int
        So many of the first gestures are answered by `start` already, as in an object that is
        taken up again.
    reading : int
        Which of the objects that a first click may mean: 0 is the most plausible one, 1 the next.
    """

    gestures: tuple[Gesture, ...] = ()
    start: Patch | None = None
    settled: int = 0
    reading: int = 0

    def __bool__(self) -> bool:
        return bool(self.gestures) or self.start is not None

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks among the gestures, in order."""
        return tuple(one for one in self.gestures if isinstance(one, Click))

    @property
    def has_positive(self) -> bool:
        """Whether at least one gesture is on the object."""
        return any(one.positive for one in self.gestures)

    def first(self, n: int) -> Prompt:
        """Return the prompt as it was after its first `n` gestures."""
        return replace(self, gestures=self.gestures[:n], settled=min(n, self.settled))


@dataclass(frozen=True, slots=True)
class PromptHistory(History[Prompt]):
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

    def add(self, *gestures: Gesture) -> PromptHistory:
        """Add gestures after the ones that are there, as one step."""
        return self._to(replace(self.present, gestures=(*self.present.gestures, *gestures)))

    def read(self, reading: int) -> PromptHistory:
        """Take the first click for another object."""
        return self._to(replace(self.present, reading=reading))

    def clear(self) -> PromptHistory:
        """Begin again with neither gestures nor a starting mask; can be undone."""
        return self._to(Prompt())

    def start_from(self, patch: Patch | None, gestures: tuple[Gesture, ...] = ()) -> PromptHistory:
        """Begin again from a mask (and, where an object is taken up again, its gestures).

        Clicks that the mask contradicts, as where it was painted on since, are dropped: the mask
        is what the user wants now.
        """
        if patch is not None:
            gestures = tuple(
                one for one in gestures if not isinstance(one, Click) or one.holds(patch)
            )
        return self._to(Prompt(gestures, patch, len(gestures)))

    def _to(self, prompt: Prompt) -> PromptHistory:
        return self if prompt == self.present else self.step(prompt)
