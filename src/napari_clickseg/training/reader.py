"""Runs on disk: where they live, how one is started and followed. Knows neither layers nor Qt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from napari_clickseg._napari.train.state import RunEntry
from napari_clickseg.training.progress import RunProgress, follow
from napari_clickseg.training.run_folder import RunFolder, alive

__all__ = [
    "Launch",
    "RunReader",
    "default_home",
    "last_words",
    "launch",
    "list_runs",
    "new_run",
    "plain_name",
    "reader_of",
]

_LOG = "log.txt"
_ROUNDED = 0.002  # seconds by which an event may seem earlier than it was
_NOT_PLAIN = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Launch:
    """A process that was started for a run: its number, and when it was started."""

    pid: int
    time: float


def default_home() -> Path:
    """Return the folder for projects made of layers and for runs; CLICKSEG_HOME moves it."""
    chosen = os.environ.get("CLICKSEG_HOME")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("napari-clickseg")


def plain_name(text: str) -> str:
    """Return a name that every file system takes, as much like a text as possible."""
    return _NOT_PLAIN.sub("-", text).strip("-. ")[:60] or "model"


def new_run(home: Path, name: str) -> Path:
    """Return the path of a folder for a new run; it is not there yet."""
    stem = f"{plain_name(name)}-{time.strftime('%Y-%m-%d-%H%M')}"
    path, number = home / "runs" / stem, 1
    while path.exists():
        number += 1
        path = home / "runs" / f"{stem}-{number}"
    return path


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
    from napari_clickseg.crossfit.reader import CrossfitReader, is_crossfit

    return (CrossfitReader if is_crossfit(path) else RunReader)(path, launched)


def launch(arguments: list[str], folder: Path) -> Launch:
    """Start `clickseg` with arguments as a process that outlives this one.

    Runs on a worker thread: starting a process from one as large as napari takes a while.

    Parameters
    ----------
    arguments : list of str
        Of the command.
    folder : Path
        The process works there, and what it says is added to the file log.txt in it.

    Raises
    ------
    OSError
        If it can't be started.
    """
    own = (
        {"creationflags": 0x00000200 | 0x08000000}  # a group of its own, without a console
        if os.name == "nt"
        else {"start_new_session": True}  # Ctrl + C in napari's terminal is not meant for it
    )
    began = time.time()
    with (folder / _LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_clickseg.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            **own,
        )
    # One that has ended must not stay in the list of processes as if it were alive.
    threading.Thread(target=process.wait, name="napari-clickseg-run", daemon=True).start()
    return Launch(process.pid, began)


class RunReader:
    """Reads a run's events as they come. Used by one worker thread.

    `reader_of` makes the right one for a folder.

    Parameters
    ----------
    path : Path
        The run's folder.
    launched : Launch, optional
        The process that was just started for it.
    """

    _follow = staticmethod(follow)  # folds events into what is known

    def __init__(self, path: Path, launched: Launch | None = None) -> None:
        self._folder, self._launched = RunFolder(path), launched
        self._known = RunProgress(path, path.name)
        self._offset = 0

    def look(self) -> RunProgress:
        """Read what is new and return what is known now."""
        self._read()
        known, launched = self._known, self._launched
        if launched is not None and known.since < launched.time - _ROUNDED:
            return self._before_the_start(known, launched)
        if known.status == "running" and not alive(known.pid, known.since):
            known = self._read()  # its last words
            if known.status == "running":
                return replace(known, status="stopped", reason="ended", seconds_left=None)
        if known.status == "running" and self._folder.stop_requested():
            return replace(known, status="stopping")
        if known.status == "none":
            return replace(known, status="stopped", reason="ended")
        return known

    def _read(self) -> RunProgress:
        events, self._offset = self._folder.events(self._offset)
        self._known = self._follow(self._known, events)
        return self._known

    def _before_the_start(self, known: RunProgress, launched: Launch) -> RunProgress:
        if alive(launched.pid):
            return replace(known, status="starting", error="")
        known = self._read()
        if known.since >= launched.time - _ROUNDED:
            return known
        error = last_words(self._folder.path) or "The training did not start."
        return replace(known, status="failed", error=error)


def last_words(folder: Path) -> str:
    """Return the last thing that a launched process said; empty if it said nothing."""
    try:
        lines = (folder / _LOG).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines[-40:] if line.strip()]
    return said[-1].removeprefix("clickseg: ") if said else ""
