"""A training in another process, followed by its log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_clickseg.runs.reader import ProcessReader
from napari_clickseg.training.progress import RunProgress, follow
from napari_clickseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_clickseg.runs.process import Launch
    from napari_clickseg.runs.reader import Change
    from napari_clickseg.training.progress import Event


class RunReader(ProcessReader[RunProgress]):
    """Reads a run's events as they come. Used by one worker thread.

    Parameters
    ----------
    launched : Launch, optional
        The process that was just started for it.
    """

    def __init__(self, path: Path, launched: Launch | None = None) -> None:
        super().__init__(RunFolder(path), self._unknown(path), launched)

    @staticmethod
    def _unknown(path: Path) -> RunProgress:
        """Return what is known before the first event."""
        return RunProgress(path, path.name)

    def _follow(self, known: RunProgress, events: Iterable[Event]) -> RunProgress:
        return follow(known, events)

    def _changed(self, known: RunProgress, change: Change) -> RunProgress:
        match change:
            case "starting":
                return replace(known, status="starting", error="")
            case "stopping":
                return replace(known, status="stopping")
        return replace(known, status="stopped", reason="ended", seconds_left=None)

    def _not_started(self, known: RunProgress, said: str) -> RunProgress:
        return replace(known, status="failed", error=said or "The training did not start.")
