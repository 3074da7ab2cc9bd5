"""The runs of a folder: trainings and cross-fittings, listed and followed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_clickseg._napari.train.state import RunEntry
from napari_clickseg.crossfit.reader import CrossfitReader, is_crossfit
from napari_clickseg.training.reader import RunReader

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.runs.process import Launch
    from napari_clickseg.training.progress import RunStatus

_log = logging.getLogger(__name__)


def list_runs(home: Path) -> tuple[RunEntry, ...]:
    """List the runs of a folder, the one that was begun last first; reads their events."""
    try:
        folders = [path for path in (home / "runs").iterdir() if (path / "spec.json").is_file()]
    except OSError:
        return ()
    folders.sort(key=_begun, reverse=True)
    return tuple(RunEntry(path, path.name, _status_of(path)) for path in folders)


def _begun(path: Path) -> float:
    try:
        return (path / "spec.json").stat().st_mtime
    except OSError:  # it was removed just now
        return 0.0


def _status_of(path: Path) -> RunStatus:
    """Say how a run is, but not what came out of it, which takes longer to read."""
    try:
        return RunReader.look(reader_of(path)).status
    except (ValueError, OSError) as error:  # it hides no other one
        _log.warning("The run %s can't be read: %s", path, error)
        return "failed"


def reader_of(path: Path, launched: Launch | None = None) -> RunReader:
    """Return what reads a folder: a run's, or a cross-fitting's."""
    return (CrossfitReader if is_crossfit(path) else RunReader)(path, launched)
