"""Values made of arrays, in memory as far as there is room for them there, else on the disk."""

from __future__ import annotations

import io
import itertools
import tempfile
import threading
import weakref
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from napari_clickseg.util.background_spill import BackgroundSpill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Value = TypeVar("Value")
_MOST = 256 << 20  # bytes
_LEFT = 0.75  # of them, when room was made
_PAGE = 64 << 20  # bytes of a file, after which the next one is begun


class Spillable(Generic[Value]):
    """A value that never changes: arrays, in tuples and lists, with whatever else is in those.

    It lies in memory unless a `MemoryBudget` takes it out.
    """

    __slots__ = ("__weakref__", "_held", "counted", "nbytes")

    def __init__(self, value: Value) -> None:
        self._held: Value | _Far = value
        self.nbytes: Final = sum(array.nbytes for array in _arrays_of(value))
        self.counted = False  # by a budget

    @property
    def value(self) -> Value:
        """The value; read from the disk each time where it lies there."""
        held = self._held  # which another thread may replace
        return held.read() if isinstance(held, _Far) else held

    @property
    def in_memory(self) -> bool:
        """Whether it does not lie on the disk."""
        return not isinstance(self._held, _Far)

    def move_to(self, page: _Page) -> None:
        """Lie in a file; nothing changes for who asks for the value."""
        held = self._held
        if not isinstance(held, _Far):
            self._held = page.put(held)


class MemoryBudget:
    """Keeps what is counted within so many bytes: what was counted first is moved to the disk.

    The files have no names, so they go with the values in them, and with the program however that
    ends. May be used on any thread.

    Parameters
    ----------
    folder : callable
        Returns where the files are made; called when that is needed.
    most : int
        Bytes of arrays in memory. While the disk takes nothing there are more.
    """

    def __init__(self, folder: Callable[[], Path], most: int = _MOST) -> None:
        self._folder, self._most = folder, most
        self._lock = threading.Lock()
        self._near: dict[int, tuple[weakref.ref[Spillable[Any]], int]] = {}
        self._gone: deque[int] = deque()  # those of which nobody knows any more
        self._numbers = itertools.count()
        self._bytes = 0
        self._page: _Page | None = None
        self.room = BackgroundSpill(self._move_out, "napari-clickseg undo")

    def count(self, one: Spillable[Any]) -> None:
        """Count a value in, once."""
        if one.counted:
            return
        one.counted = True
        number, gone = next(self._numbers), self._gone
        there = weakref.ref(one, lambda _: gone.append(number))
        with self._lock:
            self._settle()
            self._near[number] = there, one.nbytes
            self._bytes += one.nbytes
            full = self._bytes > self._most
        if full:
            self.room.ask()

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in memory."""
        with self._lock:
            self._settle()
            return self._bytes

    def _settle(self) -> None:
        while self._gone:
            self._drop(self._gone.popleft())

    def _drop(self, number: int) -> None:
        _, size = self._near.pop(number, (None, 0))
        self._bytes -= size

    def _move_out(self) -> None:
        while self.nbytes > _LEFT * self._most:
            with self._lock:
                number, (there, _) = next(iter(self._near.items()))
            one = there()
            if one is not None:
                one.move_to(self._open_page())
            with self._lock:
                self._drop(number)

    def _open_page(self) -> _Page:
        if self._page is None or self._page.nbytes > _PAGE:
            self._page = _Page(self._folder())
        return self._page


class _Page:
    """A file without a name, which is gone when nobody holds it any more."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        self._lock = threading.Lock()
        self.nbytes = 0
        weakref.finalize(self, self._file.close)

    def put(self, value: Any) -> _Far:
        """Write a value at the end."""
        content = io.BytesIO()
        for array in _arrays_of(value):
            np.lib.format.write_array(content, array, allow_pickle=False)
        left = memoryview(zlib.compress(content.getbuffer(), 1))
        far = _Far(self, self.nbytes, left.nbytes, _with_arrays(value, itertools.repeat(_ARRAY)))
        with self._lock:
            self._file.seek(self.nbytes)
            while left:
                left = left[self._file.write(left) :]
            self.nbytes += far.length
        return far

    def read(self, start: int, length: int) -> bytes:
        """Return a part of it."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)


@dataclass(frozen=True, slots=True)
class _Far:
    """A value in a file.

    Parameters
    ----------
    others : object
        The value with `_ARRAY` in place of each array.
    """

    page: _Page
    start: int
    length: int
    others: Any

    def read(self) -> Any:
        """Return the value."""
        content = io.BytesIO(zlib.decompress(self.page.read(self.start, self.length)))

        def arrays() -> Iterator[npt.NDArray[Any]]:
            while True:
                yield np.lib.format.read_array(content, allow_pickle=False)

        return _with_arrays(self.others, arrays())


_ARRAY: Final = object()


def _arrays_of(value: Any) -> Iterator[npt.NDArray[Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _arrays_of(part)


def _with_arrays(value: Any, arrays: Iterator[Any]) -> Any:
    """Return a value with others in place of its arrays, in order."""
    if isinstance(value, np.ndarray) or value is _ARRAY:
        return next(arrays)
    if isinstance(value, tuple | list):
        parts = [_with_arrays(part, arrays) for part in value]
        return value._make(parts) if hasattr(value, "_make") else type(value)(parts)
    return value
