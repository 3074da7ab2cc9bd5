"""Journals written as things happen, on a thread of their own, so that nobody waits for a disk."""

from __future__ import annotations

import atexit
import errno
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from napari_clickseg.journal.checked_lines import checked_line
from napari_clickseg.util.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.journal.events import JournalEvent, Scribe

_PAUSE = 0.25  # seconds in which what happens is gathered before it is written
_AGAIN = 2.0  # seconds


class TakesLines(Protocol):
    """What notes what happened."""

    def write(self, events: list[Any]) -> None:
        """Note what happened; what can't be noted is kept for the next time."""


class JournalFile:
    """A journal that grows; only one thread at a time may use it.

    Parameters
    ----------
    path : Path
        Made with the first line.
    whole : int
        So many of its bytes are good; what follows them was cut off, and goes.
    """

    def __init__(self, path: Path, scribe: Scribe, whole: int = 0) -> None:
        self.path, self._scribe, self._good = path, scribe, whole
        self._left: list[bytes] = []  # what the disk has not taken yet

    def write(self, events: list[JournalEvent]) -> None:
        """Append lines; when it returns they are on the disk.

        Raises
        ------
        OSError
            If they can't be written. They are kept, and written with the next ones.
        """
        for one in events:
            self._left += map(checked_line, self._scribe.texts(one))
        if not self._left:
            return
        new = not self.path.exists()
        if new and self._good:  # a file that begins in the middle is of no use to anybody
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(self._left)
        with open(self.path, "wb" if new else "r+b") as file:
            file.truncate(self._good)
            file.seek(self._good)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)
        self._good += len(content)
        self._left = []


class JournalThread:
    """Writes journals, and does what else belongs to them, in the order in which it is told.

    Parameters
    ----------
    failed : callable
        Called on the thread with what went wrong; what could not be written is tried again.
    pause : float
        Seconds in which what happens is gathered.
    again : float
        Seconds after which a disk that took nothing is tried again.
    """

    def __init__(
        self,
        failed: Callable[[Exception], object],
        *,
        pause: float = _PAUSE,
        again: float = _AGAIN,
    ) -> None:
        self._failed, self._pause, self._again = failed, pause, again
        self._waiting: list[tuple[TakesLines, Any] | Callable[[], object]] = []
        self._behind: list[TakesLines] = []  # with lines that the disk has not taken
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = self._hurry = self._closed = False
        there = weakref.ref(self)

        def at_end() -> None:
            alive = there()
            if alive is not None:
                alive.close()

        self._at_end = at_end
        atexit.register(at_end)

    def note(self, file: TakesLines, event: Any) -> None:
        """Have a line written; returns at once."""
        self._add((file, event))

    def do(self, act: Callable[[], object]) -> None:
        """Have something done after what was noted before; returns at once."""
        self._add(act)

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything is done; return whether it is, and is on the disk."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)
            self._hurry = False
            return done and not self._behind

    def end(self) -> None:
        """Do what is left, and end; does not wait for it. Whoever ends the program does."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is None:
            atexit.unregister(self._at_end)

    def close(self, timeout: float = 30.0) -> bool:
        """Do what is left, and end; return whether all is on the disk. May be called again."""
        self.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        atexit.unregister(self._at_end)
        return not self._waiting and not self._behind

    def _add(self, one: tuple[TakesLines, Any] | Callable[[], object]) -> None:
        with self._changed:
            if self._closed:
                return
            self._waiting.append(one)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="napari-clickseg journal", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._rest()
                batch, self._waiting = self._waiting, []
                self._busy, ended = True, self._closed
            self._carry_out(batch)
            del batch  # it holds images that may be closed by now
            if ended and not self._waiting:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
                return

    def _rest(self) -> None:
        """Wait until there is something to do, and then for what comes right after it."""

        def pressed() -> bool:
            return self._closed or (self._hurry and bool(self._waiting))

        seconds = self._again if self._behind else None
        self._changed.wait_for(lambda: bool(self._waiting) or self._closed, seconds)
        self._changed.wait_for(pressed, self._pause)

    def _carry_out(self, batch: list[tuple[TakesLines, Any] | Callable[[], object]]) -> None:
        lines: dict[TakesLines, list[Any]] = {file: [] for file in self._behind}
        for one in batch:
            if isinstance(one, tuple):
                lines.setdefault(one[0], []).append(one[1])
            else:
                self._write(lines)
                lines = {}
                try:
                    one()
                except Exception as error:  # noqa: BLE001  (the thread has to go on)
                    self._failed(error)
        self._write(lines)

    def _write(self, lines: dict[TakesLines, list[Any]]) -> None:
        for file, events in lines.items():
            if file in self._behind:
                self._behind.remove(file)
            try:
                file.write(events)
            except Exception as error:  # noqa: BLE001  (the disk is full, or the folder is gone)
                self._behind.append(file)
                self._failed(error)
