"""Files that appear complete or not at all, whoever is reading meanwhile."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PARTIAL", "begin", "fill", "write_whole"]

PARTIAL = ".partial-"  # how names of files begin that are being written
_MODE = 0o644  # a temporary file is readable to nobody else


def begin(path: Path) -> Path:
    """Make an empty file beside the place of another one.

    Parameters
    ----------
    path : Path
        In a folder that is there; the new file's name begins with `PARTIAL` and has the same
        ending, by which writers know the format, in small letters.
    """
    suffix = path.suffix.lower()
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=PARTIAL, suffix=suffix)
    os.close(handle)
    return Path(name)


def fill(partial: Path, write: Callable[[Path], object]) -> None:
    """Have `write` write a file that was begun, and make it readable as others are."""
    write(partial)
    partial.chmod(_MODE)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that it appears complete or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    write : callable
        Writes to the path it is given, which has the same ending.
    """
    partial = begin(path)
    try:
        fill(partial, write)
        partial.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
