"""Where journals lie: in the program's own folder, by what their images look like."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.journal.recording import JournalError, read_journal
from napari_clickseg.util.claims import MARK, names_beside, release, take, tidy
from napari_clickseg.util.files import last_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from filelock import BaseFileLock

    from napari_clickseg.journal.recording import Recording

_WHOLE = 1 << 26  # bytes of an image that are all looked at
_SIDE, _ACROSS = 64, 4  # of a larger one: the side of a sample, and samples along an axis
_KEPT = 30 * 24 * 3600  # seconds for which a journal stays that nobody needs any more
_ENDING = ".jsonl"
_FORGOTTEN = ".forgotten"


def image_digest(data: Any, channel_axis: int | None = None) -> str:
    """Return what tells an image from others: of its shape, type and pixels, never its name.

    Parameters
    ----------
    data : array
        Its finest level; numpy, dask, zarr. Of more than 64 MiB, samples are read.
    channel_axis : int, optional
        The axis that holds channels.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    shape = tuple(int(n) for n in data.shape)
    digest = hashlib.blake2b(f"{shape} {data.dtype} {channel_axis}".encode(), digest_size=16)
    whole = math.prod(shape) * np.dtype(data.dtype).itemsize <= _WHOLE
    for key in [(Ellipsis,)] if whole else _samples(shape):
        digest.update(np.ascontiguousarray(np.asarray(data[key])).tobytes())
    return digest.hexdigest()


def _samples(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield indices of evenly spread samples of an array."""
    spread = []
    for n in shape:
        side = min(_SIDE if n > _SIDE else 1, n) if n > 4 else n
        last = n - side
        firsts = {round(last * i / (_ACROSS - 1)) for i in range(_ACROSS)} if last else {0}
        spread.append([slice(first, first + side) for first in sorted(firsts)])
    most = itertools.islice(itertools.product(*spread), _ACROSS**4)
    return iter(list(most))


@dataclass(frozen=True, eq=False, slots=True)
class StoredJournal:
    """A journal that somebody left, and that nobody else works on.

    Parameters
    ----------
    place : JournalPlace
        It is claimed.
    changed : float
        When it was written last, in seconds since the epoch.
    """

    place: JournalPlace
    recording: Recording
    changed: float


class JournalPlace:
    """The file of a journal, claimed until it is let go.

    Parameters
    ----------
    claim : BaseFileLock, optional
        None on drives without locks.
    """

    def __init__(self, path: Path, claim: BaseFileLock | None) -> None:
        self.path, self._claim = path, claim

    def release(self) -> None:
        """Let others take it."""
        claim, self._claim = self._claim, None
        release(claim)

    def forget(self) -> None:
        """Take the journal away; until it is swept, its content lies beside its place."""
        with contextlib.suppress(OSError):
            self.path.replace(self.path.with_suffix(_FORGOTTEN))
        self.release()


class JournalStore:
    """The folder with all journals.

    Parameters
    ----------
    home : Path
        Where the program keeps what is the user's.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "journals"

    def begin(self, digest: str) -> JournalPlace:
        """Claim the place of a new journal of an image."""
        for path in names_beside(self._main(digest)):
            if path.exists():
                continue
            free, claim = take(path)
            if free and not path.exists():
                return JournalPlace(path, claim)
            release(claim)
        raise AssertionError("there are names without end")

    def latest(
        self,
        digest: str,
        *,
        also_saved: bool = False,
        wanted: Callable[[Recording], bool] = lambda _: True,
    ) -> StoredJournal | None:
        """Claim the last journal of an image that holds something unsaved, if there is one.

        Those that nobody works on any more and that are worth nothing are swept.

        Parameters
        ----------
        digest : str
            See `image_digest`.
        also_saved : bool
            Where there is none, one that holds nothing unsaved will do.
        wanted : callable
            Whether somebody can do with what it says; others don't hide what was left before them.
        """
        tidy(self.folder)
        self.sweep()
        main = self._main(digest)
        paths = {main, *self.folder.glob(f"{main.stem}{MARK}*{_ENDING}")}
        dated = [(last_changed(path), path) for path in paths if path.exists()]
        saved: StoredJournal | None = None
        for changed, path in sorted(dated, reverse=True):
            free, claim = take(path)
            if not free:
                continue
            place = JournalPlace(path, claim)
            with contextlib.suppress(JournalError):
                one = StoredJournal(place, read_journal(path), changed)
                fits = one.recording.began.digest == digest and wanted(one.recording)
                if fits and one.recording.unsaved:
                    if saved is not None:
                        saved.place.release()
                    return one
                if fits and also_saved and saved is None:
                    saved = one
                    continue
            place.release()
        return saved

    def sweep(self) -> None:
        """Remove what was forgotten, or was saved elsewhere, a month ago."""
        old = time.time() - _KEPT
        for path in (*self.folder.glob(f"*{_FORGOTTEN}"), *self.folder.glob(f"*{_ENDING}")):
            if last_changed(path) > old:
                continue
            with contextlib.suppress(OSError, JournalError):
                if path.suffix == _FORGOTTEN or not read_journal(path).unsaved:
                    path.unlink()

    def _main(self, digest: str) -> Path:
        return self.folder / f"{digest}{_ENDING}"
