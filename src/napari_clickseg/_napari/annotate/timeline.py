"""The steps that led to a scene, for undo and redo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_clickseg.util.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.scene import Scene


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


class Timeline:
    """All steps, without limit; undo and redo walk along them."""

    added = Signal(object)  # this step
    undone = Signal()
    redone = Signal()

    def __init__(self) -> None:
        self._history: History[Entry | None] = History(None)  # the last step; None at the start

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return self._history.can_redo

    @property
    def last(self) -> Entry | None:
        """The last step that is not undone."""
        return self._history.present

    @property
    def steps(self) -> tuple[Entry, ...]:
        """The steps that are not undone, oldest first."""
        entries = (*self._history.past, self._history.present)
        return tuple(entry for entry in entries if entry is not None)

    @property
    def writes(self) -> tuple[Write, ...]:
        """All that was written into the annotation layer and is not taken back."""
        return tuple(one for entry in self.steps for one in entry.writes)

    def add(self, entry: Entry) -> None:
        """Add a step; what was undone is forgotten."""
        self._history = self._history.step(entry)
        self.added.emit(entry)

    def restore(self, past: Sequence[Entry], future: Sequence[Entry]) -> None:
        """Begin with steps that were made earlier; of undone ones the next to be redone is last."""
        *earlier, present = (None, *past)
        self._history = History(present, tuple(earlier), tuple(future))

    def revise(self, change: Callable[[Scene], Scene]) -> None:
        """Change what all steps remember: something came to light that was true before them."""

        def revised(entry: Entry | None) -> Entry | None:
            if entry is None:
                return None
            return replace(entry, before=change(entry.before), after=change(entry.after))

        self._history = self._history.revised(revised)

    def undo(self) -> Entry | None:
        """Go one step back and return it."""
        undone = self._history.present
        if self.can_undo:
            self._history = self._history.undo()
            self.undone.emit()
        return undone

    def redo(self) -> Entry | None:
        """Go one step forward and return it."""
        if not self.can_redo:
            return None
        self._history = self._history.redo()
        self.redone.emit()
        return self._history.present
