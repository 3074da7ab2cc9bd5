"""Undo and redo of a frozen value: going back to an earlier one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class History(Generic[Value]):
    """A value with all that came before it and all that was undone, without limit.

    Parameters
    ----------
    present : Value
        Frozen.
    past, future : tuple of Value
        Earlier values, oldest first; undone ones, the next to be redone last.
    """

    present: Value
    past: tuple[Value, ...] = ()
    future: tuple[Value, ...] = ()

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self.past)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self.future)

    def step(self, value: Value) -> Self:
        """Make a value the present one; what was undone before is forgotten."""
        return replace(self, present=value, past=(*self.past, self.present), future=())

    def undo(self) -> Self:
        """Go one step back; at the beginning, nothing changes."""
        if not self.past:
            return self
        future = (*self.future, self.present)
        return replace(self, present=self.past[-1], past=self.past[:-1], future=future)

    def redo(self) -> Self:
        """Go one step forward again; where nothing was undone, nothing changes."""
        if not self.future:
            return self
        past = (*self.past, self.present)
        return replace(self, present=self.future[-1], past=past, future=self.future[:-1])
