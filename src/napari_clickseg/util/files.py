"""Files that appear complete or not at all, whoever is reading meanwhile."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTIAL = ".partial-"  # how names of files begin that are being written
_MODE = 0o644  # a temporary file is readable to nobody else
_OLD = 24 * 3600  # seconds after which no other computer is writing a file any more
_CLOCKS = 2  # seconds by which the beginning of a process may be told differently


def begin(path: Path) -> Path:
    """Make an empty file beside the place of another one.

    Parameters
    ----------
    path : Path
        In a folder that is there; the new file's name begins with `PARTIAL`, says which process
        writes it, and has the same ending, by which writers know the format, in small letters.
    """
    prefix = f"{PARTIAL}{this_process()}-"
    handle, name = tempfile.mkstemp(
        dir=path.absolute().parent, prefix=prefix, suffix=path.suffix.lower()
    )
    os.close(handle)
    return Path(name)


def begin_folder(path: Path) -> Path:
    """Return where a folder is written before it goes to its place; as `begin`, not made yet."""
    name = f"{PARTIAL}{this_process()}-{uuid.uuid4().hex[:8]}{path.suffix.lower()}"
    return path.absolute().with_name(name)


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
    with naming(path):
        partial = begin(path)
        try:
            fill(partial, write)
            partial.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that is to be written, not the unfinished one.

    Parameters
    ----------
    path : Path
        Where it, or a folder, is to be.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or PARTIAL not in str(error.filename):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Have the folder's new entry on the disk too, where that can be asked for."""
    try:
        there = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(there)
    finally:
        os.close(there)


def partial_files(folder: Path) -> list[Path]:
    """Return the unfinished files in a folder that nobody is writing any more.

    Those are the files of processes of this computer that have ended, and what other computers
    began a day ago.
    """
    return [path for path in folder.glob(f"{PARTIAL}*") if _is_left(path)]


def sweep(folder: Path) -> None:
    """Remove the unfinished files, and folders, in a folder that nobody is writing any more."""
    for path in partial_files(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            continue
        with contextlib.suppress(OSError):
            path.unlink()


def last_changed(path: Path) -> float:
    """Return when a file was written last, in seconds since the epoch; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file does: when it was written, and its size; 0 for none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def this_process() -> str:
    """Return what tells this process from all others, for `has_ended`."""
    return _word_for(os.getpid())


def has_ended(process: str) -> bool | None:
    """Whether a process has ended; None where another computer would know.

    Parameters
    ----------
    process : str
        What `this_process` returned in it.
    """
    import psutil

    parts = process.split("-")
    if len(parts) != 3 or parts[0] != _computer() or not all(map(str.isdecimal, parts[1:])):
        return None
    pid, began = map(int, parts[1:])
    try:
        return abs(psutil.Process(pid).create_time() - began) > _CLOCKS
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, OverflowError):
        return None


@functools.lru_cache(maxsize=1)
def _word_for(pid: int) -> str:
    import psutil

    return f"{_computer()}-{pid}-{int(psutil.Process(pid).create_time())}"


@functools.cache
def _computer() -> str:
    """Return a word for this computer, or for the container in which processes are numbered."""
    try:
        numbered_in = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbered_in = ""
    return hashlib.sha256(f"{platform.node()} {numbered_in}".encode()).hexdigest()[:8]


def _is_left(path: Path) -> bool:
    process = path.name.removeprefix(PARTIAL).rpartition("-")[0]
    ended = has_ended(process)
    if ended is not None:
        return ended
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < time.time() - _OLD
    return False
