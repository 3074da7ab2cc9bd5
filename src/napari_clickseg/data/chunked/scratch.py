"""Folders for what does not fit into memory, which nobody needs once the program has ended."""

from __future__ import annotations

import contextlib
import shutil
import uuid
import weakref
from typing import TYPE_CHECKING

from napari_clickseg.util.claims import release, take

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import BaseFileLock


class Scratch:
    """A folder that goes with whom it is made for, or else when another one is made.

    Parameters
    ----------
    home : Path
        Where the program keeps what is the user's.
    owner : object
        It goes when this does, or the program ends.
    """

    def __init__(self, home: Path, owner: object) -> None:
        self.folder = home / "scratch" / f"{uuid.uuid4().hex}.zarr"
        weakref.finalize(owner, _clear, self.folder, self._claimed(home / "scratch"))

    def _claimed(self, among: Path) -> BaseFileLock | None:
        for left in among.glob("*.zarr"):
            free, lock = take(left)
            if free and lock is not None:  # its program was killed
                shutil.rmtree(left, ignore_errors=True)
            release(lock)
        return take(self.folder)[1]


def _clear(folder: Path, lock: BaseFileLock | None) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)
    release(lock)
