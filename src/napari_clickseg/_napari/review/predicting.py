"""The process that predicts the rest of a project: starting, following and stopping it.

It is `clickseg predict --rest` and outlives napari. What it says lies in a folder of its own for
each project, so that a napari that is opened later finds it. Runs on a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.review.drafts import place_of
from napari_clickseg._napari.review.state import Predicting
from napari_clickseg.runs.log import EventLog
from napari_clickseg.runs.process import launch
from napari_clickseg.runs.reader import ProcessReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_clickseg.runs.reader import Change

_ENDED = "Predicting ended unexpectedly; what was predicted is kept. Start it again to go on."


@dataclass(frozen=True, slots=True)
class PredictingOrder:
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


class PredictingReader(ProcessReader[Predicting]):
    """Starts and follows the process of one project.

    Parameters
    ----------
    home, folder : Path
        As in `DraftFile`.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        super().__init__(EventLog(place_of(home, folder) / "predicting"), Predicting())
        self._first: tuple[float, int] | None = None  # when images began, and how many were done

    def start(self, order: PredictingOrder) -> Predicting:
        """Start the process, unless there is one.

        Raises
        ------
        OSError
            If it can't be started.
        """
        now = self.look()
        if now.alive:
            return now
        folder = self.log.path
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("events.jsonl", "log.txt", "stop"):
            (folder / name).unlink(missing_ok=True)
        launched = launch(order.arguments(folder), folder)
        super().__init__(self.log, Predicting(), launched)  # nothing is known of the last one
        self._first = None
        return Predicting("starting")

    def stop(self) -> None:
        """Have it end after the image that it is at."""
        if self.log.path.is_dir():
            self.log.request_stop()

    def _changed(self, known: Predicting, change: Change) -> Predicting:
        match change:
            case "starting":
                return Predicting("stopping" if self.log.stop_requested() else "starting")
            case "stopping":
                return replace(known, status="stopping", seconds_left=None)
            case "ended":
                return replace(known, status="failed", seconds_left=None, error=_ENDED)
        return known

    def _not_started(self, known: Predicting, said: str) -> Predicting:
        return Predicting("failed", error=said or _ENDED)

    def _follow(self, known: Predicting, events: Iterable[Mapping[str, Any]]) -> Predicting:
        for event in events:
            known = self._after(known, event)
        return known

    def _after(self, known: Predicting, event: Mapping[str, Any]) -> Predicting:
        match event.get("event"):
            case "started":
                return Predicting("running")
            case "image":
                done, total = int(event.get("done", 0)), int(event.get("total", 0))
                left = self._left(float(event.get("time", 0)), done, total)
                return replace(known, done=done, total=total, seconds_left=left)
            case "finished":
                return replace(
                    known,
                    status="stopped" if event.get("reason") == "stopped" else "finished",
                    seconds_left=None,
                    predicted=int(event.get("predicted", 0)),
                    problems=tuple(str(problem) for problem in event.get("problems", ())),
                )
            case "failed":
                error = str(event.get("message", ""))
                return replace(known, status="failed", seconds_left=None, error=error)
        return known

    def _left(self, now: float, done: int, total: int) -> float | None:
        if self._first is None:
            self._first = now, done
        since, before = self._first
        if done == before:
            return None
        return (now - since) / (done - before) * (total - done)
