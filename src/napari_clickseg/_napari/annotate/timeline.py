"""The steps that led to a scene, for undo and redo."""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_clickseg.runs.home import default_home
from napari_clickseg.util.shared_tuple import SharedTuple
from napari_clickseg.util.spilling import MemoryBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.scene import Scene
    from napari_clickseg.util.spilling import Spillable

_MOST = 4 << 30  # bytes of arrays of all steps of an image


@dataclass(frozen=True)
class Entry:
    """One step of the user.

    Parameters
    ----------
    plane : Plane, optional
        Where it happened.
    writes : tuple of LabelWrite or PaintStroke
        What was written into the annotation layer.
    end : Plane, optional
        The plane that it led to, if that is another one.
    """

    before: Scene
    after: Scene
    plane: Plane | None
    writes: tuple[Write, ...] = ()
    end: Plane | None = None

    def spillables(self) -> Iterator[Spillable[Any]]:
        """Yield what it added that takes memory, and perhaps what was there before."""
        yield from (write.kept for write in self.writes)
        for draft in self.after.drafts.values():
            if draft.start is not None:
                yield draft.start.kept
            if draft.editing is not None:
                yield draft.editing.patch.kept
        objects = self.after.objects
        if objects is self.before.objects:
            return
        for one in reversed(objects):
            yield one.patch.kept
            if isinstance(objects, SharedTuple) and len(objects) > len(self.before.objects):
                return  # there is one more than before


@functools.cache
def undo_memory() -> MemoryBudget:
    """Return how much memory all that can be undone in this program may take."""
    return MemoryBudget(lambda: default_home() / "scratch")


class Timeline:
    """All steps; undo and redo walk along them.

    Parameters
    ----------
    budget : MemoryBudget, optional
        Where their arrays are counted: those of the oldest steps come to lie on the disk.
    most : int
        Bytes of the arrays of all steps, in memory or not. Where there are more, the oldest steps
        are forgotten: they can't be undone any more.
    """

    added = Signal(object)  # this step
    undone = Signal()
    redone = Signal()

    def __init__(self, budget: MemoryBudget | None = None, most: int = _MOST) -> None:
        self._budget, self._most = budget or undo_memory(), most
        self._past: deque[_Counted] = deque()
        self._future: list[_Counted] = []  # the next to be redone is last
        self._forgotten: list[Write] = []
        self._bytes = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return bool(self._future)

    @property
    def is_empty(self) -> bool:
        """Whether there never was a step that is not gone for good."""
        return not (self._past or self._future or self._forgotten)

    @property
    def last(self) -> Entry | None:
        """The last step that is not undone."""
        return self._past[-1].entry if self._past else None

    @property
    def steps(self) -> tuple[Entry, ...]:
        """The steps that are not undone, oldest first."""
        return tuple(one.entry for one in self._past)

    @property
    def writes(self) -> tuple[Write, ...]:
        """All that was written into the annotation layer and is not taken back.

        Of what can't be taken back any more it says only that it was.
        """
        return (*self._forgotten, *(one for entry in self.steps for one in entry.writes))

    def add(self, entry: Entry) -> None:
        """Add a step; what was undone is forgotten."""
        self._bytes -= sum(one.nbytes for one in self._future)
        self._future.clear()
        self._past.append(self._counted(entry))
        self._bytes += self._past[-1].nbytes
        self._forget()
        self.added.emit(entry)

    def restore(self, past: Sequence[Entry], future: Sequence[Entry]) -> None:
        """Begin with steps that were made earlier; of undone ones the next to be redone is last."""
        self._past = deque(map(self._counted, past))
        self._future = list(map(self._counted, future))
        self._bytes = sum(one.nbytes for one in (*self._past, *self._future))
        self._forget()

    def revise(self, change: Callable[[Scene], Scene]) -> None:
        """Change what all steps remember: something came to light that was true before them."""

        def revised(one: _Counted) -> _Counted:
            entry = one.entry
            entry = replace(entry, before=change(entry.before), after=change(entry.after))
            return replace(one, entry=entry)

        self._past = deque(map(revised, self._past))
        self._future = list(map(revised, self._future))

    def undo(self) -> Entry | None:
        """Go one step back and return it."""
        if not self._past:
            return None
        self._future.append(self._past.pop())
        self.undone.emit()
        return self._future[-1].entry

    def redo(self) -> Entry | None:
        """Go one step forward and return it."""
        if not self._future:
            return None
        self._past.append(self._future.pop())
        self.redone.emit()
        return self.last

    def _counted(self, entry: Entry) -> _Counted:
        new = [one for one in entry.spillables() if not one.counted]
        for one in new:
            self._budget.count(one)
        return _Counted(entry, sum(one.nbytes for one in new))

    def _forget(self) -> None:
        """Forget the oldest steps where there is too much; the last one always stays."""
        while self._bytes > self._most and len(self._past) > 1:
            oldest = self._past.popleft()
            self._bytes -= oldest.nbytes
            self._forgotten += [write.forgotten() for write in oldest.entry.writes]


@dataclass(frozen=True, slots=True)
class _Counted:
    """A step, and how many bytes of arrays it added."""

    entry: Entry
    nbytes: int
