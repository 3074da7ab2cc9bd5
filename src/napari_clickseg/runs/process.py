"""Processes of the command `clickseg`: started, looked after, and what they said last."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1.0  # as exactly as systems know when a process began
_LOG = "log.txt"


@dataclass(frozen=True, slots=True)
class Launch:
    """A process that was started for a run: its number, and when it was started."""

    pid: int
    time: float


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


def alive(pid: int, at: float | None = None) -> bool:
    """Whether a process runs.

    Parameters
    ----------
    at : float, optional
        Seconds since the epoch when it was seen. Numbers are used again: one that began later is
        another process.
    """
    import psutil

    if pid <= 0:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # it has ended; nobody asked how
            return False
        return at is None or process.create_time() <= at + 2 * SECOND  # to the second
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it is somebody else's
        return at is None


def last_words(folder: Path) -> str:
    """Return the last thing that a launched process said; empty if it said nothing."""
    try:
        lines = (folder / _LOG).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines[-40:] if line.strip()]
    return said[-1].removeprefix("clickseg: ") if said else ""
