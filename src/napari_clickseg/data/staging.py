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

__all__ = ["Staged", "held", "staging", "sweep"]

_LOCK = ".lock"
_PATIENCE = 120.0  # seconds for which others may hold a folder
_OLD = 24 * 3600  # seconds after which nobody is writing a file any more
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # network drives without them are used all the same


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
        _make(final.parent, self._made)
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
        _unmake(self._made)
        self._files, self._made = [], []


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Let nobody else hold a folder meanwhile, no other thread and no other process.

    Whoever reads what is there and writes what follows from it has to hold it. The lock is the
    system's, on a file in the folder: it ends with its owner, however that ends, so that a file
    which was left behind keeps nobody out.

    Parameters
    ----------
    folder : Path
        Made if it is not there, and removed if it is empty in the end.

    Raises
    ------
    ProjectError
        If others hold it for too long, or it can't be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    made: list[Path] = []
    try:
        try:
            _make(folder, made)
            lock.acquire(timeout=_PATIENCE)
        except Timeout as error:
            raise ProjectError(
                f"{folder} is being written to by another program; try again when that is done."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ProjectError(_reason(error, folder)) from error
        try:
            yield
        finally:
            # Before it is released, or the next owner's file would go. Who waits for this one
            # notices that it is gone, and begins anew.
            _remove(folder / _LOCK)
            lock.release()
    finally:
        _unmake(made)


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


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder with those above it, and add those that were missing to `made`."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        made.append(each)


def _unmake(made: list[Path]) -> None:
    """Remove folders that were made, if nothing is in them."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()


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
