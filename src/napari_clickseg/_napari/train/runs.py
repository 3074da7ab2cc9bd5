"""The runs of a folder: trainings and cross-fittings, listed and followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.train.state import RunEntry
from napari_clickseg.crossfit.reader import CrossfitReader, is_crossfit
from napari_clickseg.training.reader import RunReader

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.runs.process import Launch

__all__ = ["list_runs", "reader_of"]


def list_runs(home: Path) -> tuple[RunEntry, ...]:
    """List the runs of a folder, the one that was begun last first; reads their events."""
    try:
        folders = [path for path in (home / "runs").iterdir() if (path / "spec.json").is_file()]
    except OSError:
        return ()
    folders.sort(key=lambda path: (path / "spec.json").stat().st_mtime, reverse=True)
    # How each is, but not what came out of it, which takes longer to read.
    return tuple(
        RunEntry(path, path.name, RunReader.look(reader_of(path)).status) for path in folders
    )


def reader_of(path: Path, launched: Launch | None = None) -> RunReader:
    """Return what reads a folder: a run's, or a cross-fitting's."""
    return (CrossfitReader if is_crossfit(path) else RunReader)(path, launched)
