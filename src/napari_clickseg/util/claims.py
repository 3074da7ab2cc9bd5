"""Files that belong to whoever works on them: a lock of the system's, which ends with its owner."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.util.files import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import BaseFileLock

MARK = "~"  # before the number of who came second


def names_beside(main: Path) -> Iterator[Path]:
    """Return where files of one matter may lie: for who came first, second, and so on."""
    yield main
    for number in itertools.count(2):
        yield main.with_name(f"{main.stem}{MARK}{number}{main.suffix}")


def take(path: Path) -> tuple[bool, BaseFileLock | None]:
    """Return whether nobody else has taken a file, and the lock that says that we have now."""
    from filelock import FileLock, Timeout

    # It is let go by another thread than the one that took it.
    lock = FileLock(path.with_suffix(".lock"), thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        return False, None
    except OSError:  # a drive without locks, or one that nothing can be written to
        return True, None
    return True, lock


def release(lock: BaseFileLock | None) -> None:
    """Let others take a file."""
    if lock is not None:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release(force=True)


def tidy(place: Path) -> None:
    """Remove what programs left that were killed; what somebody works on stays."""
    with contextlib.suppress(OSError):
        sweep(place)
        for lock in place.glob("*.lock"):
            release(take(lock)[1])
