"""What happens in long work, a line for each event, and the file that stops it.

`events.jsonl` and `stop` lie in a folder, which any process may write to and read.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.runs.events import read_event
from napari_clickseg.runs.process import SECOND, alive

if TYPE_CHECKING:
    from collections.abc import Callable

WorkState = Literal["new", "running", "stopped", "finished", "failed"]
_RESUMABLE = ("stopped", "paused")  # reasons for an end from which the work can go on


class EventLog:
    """The events of long work in a folder.

    Parameters
    ----------
    path : Path
        The folder; need not be there yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.events_path = self.path / "events.jsonl"
        self.listener: Callable[[dict[str, Any]], object] | None = None  # is told each event
        self._last_batch = 0.0

    def begin(self, **values: Any) -> None:
        """Write that this process begins, or goes on with, the work."""
        self.add("started", pid=os.getpid(), **values)

    def add(self, event: str, **values: Any) -> None:
        """Write an event; batches at most once a second.

        Raises
        ------
        OSError
            If the disk is full, and the like.
        """
        now = time.time()
        if event == "batch":
            if now - self._last_batch < SECOND:
                return
            self._last_batch = now
        known = {"event": event, "time": round(now, 3)} | _plain(values)
        line = json.dumps(known) + "\n"
        with self.events_path.open("ab") as file:
            if file.tell() and not self._ends_whole():
                file.write(b"\n")  # after a line that was cut off
            file.write(line.encode())
        if self.listener is not None:
            self.listener(known)

    def events(self, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read the events after an offset in bytes.

        Returns
        -------
        events : list of dict
            A half-written last line is left for the next time; broken lines are left out.
        offset : int
            Where to go on.
        """
        try:
            with self.events_path.open("rb") as file:
                file.seek(after)
                text = file.read()
        except FileNotFoundError:
            return [], after
        whole = text[: text.rfind(b"\n") + 1]
        read = (read_event(line) for line in whole.split(b"\n") if line)
        return [event for event in read if event is not None], after + len(whole)

    @property
    def state(self) -> WorkState:
        """How far the work is. What was killed counts as stopped: it can be resumed."""
        state: WorkState = "new"
        for event in self.events()[0]:
            match event.get("event"):
                case "started":
                    there = alive(int(event.get("pid", 0)), event.get("time"))
                    state = "running" if there else "stopped"
                case "finished":
                    state = "stopped" if event.get("reason") in _RESUMABLE else "finished"
                case "failed":
                    state = "failed"
        return state

    def request_stop(self) -> None:
        """Ask for the end of the work, after the batch or image that it is at."""
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        """Whether it was asked for."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Forget that it was asked for; what is resumed begins so."""
        (self.path / "stop").unlink(missing_ok=True)

    def _ends_whole(self) -> bool:
        with self.events_path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def _plain(value: Any) -> Any:
    """Return values that JSON knows: no NaN, no infinities, few digits."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < float("inf") else None
    return value
