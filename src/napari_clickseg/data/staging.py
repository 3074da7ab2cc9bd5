"""Several files that change together, or not at all."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from typing import TYPE_CHECKING

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.files import PARTIAL, begin, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Staged", "staging", "sweep"]

_OLD = 24 * 3600  # seconds after which nobody is writing a file any more
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Staged:
    """Files that were written beside their places, and go there all at once.

    Parameters
    ----------
    folder : Path
        All files lie below it; folders that are missing are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[tuple[Path, Path]] = []
        self._made: list[Path] = []

    def put(self, name: str, write: Callable[[Path], object]) -> None:
        """Have `write` write a file that will be called `name`, a path with slashes."""
        final = self.folder / name
        self._make(final.parent)
        partial = begin(final)
        self._files.append((partial, final))
        fill(partial, write)

    def commit(self) -> None:
        """Put all files into their places, in the order in which they were given."""
        done: list[tuple[Path, Path | None]] = []
        try:
            for partial, final in self._files:
                done.append((final, _copy(final)))
                partial.replace(final)
        except BaseException:
            for final, before in reversed(done):
                _restore(final, before)
            raise
        for _, before in done:
            _remove(before)
        self._files, self._made = [], []

    def drop(self) -> None:
        """Remove what was not committed, and folders that were made for it."""
        for partial, _ in self._files:
            _remove(partial)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._files, self._made = [], []

    def _make(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            self._made.append(each)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Staged]:
    """Change files of a folder together; they are committed at the end.

    Raises
    ------
    ProjectError
        If the disk is full or the folder can't be written to; then nothing is changed.
    """
    staged = Staged(folder)
    try:
        yield staged
        staged.commit()
    except OSError as error:
        raise ProjectError(_reason(error, folder)) from error
    finally:
        staged.drop()


def sweep(folder: Path) -> None:
    """Remove what a writer that was killed left behind in a folder, long ago."""
    for path in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _OLD:
                path.unlink()


def _reason(error: OSError, folder: Path) -> str:
    # numpy and tifffile say that fewer bytes were written than requested, without a number
    if error.errno in _FULL or (error.errno is None and "requested" in str(error)):
        return f"There is no room left for {folder}; make some, and try again. Nothing was changed."
    if error.errno in _CLOSED:
        return f"{folder} cannot be written to; choose another folder, or have it made writable."
    return f"{folder} cannot be written: {error.strerror or error}. Nothing was changed."


def _copy(path: Path) -> Path | None:
    """Keep what is there, until all files are in their places."""
    if not path.is_file():
        return None
    copy = begin(path)
    try:
        shutil.copy2(path, copy)
    except BaseException:
        _remove(copy)
        raise
    return copy


def _restore(path: Path, before: Path | None) -> None:
    with contextlib.suppress(OSError):
        if before is not None:
            before.replace(path)
        else:
            path.unlink()


def _remove(path: Path | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
