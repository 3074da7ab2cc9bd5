"""The process that predicts the rest of a project: starting, following and stopping it.

It is `clickseg predict --rest` and outlives napari. What it says lies in a folder of its own for
each project, so that a napari that is opened later finds it. Runs on a worker thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.review.drafts import place_of
from napari_clickseg._napari.review.state import Predicting
from napari_clickseg.training.reader import last_words, launch
from napari_clickseg.training.run_folder import RunFolder, alive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_clickseg.training.reader import Launch

__all__ = ["Order", "PredictingReader"]

_ENDED = "Predicting ended unexpectedly; what was predicted is kept. Start it again to go on."


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be predicted.

    Parameters
    ----------
    folder : Path
        Of the project.
    model : str
        Path of the model's file.
    device : str
        As for `load_segmenter`.
    again : bool
        Also what waits with another model's prediction.
    """

    folder: Path
    model: str
    device: str = "auto"
    again: bool = False

    def arguments(self, events: Path) -> list[str]:
        """Return the arguments of the command."""
        asked = ["predict", str(self.folder.resolve()), "--rest", "--model", self.model]
        asked += ["--device", self.device, "--events", str(events)]
        return [*asked, "--overwrite"] if self.again else asked


class PredictingReader:
    """Starts and follows the process of one project.

    Parameters
    ----------
    home, folder : Path
        As in `DraftFile`.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self.log = RunFolder(place_of(home, folder) / "predicting")
        self._launched: Launch | None = None
        self._begin()

    def start(self, order: Order) -> Predicting:
        """Start the process, unless there is one.

        Raises
        ------
        OSError
            If it can't be started.
        """
        now = self.look()
        if now.alive:
            return now
        self.log.path.mkdir(parents=True, exist_ok=True)
        for name in ("events.jsonl", "log.txt", "stop"):
            (self.log.path / name).unlink(missing_ok=True)
        self._begin()
        self._launched = launch(order.arguments(self.log.path), self.log.path)
        return Predicting("starting")

    def stop(self) -> None:
        """Have it end after the image that it is at."""
        if self.log.path.is_dir():
            self.log.request_stop()

    def look(self) -> Predicting:
        """Read what is new and return what is known now."""
        self._read()
        if self._known.status in ("none", "running") and not self._there():
            self._read()  # its last words
            if self._known.status == "running":
                return replace(self._known, status="failed", seconds_left=None, error=_ENDED)
        if self._known.status == "none":
            return self._before_the_first_word()
        if self._known.status == "running" and self.log.stop_requested():
            return replace(self._known, status="stopping", seconds_left=None)
        return self._known

    def _begin(self) -> None:
        self._offset = 0
        self._known = Predicting()
        self._process = (0, 0.0)
        self._first: tuple[float, int] | None = None  # when images began, and how many were done

    def _there(self) -> bool:
        if self._launched is not None:
            return alive(self._launched.pid)
        return alive(*self._process)

    def _before_the_first_word(self) -> Predicting:
        if self._launched is None:
            return self._known
        if self._there():
            return Predicting("stopping" if self.log.stop_requested() else "starting")
        return Predicting("failed", error=last_words(self.log.path) or _ENDED)

    def _read(self) -> None:
        events, self._offset = self.log.events(self._offset)
        for event in events:
            self._follow(event)

    def _follow(self, event: Mapping[str, Any]) -> None:
        known = self._known
        match event.get("event"):
            case "started":
                self._process = int(event.get("pid", 0)), float(event.get("time", time.time()))
                self._known = Predicting("running")
            case "image":
                done, total = int(event.get("done", 0)), int(event.get("total", 0))
                left = self._left(float(event.get("time", 0)), done, total)
                self._known = replace(known, done=done, total=total, seconds_left=left)
            case "finished":
                self._known = replace(
                    known,
                    status="stopped" if event.get("reason") == "stopped" else "finished",
                    seconds_left=None,
                    predicted=int(event.get("predicted", 0)),
                    problems=tuple(str(problem) for problem in event.get("problems", ())),
                )
            case "failed":
                error = str(event.get("message", ""))
                self._known = replace(known, status="failed", seconds_left=None, error=error)

    def _left(self, now: float, done: int, total: int) -> float | None:
        if self._first is None:
            self._first = now, done
        since, before = self._first
        if done == before:
            return None
        return (now - since) / (done - before) * (total - done)
