"""Room made in memory by writing to the disk, on a thread; again and again where that is full."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN = 2.0  # seconds


class BackgroundSpill:
    """Makes room when asked to, one thread at a time, and keeps nothing alive.

    Parameters
    ----------
    make : bound method
        Makes room; raises OSError where the disk takes nothing.
    name : str
        Of the thread.
    again : float
        Seconds after which a disk that took nothing is tried again.
    """

    refused = Signal(Exception)  # by the disk, with this; emitted on the thread
    taken = Signal()  # by a disk that had refused

    def __init__(self, make: Callable[[], None], name: str, again: float = _AGAIN) -> None:
        self._make, self._name, self._again = weakref.WeakMethod(make), name, again
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None  # why the disk takes nothing

    def ask(self) -> None:
        """Have room made; returns at once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Wait until room was made, or can't be."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        make, before, now = self._make(), self.error, None
        try:
            if make is not None:
                make()
        except (OSError, RuntimeError) as error:  # at Python's end zarr has no threads any more
            now = error
        del make
        self.error, self._thread = now, None
        if now is not None:
            self._try_again()
            self.refused.emit(now)
        elif before is not None:
            self.taken.emit()

    def _try_again(self) -> None:
        there = weakref.ref(self)

        def ask() -> None:
            maker = there()
            if maker is not None:
                maker.ask()

        timer = threading.Timer(self._again, ask)
        timer.daemon = True
        timer.start()
