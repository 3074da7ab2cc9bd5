"""From a worker thread to the main thread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Callable


class Wakeup(QObject):
    """Has something called on the main thread soon after any thread asked for it.

    Parameters
    ----------
    answer : callable
        Called on the thread that made this object, once for all the rings since the last call.
    """

    _rung = Signal()

    def __init__(self, answer: Callable[[], None]) -> None:
        super().__init__()
        self._answer: Callable[[], None] | None = answer
        self._waiting = False
        queued = Qt.ConnectionType.QueuedConnection
        self._rung.connect(self._call, queued)  # type: ignore[call-arg]

    def ring(self) -> None:
        """Have the answer called; returns at once. May run on any thread."""
        if self._waiting:
            return
        self._waiting = True
        with suppress(RuntimeError):  # Qt is gone already: the program ends
            self._rung.emit()

    def silence(self) -> None:
        """Never call the answer again."""
        self._answer = None

    def _call(self) -> None:
        self._waiting = False  # before the answer: what comes while it runs rings again
        if self._answer is not None:
            self._answer()
